"""What the commands say of a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from components.model_registry.keys import Address
from components.model_registry.manifest import Manifest
from stacks.outcome import FINDINGS, OK, Outcome, count

if TYPE_CHECKING:
    from components.model_registry.checked import Bad


def size_text(size: int) -> str:
    """A number of bytes for people."""
    number = float(size)
    for unit in ("B", "kB", "MB", "GB"):
        if number < 1000:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:.1f} TB"


def facts(address: Address, manifest: Manifest) -> dict[str, Any]:
    """What a version is, for programs."""
    return {
        "address": str(address),
        "digest": address.digest,
        "bytes": manifest.bytes,
        "files": len(manifest.files),
        "metadata": dict(manifest.metadata),
        "facts": dict(manifest.facts),
    }


def sizes(manifest: Manifest) -> str:
    """Its files and bytes, for people."""
    return f"{count(len(manifest.files), 'file')}, {size_text(manifest.bytes)}"


def judged(where: Address, manifest: Manifest, done: str, bad: Sequence[Bad]) -> Outcome:
    """The answer of a command that reads blobs: what was done, or which files are bad."""
    lines: list[str] = [f"{one.path}: {one.why}\n" for one in bad]
    cure = f"remove their blobs, {where.project}/blobs/sha256/<sha256>, and push the files again"
    text = f"{count(len(bad), 'bad file')} in {where}; {cure}\n" if bad else f"{done} {where}\n"
    data = facts(where, manifest) | {"bad": [asdict(one) for one in bad]}
    return Outcome(data=data, text=[*lines, text], code=FINDINGS if bad else OK)
