"""Writes the JSON Schemas with which editors complete and check specs, projects and profiles.

Run `python -m stacks.schema` after a change of a field, a runtime, a machine type or an error code:
it writes the pages of `stacks.pages` too.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from model_specs.part import Part
from model_specs.pinned import PINNED_IMAGE
from model_specs.project import ProjectSpec
from model_specs.runtimes import RUNTIMES
from model_specs.schema import ModelSpec
from regions.addons import ADDONS
from regions.capabilities import CLAIMABLE
from regions.machines import MACHINES
from regions.profile import RegionProfile
from stacks.pages import page_texts

_ROOT: Final = Path(__file__).resolve().parent.parent
_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_MACHINE: Final[dict[str, Any]] = {"enum": sorted(MACHINES)}
_IMAGE: Final[dict[str, Any]] = {
    "anyOf": [
        {"enum": sorted(RUNTIMES)},
        {"pattern": f"^{PINNED_IMAGE}$"},
    ]
}
_MACHINE_KEYS: Final[dict[str, Any]] = {"propertyNames": _MACHINE}

SCHEMAS: Final[dict[str, tuple[type[Part], str]]] = {
    "model_specs/schema.json": (ModelSpec, "Model spec"),
    "model_specs/project.schema.json": (ProjectSpec, "Project"),
    "regions/profile.schema.json": (RegionProfile, "Region profile"),
}
"""Path of each schema from the project's root, the part it describes and its title."""

_CATALOGUES: Final[tuple[tuple[str, str, dict[str, Any]], ...]] = (
    ("ModelSpec", "machine_type", _MACHINE),
    ("Here", "machine_type", _MACHINE),
    ("ModelSpec", "image", _IMAGE),
    ("ProjectSpec", "gpu_quota", _MACHINE_KEYS),
    ("RegionProfile", "machines", _MACHINE_KEYS),
    ("RegionProfile", "addons", {"propertyNames": {"enum": sorted(ADDONS)}}),
    ("RegionProfile", "capabilities", {"items": {"enum": sorted(CLAIMABLE)}}),
)
"""Part, field and what the catalogues say about it; pydantic knows only our check functions."""


def schema_of(part: type[Part], title: str) -> dict[str, Any]:
    """The JSON Schema of one kind of file."""
    schema = part.model_json_schema()
    parts = {part.__name__: schema, **schema.get("$defs", {})}
    for name, field, known in _CATALOGUES:
        if name in parts:
            parts[name]["properties"][field] |= known
    return {"$schema": _DIALECT, **schema, "title": title}


def schema_texts() -> dict[str, str]:
    """The text of every schema file, by its path from the project's root."""
    return {
        path: json.dumps(schema_of(part, title), indent=2, sort_keys=True) + "\n"
        for path, (part, title) in SCHEMAS.items()
    }


if __name__ == "__main__":
    for name, text in {**schema_texts(), **page_texts()}.items():
        (_ROOT / name).write_text(text, encoding="utf-8")
