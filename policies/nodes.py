"""Rules about nodes, made by AWS or listed on-prem. The cluster itself exists before us."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Final

from model_specs.names import (
    LABEL_ACCELERATOR,
    LABEL_CAPACITY,
    LABEL_MACHINE,
    TAG_NODE_RESOURCE,
)
from policies.documents import Block, is_on, listed
from policies.facts import Facts
from policies.pods import pod
from policies.resources import Resource
from policies.rule import WORKLOADS, Estate, Fault, Rule, each, whole
from regions.machines import MACHINES
from regions.offers import Offer
from regions.profile import RegionProfile

_TEMPLATE: Final = "aws:ec2/launchTemplate:LaunchTemplate"
_GROUP: Final = "aws:eks/nodeGroup:NodeGroup"
_METADATA: Final = {
    "httpEndpoint": "enabled",
    "httpPutResponseHopLimit": 1,
    "httpTokens": "required",
}
_ROOT_DISK: Final = "/dev/xvda"
"""AL2023's; models, images and logs are on it."""
_BESIDE_MODELS_GIB: Final = 60
"""Images and logs."""
_CAPACITY: Final = {"ON_DEMAND": "on_demand", "SPOT": "spot"}


@each("P27", "node-machine", _TEMPLATE)
def _machine(resource: Resource, facts: Facts) -> Iterator[Fault]:
    """A node's credentials are out of its pods' reach (IMDSv2, one hop), its disks are encrypted,
    it has no public address, no SSH key, and the security groups of the profile. With its cache
    full and 60 GiB of images and logs, its disk has disk_free_percent left, so no pod is evicted.
    """
    values, place = resource.values, "machines"
    metadata = values.get("metadataOptions") or {}
    for field, wanted in _METADATA.items():
        if metadata.get(field) != wanted:
            what = f"has {field} {metadata.get(field)!r}, so pods may take the node's credentials"
            yield Fault(resource, what, f"set it to {wanted!r}", place)
    disks = [one.get("ebs") or {} for one in listed(values.get("blockDeviceMappings"))]
    if not disks or not all(is_on(disk.get("encrypted")) for disk in disks):
        yield Fault(resource, "has a disk in the clear", "set encrypted on each disk", place)
    for interface in listed(values.get("networkInterfaces")):
        # Left out, the subnet decides, and nobody here sees what it says.
        if interface.get("associatePublicIpAddress") not in (False, "false"):
            fix = "set associatePublicIpAddress to false"
            yield Fault(resource, "may get a public address", fix, place)
    if values.get("keyName"):
        yield Fault(resource, "opens the nodes to an SSH key", "take keyName out", place)
    groups = set(facts.profile.account.node_security_group_ids)
    found = {*listed(values.get("vpcSecurityGroupIds"))}
    if found != groups:
        what = f"is in security groups {sorted(found)}"
        yield Fault(resource, what, f"take {sorted(groups)}", "account.node_security_group_ids")
    yield from _small_disk(resource, facts.profile)


def _small_disk(template: Resource, profile: RegionProfile) -> Iterator[Fault]:
    """A disk on which a full cache leaves less than the profile says."""
    machines = [machine for machine in profile.machines if _slug(machine) == template.name]
    if not machines:
        fix = "name it like a machine type of the profile"
        yield Fault(template, "is for no machine type that the region has", fix, "machines")
    sizes = [
        (one.get("ebs") or {}).get("volumeSize") or 0
        for one in listed(template.values.get("blockDeviceMappings"))
        if one.get("deviceName") == _ROOT_DISK
    ]
    size, percent = min(sizes, default=0), profile.cluster.disk_free_percent
    for machine in machines:
        taken = profile.machines[machine].cache_disk_gib + _BESIDE_MODELS_GIB
        least = math.ceil(taken * 100 / (100 - percent))
        if size < least:
            what = (
                f"has {size:g} GiB at {_ROOT_DISK}; a full cache, images and logs take {taken} "
                f"and {percent} % must stay free, or the kubelet evicts pods"
            )
            fix = f"make it {least} GiB"
            yield Fault(template, what, fix, f"machines[{machine}].cache_disk_gib")


def _slug(machine: str) -> str:
    """How the pool of a machine type is named."""
    return machine.replace(".", "-")


def _wanted_taints(machine: str, capacity: str) -> set[tuple[str, str]]:
    """What keeps other pods off the nodes. GPU nodes have the one taint that the vendor's device
    plugin tolerates, if it does any, and no other: it would not stand there, and no pod would get
    a GPU."""
    row = MACHINES[machine]
    if row.gpus:
        return {row.kind.taint} if row.kind.is_tainted else set()
    return {(LABEL_CAPACITY, "spot")} if capacity == "spot" else set()


def _pool_faults(values: Block, offer: Offer, machine: str, capacity: str) -> Iterator[str]:
    """What a group has that its machine type does not say."""
    most, least = getattr(offer, capacity).max, getattr(offer, capacity).min
    sizes: Any = values.get("scalingConfig") or {}
    if not least <= sizes["minSize"] <= sizes["maxSize"] <= most:
        yield f"has {sizes['minSize']} to {sizes['maxSize']} nodes, the profile {least} to {most}"
    others = set(listed(values.get("instanceTypes"))) ^ set(offer.instance_types)
    if others:
        yield f"differs in instance types {sorted(others)}"
    yield from _strange_taints(values.get("taints"), "NO_SCHEDULE", machine, capacity)


def _strange_taints(taints: Any, effect: str, machine: str, capacity: str) -> Iterator[str]:
    """Taints that are not those of the machine type; `effect` is how the API calls NoSchedule."""
    found = {(one.get("key"), one.get("value"), one.get("effect")) for one in listed(taints)}
    if found != {(key, value, effect) for key, value in _wanted_taints(machine, capacity)}:
        yield f"has taints {sorted(map(str, found))}, so the wrong pods stand there"


def _unseen(labels: Block, machine: str, provider: str) -> Iterator[str]:
    """What add-ons look for on nodes of the machine type and would not find."""
    row = MACHINES[machine]
    for label, value in row.kind.labels.items():
        if labels.get(label) != value:
            yield f"lacks label {label}, so no device plugin stands there"
    for label, value in row.labels.items():
        if labels.get(label) != value:
            yield f"lacks label {label}: {value}, which its row of the catalogue has"
    if row.kind.is_awaited and provider == "aws" and not labels.get(LABEL_ACCELERATOR):
        yield f"lacks label {LABEL_ACCELERATOR}, so an autoscaler buys a second node"
    if not row.kind.is_awaited and LABEL_ACCELERATOR in labels:
        yield f"has label {LABEL_ACCELERATOR}, so an autoscaler never takes it for ready"


def _uncounted(tags: Block, machine: str) -> Iterator[str]:
    """GPUs of which an autoscaler does not know that a node to come will have them."""
    kind = MACHINES[machine].kind
    tag = f"{TAG_NODE_RESOURCE}{kind.resource}"
    if not kind.is_counted and not str(tags.get(tag, "")).isdigit():
        yield f"lacks tag {tag}, so an autoscaler adds no node where there is none"


def _listed_node(node: Resource, facts: Facts) -> Iterator[Fault]:
    """What is wrong with a node of our own metal."""
    machine, capacity = str(node.labels.get(LABEL_MACHINE)), node.labels.get(LABEL_CAPACITY)
    offer = facts.profile.machines.get(machine)
    if offer is None or node.metadata.get("name") not in offer.node_names:
        what = f"is labelled {machine}, of which the profile does not list it"
        fix = "label it with the machine type whose node_names have it"
        yield Fault(node, what, fix, "machines")
        return
    if capacity != "on_demand":
        what = f"is labelled as of capacity {capacity}, so no model stands there"
        yield Fault(node, what, "label it on_demand", f"machines[{machine}].node_names")
    taints = _strange_taints(node.spec.get("taints"), "NoSchedule", machine, "on_demand")
    for what in (*taints, *_unseen(node.labels, machine, facts.profile.provider)):
        fix = "render the labels and taints of its machine type"
        yield Fault(node, what, fix, f"machines[{machine}].node_names")


def _node_group(resource: Resource, facts: Facts) -> Iterator[Fault]:
    """What is wrong with nodes that AWS makes."""
    values = resource.values
    labels = values.get("labels") or {}
    machine, capacity = labels.get(LABEL_MACHINE), _CAPACITY.get(str(values.get("capacityType")))
    offer = facts.profile.machines.get(str(machine))
    if offer is None or capacity is None or labels.get(LABEL_CAPACITY) != capacity:
        what = f"is of machine type {machine!r} and capacity {values.get('capacityType')!r}"
        fix = "label it with a machine type of the profile, and its capacity"
        yield Fault(resource, what, fix, "machines")
        return
    faults = _pool_faults(values, offer, str(machine), capacity)
    unseen = _unseen(labels, str(machine), facts.profile.provider)
    for what in (*faults, *unseen, *_uncounted(values.get("tags") or {}, str(machine))):
        place = f"machines[{machine}].{capacity}"
        yield Fault(resource, what, "take what the profile says", place)


_OF_POOL: Final = {_GROUP: _node_group, "Node": _listed_node}


@each("P27", "node-pool", *_OF_POOL)
def _pool(resource: Resource, facts: Facts) -> Iterator[Fault]:
    """A group's size, machines and taints are those of its machine type in the profile, as are the
    labels and taints of a listed node; GPU nodes carry the labels by which device plugins and
    autoscalers know them."""
    yield from _OF_POOL[resource.kind](resource, facts)


@each("P27", "node-group", _GROUP)
def _group(resource: Resource, facts: Facts) -> Iterator[Fault]:
    """A group belongs to the profile's cluster, stands in all of its private subnets, two or more,
    is made from a launch template, and nobody may log in.
    """
    values, account = resource.values, facts.profile.account
    subnets = {*listed(values.get("subnetIds"))}
    if subnets != set(account.subnet_ids) or len(subnets) < 2:
        fix = f"take {sorted(account.subnet_ids)}"
        yield Fault(resource, f"stands in {sorted(subnets)}", fix, "account.subnet_ids")
    if values.get("clusterName") != facts.profile.cluster.name:
        what = f"belongs to cluster {values.get('clusterName')!r}"
        yield Fault(resource, what, "take cluster.name", "cluster.name")
    if not (values.get("launchTemplate") or {}).get("id"):
        fix = "make it from the pool's launch template"
        yield Fault(resource, "is made without a launch template", fix, "machines")
    if values.get("remoteAccess"):
        yield Fault(resource, "lets people log in to nodes", "take remoteAccess out", "machines")


@whole("P27", "node-present")
def _present(estate: Estate) -> Iterator[Fault]:
    """On AWS every machine type that a pod selects has nodes, made from a template of their own."""
    if estate.facts.profile.provider != "aws":
        return
    groups = estate.of(_GROUP)
    made = {(group.values.get("labels") or {}).get(LABEL_MACHINE) for group in groups}
    templates = {template.name for template in estate.of(_TEMPLATE)}
    for user in estate.of(*WORKLOADS):
        machine = (pod(user).get("nodeSelector") or {}).get(LABEL_MACHINE)
        if machine is not None and machine not in made:
            fix = "render the pool of that machine type"
            yield Fault(
                user, f"waits for nodes of {machine} that nobody makes", fix, "machine_type"
            )
    for group in groups:
        machine = (group.values.get("labels") or {}).get(LABEL_MACHINE)
        if _slug(str(machine)) not in templates:
            what = "has no launch template that rules can read"
            yield Fault(group, what, "register the pool's template", "machines")


RULES: Final[tuple[Rule, ...]] = (_machine, _pool, _group, _present)
