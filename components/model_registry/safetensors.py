"""What the header of a safetensors file tells: how many parameters, and of which types.

Format: https://huggingface.co/docs/safetensors, 8 bytes of length and that much JSON.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path
from typing import Any, Final

from components.model_registry.errors import RegistryError

SUFFIX: Final = ".safetensors"
_MAX_HEADER_BYTES: Final = 4 * 1024 * 1024
"""Parsed JSON is ten times as large; headers of real shards have some 100 KiB."""
_MAX_LEGAL_BYTES: Final = 100_000_000


def parameters_by_type(source: Path) -> dict[str, int] | None:
    """Parameters by dtype; nothing for a header that is too large to be read in little memory.

    Raises RegistryError for what is no safetensors file, as a git-lfs pointer is none.
    """
    size = source.stat().st_size
    with open(source, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > min(size - 8, _MAX_LEGAL_BYTES):
            raise _broken(source)
        if length > _MAX_HEADER_BYTES:
            return None
        raw = file.read(length)
    try:
        header: dict[str, Any] = json.loads(raw)
        found: Counter[str] = Counter()
        for name, tensor in header.items():
            if name != "__metadata__":
                found[str(tensor["dtype"])] += math.prod(map(int, tensor["shape"]))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise _broken(source) from None
    if any(not 0 <= number < 2**63 for number in found.values()):
        raise _broken(source)
    return dict(found)


def _broken(source: Path) -> RegistryError:
    why = "is not what its name says; is it cut short, or a git-lfs pointer?"
    return RegistryError(f"{source} {why} Fetch the file itself, or rename it")
