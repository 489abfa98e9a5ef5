"""What is recorded of a model when it is pinned: sizes, config.json, parameters by type.

All of it is read in the registry: config.json and the index of its shards are small blobs, and the
manifest has the parameters that the headers of its safetensors files told when it was pushed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Final

from components.model_registry import keys
from components.model_registry.errors import Corrupt
from components.model_registry.manifest import Manifest
from components.model_registry.safetensors import SUFFIX
from components.model_registry.store import Store
from model_specs.lock import ModelFacts
from model_specs.model_config import config_facts

_MAX_BYTES: Final = 16 * 1024 * 1024
"""An index of a thousand experts' shards has some MiB; a config.json some KiB."""
CONFIG: Final = "config.json"
INDEX: Final = "model.safetensors.index.json"


def facts_of(store: Store, project: str, manifest: Manifest) -> ModelFacts:
    """The facts of a version for its project's lock file.

    Raises NotFound and Corrupt for a blob that is not there or not what the manifest says.
    """
    config = _json(store, project, manifest, CONFIG)
    index = _json(store, project, manifest, INDEX).get("weight_map")
    shards = {str(name) for name in index.values()} if isinstance(index, Mapping) else set()
    return ModelFacts(
        bytes=manifest.bytes,
        files=len(manifest.files),
        config=config_facts(config),
        weights=_weights(manifest, shards),
    )


def _json(store: Store, project: str, manifest: Manifest, path: str) -> Mapping[str, Any]:
    """What a small file of the model says; nothing when it is not there or no JSON object."""
    row = next((file for file in manifest.files if file.path == path), None)
    if row is None or row.size > _MAX_BYTES:
        return {}
    raw = store.read(keys.blob(project, row.sha256))
    if sha256(raw).hexdigest() != row.sha256:
        raise Corrupt(f"{path} of {project} is not what its manifest says; push the model again")
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _weights(manifest: Manifest, shards: set[str]) -> dict[str, int]:
    """Parameters by type of the files that an engine loads.

    Some repositories hold the weights twice, as shards and as one file. Engines load what the index
    names; the manifest's numbers are of all, so they are scaled by size.
    """
    told = manifest.facts.get("dtypes")
    if not isinstance(told, Mapping):
        return {}
    files = [file for file in manifest.files if file.path.endswith(SUFFIX)]
    loaded = [file for file in files if file.path in shards] or files
    every = sum(file.size for file in files)
    part = sum(file.size for file in loaded) / every if every else 1.0
    return {kind: number if part == 1 else round(number * part) for kind, number in told.items()}
