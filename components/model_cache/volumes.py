"""A project's read-only window on the models that the nodes keep."""

from __future__ import annotations

from typing import Final

from components.kube import Object, head
from model_specs.names import LABEL_MACHINE, LABEL_PROJECT
from regions.plan import CachePlan, ClaimPlan

ROOT: Final = "/var/lib/isoserve"
_SIZE: Final = "1Gi"
"""Of every volume and claim: nothing enforces it on a node's directory, and the API server lets a
claim neither grow nor shrink that was not provisioned dynamically, so it follows no disk."""
_STORAGE_CLASS: Final = "isoserve-cache"  # names no provisioner: volumes are bound by hand


def volume(plan: CachePlan, claim: ClaimPlan) -> Object:
    """The project's directory on whichever node the pod stands: one volume for all of them."""
    where: Object = {"key": LABEL_MACHINE, "operator": "In", "values": [plan.machine_type]}
    labels = {LABEL_PROJECT: claim.project}
    return head("v1", "PersistentVolume", f"{claim.project}-{claim.name}", "", labels, {}) | {
        "spec": {
            "accessModes": ["ReadOnlyMany"],
            "capacity": {"storage": _SIZE},
            "claimRef": {"name": claim.name, "namespace": claim.namespace},
            "local": {"path": f"{ROOT}/{claim.project}"},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [where]}]}},
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": _STORAGE_CLASS,
        }
    }


def claim_of(claim: ClaimPlan) -> Object:
    """The claim bound to the project's volume; pods mount one digest of it by subPath."""
    labels = {LABEL_PROJECT: claim.project}
    return head("v1", "PersistentVolumeClaim", claim.name, claim.namespace, labels, {}) | {
        "spec": {
            "accessModes": ["ReadOnlyMany"],
            "resources": {"requests": {"storage": _SIZE}},
            "storageClassName": _STORAGE_CLASS,
            "volumeName": f"{claim.project}-{claim.name}",
        }
    }
