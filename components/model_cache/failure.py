"""Why a version could not be held, in a word for metrics and a sentence for people."""

from __future__ import annotations

from dataclasses import dataclass

from components.model_cache.fetch import DISK_FULL
from components.model_registry.errors import Corrupt, NotFound, RegistryError


@dataclass(frozen=True, slots=True)
class Failure:
    """One of retry.REASONS, and a sentence."""

    reason: str
    sentence: str


def failure_of(error: RegistryError | OSError) -> Failure:
    """What an error comes to."""
    if isinstance(error, OSError):
        if error.errno in DISK_FULL:
            return Failure("disk_full", f"the node's disk is full: {error}; free some of it")
        return Failure("disk", f"the node's disk: {error}")
    if isinstance(error, Corrupt):
        return Failure("corrupt", str(error))
    if isinstance(error, NotFound):
        return Failure("missing", str(error))
    return Failure("registry", str(error))
