"""The legal options by which resources are registered: what the engine does with one beside its
fields, such as what it leaves alone, keeps, adopts or replaces.

The names are those of the engine's protocol (RegisterResourceRequest in pulumi.proto of v3.272.0),
so that an option of a later engine is refused until it is written down here. `dependsOn`, `parent`
and the provider are judged elsewhere or follow from the program's order.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any, Final

from model_specs.names import LABEL_ROLE
from policies import registry
from policies.facts import Facts
from policies.legal.asked import Plain
from policies.legal.shapes import Asked, Checker, Subject, Text, compiled
from policies.resources import GROUPS, STACK, Resource

OUR_OWN: Final = frozenset(
    {STACK, "pulumi:providers:pulumi-python", "pulumi-python:dynamic:Resource"}
)
"""The stack and the gates of `up` (components.gates), which make nothing in a cluster; their code
is the program's, which the review has a person read."""
NOUNS: Final = frozenset(
    f"{GROUPS}{noun}"
    for noun in (
        "AdmissionGuard", "Gateway", "GpuNodePool", "ModelCache", "ModelJob", "ModelRegistry",
        "ModelRoute", "ModelServer", "NodeRole", "PlatformSpace", "ProjectSpace",
        "ReplicaAutoscaler", "ServiceDashboard", "SyntheticProbe",
    )
)  # fmt: skip
"""The components that group what is made."""
IGNORED: Final = "ignoreChanges"


def _replicas(subject: Subject) -> Any:
    """Of a model's Deployment its autoscaler may have the replicas (`scaler-bounds` says when)."""
    got = subject.resource.options[IGNORED]
    of_model = subject.resource.labels.get(LABEL_ROLE) == "model-server"
    return got if of_model and got == ["spec.replicas"] else None


def _older(kind: str) -> Plain:
    """The bridge's own: another name that it had for a type, as pulumi_aws 7.51 writes it."""
    return {"aliases": [{"type": ":".join(f"{part}V2" for part in kind.rsplit(":", 1))}]}


_VERSION: Final[Plain] = {"version": Text(r"\d+\.\d+\.\d+")}
"""The plugin's, which pulumi_aws and pulumi_kubernetes write as their own."""
_VERSIONED: Final = ("aws:", "pulumi:providers:aws", "pulumi:providers:kubernetes")
_MADE: Final[Plain] = {"custom": True}
_KEPT: Final[Plain] = {"retainOnDelete": True}
_LIFECYCLE: Final = "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration"
_ENCRYPTION: Final = (
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"
)
_RENAMED: Final = (
    "aws:s3/bucket:Bucket", "aws:s3/bucketVersioning:BucketVersioning", _LIFECYCLE, _ENCRYPTION
)  # fmt: skip
_OF_KIND: Final[dict[str, Plain]] = {
    "Deployment": {IGNORED: Asked(_replicas)},
    "Job": {IGNORED: ["spec.template"]},
    "PersistentVolume": {IGNORED: ["spec.capacity"]},
    "PersistentVolumeClaim": {IGNORED: ["spec.resources"]},
    "aws:eks/nodeGroup:NodeGroup": {
        IGNORED: ["scalingConfig.desiredSize"],
        "deleteBeforeReplace": False,
    },
    "aws:s3/bucketReplicationConfig:BucketReplicationConfig": {
        "additionalSecretOutputs": ["token"],
    },
    "pulumi:providers:aws": {"additionalSecretOutputs": ["accessKey", "secretKey", "token"]},
    **{kind: _older(kind) for kind in _RENAMED},
}


def legal_options(kind: str) -> Plain:
    """The shapes of a kind's options by name; one that is not among them must not be set."""
    found: Plain = {} if kind == STACK or kind in NOUNS else dict(_MADE)
    found |= _VERSION if kind.startswith(_VERSIONED) else {}
    found |= _KEPT if kind in registry.KEPT else {}
    return found | _OF_KIND.get(kind, {})


@cache
def _checkers(kind: str) -> dict[str, Checker]:
    return {option: compiled(shape) for option, shape in legal_options(kind).items()}


def wrong_options(resource: Resource, facts: Facts) -> Iterator[str]:
    """What is wrong with the options of a resource, of those that were seen.

    One that was seen and is not set is None.
    """
    if resource.protected and resource.kind not in registry.KEPT:
        yield "is registered with protect: `up` could never take it away again"
    legal = _checkers(resource.kind)
    for option, value in resource.options.items():
        if option not in legal:
            if value is not None:
                yield f"is registered with {option} {value!r}, which this program never sets"
            continue
        for one in legal[option](value, Subject(resource, facts)):
            yield f"is registered with {option} that {one}"
