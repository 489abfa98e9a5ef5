"""Finds secrets in plain text, so that none is accepted in a file or shown in a message.

Known forms are looked for everywhere. Text that is merely random is judged where a secret is
usually pasted (`env`, `args`, a job's command) and nowhere else: an example request may hold an
image or a tensor in base64.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, Final

Place = tuple[str | int, ...]

_SHOWN: Final = 4
_KNOWN: Final = re.compile(
    r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"  # AWS
    r"|\bgh[pousr]_[A-Za-z0-9]{20,}|\bgithub_pat_\w{20,}"
    r"|\bglpat-[\w-]{20,}"
    r"|\bhf_[A-Za-z0-9]{20,}"  # Hugging Face
    r"|\bsk-[\w-]{20,}"  # OpenAI and what speaks like it
    r"|\bxox[abprs]-[\w-]{10,}"  # Slack
    r"|\bAIza[\w-]{35}"  # Google
    # JWT; by its payload, from where a word begins, so that no character is read twice
    r"|(?<![\w-])[\w-]{11,}+\.eyJ[\w-]{8,}+\.[\w-]*"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----.*"
    r"|(?<=://)[^/\s:@\"']+:[^/\s@\"']+(?=@)",  # user:password in a URL
    re.DOTALL,
)
_TOKEN: Final = re.compile(r"[A-Za-z0-9+/=_-]{32,}")
_DIGEST: Final = re.compile(r"sha(?:256|384|512)-[A-Za-z0-9+/]+=*")
_CHANGES: Final = 0.45
"""Where in a text this share of neighbours is of different kinds (small, capital, figure), it is
random: base64 has 0.6, names such as `Qwen/Qwen2-72B-Instruct` have 0.3."""
_NAMED: Final = re.compile(
    r"(?:^|[_-])(?:password|passwd|secret|api[_-]?key|private[_-]key|secret[_-]key|auth[_-]token"
    r"|access[_-]token|hf[_-]token)$",
    re.IGNORECASE,
)
_SHORTEST: Final = 8  # `EMPTY` and `none` are what a server without a key is told


def mask(text: str) -> str:
    """`text` with every secret of a known form cut to its first four characters."""
    return _KNOWN.sub(lambda found: f"{found[0][:_SHOWN]}****", text)


def _kind(character: str) -> int:
    return 0 if character.isdigit() else 1 if character.isupper() else 2


def _random(text: str) -> str:
    """The first token in `text` that nobody typed by hand, else nothing."""
    for token in _TOKEN.findall(_DIGEST.sub("", text)):
        kinds = [_kind(character) for character in token if character.isalnum()]
        changes = sum(one != other for one, other in pairwise(kinds))
        if len({*kinds}) == 3 and changes > _CHANGES * len(kinds):
            return str(token)
    return ""


def _named(name: str, value: str) -> str:
    """The value of something called a password, unless it says where the password is."""
    literal = len(value) >= _SHORTEST and not value.startswith(("/", "$"))
    return value if literal and _NAMED.search(name) else ""


def _strings(value: Any, where: Place) -> Iterator[tuple[Place, str]]:
    if isinstance(value, str):
        yield where, value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _strings(inner, (*where, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _strings(inner, (*where, index))


def _pasted(values: dict[str, Any]) -> Iterator[tuple[Place, str, str]]:
    """Place, name and text of what a process is told: where secrets are pasted."""
    for where, text in _strings(values.get("env"), ("env",)):
        yield where, str(where[-1]), text
    batch = values.get("batch")
    command = batch.get("command") if isinstance(batch, dict) else None
    for root, words in ((("args",), values.get("args")), (("batch", "command"), command)):
        before = ""
        for where, word in _strings(words, root):
            name, _, value = word.partition("=")
            yield where, before, word
            yield where, name, value
            before = word if word.startswith("-") else ""


def secrets_in_comments(text: str) -> Iterator[tuple[int, int, str]]:
    """Line and column (from 1) of a secret of a known form behind a `#`, and its first characters.

    A `#` within a quoted value is taken for a comment's too: the caller knows what values hold.
    """
    for number, line in enumerate(text.split("\n"), 1):
        behind = line.find("#")
        for found in _KNOWN.finditer(line, behind) if behind >= 0 else ():
            yield number, found.start() + 1, f"{found[0][:_SHOWN]}****"


def secrets_in(values: dict[str, Any]) -> Iterator[tuple[Place, str]]:
    """Where a secret stands in a file's values, and its first characters."""
    found: dict[Place, str] = {}
    for where, text in _strings(values, ()):
        known = _KNOWN.search(text)
        if known:
            found[where] = known[0]
    for where, name, text in _pasted(values):
        secret = _named(name, text) or _random(text)
        if secret:
            found.setdefault(where, secret)
    for where, secret in found.items():
        yield where, f"{secret[:_SHOWN]}****"
