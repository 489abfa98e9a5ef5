"""Rules about tenants: what a project has is its own, and leads to nothing of another's."""

from __future__ import annotations

import marshal
from collections.abc import Iterator, Mapping
from typing import Any, Final

from model_specs.names import CACHE_NAMESPACE, GATEWAY_NAMESPACE, SYSTEM_NAMESPACE
from policies.entrances import ROUTES
from policies.facts import Facts
from policies.gateways import HOSTS, is_ours
from policies.pods import containers, pod
from policies.resources import Resource
from policies.rights import is_agents
from policies.rule import WORKLOADS, Estate, Fault, Rule, each, whole

Block = Mapping[str, Any]

_PLATFORM: Final = frozenset({CACHE_NAMESPACE, GATEWAY_NAMESPACE, SYSTEM_NAMESPACE})
_ROLE: Final = "eks.amazonaws.com/role-arn"
_CACHE_ROOT: Final = "/var/lib/isoserve"
_MODELS: Final = "/models"
"""Below it all containers of a model find its files."""
_NOT_IN_NAMESPACES: Final = frozenset({
    "ClusterRole", "ClusterRoleBinding", "Namespace", "Node", "PersistentVolume", "PriorityClass",
    "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding",
})  # fmt: skip
_VOLUME: Final = frozenset({
    "accessModes", "capacity", "claimRef", "local", "nodeAffinity",
    "persistentVolumeReclaimPolicy", "storageClassName", "volumeMode",
})  # fmt: skip
"""What a PersistentVolume says when its files are a directory of a node."""


_FIELDS: Final = tuple(
    marshal.dumps(field, 2) for field in ("namespace", "any", "matchNames", "namespaces")
)
"""By what `_named` finds namespaces, as whole texts: most objects hold the words within others."""
_LEAVES: Final = frozenset({bool, float, int, str, type(None)})
"""Types of values that hold no others; a test of each for Mapping takes longer than all else."""


def _may_hold_names(values: dict[str, Any]) -> bool:
    """Whether one of the fields that `_named` looks for may stand in it, read as bytes at once."""
    try:
        text = marshal.dumps(values, 2)
    except ValueError:  # something in it is no plain value
        return True
    return any(map(text.__contains__, _FIELDS))


def _named(values: Block) -> Iterator[tuple[str, str]]:
    """Every namespace that an object names, with the field in which it stands."""
    waiting: list[tuple[str, Any]] = [("", values)]
    while waiting:
        within, value = waiting.pop()
        if type(value) in _LEAVES:
            continue
        if type(value) is dict or isinstance(value, Mapping):
            if isinstance(value.get("namespace"), str):
                yield within, value["namespace"]
            if value.get("any") is True:
                yield within, "*"
            waiting += value.items()
        elif isinstance(value, list):
            if within in ("matchNames", "namespaces"):
                yield from ((within, str(inner)) for inner in value)
            waiting += ((within, inner) for inner in value)


def _may_name(resource: Resource, field: str, namespace: str, facts: Facts) -> bool:
    """Routes name the gateways' namespace, and the gateways' monitors that of their proxies.

    And a binding names the cache agents, who see a project's pods (see `rbac-bindings`).
    """
    if field == "parentRefs":
        return namespace == GATEWAY_NAMESPACE
    if resource.kind == "RoleBinding" and namespace == CACHE_NAMESPACE and field == "subjects":
        subjects = resource.values.get("subjects") or ()
        return all(is_agents(one) for one in subjects if one.get("namespace") == namespace)
    ours = (resource.kind, resource.namespace) == ("PodMonitor", GATEWAY_NAMESPACE)
    return ours and field == "matchNames" and namespace in facts.profile.proxy_namespaces


def _leads_out(resource: Resource, facts: Facts) -> Iterator[str]:
    home = resource.namespace
    if not home and resource.kind not in _NOT_IN_NAMESPACES:
        yield "stands in whichever namespace is the default"
    elif home and home not in facts.projects and home not in _PLATFORM:
        yield f"stands in namespace {home}, which is no project's"
    body = {key: value for key, value in resource.values.items() if key != "metadata"}
    for field, namespace in _named(body) if home and _may_hold_names(body) else ():
        if namespace != home and not _may_name(resource, field, namespace, facts):
            yield f"names namespace {namespace} in {field}"
    if resource.kind == "ReferenceGrant":
        yield "lets other namespaces use what is in its own"


@whole("P21", "tenant-isolation")
def _tenant_isolation(estate: Estate) -> Iterator[Fault]:
    """Nothing in a namespace names another one, but for routes, which name the gateways'.

    Who may call a model of another project is said by share_with and held by walls, never by a
    reference, a grant or a right across projects.
    """
    for resource in estate.resources:
        for what in _leads_out(resource, estate.facts) if resource.is_object else ():
            fix = "keep it within its project; share models by share_with"
            yield Fault(resource, what, fix, "share_with")


def _volume_faults(volume: Resource, facts: Facts) -> Iterator[str]:
    claim = (volume.spec.get("claimRef") or {}).get("namespace")
    path = (volume.spec.get("local") or {}).get("path")
    if set(volume.spec) - _VOLUME:
        yield f"holds {', '.join(sorted(set(volume.spec) - _VOLUME))}, which nobody here can judge"
    if claim not in facts.projects:
        yield f"may be claimed by {claim or 'anybody'}"
    elif path != f"{_CACHE_ROOT}/{claim}":
        yield f"shows {claim} the files in {path}"
    if volume.spec.get("accessModes") != ["ReadOnlyMany"]:
        yield "may be written, and its files are those of other pods too"


def _claimed(workload: Resource) -> Iterator[str]:
    for one in pod(workload).get("volumes") or ():
        if "persistentVolumeClaim" in one:
            yield f"{workload.namespace}/{one['persistentVolumeClaim'].get('claimName')}"


@whole("P21", "tenant-volumes")
def _tenant_volumes(estate: Estate) -> Iterator[Fault]:
    """A project sees the directory of its own models on a node, to read, and no other.

    Its claims name volumes that are bound to them alone, and its pods mount no other claims.
    """
    fix = f"show each project {_CACHE_ROOT}/<project> by a volume and a claim of its own"
    bound = {}
    for volume in estate.of("PersistentVolume"):
        claim = volume.spec.get("claimRef") or {}
        bound[volume.metadata["name"]] = f"{claim.get('namespace')}/{claim.get('name')}"
        for what in _volume_faults(volume, estate.facts):
            yield Fault(volume, what, fix, "cache")
    claims = set()
    for made in estate.of("PersistentVolumeClaim"):
        label = f"{made.namespace}/{made.metadata['name']}"
        claims.add(label)
        if bound.get(made.spec.get("volumeName", "")) != label:
            yield Fault(made, "claims a volume that is not bound to it", fix, "cache")
    for workload in estate.of(*WORKLOADS):
        for label in _claimed(workload):
            if label not in claims:
                yield Fault(workload, f"mounts claim {label}, which nobody makes", fix, "cache")


def _writes_weights(workload: Resource) -> Iterator[str]:
    """What of a pod could change the files of a model: its own, or those of other pods."""
    volumes = pod(workload).get("volumes") or ()
    claims = {one["name"]: one["persistentVolumeClaim"] for one in volumes
              if "persistentVolumeClaim" in one}  # fmt: skip
    for name, claim in claims.items():
        if claim.get("readOnly") is not True:
            yield f"takes claim {claim.get('claimName')} as volume {name} to write"
    first = [one for one in pod(workload).get("initContainers") or () if _downloads(one)]
    brought = {mount.get("name") for one in first for mount in one.get("volumeMounts") or ()}
    weights = {*claims, "models", *(brought - {"tmp"})}
    for one in containers(workload):
        if any(one is download for download in first):
            continue
        for mount in one.get("volumeMounts") or ():
            path, volume = str(mount.get("mountPath")), mount.get("name")
            near = volume in weights or path == "/" or _MODELS in path
            if near and mount.get("readOnly") is not True:
                yield f"container {one.get('name')} could write {path}, from volume {volume}"


def _downloads(container: Block) -> bool:
    """Whether a container is the download, which writes the files once, before all others start."""
    known = container.get("name") == "model" and not container.get("command")
    return known and [*(container.get("args") or ())][:1] == ["pull"]


@each("P21", "weights-read-only", *WORKLOADS)
def _weights_read_only(resource: Resource, facts: Facts) -> Iterator[Fault]:
    """In a project's pods only the download writes a model's files. All others mount them to be
    read, and claims of a node's copy, which other pods serve too, are taken to be read."""
    for what in _writes_weights(resource) if resource.namespace in facts.projects else ():
        yield Fault(resource, what, "mount a model's files readOnly, and write to /tmp", "")


@each("P21", "tenant-roles", "ServiceAccount")
def _tenant_roles(resource: Resource, facts: Facts) -> Iterator[Fault]:
    """On AWS a project's pods read the registry as that project, or as a job with data of its own,
    on other clouds as nobody.

    A role of another project would read its models, however well the walls stand.
    """
    role = (resource.metadata.get("annotations") or {}).get(_ROLE)
    account = facts.profile.account.account_id
    name = str(role).removeprefix(facts.arn(f"iam::{account}:role/"))
    job = facts.job_with_data(resource.namespace, str(resource.metadata.get("name")))
    own = job is not None and facts.is_role_of_job(name, resource.namespace)
    own = own or name == facts.role(resource.namespace)
    if role is not None and (facts.profile.provider != "aws" or not own):
        fix = "take the role of its own namespace, and none where there is no AWS"
        yield Fault(resource, f"acts as {role}", fix, "")


def _is_own(host: str, route: Resource, facts: Facts) -> bool:
    """Whether a host is that of a project's model, at a gateway that the route names."""
    name, _, rest = host.partition(f"--{route.namespace}.")
    domains = [
        HOSTS[parent["name"]].format(domain=facts.profile.domain)
        for parent in route.spec.get("parentRefs") or ()
        if is_ours(parent.get("namespace") or route.namespace, str(parent.get("name")))
    ]
    return f"{route.namespace}/{name}" in facts.models and f"*.{rest}" in domains


def _is_redirect(route: Resource) -> bool:
    """Whether a route leads nowhere but back to the same host by TLS."""
    rules = route.spec.get("rules") or ()
    back = [{"requestRedirect": {"scheme": "https", "statusCode": 301}, "type": "RequestRedirect"}]
    return route.namespace == GATEWAY_NAMESPACE and all(
        set(rule) <= {"filters", "matches"} and rule.get("filters") == back for rule in rules
    )


@each("P21", "route-own-name", *ROUTES)
def _route_own_name(resource: Resource, facts: Facts) -> Iterator[Fault]:
    """A route answers for hosts of its own project's models, `<model>--<project>.<domain>`, only.

    With another's host, or without any, it would get that model's requests and its callers' tokens.
    The platform's own redirect answers for all of them, and gets none.
    """
    if _is_redirect(resource):
        return
    for host in resource.spec.get("hostnames") or ("every host",):
        if not _is_own(host, resource, facts):
            fix = "name the host <model>--<project> of the gateway's domain"
            yield Fault(resource, f"answers for {host}", fix, "access")


RULES: Final[tuple[Rule, ...]] = (
    _tenant_isolation,
    _tenant_volumes,
    _weights_read_only,
    _tenant_roles,
    _route_own_name,
)
