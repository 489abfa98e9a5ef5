"""Stands in for the cluster autoscaler: a node group grows for pods that no node takes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

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


def wanted_sizes(
    pods: Iterable[Object], groups: Iterable[Object], joined: Counter[str]
) -> dict[str, int]:
    """New sizes by group name, for the groups whose labels the waiting pods select.

    A group grows only when its nodes have all `joined`, so one wait is counted once, and by one
    node at a time for each waiting pod, up to its maximum. Nothing here shrinks a group.
    """
    waiting = [pod["spec"].get("nodeSelector") or {} for pod in unplaced(pods)]
    sizes: dict[str, int] = {}
    for group in groups:
        scaling, labels = group["scalingConfig"], group.get("labels") or {}
        fitting = [one for one in waiting if one and one.items() <= labels.items()]
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
