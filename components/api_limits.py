"""What the API server refuses of any object for its size or the length of its names.

Source: Kubernetes 1.36, pkg/apis/core/validation (MaxSecretSize, the values of `data` alone),
apimachinery's pkg/api/validation/objectmeta.go (annotations, keys and values) and
pkg/util/validation (names and labels), pkg/apis/batch/validation (CronJobs); etcd 3.6,
embed/config.go (requests).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final

from components.kube import Object

DATA_BYTES: Final = 1024 * 1024
"""The most that the values of one ConfigMap or Secret have together."""
_ANNOTATION_BYTES: Final = 256 * 1024
_REQUEST_BYTES: Final = 1536 * 1024
_SUBDOMAIN, _LABEL, _CRON_JOB = 253, 63, 52
_NAME_LENGTHS: Final = {
    "CronJob": _CRON_JOB,  # its Jobs add 11 characters
    "DaemonSet": _LABEL - 11,  # a label of its pods has `-` and a hash of ten behind it
    "HorizontalPodAutoscaler": _SUBDOMAIN,
    "Job": _LABEL,  # a label of its pods has it
    "Namespace": _LABEL,
    "ScaledObject": _LABEL,  # KEDA's label scaledobject.keda.sh/name has it
    "Service": _LABEL,
}
"""By kind; of all others a name is a DNS subdomain."""
_DNS: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_VALUE: Final = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?")
_HAS_COLONS: Final = ("ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding")


def data_bytes(made: Object) -> int:
    """The bytes of a ConfigMap's or a Secret's values."""
    return sum(len(value.encode()) for value in made.get("data", {}).values())


def _labels(value: Any) -> Iterator[tuple[str, str]]:
    """Every label that an object gives to itself or to what it makes."""
    if isinstance(value, dict):
        own = value.get("metadata")
        labels = own.get("labels", {}) if isinstance(own, dict) else {}
        yield from labels.items()
        for inner in value.values():
            yield from _labels(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _labels(inner)


def beyond(made: Object) -> Iterator[str]:
    """What of a rendered object the API server would refuse, one sentence each."""
    kind, metadata = made["kind"], made["metadata"]
    name, most = metadata["name"], _NAME_LENGTHS.get(kind, _SUBDOMAIN)
    if len(name) > most or not (_DNS.fullmatch(name) or kind in _HAS_COLONS):
        yield f"a {kind} has a DNS name of {most} characters, got {name!r}"
    if kind in ("ConfigMap", "Secret") and data_bytes(made) > DATA_BYTES:
        yield f"a {kind} holds {DATA_BYTES} bytes, got {data_bytes(made)}"
    annotations = metadata.get("annotations", {})
    size = sum(len(key.encode()) + len(value.encode()) for key, value in annotations.items())
    if size > _ANNOTATION_BYTES:
        yield f"annotations have {_ANNOTATION_BYTES} bytes together, got {size}"
    for key, value in _labels(made):
        prefix, _, stem = key.rpartition("/")
        if len(value) > _LABEL or not _VALUE.fullmatch(value):
            yield f"a label's value has {_LABEL} plain characters, got {key}: {value!r}"
        if len(stem) > _LABEL or len(prefix) > _SUBDOMAIN:
            yield f"a label's key has {_LABEL} characters, got {key!r}"
    request = len(json.dumps(made).encode())
    if request > _REQUEST_BYTES:
        yield f"etcd takes requests of {_REQUEST_BYTES} bytes, got {request}"
