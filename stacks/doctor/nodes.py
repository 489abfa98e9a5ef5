"""Whether the nodes of the pools are there, offer their GPUs, and evict later than we fill them."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Final
from urllib.parse import quote

from components.gpu_node_pool import node_labels
from components.kube import Object
from components.kube_client import ApiError
from model_specs.names import LABEL_CAPACITY, LABEL_MACHINE
from stacks.doctor.findings import OURS, Answers, Finding, Site, Unseen, inside, named
from stacks.doctor.pool_nodes import Pool, is_ready, name_of, pools_of

_WORKLOADS: Final = ("daemonsets", "deployments")
_MOST_KUBELETS: Final = 3
"""Nodes of a pool have one configuration, and each is a request to a kubelet."""
_MARGIN, _MOST_FREE = 5, 90
"""Per cent above a threshold, as the profile's default has it, and the most that a profile takes
(regions.profile, Cluster.disk_free_percent)."""
_SIGNALS: Final = ("imagefs.available", "nodefs.available")
_THRESHOLDS: Final = ("evictionHard", "evictionSoft")


def allocatable(site: Site) -> Answers:
    """Every pool has the nodes that the profile says, and each Ready one offers its GPUs."""
    for pool in pools_of(site):
        yield from _few(site, pool)
        if pool.row.gpus:
            yield from _without_gpus(pool)


def _few(site: Site, pool: Pool) -> Answers:
    """Listed nodes that are not there or not Ready, and groups smaller than their minimum."""
    where = f"machines.{pool.machine}"
    ready = {name_of(node) for node in pool.nodes if is_ready(node)}
    missing = [name for name in pool.plan.node_names if name not in ready]
    if missing:
        what = f"nodes of {pool.machine} are not there or not Ready: {named(missing)}"
        mend = f"kubectl describe node {missing[0]}; or take it out of {where}.node_names in"
        yield Finding(check="allocatable", what=what, mend=f"{mend} {site.file}")
    if pool.plan.node_names:
        yield from _unlabelled(site, pool)
        return
    least = pool.offer.on_demand.min
    on_demand = [
        node
        for node in pool.nodes
        if is_ready(node) and inside(node, "metadata", "labels", LABEL_CAPACITY) == "on_demand"
    ]
    if len(on_demand) >= least:
        return
    if not pool.nodes and pool.machine not in _wanted(site):
        why = f"no node of {pool.machine} is there, and nothing of ours asks for one"
        yield Unseen(check="allocatable", why=why)
        return
    what = f"{len(on_demand)} on-demand nodes of {pool.machine} are Ready, the profile says {least}"
    cluster = f"--cluster-name {site.profile.cluster.name} --region {site.profile.account.region}"
    mend = f"aws eks list-nodegroups {cluster} (health and quota of the group); or lower"
    mend += f" {where}.on_demand.min in {site.file}"
    yield Finding(check="allocatable", what=what, mend=mend)


def _unlabelled(site: Site, pool: Pool) -> Answers:
    """Listed nodes without the labels that our pods select, where `up` may not put them there."""
    if "cluster_scope" in site.capabilities:
        return
    wanted = node_labels(pool.plan, "on_demand")
    for node in pool.nodes:
        held = inside(node, "metadata", "labels") or {}
        lacking = [f"{key}={value}" for key, value in wanted.items() if held.get(key) != value]
        if lacking:
            what = f"node {name_of(node)} of {pool.machine} lacks the labels {', '.join(lacking)}"
            mend = f"kubectl label node {name_of(node)} {' '.join(lacking)}"
            yield Finding(check="allocatable", what=what, mend=mend)


def _wanted(site: Site) -> set[str]:
    """The machine types for which the cluster has a workload of ours."""
    found: set[str] = set()
    for kind in _WORKLOADS:
        for made in site.listed(f"/apis/apps/v1/{kind}?{OURS}") or ():
            found |= set(_chosen(inside(made, "spec", "template", "spec") or {}))
    return found


def _chosen(pod: Object) -> Iterator[str]:
    """The machine types that a pod spec selects, be it by nodeSelector or by affinity."""
    if chosen := inside(pod, "nodeSelector", LABEL_MACHINE):
        yield chosen
    required = "requiredDuringSchedulingIgnoredDuringExecution"
    affinity = inside(pod, "affinity", "nodeAffinity", required, "nodeSelectorTerms") or ()
    for term in affinity:
        for row in term.get("matchExpressions") or ():
            if row["key"] == LABEL_MACHINE:
                yield from row.get("values") or ()


def _without_gpus(pool: Pool) -> Answers:
    wanted, resource = pool.plan.gpus_per_node, pool.row.kind.resource
    short = sorted(
        (name_of(node), pool.advertised(node))
        for node in pool.nodes
        if is_ready(node) and pool.advertised(node) < wanted
    )
    if short:
        names = named([name for name, _ in short])
        what = f"{names} of {pool.machine}: {short[0][1]} {resource} allocatable, want {wanted}"
        mend = (
            f"kubectl get pods -A -o wide --field-selector spec.nodeName={short[0][0]} (its device"
            " plugin's log says why)"
        )
        yield Finding(check="allocatable", what=what, mend=mend)


def eviction(site: Site) -> Answers:
    """No kubelet evicts pods before the cache agent stops to fill the disk.

    Thresholds are compared with `cluster.disk_free_percent`, on a few Ready nodes of each pool. A
    quantity is taken of the node's ephemeral-storage, which is that of nodefs; where images have a
    disk of their own, theirs is not seen.
    """
    for pool in pools_of(site):
        ready = sorted(filter(is_ready, pool.nodes), key=name_of)
        for node in ready[:_MOST_KUBELETS]:
            try:
                yield from _evicts(site, pool, node)
            except ApiError as error:
                yield Unseen(check="eviction", why=f"kubelet of {name_of(node)}: {error}")


def _evicts(site: Site, pool: Pool, node: Object) -> Answers:
    name, free = name_of(node), site.profile.cluster.disk_free_percent
    told = site.api.get(f"/api/v1/nodes/{quote(name)}/proxy/configz")
    config = inside(told, "kubeletconfig")
    if not isinstance(config, dict):
        yield Unseen(check="eviction", why=f"kubelet of {name}: it does not tell its configuration")
        return
    disk = inside(node, "status", "capacity", "ephemeral-storage")
    rows = [
        (kind, signal, inside(config, kind, signal)) for kind in _THRESHOLDS for signal in _SIGNALS
    ]
    for kind, signal, value in rows:
        percent = _percent(value, disk)
        if percent is not None and percent > free:
            what = (
                f"the kubelet of {name} ({pool.machine}) evicts at {kind} {signal}<{value}, "
                f"which is {float(percent):.3g} % of its disk; the cache agent leaves {free} % free"
            )
            safe = min(int(percent) + _MARGIN, _MOST_FREE)
            mend = f"write cluster.disk_free_percent: {safe} in {site.file}, or lower"
            yield Finding(check="eviction", what=what, mend=f"{mend} {kind} of the kubelet")
            return


def _percent(value: Any, disk: Any) -> Decimal | None:
    """A threshold as a percentage of a disk; None where there is none, or the disk is unknown."""
    from kubernetes.utils import parse_quantity

    if not value:
        return None
    if str(value).endswith("%"):
        return Decimal(str(value)[:-1])
    return Decimal(100 * parse_quantity(value) / parse_quantity(disk)) if disk else None
