"""The kinds of value that several fields of a spec have, each with its own check."""

from __future__ import annotations

import re
import warnings
from importlib import resources
from typing import Annotated, Final

from pydantic import AfterValidator, AwareDatetime, Field, WithJsonSchema

from model_specs.arguments import DIRECTION, check_argument
from model_specs.cron import check_cron
from model_specs.errors import nearest, refuse, refuse_all, shown
from model_specs.names import SUBDOMAIN
from model_specs.reserved_variables import RESERVED
from model_specs.setting import refusal_of_variable

_ZONES: Final = frozenset(resources.files("tzdata").joinpath("zones").read_text().split())
"""The same on every machine: the system's own database has names such as localtime."""
_ENV = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_GROUPS_OF_OTHERS: Final = ("system:", "kubeadm:", "eks:", "aws:", "amazon:", "iam:")
"""Kubernetes' own (kubeadm's administrators are one), and those that EKS keeps from access entries
(docs.aws.amazon.com/eks/latest/userguide/access-policies.html), read without regard to case."""
_GROUP: Final = re.compile(r"[A-Za-z0-9_/](?:(?:[A-Za-z0-9_.@:/=,+&()-]| (?! ))*[A-Za-z0-9_.)-])?")
_READ_OTHERWISE: Final = re.compile(
    r"\\N\{[A-Z0-9 -]+\}|\\.|(\{[\s0-9<ides]*[ides<]|\[:[^\[\]]*:\])", re.DOTALL
)
"""What `regex` reads otherwise than `re`, after everything that is escaped, wherever it stands:
whether it is in a set or in a comment is not asked, for only a whole parser could tell."""
_MOST_BYTES: Final = 131_072


def _check_env(name: str) -> str:
    if not _ENV.fullmatch(name):
        raise refuse(
            "E342", f"not an environment name, got {shown(name)}; use letters, digits and _"
        )
    if why := refusal_of_variable(RESERVED, name, None):
        raise refuse("E342", why)
    return name


def _check_environment(env: dict[str, str]) -> dict[str, str]:
    """Names that others read, and values that would not arrive as written.

    Sources: MAX_ARG_STRLEN in Linux' binfmts.h, which counts NAME=VALUE and a NUL; Kubernetes'
    third_party/forked/golang/expansion.
    """
    findings = []
    for name, value in env.items():
        if why := refusal_of_variable(RESERVED, name, value):
            findings.append(((name,), "E342", why))
        size = len(f"{name}={value}".encode(errors="surrogatepass")) + 1
        if "\0" in value:
            why = f"no program takes a NUL in a variable, got {shown(value)}; leave it out"
            findings.append(((name,), "E342", why))
        if mark := DIRECTION.search(value):
            why = f"a mark of direction shows a text otherwise than it is, got {mark[0]!a}"
            findings.append(((name,), "E342", f"{why}; leave it out"))
        if "$(" in value:
            why = f"Kubernetes puts a variable's value for $(NAME), got {shown(value)}"
            findings.append(((name,), "E342", f"{why}; write the value itself"))
        if size > _MOST_BYTES:
            why = f"Linux starts no program with a variable above {_MOST_BYTES} bytes, got {size}"
            findings.append(((name,), "E342", f"{why}; put it into the model's files or a Secret"))
    refuse_all(findings)
    return env


def _check_zone(name: str) -> str:
    if name not in _ZONES:
        hint = nearest(name, sorted(_ZONES))
        raise refuse("E305", f"no time zone of the tz database, got {shown(name)}; {hint}")
    return name


def _read_otherwise(pattern: str) -> str:
    """The part of a pattern of `re` that the prober's `regex` reads otherwise; empty if none.

    Source: the README of regex 2026.11.15, "Approximate (fuzzy) matching" (`(ready){e}` matches
    anything) and "POSIX character classes"; whatever else it adds, `re` refuses.
    """
    pieces = _READ_OTHERWISE.finditer(pattern)
    return next((found[1] for found in pieces if found[1]), "")


def _check_pattern(pattern: str) -> str:
    """`pattern`, when `re`, which checks it here, and `regex`, which runs it, read it alike."""
    try:
        with warnings.catch_warnings(action="ignore"):  # about what a later Python may read anew
            re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        why = f"no regular expression ({error}), got {shown(pattern)}"
        raise refuse("E306", f"{why}; mend it, or escape what is meant literally") from None
    if odd := _read_otherwise(pattern):
        why = f"the prober reads this otherwise than written, got {shown(odd)}"
        raise refuse("E306", f"{why}; escape what is meant literally, e.g. \\{{")
    return pattern


def _check_group(group: str) -> str:
    cure = "name a group of the identity provider"
    if group.lower().startswith(_GROUPS_OF_OTHERS):
        others = ", ".join(_GROUPS_OF_OTHERS)
        raise refuse("E314", f"no group starts with {others}, got {shown(group)}; {cure}")
    if not group.isascii():
        raise refuse("E313", f"a group is plain ASCII, got {shown(group)}; {cure}")
    if not _GROUP.fullmatch(group):
        rule = "a group is letters, digits, single blanks and _ . @ : / = , + & ( ) -"
        raise refuse("E311", f"{rule}, got {shown(group)}; {cure}")
    return group


Ttl = Annotated[
    AwareDatetime,
    WithJsonSchema(  # what `isoserve model pin` takes is nothing wrong in an editor
        {
            "anyOf": [
                {"format": "date-time", "type": "string"},
                {"pattern": "^[1-9][0-9]{0,3}[hdw]$", "type": "string"},
            ]
        }
    ),
]
Env = Annotated[
    dict[Annotated[str, AfterValidator(_check_env)], str],
    Field(max_length=1000),  # more, with their owners, would outgrow what etcd takes of one object
    AfterValidator(_check_environment),
]
Cron = Annotated[str, AfterValidator(check_cron)]
Zone = Annotated[str, Field(max_length=64), AfterValidator(_check_zone)]
Argument = Annotated[str, Field(max_length=4096), AfterValidator(check_argument)]
PullSecret = Annotated[str, Field(pattern=f"^$|{SUBDOMAIN}", max_length=253)]
"""The name of a Secret of type kubernetes.io/dockerconfigjson, or nothing."""
Group = Annotated[str, Field(min_length=1, max_length=253), AfterValidator(_check_group)]
Pattern = Annotated[str, Field(max_length=1024), AfterValidator(_check_pattern)]
Replicas = Annotated[int, Field(ge=1, le=1000)]
Seconds = Annotated[int, Field(ge=1, le=86_400)]
Percent = Annotated[int, Field(ge=0, le=100)]
