"""Namespaces that somebody else lives in, so that no project is named like one.

A project's namespace gets Pod Security `restricted`, default-deny walls and a quota; around an
add-on's pods these stop the add-on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from model_specs.errors import refuse, shown
from model_specs.names import GATEWAY_NAMESPACE, RESERVED


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """Whose namespace it is, and where its name was read (2026-11-28)."""

    name: str
    source: str


TAKEN: Final[dict[str, Owner]] = {
    "amazon-cloudwatch": Owner(
        name="Amazon CloudWatch's agents",
        source="docs.aws.amazon.com/AmazonCloudWatch: install-CloudWatch-Observability-EKS-addon",
    ),
    "amazon-guardduty": Owner(
        name="Amazon GuardDuty's agent",
        source="docs.aws.amazon.com/guardduty: eks-runtime-monitoring-guardduty-agent",
    ),
    "argo-rollouts": Owner(
        name="Argo Rollouts", source="argo-rollouts.readthedocs.io: installation"
    ),
    "argocd": Owner(name="Argo CD", source="argo-cd.readthedocs.io: getting_started"),
    "calico-system": Owner(name="Calico", source="docs.tigera.io/calico: getting-started"),
    "cert-manager": Owner(name="cert-manager", source="cert-manager.io/docs/installation/helm"),
    "envoy-gateway-system": Owner(
        name="Envoy Gateway", source="gateway.envoyproxy.io/docs/install/install-helm"
    ),
    "external-secrets": Owner(
        name="External Secrets", source="external-secrets.io: introduction/getting-started"
    ),
    "flux-system": Owner(name="Flux", source="fluxcd.io/flux/installation"),
    "gatekeeper-system": Owner(
        name="Gatekeeper", source="open-policy-agent.github.io/gatekeeper: install"
    ),
    "gpu-operator": Owner(
        name="NVIDIA's GPU operator", source="docs.nvidia.com/datacenter/cloud-native/gpu-operator"
    ),
    "ingress-nginx": Owner(
        name="ingress-nginx", source="kubernetes.github.io/ingress-nginx/deploy"
    ),
    "istio-system": Owner(name="Istio", source="istio.io/latest/docs/setup/install"),
    "karpenter": Owner(name="Karpenter", source="aws/karpenter-provider-aws: Makefile"),
    "knative-serving": Owner(name="Knative", source="knative.dev/docs/install/yaml-install"),
    "linkerd": Owner(name="Linkerd", source="linkerd.io/2/reference/cli/install"),
    "keda": Owner(name="KEDA", source="keda.sh/docs/2.21/deploy"),
    "kyverno": Owner(name="Kyverno", source="kyverno.io/docs/installation"),
    "local-path-storage": Owner(
        name="the local path provisioner", source="rancher/local-path-provisioner: README.md"
    ),
    "longhorn-system": Owner(name="Longhorn", source="longhorn.io/docs: deploy/install"),
    "monitoring": Owner(
        name="Prometheus", source="prometheus-operator/kube-prometheus: manifests/setup"
    ),
    "metallb-system": Owner(name="MetalLB", source="metallb.io/installation"),
    "node-feature-discovery": Owner(
        name="Node Feature Discovery", source="kubernetes-sigs.github.io/node-feature-discovery"
    ),
    "nvidia-device-plugin": Owner(
        name="NVIDIA's device plugin", source="NVIDIA/k8s-device-plugin@1b826ac: README.md"
    ),
    "nvidia-gpu-operator": Owner(
        name="NVIDIA's GPU operator", source="NVIDIA/gpu-operator@a22dbf6: OpenShift's bundle"
    ),
    "prometheus": Owner(
        name="Prometheus", source="docs.aws.amazon.com/eks/latest/userguide/deploy-prometheus"
    ),
    "redis-system": Owner(
        name="the rate limit's Redis",
        source="gateway.envoyproxy.io/docs/tasks/traffic/global-rate-limit",
    ),
    "rook-ceph": Owner(name="Rook", source="rook.io/docs: Getting-Started/quickstart"),
    "velero": Owner(name="Velero", source="velero.io/docs: basic-install"),
    "tigera-operator": Owner(name="Calico", source="docs.tigera.io/calico: getting-started"),
}
"""By namespace: what the add-ons of a cluster, and what clusters usually bring along, live in.

Those that begin with `default`, `kube`, `system` or `isoserve` no project may have anyway
(model_specs.names.RESERVED)."""
PREFIXES: Final[dict[str, Owner]] = {
    "cattle-": Owner(name="Rancher", source="ranchermanager.docs.rancher.com: helm install"),
    "openshift-": Owner(name="OpenShift", source="docs.openshift.com: working with projects"),
}
"""By beginning: the same."""
_OF_OPERATORS: Final = "-system"
"""Source: kubernetes-sigs/kubebuilder, config/default/kustomization.yaml (namespace: NAME-system).
A project may be named so: it is its own there."""


def check_proxies(namespace: str) -> str:
    """A namespace of the gateways' proxies. Raises PydanticCustomError (E371) for one of others."""
    if namespace.split("-")[0] in RESERVED and namespace != GATEWAY_NAMESPACE:
        why = f"all models let in whoever is there, got {shown(namespace)}"
        raise refuse("E371", f"{why}; give the gateways' proxies a namespace of their own")
    return namespace


def owner_of(name: str, here: Mapping[str, str]) -> str:
    """Who lives in the namespace `name`, as a message says it; empty where nobody does.

    `here` says so of the namespaces that a region's profile names.
    """
    owners = [TAKEN.get(name), *(one for word, one in PREFIXES.items() if name.startswith(word))]
    known = next((f"which is of {owner.name}" for owner in owners if owner), "")
    return here.get(name, known)


def platform_of(name: str, here: Mapping[str, str]) -> str:
    """The same for namespaces that a project cannot have by its name, or would hardly choose."""
    if name.split("-")[0] in RESERVED:
        return "which is the platform's or the cluster's own"
    known = owner_of(name, here)
    operators = f"which ends in {_OF_OPERATORS}, as those of operators do"
    return known or (operators if name.endswith(_OF_OPERATORS) else "")
