"""Stands in for the cluster autoscaler: a node group grows for pods that no node takes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from model_specs.names import LABEL_CAPACITY
from regions.sandbox.kube import Object


def unplaced(pods: Iterable[Object]) -> list[Object]:
    """The pods that the scheduler has found no node for."""
    return [
        pod
        for pod in pods
        if not pod["spec"].get("nodeName")
        and any(
            one["type"] == "PodScheduled" and one.get("reason") == "Unschedulable"
            for one in pod.get("status", {}).get("conditions", ())
        )
    ]


def _after_spot(group: Object) -> bool:
    return (group.get("labels") or {}).get(LABEL_CAPACITY) != "spot"


def _takes(pod: Object, labels: dict[str, str]) -> bool:
    """Whether nodes with `labels` are those that a pod selects and its affinity demands."""
    spec = pod["spec"]
    selector = spec.get("nodeSelector") or {}
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    terms = affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or {}
    return (
        bool(selector)
        and selector.items() <= labels.items()
        and all(
            labels.get(one["key"]) in one["values"]
            for term in terms.get("nodeSelectorTerms", ())
            for one in term["matchExpressions"]
        )
    )


def wanted_sizes(
    pods: Iterable[Object], groups: Iterable[Object], joined: Counter[str]
) -> dict[str, int]:
    """New sizes by group name, for the groups whose labels the waiting pods select.

    A group grows only when its nodes have all `joined`, so one wait is counted once, and by one
    node at a time for each waiting pod, up to its maximum. Nothing here shrinks a group. A pod that
    may stand on two kinds of nodes grows the spot group, and the other once that one is full.
    """
    waiting = unplaced(pods)
    sizes: dict[str, int] = {}
    for group in sorted(groups, key=_after_spot):
        scaling, labels = group["scalingConfig"], group.get("labels") or {}
        fitting = [pod for pod in waiting if _takes(pod, labels)]
        if scaling["desiredSize"] < scaling["maxSize"]:
            waiting = [pod for pod in waiting if not _takes(pod, labels)]
        size = scaling["desiredSize"]
        if fitting and joined[group["nodegroupName"]] >= size:
            grown = min(scaling["maxSize"], size + len(fitting))
            if grown > size:
                sizes[group["nodegroupName"]] = grown
    return sizes


def grow(eks: Any, cluster_name: str, sizes: dict[str, int]) -> None:
    """Set the groups' desired sizes through the EKS API."""
    for name, size in sizes.items():
        eks.update_nodegroup_config(
            clusterName=cluster_name, nodegroupName=name, scalingConfig={"desiredSize": size}
        )
