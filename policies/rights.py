"""Rules about rights: who may do what in the cluster, beside the engine that makes everything."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from model_specs.names import CACHE_ACCOUNT, CACHE_NAMESPACE
from policies.facts import Facts
from policies.resources import Resource
from policies.rule import Estate, Fault, Rule, each, whole

Block = Mapping[str, Any]

_READ: Final = frozenset({"get", "list", "watch"})
_WRITE: Final[dict[tuple[str, str], frozenset[str]]] = {
    ("", "events"): frozenset({"create"}),
    ("", "pods"): frozenset({"delete"}),
    # No patch: its answer is the whole object, so an empty one reads a secret.
    ("", "secrets"): frozenset({"create", "delete", "update"}),
}
"""All that may be changed: people restart pods and replace secrets, cache agents write Events. The
rest comes from specs."""
_UNREADABLE: Final = frozenset({"secrets"})
_READABLE_PARTS: Final = frozenset({"pods/log"})
"""Parts of objects (`pods/exec`, `nodes/proxy`, ...) act, so only these are for reading."""


def _allowed(group: str, name: str) -> frozenset[str]:
    """The verbs that anybody may have on a resource."""
    readable = name in _READABLE_PARTS if "/" in name else name not in _UNREADABLE
    return (_READ if readable else frozenset()) | _WRITE.get((group, name), frozenset())


def _rule_faults(rule: Block) -> Iterator[str]:
    groups, verbs = rule.get("apiGroups") or (), set(rule.get("verbs") or ())
    if rule.get("nonResourceURLs"):
        yield f"gives {', '.join(sorted(verbs))} on URLs of the API server"
    if any("*" in word for words in (groups, rule.get("resources") or (), verbs) for word in words):
        yield "gives rights by wildcard, so also on what does not exist yet"
        return
    for name in rule.get("resources") or ():
        bad = {verb for group in groups for verb in verbs - _allowed(group, name)}
        if bad:
            yield f"gives {', '.join(sorted(bad))} on {name}"


@each("P29", "rbac-least", "ClusterRole", "Role")
def _rbac_least(resource: Resource, facts: Facts) -> Iterator[Fault]:
    """People may read all but secrets, restart pods, and replace secrets without reading them.

    Whoever could change anything else (walls, routes, roles, webhooks) or enter a pod would need
    no `access` to reach a model, and a wildcard gives what nobody has thought of.
    """
    for rule in resource.values.get("rules") or ():
        for what in _rule_faults(rule):
            yield Fault(resource, what, "give get, list and watch on named resources", "members")
    if resource.values.get("aggregationRule"):
        fix = "write the rules out"
        yield Fault(resource, "takes its rights from roles made elsewhere", fix, "members")


def _binding_faults(binding: Resource, roles: Mapping[str, Resource]) -> Iterator[str]:
    role = binding.values.get("roleRef") or {}
    name = role.get("name")
    if binding.kind == "ClusterRoleBinding":
        yield f"gives {name} in every namespace"
    elif role.get("kind") != "Role" or f"Role {binding.namespace}/{name}" not in roles:
        yield f"gives {role.get('kind')} {name}, which is not made here, so nobody judged it"
    for subject in binding.values.get("subjects") or ():
        if str(subject.get("name", "")).startswith("system:"):
            yield f"gives rights to {subject['name']}, a name of the cluster's own"
        if subject.get("kind") == "ServiceAccount" and not is_agents(subject):
            yield f"gives rights to {subject.get('name')}, a program of {subject.get('namespace')}"
        if is_agents(subject) and binding.namespace != CACHE_NAMESPACE:
            yield from _more_than_seen(roles.get(f"Role {binding.namespace}/{name}"))


def is_agents(subject: Block) -> bool:
    """Whether a binding's subject is the account of the cache agents."""
    found = (subject.get("kind"), subject.get("namespace"), subject.get("name"))
    return found == ("ServiceAccount", CACHE_NAMESPACE, CACHE_ACCOUNT)


def _more_than_seen(role: Resource | None) -> Iterator[str]:
    """What a project's role gives the cache agents beside the pods of their nodes."""
    for rule in role.values.get("rules") or () if role else ():
        sees = (rule.get("apiGroups"), rule.get("resources")) == ([""], ["pods"])
        if not sees or set(rule.get("verbs") or ()) - _READ:
            yield "gives the cache agents more than to see which pods their nodes have"


@whole("P29", "rbac-bindings")
def _rbac_bindings(estate: Estate) -> Iterator[Fault]:
    """A right holds in one namespace, by a role that stands beside it, for a group of people; the
    cache agents see a project's pods, and nothing else.

    cluster-admin and the cluster's own groups (everybody signed in, everybody at all) have none.
    """
    roles = {str(role): role for role in estate.of("Role")}
    for binding in estate.of("ClusterRoleBinding", "RoleBinding"):
        for what in _binding_faults(binding, roles):
            yield Fault(binding, what, "bind a Role of the project to groups of members", "members")


RULES: Final[tuple[Rule, ...]] = (_rbac_least, _rbac_bindings)
