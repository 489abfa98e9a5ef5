"""The folders of a project's data in the registry's bucket, as a batch job names them."""

from __future__ import annotations

import re
from typing import Annotated, Final

from pydantic import AfterValidator, Field, WithJsonSchema

from model_specs.errors import refuse, shown

_DATA_PATH: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._=-]*(/[A-Za-z0-9][A-Za-z0-9._=-]*)*")
_MODEL_FOLDERS: Final = ("blobs", "manifests", "models", "peers")
"""What a project has in the registry beside its data (components.model_registry.keys)."""


def _check_data_path(path: str) -> str:
    """What IAM's patterns read as more than itself (`*`, `?`, `${`) has no place in a path."""
    if path.startswith("s3://"):
        why = "the bucket is the region's, and the project's folder in it is added"
    elif path.startswith("/") or ".." in path.split("/"):
        why = "a path stays inside the project's data"
    elif path.split("/")[0] in _MODEL_FOLDERS or "@" in path:
        why = "it names a model of the registry, and the job's own is at ISOSERVE_MODEL_DIR"
    elif not _DATA_PATH.fullmatch(path):
        why = "folders of letters, digits and . _ = - that begin with a letter or digit"
    else:
        return path
    raise refuse("E362", f"{why}, got {shown(path)}; write e.g. nightly/scores")


DataPath = Annotated[
    str,
    Field(max_length=256),
    AfterValidator(_check_data_path),
    WithJsonSchema({"type": "string", "pattern": f"^{_DATA_PATH.pattern}$", "maxLength": 256}),
]


def nested(one: str, other: str) -> bool:
    """Whether one of two folders of data holds the other, or is it."""
    return f"{one}/".startswith(f"{other}/") or f"{other}/".startswith(f"{one}/")
