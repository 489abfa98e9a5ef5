"""Reads what the prober is told: which request to send where, how often, and what is right."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One model's probe, as objects.py writes it; an empty `json_path` or `matches` asks nothing,
    nor does a `length` of 0.

    `token_path` is empty where the route asks for no token. `track` is `candidate` where the next
    version is asked by itself, at its own Service, and `version` then says which; else both are
    empty.
    """

    body: dict[str, Any]
    id: str
    interval_seconds: float
    json_path: str
    latency_seconds: float
    length: int
    matches: str
    method: str
    model: str
    status: int
    token_path: str
    track: str
    url: str
    version: str

    @property
    def streams(self) -> bool:
        """Whether the request asks for a stream of events, in the words of OpenAI's API."""
        return self.body.get("stream") is True


@dataclass(frozen=True, slots=True)
class Settings:
    """All probes of one project."""

    project: str
    rows: tuple[Row, ...]


def load(path: Path) -> Settings:
    """The settings in `path`; ValueError or OSError where they cannot be had.

    A key too few or too many is an error: an older image that left out a newer check would call
    wrong answers right.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return Settings(found["project"], tuple(Row(**row) for row in found["probes"]))
    except (KeyError, TypeError) as error:
        raise ValueError(f"is of another version than this program: {error}") from None
