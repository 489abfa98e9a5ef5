"""ProjectSpace: a tenant's namespace, its bounds, its walls and its people's rights."""

from __future__ import annotations

from typing import Final

from components.kube import Object, head, namespace_named, resolver
from components.platform_space import namespace
from model_specs.names import LABEL_MODEL, LABEL_PROJECT
from regions.plan import ProjectPlan

Rule = dict[str, list[str]]

_READ: Final = ["get", "list", "watch"]
_VIEW: Final[tuple[Rule, ...]] = (
    {"apiGroups": [""], "resources": ["configmaps", "events", "pods", "pods/log", "services"],
     "verbs": _READ},
    {"apiGroups": ["apps"], "resources": ["deployments", "replicasets"], "verbs": _READ},
    {"apiGroups": ["batch"], "resources": ["cronjobs", "jobs"], "verbs": _READ},
    {"apiGroups": ["autoscaling"], "resources": ["horizontalpodautoscalers"], "verbs": _READ},
)  # fmt: skip
_RESTART: Final[tuple[Rule, ...]] = (
    {"apiGroups": [""], "resources": ["pods"], "verbs": ["delete"]},
)
_SECRETS: Final[tuple[Rule, ...]] = (
    # Write without read: a deletion is answered with the whole object, as a patch is, also with
    # dryRun. An admin replaces a Secret, and empties one that is to go.
    {"apiGroups": [""], "resources": ["secrets"], "verbs": ["create", "update"]},
)
_ROLES: Final[dict[str, tuple[Rule, ...]]] = {
    "admin": (*_VIEW, *_RESTART, *_SECRETS),
    "developer": (*_VIEW, *_RESTART),
    "viewer": _VIEW,
}


def _labels(plan: ProjectPlan) -> dict[str, str]:
    return {LABEL_PROJECT: plan.name}


def _quota(plan: ProjectPlan) -> Object:
    hard = {
        "limits.cpu": str(plan.cpu),
        "limits.memory": f"{plan.memory_gib}Gi",
        "persistentvolumeclaims": str(plan.claims),
        "pods": str(plan.pods),
        "requests.cpu": str(plan.cpu),
        "requests.memory": f"{plan.memory_gib}Gi",
        **{f"requests.{resource}": str(gpus) for resource, gpus in plan.gpus.items()},
        "services.loadbalancers": "0",
        "services.nodeports": "0",
    }
    return head("v1", "ResourceQuota", "project", plan.namespace, _labels(plan), {}) | {
        "spec": {"hard": hard}
    }


def _limits(plan: ProjectPlan) -> Object:
    small = {"cpu": "100m", "ephemeral-storage": "256Mi", "memory": "128Mi"}
    return head("v1", "LimitRange", "project", plan.namespace, _labels(plan), {}) | {
        "spec": {"limits": [{"default": small, "defaultRequest": small, "type": "Container"}]}
    }


def _default_deny(plan: ProjectPlan) -> Object:
    """Nothing in, nothing out but DNS; the other walls open what is allowed beside it."""
    return head(
        "networking.k8s.io/v1", "NetworkPolicy", "default-deny", plan.namespace, _labels(plan), {}
    ) | {
        "spec": {"egress": [resolver()], "podSelector": {}, "policyTypes": ["Egress", "Ingress"]},
    }


def _callers(plan: ProjectPlan) -> Object:
    """Out to whom the project may call, for its own pods; a model's code still calls nobody.

    No port is bound: the gateways' proxies listen on others than their listeners say, and each
    model's own wall opens its ports alone. No model has a name that begins with `default-`.
    """
    no_model = {"key": LABEL_MODEL, "operator": "DoesNotExist"}
    kind, name = "NetworkPolicy", "default-callers"
    return head("networking.k8s.io/v1", kind, name, plan.namespace, _labels(plan), {}) | {
        "spec": {
            "egress": [{"to": [namespace_named(callee) for callee in plan.callee_namespaces]}],
            "podSelector": {"matchExpressions": [no_model]},
            "policyTypes": ["Egress"],
        },
    }


def _role(plan: ProjectPlan, role: str) -> Object:
    return head(
        "rbac.authorization.k8s.io/v1", "Role", f"project-{role}", plan.namespace, _labels(plan), {}
    ) | {"rules": list(_ROLES[role])}


def _binding(plan: ProjectPlan, role: str, groups: tuple[str, ...]) -> Object:
    group = "rbac.authorization.k8s.io"
    return head(
        f"{group}/v1", "RoleBinding", f"project-{role}", plan.namespace, _labels(plan), {}
    ) | {
        "roleRef": {"apiGroup": group, "kind": "Role", "name": f"project-{role}"},
        "subjects": [{"apiGroup": group, "kind": "Group", "name": name} for name in groups],
    }


def objects(plan: ProjectPlan) -> list[Object]:
    """The tenant's space; a role is made only when somebody has it."""
    members = {"admin": plan.admins, "developer": plan.developers, "viewer": plan.viewers}
    space = [namespace(plan.namespace, _labels(plan), "restricted")] if plan.owns_namespace else []
    rights = [
        made
        for role, groups in members.items()
        if groups
        for made in (_role(plan, role), _binding(plan, role, groups))
    ]
    walls = [_default_deny(plan), _callers(plan)]
    return [*space, _quota(plan), _limits(plan), *walls, *rights]
