"""What a registry cannot do, in sentences for the person who asked."""

from __future__ import annotations

import re


class RegistryError(Exception):
    """Something that keeps the registry from doing what was asked; the text says what to do."""


class NotFound(RegistryError):
    """There is no such object, version or tag."""


class Corrupt(RegistryError):
    """What the bucket holds is not what its digest says."""


def words_of(error: Exception) -> str:
    """What the store said, without obstore's page of details."""
    code = re.search(r"<Code>(\w+)</Code>", str(error))
    line = str(error).split("\n", 1)[0]
    if "error sending request" in line:
        return "cannot be reached; is the endpoint right, and is it reachable from here?"
    return f"the store refuses, {code[1]}" if code else line.split(" - Server returned")[0][:300]
