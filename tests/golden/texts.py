"""What golden files say: the plans, one rendering, and the nouns where others differ."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import asdict
from pathlib import Path
from typing import Final

from stacks.emit import document
from tests.examples import parts_of, plan_of

HERE: Final = Path(__file__).resolve().parent
WHOLE: Final = "sandbox-aws"
"""The region of which every noun is kept."""
DIFFERING: Final[dict[str, tuple[str, ...]]] = {
    # NodePatches instead of node groups, no KEDA, no IAM roles.
    "sandbox-onprem": ("GpuNodePool", "ModelCache", "ReplicaAutoscaler"),
    # Namespace rights only: no namespaces, no cache, each pod downloads.
    "seoul-dc1": ("ModelJob", "ModelServer", "ProjectSpace"),
}
"""Nouns that another region renders otherwise."""
PLANNED: Final = "us-east-1"
"""The home of the registry, whose plan alone is kept; eu-central-1 has the same nouns."""


def _objects(region: str) -> dict[str, str]:
    """The region's nouns as YAML."""
    found: dict[str, list[str]] = defaultdict(list)
    for part in parts_of(region):
        for made in part.objects:
            found[part.noun] += ("---\n", document(made))
    return {noun: "".join(pieces) for noun, pieces in found.items()}


def texts() -> dict[str, str]:
    """The text of each golden file, by its path below this folder."""
    found = {
        f"plan/{region}.json": json.dumps(asdict(plan_of(region)), indent=1, sort_keys=True) + "\n"
        for region in (*DIFFERING, WHOLE, PLANNED)
    }
    for region in (WHOLE, *DIFFERING):
        for noun, text in _objects(region).items():
            if noun in DIFFERING.get(region, (noun,)):
                found[f"objects/{region}/{noun}.yaml"] = text
    return found
