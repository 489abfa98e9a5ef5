"""The ways into a Service from outside of its namespace, and the things that may be such a way.

What is not understood is no way that can be judged, so it is refused (`strange_doors`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from policies.gateways import Gate, gate
from policies.resources import Resource
from policies.rule import WORKLOADS, Estate
from policies.walls import INTERNET

Block = Mapping[str, Any]

ROUTES: Final = ("GRPCRoute", "HTTPRoute", "TCPRoute", "TLSRoute", "UDPRoute")
_OPEN_TYPES: Final = ("LoadBalancer", "NodePort")
_QUIET_GROUPS: Final = frozenset({
    "admissionregistration.k8s.io", "apps", "autoscaling", "batch", "core", "keda.sh",
    "monitoring.coreos.com", "policy", "rbac.authorization.k8s.io", "resource.k8s.io",
    "scheduling.k8s.io", "storage.k8s.io",
})  # fmt: skip
"""API groups without a way in, but for the kinds that are judged by name."""
_JUDGED: Final = frozenset({
    ("cert-manager.io", "Certificate"),
    *(("gateway.networking.k8s.io", kind) for kind in (*ROUTES, "Gateway", "ReferenceGrant")),
    ("gateway.envoyproxy.io", "BackendTrafficPolicy"),
    ("gateway.envoyproxy.io", "SecurityPolicy"),
    ("networking.k8s.io", "Ingress"),
    ("networking.k8s.io", "NetworkPolicy"),
})  # fmt: skip
"""Kinds of all other groups that some rule reads."""


@dataclass(frozen=True, slots=True)
class Door:
    """A way to one Service: who stands before it, the steps in words, and what opens it.

    Of a route, also its gateway, the parentRef that names it, and the rule that leads here.
    """

    service: str
    who: str
    steps: tuple[str, ...]
    opener: Resource
    gate: Gate | None
    parent: Block
    rule: Block


def _plain(service: str, opener: Resource, *steps: str) -> Door:
    """A door to the internet that nobody guards."""
    return Door(service, INTERNET, steps, opener, None, {}, {})


def key(namespace: str, name: str) -> str:
    """How a Service is found."""
    return f"{namespace}/{name}"


def _own(service: Resource) -> Iterator[Door]:
    """The ways that a Service itself opens: behind a node's address no wall sees who calls."""
    spec, label = service.spec, key(service.namespace, str(service.metadata["name"]))
    kind = spec.get("type") or "ClusterIP"
    if kind in _OPEN_TYPES:
        yield _plain(label, service, f"{kind} of {service}")
    if spec.get("externalIPs"):
        yield _plain(label, service, f"externalIPs of {service}")


def _named(reference: Block, home: str) -> str:
    return key(reference.get("namespace") or home, str(reference.get("name")))


def _is_service(reference: Block) -> bool:
    return reference.get("kind", "Service") == "Service" and not reference.get("group")


def _filters(rule: Block) -> Iterator[Block]:
    yield from rule.get("filters") or ()
    for backend in rule.get("backendRefs") or ():
        yield from backend.get("filters") or ()


def _backends(rule: Block) -> Iterator[tuple[str, Block]]:
    """What a rule of a route leads to, each with a word for how."""
    yield from (("", backend) for backend in rule.get("backendRefs") or ())
    for one in _filters(rule):
        if "requestMirror" in one:
            yield "a copy to ", one["requestMirror"].get("backendRef") or {}


def _routed(route: Resource, estate: Estate) -> Iterator[Door]:
    parents: Sequence[Block] = route.spec.get("parentRefs") or ({},)
    for parent in parents:
        found = gate(estate, parent, route.namespace)
        for rule in route.spec.get("rules") or ():
            for how, backend in _backends(rule):
                label = _named(backend, route.namespace)
                steps = (str(found), str(route), f"{how}Service {label}")
                yield Door(label, found.who, steps, route, found, parent, rule)


def _ingress_backends(ingress: Resource) -> Iterator[Block]:
    yield ingress.spec.get("defaultBackend") or {}
    for rule in ingress.spec.get("rules") or ():
        for path in (rule.get("http") or {}).get("paths") or ():
            yield path.get("backend") or {}


def doors(estate: Estate) -> Iterator[Door]:
    """Every way into any Service; one is seen even where a wall would stop it today."""
    for service in estate.of("Service"):
        yield from _own(service)
    for route in estate.of(*ROUTES):
        yield from _routed(route, estate)
    for ingress in estate.of("Ingress"):
        for backend in _ingress_backends(ingress):
            label = _named(backend.get("service") or {}, ingress.namespace)
            yield _plain(label, ingress, str(ingress), f"Service {label}")


def _strange_service(service: Resource) -> Iterator[str]:
    kind = service.spec.get("type") or "ClusterIP"
    if kind not in ("ClusterIP", *_OPEN_TYPES):
        yield f"is of type {kind}: where its name leads is decided elsewhere"
    elif not service.spec.get("selector"):
        yield "selects no pods: where it leads is written by hand"
    if any(key.startswith("external-dns.") for key in service.metadata.get("annotations") or {}):
        yield "asks for a public DNS record"


def _strange_route(route: Resource) -> Iterator[str]:
    for rule in route.spec.get("rules") or ():
        for _, backend in _backends(rule):
            if not _is_service(backend):
                yield f"leads to a {backend.get('kind')}, of which nobody knows where it leads"


def strange_doors(resource: Resource) -> Iterator[str]:
    """Why nobody can say where this object leads, or whom it lets in."""
    # By the token: a chart or a file of manifests has no apiVersion, and holds who knows what.
    group = resource.type.split(":")[1].partition("/")[0]
    is_read = group in _QUIET_GROUPS or (group, resource.kind) in _JUDGED
    if resource.kind == "Endpoints" or not is_read:
        yield "is of a kind that may open a way to a model, and no rule reads it"
    elif resource.kind == "Service":
        yield from _strange_service(resource)
    elif resource.kind in ROUTES:
        yield from _strange_route(resource)
    elif resource.kind not in WORKLOADS and isinstance(resource.spec.get("template"), Mapping):
        yield "makes pods in a way that no rule reads"
