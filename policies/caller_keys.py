"""The rule about callers' API keys: where they stand, and that the gateways can read them."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from typing import Final

from model_specs.names import API_KEY
from policies.facts import Facts
from policies.guards import key_faults
from policies.resources import Resource
from policies.rule import Fault, Rule, each

_KEY: Final = re.compile(r"[ -~]{32,}")
"""What `openssl rand -hex 32` makes, and whatever else a header can hold that nobody guesses."""


def _entries(secret: Resource) -> Iterator[tuple[str, str]]:
    """Names and values of a Secret; a value that is no text is none."""
    for name, value in (secret.values.get("data") or {}).items():
        try:
            yield name, base64.b64decode(str(value), validate=True).decode("ascii")
        except (binascii.Error, UnicodeDecodeError):
            yield name, ""
    yield from (secret.values.get("stringData") or {}).items()


@each("P04", "caller-keys", "Secret", "SecurityPolicy")
def _caller_keys(resource: Resource, facts: Facts) -> Iterator[Fault]:
    """A caller's API key is the one entry of a Secret `api-key--NAME` of the model's project, is
    named NAME, and has 32 characters of ASCII or more. It is sent in the header Authorization, and
    does not go on to the model.

    Each entry counts as a caller, those of another model where there is none, and one that is empty
    or no text keeps every change of every model from the gateway.
    """
    if resource.kind == "SecurityPolicy":
        for what in key_faults(resource):
            yield Fault(resource, what, "choose by callers.keys who has a key", "callers")
    elif str(resource.metadata.get("name")).startswith(API_KEY):
        for what, fix in _secret_faults(resource):
            yield Fault(resource, what, fix, "callers")


def _secret_faults(secret: Resource) -> Iterator[tuple[str, str]]:
    entries, own = dict(_entries(secret)), str(secret.metadata.get("name"))
    if not entries:
        yield "has no key, so that those of another model may count", "write a new key"
    for name, value in entries.items():
        if f"{API_KEY}{name}" != own:
            yield f"lets in {name}, whom no spec names by it", f"name it {API_KEY}{name}"
        if not _KEY.fullmatch(value):
            fix = "make it by openssl rand -hex 32"
            yield "holds a key that is guessed, or that no gateway reads", fix


RULES: Final[tuple[Rule, ...]] = (_caller_keys,)
