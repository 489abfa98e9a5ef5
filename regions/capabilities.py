"""What a region can do: what its profile claims, and what the add-ons of its cluster bring."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Final

from model_specs.errors import nearest, refuse, shown
from regions.addons import ADDONS, Standing
from regions.ways_out import Finding

CAPABILITIES: Final[dict[str, str]] = {
    "keda": "KEDA scales on the requests in the servers, on schedules and to zero",
    "custom_metrics": "an adapter serves isoserve_requests_in_server to HorizontalPodAutoscalers",
    "gateway_api": "Gateway API v1 with a controller",
    "envoy_gateway": "Envoy Gateway's SecurityPolicy and BackendTrafficPolicy",
    "prometheus_operator": "the operator turns Probe, PodMonitor and PrometheusRule into config",
    "cluster_scope": "we may make what is the cluster's: namespaces, volumes, priorities, policies",
    "kms": "the object store encrypts with keys of ours",
    "s3_access_control": "the object store knows public-access blocks and bucket ownership",
    "s3_replication": "the object store replicates buckets between regions",
}
"""Everything that a region may be able to do, with what it means."""
_BROUGHT: Final = {row.capability: name for name, row in ADDONS.items() if row.capability}
CLAIMABLE: Final = frozenset(CAPABILITIES) - frozenset(_BROUGHT)
"""What a profile claims by itself; the rest follows from its add-ons."""


def check_capability(name: str) -> str:
    """A capability that a profile may claim. Raises PydanticCustomError (E371) for another."""
    if name in _BROUGHT:
        why = f"this capability follows from an add-on, got {shown(name)}"
        raise refuse("E371", f"{why}; write `addons: {{{_BROUGHT[name]}: provided}}` instead")
    if name not in CAPABILITIES:
        hint = nearest(name, CAPABILITIES)
        raise refuse("E371", f"no such capability, got {shown(name)}; {hint}")
    return name


def check_addon(name: str) -> str:
    """The name of an add-on. Raises PydanticCustomError (E371) for another."""
    if name not in ADDONS:
        raise refuse("E371", f"no such add-on, got {shown(name)}; {nearest(name, ADDONS)}")
    return name


_NODE_MAKERS: Final = frozenset({"cluster-autoscaler", "karpenter"})


def half_addons(
    addons: Mapping[str, Standing], claimed: Collection[str], gateway_class: str, provider: str
) -> Iterator[Finding]:
    """Add-ons without what they stand on; each with its place in the profile, code and message."""
    here = {name: standing for name, standing in addons.items() if standing != "absent"}
    if "gateway-api" in here and not gateway_class:
        why = "gateway-api needs a GatewayClass, got an empty one"
        yield ("gateway_class",), "E371", f"{why}; name it, or let the add-on be absent"
    if here.keys() >= _NODE_MAKERS:
        why = "two of them would add nodes for one pod, got cluster-autoscaler and karpenter"
        yield ("addons", "karpenter"), "E371", f"{why}; let one be absent"
    yield from _uncounted(here)
    for name, standing in here.items():
        if ADDONS[name].provider not in ("", provider):
            why = f"{name} is of provider {ADDONS[name].provider}, got {provider}"
            yield ("addons", name), "E371", f"{why}; let it be absent"
        for need in ADDONS[name].needs:
            if need not in here:
                why = f"{name} needs {need}, which is absent"
                yield ("addons", name), "E371", f"{why}; write `{need}: provided` or `install`"
        if standing == "install" and "cluster_scope" not in claimed:
            why = "add-ons are the cluster's, got `install` without cluster_scope"
            yield ("addons", name), "E371", f"{why}; write `provided`, or claim cluster_scope"


def _uncounted(here: Mapping[str, Standing]) -> Iterator[Finding]:
    """An Envoy Gateway of ours whose rate limit has nothing to count in."""
    if here.get("envoy-gateway") == "install" and "rate-limit-counter" not in here:
        why = "envoy-gateway has nowhere to count callers' requests, got no rate-limit-counter"
        cure = "write `rate-limit-counter: install`, or `provided` and its Redis in `addon_values`"
        yield ("addons", "envoy-gateway"), "E371", f"{why}; {cure}"


def unissued(issuer: str, secret: str, addons: Mapping[str, Standing]) -> Iterator[Finding]:
    """An issuer of a certificate that nobody would issue, or write anywhere."""
    if issuer and addons.get("cert-manager", "absent") == "absent":
        why = "an issuer issues nothing without cert-manager, which is absent"
        yield ("tls_issuer",), "E371", f"{why}; write `cert-manager: install` or `provided`"
    if issuer and not secret:
        why = "a certificate is written into a Secret, got no tls_secret"
        yield ("tls_issuer",), "E371", f"{why}; name it"
