"""What becomes of each object: created, updated, deleted, or replaced because a field is fixed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from components.kube import Object
from components.parts import Part, parts, parts_like
from regions.plan import RegionPlan
from stacks.compare import Change, Key, keyed
from stacks.diff import ADDED, REMOVED, Edit, grouped
from stacks.reviewing.aws_nouns import nouns
from stacks.reviewing.sides import Sides

CREATE, UPDATE, REPLACE, DELETE = "create", "update", "replace", "delete"
OPERATIONS: Final = (CREATE, UPDATE, REPLACE, DELETE)

_SELECTOR: Final = r"spec\.selector"
_SOURCES: Final = r"spec\.(cephfs|csi|fc|hostPath|iscsi|local|nfs|nodeAffinity|rbd|volumeMode)"
_FIXED: Final[dict[str, str]] = {
    # pulumi-kubernetes, provider/pkg/provider/diff.go `forceNew`; where that list says nothing and
    # the API server refuses an update (volumeMode, nodeAffinity), a person must replace as well.
    # ConfigMaps are missing on purpose: our provider runs with enable_config_map_mutable.
    "ClusterRoleBinding": r"roleRef",
    "DaemonSet": _SELECTOR,
    "Deployment": _SELECTOR,
    "Job": r"spec\.(completions|parallelism|selector|template)",
    "PersistentVolume": _SOURCES,
    "PersistentVolumeClaim": r"spec",
    "ResourceQuota": r"spec\.scopes",
    "RoleBinding": r"roleRef",
    "Secret": r"type|data|stringData",
    "Service": r"spec\.clusterIPs?",
    "StatefulSet": (
        r"spec\.(podManagementPolicy|revisionHistoryLimit|selector|serviceName"
        r"|volumeClaimTemplates)"
    ),
    "StorageClass": r"parameters|provisioner",
    # pulumi-aws: arguments that force a new resource.
    "Bucket": r"spec\.(bucket|region)",
    "Key": r"spec\.(account|region)",
    "NodeGroup": r"spec\.(ami_type|cluster|instance_types|subnets)",
    "ReaderRole": r"spec\.role",
}
"""By kind: the paths that cannot change while the object lives."""
_PATTERNS: Final = {
    kind: re.compile(rf"apiVersion|(?:{paths})(?![\w-]).*", re.DOTALL)
    for kind, paths in _FIXED.items()
}
_ANY: Final = re.compile("apiVersion")

STATEFUL: Final[dict[str, str]] = {
    "Bucket": "it holds every model of the region",
    "Key": "without it the registry cannot be read",
    "Namespace": "everything in it goes too",
    "NodeGroup": "its nodes and their pods go",
    "PersistentVolume": "pods mount it",
    "PersistentVolumeClaim": "pods mount it, and it is Terminating while they do",
}
"""By kind: what is lost with an object that is deleted or replaced."""
PROTECTED: Final = frozenset({"Bucket", "Key"})
"""What the engine refuses to delete, whatever the program says (components/model_registry)."""
SERVING: Final = frozenset({"Deployment", "Gateway", "HTTPRoute", "Service"})
"""What requests go through: without one of these a model answers nobody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What happens to one object, and in which regions in just this way.

    `because` are the fixed fields that force a replacement.
    """

    operation: str
    key: Key
    regions: tuple[str, ...]
    changes: tuple[Change, ...]
    because: tuple[str, ...]


def _objects(plan: RegionPlan, rendered: Iterable[Part]) -> dict[Key, Object]:
    """Everything of a region by key, AWS nouns among them."""
    return keyed([*rendered, *nouns(plan)])


def _step(edit: Edit) -> Step:
    fixed = _PATTERNS.get(edit.key.kind, _ANY)
    because = tuple(change.path for change in edit.changes if fixed.fullmatch(change.path))
    operation = {ADDED: CREATE, REMOVED: DELETE}.get(edit.operation, REPLACE if because else UPDATE)
    return Step(
        operation=operation,
        key=edit.key,
        regions=tuple(edit.regions),
        changes=edit.changes,
        because=because,
    )


def steps(sides: Sides, rendered: Mapping[str, list[Part]]) -> list[Step]:
    """All that happens between the sides. `rendered` are the work tree's Kubernetes parts.

    Objects are a function of the plan, so what is planned alike is not rendered again.
    """

    def pairs() -> Iterator[tuple[str, dict[Key, Object], dict[Key, Object]]]:
        for region in sides.compared:
            old, new = sides.base.plans.get(region), sides.work.plans.get(region)
            if old == new:
                continue
            after = rendered.get(region, [])
            before = parts_like(old, new, after) if old and new else parts(old) if old else ()
            yield (
                region,
                _objects(old, before) if old else {},
                _objects(new, after) if new else {},
            )

    return [_step(edit) for edit in grouped(pairs())]
