"""How requests reach a model's pods inside the cluster, and what may not."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from components.kube import Object, blocks, head, namespace_named, tcp, ways_to_registry
from model_specs.names import LABEL_ROLE
from regions.model_plan import CallPlan, ListenPlan, ServerPlan, WorkloadPlan

LABEL_VERSION: Final = "isoserve.dev/version"
"""Which version a pod serves, `stable` or `candidate`: what Services select on."""


def service(plan: ServerPlan, name: str, role: str) -> Object:
    """A stable name for the pods of one version."""
    work = plan.workload
    return head("v1", "Service", name, work.namespace, work.labels, {}) | {
        "spec": {
            "ports": [{"name": "http", "port": 80, "protocol": "TCP", "targetPort": "http"}],
            "selector": {**work.labels, LABEL_ROLE: "model-server", LABEL_VERSION: role},
            "type": "ClusterIP",
        }
    }


def services(plan: ServerPlan) -> list[Object]:
    """The model's own Service, and the candidate's, by which it is also asked by itself."""
    name = plan.workload.model
    rows = {name: plan.live_role, **{b.service: b.role for b in plan.access.backends}}
    if any(track.role == "candidate" for track in plan.tracks):
        rows[f"{name}-candidate"] = "candidate"
    return [service(plan, service_name, role) for service_name, role in rows.items()]


def ports_of(listen: ListenPlan) -> dict[int, str]:
    """The names by which Services and walls find the ports, whatever runtime a pod has."""
    return {listen.metrics_port: "metrics", listen.port: "http"}


def server_ports(plan: ServerPlan) -> set[int]:
    """Where the pods of all tracks listen."""
    return {port for track in plan.tracks for port in ports_of(track.listen)}


def wall_name(work: WorkloadPlan, ports: set[int]) -> str:
    """The name of the policy around a model's pods."""
    # No model's name holds two hyphens, so this is no other model's policy.
    return "-".join([f"{work.model}-", *map(str, sorted(ports))]) if ports else work.model


def way_to(call: CallPlan) -> Object:
    """The way out to a Service's pods or to a host's networks, at one port.

    Where the profile names no labels of the pods, these are all of the Service's namespace.
    """
    chosen = {"podSelector": {"matchLabels": dict(call.pods)}} if call.pods else {}
    there = blocks(call.networks) or [{**namespace_named(call.namespace), **chosen}]
    return {"ports": tcp(call.port), "to": there}


def wall(work: WorkloadPlan, ports: set[int], callers: Iterable[str]) -> Object:
    """In: `callers`, namespaces, and metrics scrapes. Out: the registry where one of the pods reads
    it, and what the spec calls, nothing else.

    DNS is open by the namespace's default policy. The name holds the ports: where a runtime with
    other ports takes over, its policy is made before the old one goes, and the pods of both are
    reached meanwhile. Named ports would do it too, but not every network resolves them
    (aws/amazon-network-policy-controller-k8s#81, open).
    """
    name = wall_name(work, ports)
    sources = [namespace_named(name) for name in (*callers, work.scraper_namespace)]
    inward: Object = {"from": sources, "ports": tcp(*sorted(ports))}
    outward = ways_to_registry(work.registry_ports, work.registry_addresses)
    outward += [way_to(call) for call in work.calls]
    kind = "NetworkPolicy"
    return head("networking.k8s.io/v1", kind, name, work.namespace, work.labels, {}) | {
        "spec": {
            # A direction of policyTypes without rules lets nothing through.
            **({"egress": outward} if outward else {}),
            **({"ingress": [inward]} if ports else {}),
            "podSelector": {"matchLabels": work.labels},
            "policyTypes": ["Egress", "Ingress"],
        }
    }
