"""Rules about rights: who may do what in the cluster, beside the engine that makes everything."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any, Final

from model_specs.names import CACHE_ACCOUNT, CACHE_NAMESPACE
from policies.facts import Facts
from policies.resources import Resource
from policies.rule import Estate, Fault, Rule, each, whole

Block = Mapping[str, Any]
Right = tuple[str, str, str]
"""API group, resource, verb."""

_API: Final = "rbac.authorization.k8s.io"


def _rights(verbs: tuple[str, ...], group: str, *resources: str) -> frozenset[Right]:
    return frozenset((group, resource, verb) for resource, verb in product(resources, verbs))


_READ: Final = ("get", "list", "watch")
_VIEWER: Final = (
    _rights(_READ, "", "configmaps", "events", "pods", "pods/log", "services")
    | _rights(_READ, "apps", "deployments", "replicasets")
    | _rights(_READ, "batch", "cronjobs", "jobs")
    | _rights(_READ, "autoscaling", "horizontalpodautoscalers")
)
_DEVELOPER: Final = _VIEWER | _rights(("delete",), "", "pods")
# The API server answers a patch and a deletion, also one with dryRun, with the whole object.
_ADMIN: Final = _DEVELOPER | _rights(("create", "update"), "", "secrets")
_OF_A_PROJECT: Final = {
    CACHE_ACCOUNT: _rights(("list", "watch"), "", "pods"),  # which of them its node has
    "project-admin": _ADMIN,
    "project-developer": _DEVELOPER,
    "project-viewer": _VIEWER,
}
_OF_THE_CACHE: Final = {CACHE_ACCOUNT: _rights(("create",), "", "events")}
_AGENTS: Final = {
    "kind": "ServiceAccount", "name": CACHE_ACCOUNT, "namespace": CACHE_NAMESPACE,
}  # fmt: skip
_RULE_FIELDS: Final = frozenset({"apiGroups", "resources", "verbs"})


def _known(namespace: str, facts: Facts) -> Mapping[str, frozenset[Right]]:
    """The roles that a namespace may hold, by name, each with the most that it may give."""
    if namespace == CACHE_NAMESPACE:
        return _OF_THE_CACHE
    return _OF_A_PROJECT if namespace in facts.projects else {}


def _rule_faults(rule: Block, most: frozenset[Right]) -> Iterator[str]:
    for field in sorted(set(rule) - _RULE_FIELDS):
        yield f"gives rights by {field}"
    verbs = sorted(rule.get("verbs") or ())
    for group, name in product(rule.get("apiGroups") or (), rule.get("resources") or ()):
        if bad := [verb for verb in verbs if (group, name, verb) not in most]:
            yield f"gives {', '.join(bad)} on {name}" + (f" of {group}" if group else "")


@each("P29", "rbac-least", "ClusterRole", "Role")
def _rbac_least(resource: Resource, facts: Facts) -> Iterator[Fault]:
    """A role is one of those that a member or a cache agent needs, and gives no more than it.

    Members read all but Secrets, developers restart pods, admins replace Secrets without reading
    them: to patch or to delete one is to read it. What else a role gave (walls, routes, roles, a
    way into pods) would need no `access` to reach a model.
    """
    fix = "give get, list and watch on named resources"
    most = _known(resource.namespace, facts).get(str(resource.values["metadata"].get("name")))
    if resource.kind == "ClusterRole" or most is None:
        yield Fault(resource, "is no role of a project's members or agents", fix, "members")
        return
    for rule in resource.values.get("rules") or ():
        for what in _rule_faults(rule, most):
            yield Fault(resource, what, fix, "members")
    if set(resource.values) - {"apiVersion", "kind", "metadata", "rules"}:
        yield Fault(resource, "takes its rights from elsewhere", "write the rules out", "members")


def _subjects(namespace: str, role: str, facts: Facts) -> list[Block]:
    """Everybody who may have a role, as a binding names them."""
    if role == CACHE_ACCOUNT:
        return [_AGENTS]
    if namespace not in facts.projects:
        return []
    groups = getattr(facts.projects[namespace].spec.members, f"{role.removeprefix('project-')}s")
    return [{"apiGroup": _API, "kind": "Group", "name": name} for name in groups]


def is_agents(subject: Block) -> bool:
    """Whether a binding's subject is the account of the cache agents."""
    return dict(subject) == _AGENTS


def _binding_faults(binding: Resource, roles: frozenset[str], facts: Facts) -> Iterator[str]:
    role = binding.values.get("roleRef") or {}
    name, space = str(role.get("name")), binding.namespace
    if binding.kind == "ClusterRoleBinding":
        yield f"gives {name} in every namespace"
        return
    if role.get("kind") != "Role" or f"Role {space}/{name}" not in roles:
        yield f"gives {role.get('kind')} {name}, which is not made here, so nobody judged it"
        return
    if name not in _known(space, facts):
        return  # rbac-least refuses the role
    members = _subjects(space, name, facts)
    for subject in binding.values.get("subjects") or ():
        if subject not in members:
            yield f"gives {name} to {subject.get('kind')} {subject.get('name')}, no member by it"


@whole("P29", "rbac-bindings")
def _rbac_bindings(estate: Estate) -> Iterator[Fault]:
    """A right holds in one namespace, by a role that stands beside it, for those it is meant for.

    These are the groups that `members` of the project names for that very role, and the agents'
    own ServiceAccount, which sees a project's pods. No other account, no group of the cluster's
    own and no role of the cluster has any.
    """
    roles = frozenset(str(role) for role in estate.of("Role"))
    for binding in estate.of("ClusterRoleBinding", "RoleBinding"):
        for what in _binding_faults(binding, roles, estate.facts):
            yield Fault(binding, what, "bind a Role of the project to groups of members", "members")


RULES: Final[tuple[Rule, ...]] = (_rbac_least, _rbac_bindings)
