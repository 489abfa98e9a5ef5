"""Fields that other tools' files have and ours do not: what is said to who brings one along."""

from __future__ import annotations

from typing import Final

_ENVELOPE: Final = "specs have no envelope and no version: the file's place says what it is"
_RAW: Final = "resources come with the machine type"
_MADE: Final = "labels and annotations are made from the project's and the model's name"
_PLACED: Final = "where pods stand follows from the machine type and the region"
_ENTRANCE: Final = "who may call is said by `access`, and the host is made from the names"

FOREIGN_FIELDS: Final[dict[str, tuple[str, str, str]]] = {
    name: (code, why, cure)
    for code, why, cure, names in (
        ("E205", _ENVELOPE, "remove it and what belongs to it",
         "apiVersion kind metadata spec status schema schemaVersion schema_version version"),
        ("E202", _RAW, "remove it and choose machine_type",
         "resources requests limits cpu gpu gpus gpu_count memory memory_gib"),
        ("E202", "replicas are a range", "write scaling.min and scaling.max",
         "replicas replica min_replicas max_replicas minReplicas maxReplicas"),
        ("E202", "the project is the folder and the model the file", "remove it",
         "name project namespace"),
        ("E351", _ENTRANCE, "remove it and choose access: private, permissive or public",
         "auth authentication cidr cidrs allowed_cidrs allow_cidrs host hostname hostnames domain "
         "ingress route expose"),
        ("E354", _MADE, "remove it", "labels annotations"),
        ("E354", _PLACED, "remove it", "nodeSelector node_selector tolerations affinity"),
    )
    for name in names.split()
}  # fmt: skip
"""Code, why there is no such field, and what to do, by the field's name elsewhere."""
