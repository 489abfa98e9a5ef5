"""Which fields of an object cannot change while it lives, and who says so.

Where the provider says it, the engine replaces the object: a new one, and the old one deleted.
Where only the API server does, the engine sends an update that is refused, and `up` stops.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

PROVIDER: Final = "4.25.0"
"""The version of pulumi-kubernetes whose provider/pkg/provider/diff.go has this list (`forceNew`).

ConfigMaps are not in it: our provider runs with enable_config_map_mutable, so they change in place;
Secrets are, since it runs without enable_secret_mutable."""
_SELECTOR: Final = ("spec.selector",)
REPLACED: Final[dict[str, tuple[str, ...]]] = {
    "ClusterRoleBinding": ("roleRef",),
    "DaemonSet": _SELECTOR,
    "Deployment": _SELECTOR,
    "Job": ("spec.completions", "spec.parallelism", "spec.selector", "spec.template"),
    "PersistentVolume": tuple(
        f"spec.{source}"
        for source in (
            "awsElasticBlockStore", "azureDisk", "azureFile", "cephfs", "cinder", "csi", "fc",
            "flexVolume", "flocker", "gcePersistentDisk", "glusterfs", "hostPath", "iscsi", "local",
            "nfs", "photonPersistentDisk", "portworxVolume", "quobyte", "rbd", "scaleIO",
            "storageos", "vsphereVolume",
        )
    ),
    "PersistentVolumeClaim": (
        "spec.accessModes", "spec.selector", "spec.storageClassName", "spec.volumeName",
    ),
    "ResourceQuota": ("spec.scopes",),
    "RoleBinding": ("roleRef",),
    "Secret": ("data", "stringData", "type"),
    "Service": ("spec.clusterIP",),
    "StatefulSet": (
        "spec.podManagementPolicy", "spec.revisionHistoryLimit", "spec.selector",
        "spec.serviceName", "spec.volumeClaimTemplates",
    ),
    "StorageClass": ("parameters", "provisioner"),
}  # fmt: skip
"""By kind of the versions that we render."""
REPLACED_AWS: Final[dict[str, tuple[str, ...]]] = {
    "Bucket": ("spec.bucket", "spec.region"),
    "Key": ("spec.account", "spec.region"),
    "NodeGroup": ("spec.ami_type", "spec.cluster", "spec.instance_types", "spec.subnets"),
    "Role": ("spec.role",),
}
"""By AWS noun: arguments of pulumi-aws that force a new resource."""
REFUSED: Final[dict[str, tuple[str, ...]]] = {
    # apis/batch/validation: validateJobSpecUpdate
    "Job": (
        "spec.backoffLimitPerIndex", "spec.completionMode", "spec.managedBy",
        "spec.podFailurePolicy", "spec.successPolicy",
    ),
    # apis/core/validation: ValidatePersistentVolumeUpdate; MutablePVNodeAffinity is off by default
    "PersistentVolume": ("spec.nodeAffinity", "spec.volumeMode"),
    # apis/core/validation: ValidatePersistentVolumeClaimUpdate; of sizes the admission plugin
    # PersistentVolumeClaimResize says it, for claims that nobody provisioned, as ours
    "PersistentVolumeClaim": (
        "spec.dataSource", "spec.dataSourceRef", "spec.resources", "spec.volumeMode",
    ),
    # apis/scheduling/validation: ValidatePriorityClassUpdate
    "PriorityClass": ("preemptionPolicy", "value"),
    # apis/core/validation: ValidateServiceClusterIPsRelatedFields, the load balancer's class
    "Service": ("spec.clusterIPs", "spec.loadBalancerClass"),
    # apis/storage/validation: ValidateStorageClassUpdate
    "StorageClass": ("reclaimPolicy", "volumeBindingMode"),
}  # fmt: skip
"""By kind: what the API server of Kubernetes 1.36 refuses to change in place beside that list
(pkg/apis/*/validation; the provider knows nothing of it, so an update is sent)."""


def _has(table: Mapping[str, tuple[str, ...]], kind: str, path: str) -> bool:
    return any(
        path == field or path.startswith((f"{field}.", f"{field}["))
        for field in table.get(kind, ())
    )


def is_replaced(kind: str, path: str) -> bool:
    """Whether the engine replaces an object of `kind` whose field at `path` changes."""
    known = REPLACED_AWS if kind in REPLACED_AWS else REPLACED
    return path == "apiVersion" or _has(known, kind, path)


def is_refused(kind: str, path: str) -> bool:
    """Whether the API server refuses the update of an object of `kind` at `path`."""
    return _has(REFUSED, kind, path)
