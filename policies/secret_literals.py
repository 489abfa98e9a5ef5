"""Rules about secrets: they are files that Kubernetes mounts, and stand nowhere in plain text.

The loader refuses them in specs (E341); this looks at all that is rendered, by its own lists.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from itertools import pairwise
from typing import Final

from model_specs.names import LABEL_ROLE, PROBER
from policies.facts import Facts
from policies.pods import Block, containers, template
from policies.resources import Resource
from policies.rule import WORKLOADS, Estate, Fault, Rule, each, whole

_FORMS: Final = tuple(
    (what, mark, re.compile(form))
    for what, mark, form in (
        ("an AWS key", "AKIA", r"\bAKIA[A-Z0-9]{16}\b"),
        ("an AWS key", "ASIA", r"\bASIA[A-Z0-9]{16}\b"),
        ("a GitHub token", "gh", r"\bgh[pousr]_[A-Za-z0-9]{20,}"),
        ("a GitHub token", "github_pat_", r"\bgithub_pat_\w{20,}"),
        ("a GitLab token", "glpat-", r"\bglpat-[\w-]{20,}"),
        ("a Hugging Face token", "hf_", r"\bhf_[A-Za-z0-9]{20,}"),
        ("an OpenAI key", "sk-", r"\bsk-[\w-]{20,}"),
        ("a Slack token", "xox", r"\bxox[abeoprs]-[\w-]{10,}"),
        ("a Google key", "AIza", r"\bAIza[\w-]{35}"),
        # By its payload, from where a word begins, so that no character is read twice.
        ("a signed token (JWT)", ".eyJ", r"(?<![\w-])[\w-]{11,}+\.eyJ[\w-]{8,}+\."),
        ("a private key", "PRIVATE KEY", r"-----BEGIN [A-Z ]*PRIVATE KEY-----"),
        ("a URL with a password", "://", r"://[^/\s:@\"']+:[^/\s@\"']+@"),
    )
)
"""Name of a form, what every text that holds one holds, and the form."""
_NAMED: Final = tuple(
    (name, re.compile(rf"{name}[\"']?\s*[:=]\s*[\"']?(?![/$])[^\s\"',{{}}]{{8,}}"))
    for name in (
        "password", "passwd", "passphrase", "client_secret", "secret_key", "secret_access_key",
        "api_key", "apikey", "access_key", "private_key", "auth_token", "access_token",
        "api_token", "hf_token", "bearer_token",
    )
)  # fmt: skip
"""What is called a secret, with a value that is no path (`/secrets/x`) and no reference (`$X`)."""
_WORD: Final = re.compile(r"[A-Za-z0-9+]{20,}")
_KNOWN_HASH: Final = re.compile(r"sha(?:256|384|512)-[A-Za-z0-9+/]+=*")
_CHANGES: Final = 0.42
"""Where this share of neighbours is of different kinds (figure, capital, small letter) a word is
random: of 24 random characters 95 % have more, of names such as `TensorRTLLMEngineV010FP8E4M3` the
worst have 0.39. Shannon's entropy, 4.0 and 4.2, does not tell these two apart."""
_SHORT: Final = 4096
_FILES: Final = "remove it; put it into a Secret of the project and mount that by `secrets`"


def _kind(character: str) -> int:
    return 0 if character.isdigit() else 1 if character.isupper() else 2


def _random(text: str) -> bool:
    """Whether it holds a word that nobody typed: long, of all kinds of characters, no pattern."""
    for word in _WORD.findall(_KNOWN_HASH.sub("", text)):
        if word == word.lower():  # no capitals: a digest in hexadecimal, a long name
            continue
        kinds = [_kind(character) for character in word]
        changes = sum(one != other for one, other in pairwise(kinds))
        if {*kinds} == {0, 1, 2} and changes > _CHANGES * len(kinds):
            return True
    return False


@lru_cache(maxsize=8192)
def _form(text: str) -> str:
    """What secret of a known form or name a text holds; empty if none."""
    for what, mark, form in _FORMS:
        if mark in text and form.search(text):
            return what
    plain = text.lower().replace("-", "_")
    for name, named in _NAMED:
        if name in plain and named.search(plain):
            return f"a value of {name}"
    return ""


@lru_cache(maxsize=4096)
def _secret(name: str, value: str) -> str:
    """What secret the value of `name` is; empty if none. Never the secret itself: findings are
    read by many."""
    return _form(f"{name}={value}") or ("a random word" if _random(value) else "")


def _told(container: Block) -> Iterator[tuple[str, str, str]]:
    """Everything by which a process is told anything: name, value and the field in a spec."""
    for one in container.get("env") or ():
        yield str(one.get("name")), str(one.get("value", "")), f"env.{one.get('name')}"
    for field, words in (("batch.command", "command"), ("args", "args")):
        flag = ""
        for word in map(str, container.get(words) or ()):
            yield flag, word, field
            flag = word if word.startswith("-") else ""


def _taken(container: Block) -> Iterator[str]:
    """Secrets that become environment, which every child process and every dump shows."""
    for one in container.get("env") or ():
        if (one.get("valueFrom") or {}).get("secretKeyRef") is not None:
            yield str(one.get("name"))
    for source in container.get("envFrom") or ():
        if source.get("secretRef") is not None:
            yield "envFrom"


@each("P22", "no-secret-literal", *WORKLOADS)
def _no_literal(resource: Resource, facts: Facts) -> Iterator[Fault]:
    """No environment variable, argument or annotation of a pod holds a secret or takes one from a
    Secret: those are mounted as files, which no log, dump or child process repeats."""
    for container in containers(resource):
        for name, value, field in _told(container):
            what = _secret(name, value)
            if what:
                where = f"{field} of container {container.get('name')}"
                yield Fault(resource, f"holds {what} in {where}", _FILES, field)
        for name in _taken(container):
            what = f"takes a Secret into its environment by {name}"
            yield Fault(resource, what, "mount it as files by `secrets`", "secrets")
    notes = (template(resource).get("metadata") or {}).get("annotations") or {}
    for key, value in notes.items():
        if _secret(key, str(value)):
            yield Fault(resource, f"holds a secret in its pods' annotation {key}", _FILES, "")


@each("P22", "no-secret-config", "ConfigMap")
def _no_config(resource: Resource, facts: Facts) -> Iterator[Fault]:
    """No ConfigMap holds a secret: everybody in the project may read it. A word that is merely
    random counts where a person could have pasted it; an example request may hold an image, and a
    long text is a program's."""
    data = {**(resource.values.get("data") or {}), **(resource.values.get("binaryData") or {})}
    for name, text in data.items():
        pasted = len(text) < _SHORT and resource.labels.get(LABEL_ROLE) != PROBER
        what = _form(text) or ("a random word" if pasted and _random(text) else "")
        if what:
            yield Fault(resource, f"holds {what} in {name}", _FILES, "")


@whole("P22", "no-secret-annotation")
def _no_annotation(estate: Estate) -> Iterator[Fault]:
    """No object's annotations hold a secret: they are shown by every listing."""
    for resource in estate.resources:
        for key, value in (resource.metadata.get("annotations") or {}).items():
            what = _secret(key, str(value))
            if what:
                yield Fault(resource, f"holds {what} in annotation {key}", _FILES, "")


@each("P22", "no-secret-object", "Secret")
def _no_object(resource: Resource, facts: Facts) -> Iterator[Fault]:
    """No Secret is rendered: its values would stand in the specs, the plan and the state of every
    stack. People make them in the project's namespace."""
    yield Fault(resource, "would be made from plain text", _FILES, "secrets")


RULES: Final[tuple[Rule, ...]] = (_no_literal, _no_config, _no_annotation, _no_object)
