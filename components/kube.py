"""The blocks several nouns render the same way: object heads, security contexts, tolerations."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from model_specs.names import LABEL_CAPACITY, MANAGED_BY
from regions.model_plan import PlacementPlan, Toleration
from regions.networks import METADATA

Object = dict[str, Any]
"""One Kubernetes object as plain values."""

FIELD_MANAGER: Final = "isoserve"
"""Who applies our objects, as the API server notes it in them."""
_TO_PROVIDER: Final = {
    # One owner's name for every field we set: the provider's own is random for each creation, so
    # an `up` that was killed and run again would find its own fields owned by a stranger.
    "pulumi.com/patchFieldManager": FIELD_MANAGER,
    # The provider must not wait for each object: one RolloutGate watches all of them at once.
    "pulumi.com/skipAwait": "true",
}

RESTRICTED_CONTAINER: Final[Object] = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
}
"""Pod Security `restricted`, and a root file system that nothing can change."""


def restricted_pod(user: int, group: int) -> Object:
    """Pod Security `restricted` for the pod as a whole, whose containers are `user` and `group`."""
    return {
        "fsGroup": group,
        "runAsGroup": group,
        "runAsNonRoot": True,
        "runAsUser": user,
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def pulled_by(secrets: Iterable[str]) -> Object:
    """The field of a pod that names the Secrets by which its node pulls; none where none is."""
    named = [{"name": name} for name in secrets]
    return {"imagePullSecrets": named} if named else {}


def head(
    api_version: str,
    kind: str,
    name: str,
    namespace: str,
    labels: dict[str, str],
    annotations: dict[str, str],
) -> Object:
    """The head of an object, to which the caller adds its spec. `namespace` may be empty."""
    metadata: Object = {
        "annotations": {**_TO_PROVIDER, **annotations},
        "labels": {**MANAGED_BY, **labels},
        "name": name,
    }
    if namespace:
        metadata["namespace"] = namespace
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata}


def operator_head(
    kind: str, name: str, namespace: str, labels: dict[str, str], selected_by: dict[str, str]
) -> Object:
    """The head of an object that the Prometheus operator reads.

    `selected_by` are the labels by which that operator's Prometheus selects its objects.
    """
    return head("monitoring.coreos.com/v1", kind, name, namespace, {**selected_by, **labels}, {})


def apart(labels: dict[str, str]) -> Object:
    """A pod's wish for a node without another pod of `labels`: a node that dies takes one.

    A wish and not a condition: a pool may have a single node, and two replicas still serve more.
    """
    term: Object = {
        "labelSelector": {"matchLabels": labels},
        "topologyKey": "kubernetes.io/hostname",
    }
    wish = {"podAffinityTerm": term, "weight": 100}
    return {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [wish]}}


def spot_first(placement: PlacementPlan) -> Object:
    """The affinity of pods that stand on spot nodes, or on on-demand ones where there are none;
    empty for all others, whose nodes their selector names."""
    if not placement.fallback_seconds:
        return {}

    def of(*kinds: str) -> Object:
        where = {"key": LABEL_CAPACITY, "operator": "In", "values": [*kinds]}
        return {"matchExpressions": [where]}

    return {
        "nodeAffinity": {
            "preferredDuringSchedulingIgnoredDuringExecution": [
                {"preference": of("spot"), "weight": 100}
            ],
            "requiredDuringSchedulingIgnoredDuringExecution": {
                "nodeSelectorTerms": [of("on_demand", "spot")]
            },
        }
    }


def namespace_named(name: str) -> Object:
    """A network policy's peer: every pod of one namespace."""
    return {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}}}


def _but_metadata(everything: str) -> Object:
    holes = sorted(row for row in METADATA if (":" in row) == (":" in everything))
    return {"ipBlock": {"cidr": everything, "except": holes}}


ADDRESSES_V4: Final[Object] = _but_metadata("0.0.0.0/0")
ADDRESSES_V6: Final[Object] = _but_metadata("::/0")
"""Network policies' peers: every address but those where a cloud, whichever it is, hands out its
nodes' credentials to whoever asks."""
_WEB: Final = 80
"""The port at which it does."""


def tcp(*ports: int) -> list[Object]:
    """A network policy's TCP ports."""
    return [{"port": port, "protocol": "TCP"} for port in ports]


def blocks(networks: Iterable[str]) -> list[Object]:
    """A network policy's peers: networks, as CIDRs."""
    return [{"ipBlock": {"cidr": cidr}} for cidr in networks]


def ways_to_registry(ports: Iterable[int], addresses: Iterable[str]) -> list[Object]:
    """A network policy's ways out to the registry: its ports at its addresses (CIDRs).

    Where those are not known, at every address: at the web's port only to pods and to addresses
    that hand out no credentials.
    """
    known = blocks(addresses)
    if known:
        at = tcp(*ports)
        return [{"ports": at, "to": known}] if at else []
    rules: list[Object] = []
    others = tcp(*(port for port in ports if port != _WEB))
    if others:
        rules.append({"ports": others})
    if _WEB in ports:
        to = [ADDRESSES_V4, ADDRESSES_V6, {"namespaceSelector": {}}]
        rules.append({"ports": tcp(_WEB), "to": to})
    return rules


def resolver() -> Object:
    """A network policy's way out to the cluster's DNS, and to nothing else."""
    ports = [{"port": 53, "protocol": protocol} for protocol in ("UDP", "TCP")]
    return {"ports": ports, "to": [namespace_named("kube-system")]}


def tolerations(taints: Iterable[Toleration]) -> list[Object]:
    """Pod tolerations of `taints`; one without a value is tolerated whatever its value."""
    return [
        {"effect": "NoSchedule", "key": t.key}
        | ({"operator": "Equal", "value": t.value} if t.value else {"operator": "Exists"})
        for t in taints
    ]


ROLE: Final = "eks.amazonaws.com/role-arn"
"""The annotation of a ServiceAccount by which EKS gives its pods a role of IAM."""


def role_named(account: Object) -> str:
    """The name of the role that a ServiceAccount names; empty for all else."""
    arn = account["metadata"].get("annotations", {}).get(ROLE, "")
    return str(arn).rpartition("/")[2]
