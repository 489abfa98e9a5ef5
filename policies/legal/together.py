"""What must be there beside what is there, and ids that two things share: a rule over a region."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Final

from model_specs.names import (
    GATEWAY_NAMESPACE,
    KEYS_POLICY,
    LABEL_MACHINE,
    LABEL_TRACK,
    SYSTEM_NAMESPACE,
)
from policies.legal.guard import AGREED
from policies.legal.network import keys_asked
from policies.legal.platform import PRIORITIES, SPACES, roles_of
from policies.resources import Resource, Unknown, absent
from policies.rule import WORKLOADS, Estate, Fault, Rule, whole

_GROUP: Final = "aws:eks/nodeGroup:NodeGroup"
_TEMPLATE: Final = "aws:ec2/launchTemplate:LaunchTemplate"
_ATTACHMENT: Final = "aws:iam/rolePolicyAttachment:RolePolicyAttachment"
_ALIAS: Final = "aws:kms/alias:Alias"
_ENCRYPTION: Final = (
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"
)
_NODE_POLICIES: Final = 3
"""EKS' worker, its network plugin, and pulling images (`iam-nodes` names them)."""
_AGENT: Final = "cache-agent"
Name = tuple[str, str, str]
"""Kind, namespace and name of an object."""


def _of_region(estate: Estate) -> Iterator[Name]:
    """What every region has whose cluster is ours."""
    if "cluster_scope" not in estate.facts.profile.capabilities:
        return
    for name in AGREED:
        yield "ValidatingAdmissionPolicy", "", name
        yield "ValidatingAdmissionPolicyBinding", "", name
    yield from (("PriorityClass", "", name) for name in PRIORITIES)
    yield from (("Namespace", "", name) for name in SPACES)
    yield "ConfigMap", SYSTEM_NAMESPACE, "isoserve-dashboard"


def _of_projects(estate: Estate) -> Iterator[Name]:
    """What every project has that has anything: its bounds, and the rights of its members."""
    for name in sorted({one.project for one in estate.resources} & set(estate.facts.projects)):
        yield "LimitRange", name, "project"
        yield "ResourceQuota", name, "project"
        for role in roles_of(estate.facts.projects[name].spec.members):
            yield "Role", name, role
            yield "RoleBinding", name, role


def _of_agents(estate: Estate) -> Iterator[Name]:
    """What stands beside the cache agents: their name, their configuration, and their rights, also
    where their nodes keep something for a project."""
    for agent in estate.of("DaemonSet"):
        name = str(agent.metadata.get("name"))
        yield from ((kind, agent.namespace, name) for kind in ("ConfigMap", "Service"))
        yield from ((kind, agent.namespace, _AGENT) for kind in ("Role", "RoleBinding"))
    for space in sorted({claim.namespace for claim in estate.of("PersistentVolumeClaim")}):
        yield from ((kind, space, _AGENT) for kind in ("Role", "RoleBinding"))


def _of_candidates(estate: Estate) -> Iterator[Name]:
    for one in estate.of("Deployment"):
        if one.labels.get(LABEL_TRACK) == "candidate":
            yield "Service", one.namespace, str(one.metadata.get("name"))


def _of_gateways(estate: Estate) -> Iterator[Name]:
    """What stands beside the public gateway: its redirect, and the certificate of its issuer."""
    profile = estate.facts.profile
    for gateway in estate.of("Gateway"):
        if str(gateway) == f"Gateway {GATEWAY_NAMESPACE}/public":
            yield "HTTPRoute", GATEWAY_NAMESPACE, "redirect"
            if profile.tls_issuer:
                yield "Certificate", GATEWAY_NAMESPACE, profile.tls_secret


def _of_nodes(estate: Estate) -> Iterator[Name]:
    """All listed nodes of a machine type of which one is made."""
    offers = estate.facts.profile.machines
    machines = {str(node.labels.get(LABEL_MACHINE)) for node in estate.of("Node")}
    for machine in sorted(machines & set(offers)):
        yield from (("Node", "", name) for name in offers[machine].node_names)


def _of_callers(estate: Estate) -> Iterator[Name]:
    """What lets in the callers of a routed model who have keys: without it nobody can call it."""
    for route in estate.of("HTTPRoute"):
        model = estate.facts.models.get(route.model)
        if model is not None and keys_asked(model):
            yield "SecurityPolicy", model.project, f"{model.name}{KEYS_POLICY}"


_SOURCES: Final = (
    _of_region, _of_projects, _of_agents, _of_candidates, _of_callers, _of_gateways, _of_nodes,
)  # fmt: skip


def _lost_groups(estate: Estate) -> Iterator[Fault]:
    """Node groups of a machine type that has a template, and none of one kind of capacity."""
    found = {group.name for group in estate.of(_GROUP)}
    by_slug = {name.replace(".", "-"): name for name in estate.facts.profile.machines}
    for template in estate.of(_TEMPLATE):
        machine = by_slug.get(template.name)
        offer = estate.facts.profile.machines.get(machine or "")
        sizes = {"on-demand": offer.on_demand.max, "spot": offer.spot.max} if offer else {}
        for capacity, most in sizes.items():
            if most and f"{template.name}-{capacity}" not in found:
                what, fix = f"has no {capacity} group", "make it as the profile offers it"
                yield Fault(template, what, fix, f"machines[{machine}]")


def _idle_accounts(estate: Estate) -> Iterator[Fault]:
    """Accounts of models that run nothing: the model is planned here and was not made."""
    running = {one.model for one in estate.of(*WORKLOADS)}
    for account in estate.of("ServiceAccount"):
        if account.model and account.model not in running:
            yield Fault(account, "is of a model that runs nothing", "make its pods too", "")


def _is_known(value: object) -> bool:
    return type(value) is not Unknown


def _mixed_templates(estate: Estate) -> Iterator[Fault]:
    """Groups of one machine type that differ in their template, or share it with another's."""
    ids: dict[str, set[str]] = defaultdict(set)
    for group in estate.of(_GROUP):
        machine = group.name.removesuffix("-spot").removesuffix("-on-demand")
        template = (group.values.get("launchTemplate") or {}).get("id")
        if _is_known(template):
            ids[machine].add(str(template))
    for group in estate.of(_GROUP):
        machine = group.name.removesuffix("-spot").removesuffix("-on-demand")
        others = {one for name, found in ids.items() if name != machine for one in found}
        if len(ids[machine]) > 1 or ids[machine] & others:
            fix = "make all groups of a machine type from its own template"
            yield Fault(group, f"is made from templates {sorted(ids[machine])}", fix, "machines")


def _foreign_keys(estate: Estate) -> Iterator[Fault]:
    """A bucket that is encrypted by another key than the one that the registry's alias names."""
    account = estate.facts.profile.account
    for alias in estate.of(_ALIAS):
        key = alias.values.get("targetKeyId")
        for setting in estate.of(_ENCRYPTION) if _is_known(key) else ():
            arn = _key_of(setting)
            own = estate.facts.arn(f"kms:{account.region}:{account.account_id}:key/{key}")
            if _is_known(arn) and arn != own:
                fix = "encrypt by the registry's own key"
                yield Fault(setting, f"encrypts by {arn!r}, the alias is of {own}", fix, "registry")


def _key_of(setting: Resource) -> object:
    rules = setting.values.get("rules") or [{}]
    return (rules[0].get("applyServerSideEncryptionByDefault") or {}).get("kmsMasterKeyId")


@whole("P37", "nothing-missing")
def _nothing_missing(estate: Estate) -> Iterator[Fault]:
    """What belongs together is there together: the admission guard whole, a project's bounds and
    rights, what stands beside cache agents, candidates, callers with keys, gateways and nodes, a
    node's three policies; groups come from their own template, and the bucket's key is the one that
    its alias names."""
    there = {
        (one.kind, one.namespace, str(one.metadata.get("name")))
        for one in estate.resources
        if one.is_object
    }
    for source in _SOURCES:
        for kind, namespace, name in source(estate):
            if (kind, namespace, name) not in there:
                lost = absent(kind, namespace, name, {})
                yield Fault(lost, "is not made", "render it as specs and profile say", "")
    attached = estate.of(_ATTACHMENT)
    if attached and len(attached) != _NODE_POLICIES:
        what = f"is one of {len(attached)} policies of nodes, they have {_NODE_POLICIES}"
        yield Fault(attached[0], what, "attach all of them", "machines")
    for find in (_lost_groups, _idle_accounts, _mixed_templates, _foreign_keys):
        yield from find(estate)


RULES: Final[tuple[Rule, ...]] = (_nothing_missing,)
