"""Every object of every example spec in every region profile, as the files that `render` writes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from components.kube import Object
from stacks.emit import document
from stacks.render import write_region
from tests.examples import REGIONS, objects_of, plan_of


@dataclass(frozen=True, slots=True)
class Corpus:
    """Objects by region, and the folder that holds one folder a region."""

    root: Path
    objects: dict[str, list[Object]] = field(repr=False)

    @property
    def size(self) -> int:
        """All objects of all regions."""
        return sum(map(len, self.objects.values()))

    def files(self, region: str) -> list[str]:
        """The files of one region."""
        return sorted(str(path) for path in (self.root / region).rglob("*.yaml"))


def render(root: Path) -> Corpus:
    """Write all regions below `root`."""
    for region in REGIONS:
        write_region(plan_of(region), root)
    return Corpus(root, {region: objects_of(region) for region in REGIONS})


def write(path: Path, objects: Iterable[Object]) -> Path:
    """One file of `objects`, which a test has changed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"---\n{document(made)}" for made in objects), encoding="utf-8")
    return path


def resource_of(kind: str, namespace: str, name: str) -> str:
    """An object as findings and waivers name it."""
    return f"{kind} {namespace}/{name}" if namespace else f"{kind} {name}"
