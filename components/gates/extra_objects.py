"""Finds objects in our namespaces that no plan has, such as a NetworkPolicy that a hand has added.

The engine knows what it made, so nothing else tells of them. A refresh lists every kind of KINDS in
the namespaces that a region makes, and names each object that is in no plan, unless the cluster or
a controller makes it (MADE, CONTROLLED), or an add-on that the profile lists (`addon_objects`), or
it is a Secret that an object of ours names.

`up` never deletes one: it may hold data or serve somebody, and its deletion cannot be taken back,
while nothing in it tells for sure who needs it. A namespace that exists before us has an owner
who may add to it: it is not looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final, Protocol

from components.gates.acts import Asked
from components.kube import Object
from components.kube_client import ApiError, Forbidden

Names = Iterable[tuple[str, str, str, str]]
"""apiVersion, kind, namespace (empty where there is none), name."""


class Api(Protocol):
    """What is asked of an API server (components.kube_client.KubeClient)."""

    def get_as(self, path: str, form: str) -> Object | None:
        """What is at a path in a form of JSON, an Accept header; None where there is nothing.
        Raises Forbidden without the right to it, ApiError where there is no answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kinds:
    """Kinds of one API group that are looked for, and what one that a hand adds could do."""

    group: str
    kinds: tuple[str, ...]
    why: str


def _kinds(group: str, names: str, why: str) -> Kinds:
    return Kinds(group=group, kinds=tuple(names.split()), why=why)


KINDS: Final[tuple[Kinds, ...]] = (
    _kinds("", "ConfigMap Secret", "programs and secrets that nobody reviewed"),
    _kinds("", "Pod ReplicationController", "runs pods"),
    _kinds("", "PersistentVolumeClaim", "holds data, and counts against the quota"),
    _kinds("", "LimitRange ResourceQuota", "bounds what may run"),
    _kinds("", "Service", "opens a way"),
    _kinds("", "ServiceAccount", "an identity for pods"),
    _kinds("apps", "DaemonSet Deployment ReplicaSet StatefulSet", "runs pods"),
    _kinds("autoscaling", "HorizontalPodAutoscaler", "sets replicas"),
    _kinds("batch", "CronJob Job", "runs pods"),
    _kinds("cert-manager.io", "Certificate Issuer", "makes certificates of hosts"),
    _kinds("cilium.io", "CiliumNetworkPolicy", "opens a way"),
    _kinds("crd.projectcalico.org", "NetworkPolicy", "opens a way"),
    _kinds("discovery.k8s.io", "EndpointSlice", "leads a Service's requests elsewhere"),
    _kinds(
        "gateway.envoyproxy.io",
        "Backend BackendTrafficPolicy ClientTrafficPolicy EnvoyExtensionPolicy EnvoyPatchPolicy "
        "EnvoyProxy HTTPRouteFilter SecurityPolicy",
        "changes who is let in, and how",
    ),
    _kinds(
        "gateway.networking.k8s.io",
        "BackendTLSPolicy GRPCRoute Gateway HTTPRoute ListenerSet ReferenceGrant TCPRoute TLSRoute "
        "UDPRoute",
        "opens a way",
    ),
    _kinds("gateway.networking.x-k8s.io", "XBackendTrafficPolicy XListenerSet", "opens a way"),
    _kinds("keda.sh", "ScaledJob ScaledObject TriggerAuthentication", "sets replicas, runs pods"),
    _kinds(
        "monitoring.coreos.com",
        "AlertmanagerConfig PodMonitor Probe PrometheusRule ScrapeConfig ServiceMonitor",
        "changes what is measured, and who is told",
    ),
    _kinds("networking.k8s.io", "Ingress NetworkPolicy", "opens a way"),
    _kinds("policy", "PodDisruptionBudget", "holds up a node's drain"),
    _kinds("rbac.authorization.k8s.io", "Role RoleBinding", "grants rights"),
)
"""All that we render in a namespace, and what else grants rights, opens ways or runs pods there.
Endpoints are none of them: who routes reads EndpointSlices."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """An object that the cluster itself makes in every namespace."""

    kind: str
    name: str
    who: str
    source: str


MADE: Final[tuple[Made, ...]] = (
    Made(
        kind="ConfigMap",
        name="kube-root-ca.crt",
        who="the publisher of the cluster's CA",
        source="kubernetes, pkg/controller/certificates/rootcacertpublisher/publisher.go",
    ),
    Made(
        kind="ConfigMap",
        name="istio-ca-root-cert",
        who="istiod, where there is a mesh",
        source="istio, pilot/pkg/serviceregistry/kube/controller/namespacecontroller.go",
    ),
    Made(
        kind="ServiceAccount",
        name="default",
        who="the controller of accounts",
        source="kubernetes, pkg/controller/serviceaccount/serviceaccounts_controller.go",
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Controlled:
    """Objects that a controller makes for another object, which it names as their owner; of those
    with `label` (key and value) alone, where there is one. What has an owner of another kind is
    named: a hand can write any owner."""

    kinds: frozenset[str]
    owner: str
    label: tuple[str, str] | None
    source: str


def _controlled(kinds: str, owner: str, source: str, label: tuple[str, str] | None) -> Controlled:
    return Controlled(kinds=frozenset(kinds.split()), owner=owner, label=label, source=source)


_BY_CONTROLLER: Final = (
    "endpointslice.kubernetes.io/managed-by",
    "endpointslice-controller.k8s.io",
)
"""The controller removes from such a slice what the Service does not select."""
CONTROLLED: Final[tuple[Controlled, ...]] = (
    _controlled("Pod", "DaemonSet", "kubernetes, pkg/controller/daemon", None),
    _controlled("Pod", "Job", "kubernetes, pkg/controller/job", None),
    _controlled("Pod", "ReplicaSet", "kubernetes, pkg/controller/replicaset", None),
    _controlled("ReplicaSet", "Deployment", "kubernetes, pkg/controller/deployment", None),
    _controlled(
        "Job", "CronJob", "kubernetes, pkg/controller/cronjob; a run by hand of ours too", None
    ),
    _controlled(
        "EndpointSlice", "Service", "kubernetes, pkg/controller/endpointslice", _BY_CONTROLLER
    ),
    _controlled("HorizontalPodAutoscaler", "ScaledObject", "keda, controllers/keda/hpa.go", None),
    _controlled(
        "ConfigMap DaemonSet Deployment HorizontalPodAutoscaler PodDisruptionBudget Service "
        "ServiceAccount",
        "Gateway",
        "envoyproxy/gateway, internal/infrastructure/kubernetes/proxy/resource_provider.go: the "
        "proxies, in its GatewayNamespace mode",
        None,
    ),
    _controlled(
        "Secret",
        "Certificate",
        "cert-manager, pkg/controller/certificates/keymanager: a next key",
        None,
    ),
)

_HEADS: Final = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
"""Objects without what is in them: no Secret's value leaves the API server."""
_SERVED: Final = "application/json;v=v2;g=apidiscovery.k8s.io;as=APIGroupDiscoveryList"
"""Every kind that is served, in one answer each for /api and /apis (Kubernetes 1.30 and later)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """`extra` has a line for each object that no plan has; `unseen` for each kind and namespace
    that could not be looked at."""

    extra: list[str]
    unseen: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Served:
    """A kind as an API server has it: the folder of its objects is under `base` and a namespace."""

    group: str
    kind: str
    base: str
    resource: str

    def folder(self, namespace: str) -> str:
        return f"{self.base}/namespaces/{namespace}/{self.resource}"

    @property
    def for_kubectl(self) -> str:
        return f"{self.resource}.{self.group}" if self.group else self.resource


def group_of(version: str) -> str:
    """The API group of an apiVersion; empty for the core's."""
    return version.rpartition("/")[0]


def _served(api: Api) -> Iterator[_Served]:
    """The kinds of KINDS that the API server has, each by its newest version. Raises ApiError."""
    wanted = {(row.group, kind) for row in KINDS for kind in row.kinds}
    for root in ("/api", "/apis"):
        told = api.get_as(root, _SERVED) or {}
        if "items" not in told:
            why = f"its version tells not in one answer what it serves (get {root})"
            raise ApiError(why, passes=False)
        for one in told["items"]:
            group = one["metadata"].get("name", "")
            base = f"{root}/{group}" if group else root
            for version in one.get("versions", ()):
                for row in version.get("resources", ()):
                    key = group, row.get("responseKind", {}).get("kind", "")
                    if key in wanted:
                        wanted.remove(key)
                        where = f"{base}/{version['version']}"
                        yield _Served(
                            group=group, kind=key[1], base=where, resource=row["resource"]
                        )


def secrets_of(made: Any) -> Iterator[str]:
    """The names of Secrets in an object that we render: volumes, certificates, keys."""
    if isinstance(made, list):
        for one in made:
            yield from secrets_of(one)
    if not isinstance(made, dict):
        return
    for key, value in made.items():
        if key == "secretName":
            yield str(value)
        elif isinstance(value, dict) and key in ("secret", "secretKeyRef", "secretRef"):
            yield from (str(value["name"]) for _ in range("name" in value))
        elif key in ("certificateRefs", "credentialRefs", "imagePullSecrets"):
            yield from (str(one["name"]) for one in value)
        yield from secrets_of(value)


def spaces(names: Names) -> list[str]:
    """The namespaces among `names`, each once: those that the region makes."""
    return sorted({name for _, kind, _, name in names if kind == "Namespace"})


def _is_made(live: Object, kind: str, everywhere: Collection[tuple[str, str]]) -> bool:
    """Whether it is of those that are made in every namespace, by kind and name, or a controller
    makes it, or it is being deleted."""
    metadata = live["metadata"]
    if "deletionTimestamp" in metadata:
        return True
    if (kind, metadata["name"]) in everywhere:
        return True
    # A controller counts, adopts or removes what it controls; other owners hold nothing to account.
    owners = {
        owner["kind"]
        for owner in metadata.get("ownerReferences") or ()
        if owner.get("controller") or owner["kind"] in ("CronJob", "Gateway")
    }
    labels = metadata.get("labels") or {}
    return any(
        kind in row.kinds
        and row.owner in owners
        and (row.label is None or labels.get(row.label[0]) == row.label[1])
        for row in CONTROLLED
    )


def makers(live: Object) -> str:
    """Who has written to an object, in words."""
    fields = live["metadata"].get("managedFields") or ()
    found = {entry["manager"] for entry in fields if not entry.get("subresource")}
    return ", ".join(sorted(found)) or "somebody"


def _line(live: Object, of: _Served, namespace: str, is_ours: bool) -> str:
    name = live["metadata"]["name"]
    removal = f"`kubectl delete -n {namespace} {of.for_kubectl}/{name}` removes it"
    rest = "an `up` that ends well does it where this region made it" if is_ours else ""
    named = "name it in a spec if it is used, or else" if of.kind == "Secret" else ""
    kept = "" if is_ours else "`up` leaves it"
    what = [one for one in (kept, f"{named} {removal}".strip(), rest) if one]
    return f"{of.kind} {namespace}/{name} is in no plan, made by {makers(live)}: {', '.join(what)}"


def look(api: Api, asked: Asked, is_ours: Callable[[Object], bool]) -> Found:
    """Every object of KINDS in the namespaces that `asked["names"]` makes which is not among these
    names; one question for each kind and namespace.

    `asked["secrets"]` are namespaces and names of Secrets that are named, `asked["addons"]` kinds
    and names of what the cluster's add-ons put into every namespace. `is_ours` tells of a live
    object whether it has the region's marks. Raises ApiError.
    """
    everywhere = {(row.kind, row.name) for row in MADE}
    everywhere |= {(kind, name) for kind, name in asked.get("addons", ())}
    names = [tuple(name) for name in asked["names"]]
    known = {(group_of(version), *rest) for version, *rest in names}
    known |= {("", "Secret", space, name) for space, name in asked.get("secrets", ())}
    found = Found(extra=[], unseen=[])
    where = spaces(names)
    for of in sorted(_served(api), key=lambda of: of.kind) if where else ():
        if of.kind == "Secret" and "secrets" not in asked:
            # An `up` of before did not remember which Secrets are named: all would be strangers.
            found.unseen.append("Secrets: the next `up` knows which of them are named")
            continue
        for space in where:
            try:
                listed = api.get_as(of.folder(space), _HEADS) or {}
            except Forbidden:
                found.unseen.append(f"{of.kind} in {space}: no right to list {of.for_kubectl}")
                continue
            for live in listed.get("items") or ():  # null where a custom kind has none
                key = of.group, of.kind, space, live["metadata"]["name"]
                if key not in known and not _is_made(live, of.kind, everywhere):
                    found.extra.append(_line(live, of, space, is_ours(live)))
    return found
