"""The legal parts of the platform: namespaces, bounds, rights, accounts, volumes, nodes, guards."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Final

from model_specs.gpu_kinds import GPU_RESOURCES
from model_specs.names import (
    CACHE_ACCOUNT,
    CACHE_NAMESPACE,
    GATEWAY_NAMESPACE,
    LABEL_MACHINE,
    LABEL_ROLE,
    PROBER,
    SYSTEM_NAMESPACE,
)
from model_specs.project import Members
from policies.legal.asked import (
    ROLE,
    NotAsked,
    Plain,
    head,
    labels_of_machine,
    labels_of_model,
    labels_of_project,
    machine_of,
    of_region,
    of_role,
    project_of,
    role_arn,
    role_noted,
    role_of_job,
    slug,
    vendors_taint,
)
from policies.legal.guard import AGREED
from policies.legal.shapes import ABSENT, Asked, Judged, Subject

_RBAC: Final = "rbac.authorization.k8s.io"
SPACES: Final = (CACHE_NAMESPACE, GATEWAY_NAMESPACE, SYSTEM_NAMESPACE)
"""The namespaces of the platform's own parts."""
PRIORITIES: Final = {"isoserve-preemptible": 1000, "isoserve-standard": 1_000_000}
"""The priority classes, and their values."""


def _cache(subject: Subject) -> str:
    return CACHE_NAMESPACE


def _named(subject: Subject, *legal: str) -> str:
    """The object's own name where it is legal, else the first that is."""
    name = str(subject.resource.metadata.get("name"))
    return name if name in legal else legal[0]


def _object(version: str, kind: str, metadata: Plain, **body: Any) -> Plain:
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **body}


def _levels(level: str) -> Plain:
    pss = "pod-security.kubernetes.io"
    return {
        f"{pss}/audit": "restricted",
        f"{pss}/enforce": level,
        f"{pss}/enforce-version": "latest",
        f"{pss}/warn": level,
    }


def _of_platform_space(subject: Subject) -> Plain:
    level = "privileged" if _named(subject, *SPACES) == CACHE_NAMESPACE else "restricted"
    return {"isoserve.dev/platform": "true", **_levels(level)}


PLATFORM_SPACE: Final = _object(
    "v1",
    "Namespace",
    head(_of_platform_space, lambda subject: _named(subject, *SPACES), None, of_region),
)
PROJECT_SPACE: Final = _object(
    "v1",
    "Namespace",
    head(
        lambda subject: {**labels_of_project(subject), **_levels("restricted")},
        project_of,
        None,
        of_region,
    ),
)


def _priority(subject: Subject) -> str:
    return _named(subject, *PRIORITIES)


PRIORITY_CLASS: Final = _object(
    "scheduling.k8s.io/v1",
    "PriorityClass",
    head(lambda subject: {}, _priority, None, of_region),
    value=Asked(lambda subject: PRIORITIES[_priority(subject)]),
    preemptionPolicy="PreemptLowerPriority",
    description="isoserve: a higher value takes the GPUs of a lower one.",
)


def _bounds(subject: Subject) -> Plain:
    """A project's quotas. What a rollout needs on top is for `gpu-quota` to say, so it is read."""
    hard: Plain = subject.resource.spec.get("hard") or {}
    spec = subject.facts.projects[project_of(subject)].spec
    cpu = _at_least(hard.get("limits.cpu"), spec.cpu_quota + 1, "")
    memory = _at_least(hard.get("limits.memory"), spec.memory_quota_gib + 1, "Gi")
    return {
        "limits.cpu": cpu,
        "limits.memory": memory,
        "persistentvolumeclaims": "20",
        "pods": "500",
        "requests.cpu": cpu,
        "requests.memory": memory,
        **{name: str(hard.get(name)) for name in map("requests.{}".format, GPU_RESOURCES)},
        "services.loadbalancers": "0",
        "services.nodeports": "0",
    }


def _at_least(got: Any, least: int, unit: str) -> str:
    number = str(got).removesuffix(unit)
    return f"{max(int(number) if number.isdigit() else 0, least)}{unit}"


QUOTA: Final = _object(
    "v1",
    "ResourceQuota",
    head(labels_of_project, lambda subject: "project", project_of, of_region),
    spec={"hard": Asked(_bounds)},
)
_SMALL: Final = {"cpu": "100m", "ephemeral-storage": "256Mi", "memory": "128Mi"}
LIMITS: Final = _object(
    "v1",
    "LimitRange",
    head(labels_of_project, lambda subject: "project", project_of, of_region),
    spec={"limits": [{"default": _SMALL, "defaultRequest": _SMALL, "type": "Container"}]},
)


def roles_of(members: Members) -> dict[str, tuple[str, ...]]:
    """The groups that have each role of a project; a role that nobody has is not made."""
    groups = {
        "project-admin": members.admins,
        "project-developer": members.developers,
        "project-viewer": members.viewers,
    }
    return {role: names for role, names in groups.items() if names}


def _members(subject: Subject) -> dict[str, tuple[str, ...]]:
    return roles_of(subject.facts.projects[project_of(subject)].spec.members)


def _role(subject: Subject) -> str:
    roles = _members(subject)
    if not roles:
        raise NotAsked("is of a project that has no members")
    return _named(subject, *roles)


def _groups(subject: Subject) -> list[Plain]:
    names = _members(subject)[_role(subject)]
    return [{"apiGroup": _RBAC, "kind": "Group", "name": name} for name in names]


_BY_ROLE: Final = head(labels_of_project, _role, project_of, of_region)
PROJECT_ROLE: Final = _object(f"{_RBAC}/v1", "Role", _BY_ROLE, rules=Judged("rbac-least"))
PROJECT_BINDING: Final = _object(
    f"{_RBAC}/v1",
    "RoleBinding",
    _BY_ROLE,
    roleRef={"apiGroup": _RBAC, "kind": "Role", "name": Asked(_role)},
    subjects=Asked(_groups),
)


def _beside(subject: Subject) -> str:
    """Where the agents have rights: beside themselves, or in a project."""
    return project_of(subject) if subject.resource.project else CACHE_NAMESPACE


def _agents_labels(subject: Subject) -> Plain:
    own = labels_of_project(subject) if subject.resource.project else {}
    return {**own, LABEL_ROLE: "cache-agent"}


def _agents_rules(subject: Subject) -> list[Plain]:
    """They write Events about themselves, and see which pods of a project their nodes have."""
    resource, verbs = ("events", ["create"])
    if subject.resource.project:
        resource, verbs = ("pods", ["list", "watch"])
    return [{"apiGroups": [""], "resources": [resource], "verbs": verbs}]


_OF_AGENTS: Final = head(_agents_labels, lambda subject: CACHE_ACCOUNT, _beside)
AGENT_ROLE: Final = _object(f"{_RBAC}/v1", "Role", _OF_AGENTS, rules=Asked(_agents_rules))
AGENT_BINDING: Final = _object(
    f"{_RBAC}/v1",
    "RoleBinding",
    _OF_AGENTS,
    roleRef={"apiGroup": _RBAC, "kind": "Role", "name": CACHE_ACCOUNT},
    subjects=[{"kind": "ServiceAccount", "name": CACHE_ACCOUNT, "namespace": CACHE_NAMESPACE}],
)


def _account(metadata: Plain) -> Plain:
    return _object("v1", "ServiceAccount", metadata, automountServiceAccountToken=False)


AGENT_ACCOUNT: Final = _account(
    head(
        of_role("cache-agent"),
        lambda subject: CACHE_ACCOUNT,
        _cache,
        lambda subject: role_arn(subject, CACHE_NAMESPACE),
    )
)


def _model_role(subject: Subject) -> Plain:
    """The project's role, or the own one of a job with data, or none: whose pods read the registry
    is for `iam-accounts` to say."""
    if ROLE not in (subject.resource.metadata.get("annotations") or {}):
        return {}
    project, name = project_of(subject), str(subject.resource.metadata.get("name"))
    if subject.facts.job_with_data(project, name) and subject.facts.jobs_have_roles:
        return role_noted(subject, role_of_job(subject, project, name))
    return role_arn(subject, project)


MODEL_ACCOUNT: Final = _account(head(labels_of_model, None, project_of, _model_role))
PROBER_ACCOUNT: Final = _account(
    head(lambda subject: {**labels_of_project(subject), LABEL_ROLE: PROBER}, lambda subject: PROBER)
)


def _claimed(subject: Subject) -> str:
    """The machine type whose nodes a volume or claim is on, by its name."""
    name = str(subject.resource.metadata.get("name"))
    for machine in subject.facts.profile.machines:
        if name.endswith(f"models-{slug(machine)}"):
            return machine
    raise NotAsked("is for no machine type that the profile offers")


def _claim_name(subject: Subject) -> str:
    return f"models-{slug(_claimed(subject))}"


def _volume_name(subject: Subject) -> str:
    return f"{project_of(subject)}-{_claim_name(subject)}"


def _nodes(subject: Subject) -> Plain:
    where = {"key": LABEL_MACHINE, "operator": "In", "values": [_claimed(subject)]}
    return {"required": {"nodeSelectorTerms": [{"matchExpressions": [where]}]}}


VOLUME: Final = _object(
    "v1",
    "PersistentVolume",
    head(labels_of_project, _volume_name, None),
    spec={
        "accessModes": ["ReadOnlyMany"],
        "capacity": {"storage": "1Gi"},
        "claimRef": {"name": Asked(_claim_name), "namespace": Asked(project_of)},
        "local": {"path": Asked(lambda subject: f"/var/lib/isoserve/{project_of(subject)}")},
        "nodeAffinity": Asked(_nodes),
        "persistentVolumeReclaimPolicy": "Retain",
        "storageClassName": "isoserve-cache",
    },
)
CLAIM: Final = _object(
    "v1",
    "PersistentVolumeClaim",
    head(labels_of_project, _claim_name),
    spec={
        "accessModes": ["ReadOnlyMany"],
        "resources": {"requests": {"storage": "1Gi"}},
        "storageClassName": "isoserve-cache",
        "volumeName": Asked(_volume_name),
    },
)


def _of_node(subject: Subject) -> Plain:
    on_aws = subject.facts.profile.provider == "aws"
    return labels_of_machine(machine_of(subject)[0], "on_demand", on_aws=on_aws)


def _listed(subject: Subject) -> str:
    names = machine_of(subject)[1].node_names
    if not names:
        raise NotAsked("is a node of a machine type of which the profile lists none")
    return _named(subject, *names)


def _taints(subject: Subject) -> Any:
    taint = vendors_taint(machine_of(subject)[0])
    return ABSENT if taint is None else {"taints": [{"effect": "NoSchedule", **taint}]}


NODE: Final = _object(
    "v1",
    "Node",
    head(_of_node, _listed, None),
    spec=Asked(_taints),
)


def _budget() -> Plain:
    def chosen(subject: Subject) -> Plain:
        return {**labels_of_model(subject), LABEL_ROLE: "model-server"}

    return _object(
        "policy/v1",
        "PodDisruptionBudget",
        head(labels_of_model),
        spec={
            "maxUnavailable": 1,
            "selector": {"matchLabels": Asked(chosen)},
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        },
    )


BUDGET: Final = _budget()


def _guard(subject: Subject) -> str:
    return _named(subject, *AGREED)


def _of_guard(subject: Subject) -> Plain:
    return {"isoserve.dev/rule": AGREED[_guard(subject)][0]}


_GUARD: Final = "admissionregistration.k8s.io/v1"


def _reachable(subject: Subject) -> dict[str, list[list[str]]]:
    """By place and port, the labels of the pods that models may call there."""
    found: dict[str, list[list[str]]] = {}
    for one in subject.facts.profile.reachable:
        for place in one.networks or (one.namespace,):
            labels = [f"{key}={one.pods[key]}" for key in sorted(one.pods)]
            found.setdefault(f"{place}:{one.port}", []).append(labels)
    return found


def places(subject: Subject) -> dict[str, str]:
    """The CEL variables of the admission guard that differ from region to region."""
    profile = subject.facts.profile
    return {
        "domain": f"'{profile.domain}'",
        "hosts": str([*profile.image_hosts]),
        "provider": f"'{profile.provider}'",
        "proxies": str([*profile.proxy_namespaces]),
        "registry": str([*profile.registry.ports]),
        "addresses": str([*profile.registry.addresses]),
        "reachable": str(_reachable(subject)),
        "scraper": f"'{profile.scraper_namespace}'",
    }


def digest_of(spec: Any, known: dict[str, str]) -> str:
    """The digest of a guard's spec with the region's own variables, `known`, left open."""
    own = [{"expression": expression, "name": name} for name, expression in known.items()]
    variables = [
        {"of the region": one["name"]} if one in own else one for one in spec.get("variables") or ()
    ]
    text = json.dumps({**spec, "variables": variables}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _agreed(subject: Subject) -> Any:
    """The guard's own spec where its digest is the agreed one."""
    spec = subject.resource.spec
    agreed = AGREED[_guard(subject)][1]
    digest = digest_of(spec, places(subject))
    return spec if digest == agreed else f"a spec of digest {agreed[:12]}"


GUARD: Final = _object(
    _GUARD,
    "ValidatingAdmissionPolicy",
    head(_of_guard, _guard, None),
    spec=Asked(_agreed),
)
GUARD_BINDING: Final = _object(
    _GUARD,
    "ValidatingAdmissionPolicyBinding",
    head(_of_guard, _guard, None),
    spec={"policyName": Asked(_guard), "validationActions": ["Deny"]},
)
