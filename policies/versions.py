"""Rules about the API: a region's cluster serves what is rendered, today and after its upgrade.

Built-in versions: https://kubernetes.io/docs/reference/using-api/deprecation-guide/. A kind that
is not listed was never looked at; whoever renders it adds its row.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from policies.rule import Estate, Fault, Rule, whole

_NEVER: Final = 999
_BUILT_IN: Final[dict[tuple[str, str], tuple[int, int]]] = {
    (kind, version): (first, gone)
    for version, first, gone, kinds in (
        ("core/v1", 0, _NEVER,
         "ConfigMap LimitRange Namespace Node PersistentVolume PersistentVolumeClaim Pod "
         "ResourceQuota Secret Service ServiceAccount"),
        ("admissionregistration.k8s.io/v1", 30, _NEVER,
         "ValidatingAdmissionPolicy ValidatingAdmissionPolicyBinding"),
        ("apps/v1", 9, _NEVER, "DaemonSet Deployment StatefulSet"),
        ("apps/v1beta1", 6, 16, "Deployment StatefulSet"),
        ("apps/v1beta2", 8, 16, "DaemonSet Deployment StatefulSet"),
        ("extensions/v1beta1", 1, 16, "DaemonSet Deployment NetworkPolicy"),
        ("autoscaling/v1", 2, _NEVER, "HorizontalPodAutoscaler"),
        ("autoscaling/v2", 23, _NEVER, "HorizontalPodAutoscaler"),
        ("autoscaling/v2beta1", 8, 25, "HorizontalPodAutoscaler"),
        ("autoscaling/v2beta2", 12, 26, "HorizontalPodAutoscaler"),
        ("batch/v1", 2, _NEVER, "Job"),
        ("batch/v1", 21, _NEVER, "CronJob"),
        ("batch/v1beta1", 8, 25, "CronJob"),
        ("networking.k8s.io/v1", 8, _NEVER, "NetworkPolicy"),
        ("policy/v1", 21, _NEVER, "PodDisruptionBudget"),
        ("policy/v1beta1", 5, 25, "PodDisruptionBudget"),
        ("rbac.authorization.k8s.io/v1", 8, _NEVER,
         "ClusterRole ClusterRoleBinding Role RoleBinding"),
        ("rbac.authorization.k8s.io/v1beta1", 6, 22,
         "ClusterRole ClusterRoleBinding Role RoleBinding"),
        ("scheduling.k8s.io/v1", 14, _NEVER, "PriorityClass"),
        ("scheduling.k8s.io/v1beta1", 11, 22, "PriorityClass"),
    )
    for kind in kinds.split()
}  # fmt: skip
"""Kind and version: the first minor of 1.x that serves it, and the first that no longer does."""
_ADDED: Final[dict[tuple[str, str], str]] = {
    (kind, version): capability
    for version, capability, kinds in (
        ("cert-manager.io/v1", "cert-manager", "Certificate"),
        ("gateway.envoyproxy.io/v1alpha1", "envoy_gateway", "BackendTrafficPolicy SecurityPolicy"),
        ("gateway.networking.k8s.io/v1", "gateway_api", "Gateway HTTPRoute"),
        ("keda.sh/v1alpha1", "keda", "ScaledObject"),
        ("monitoring.coreos.com/v1", "prometheus_operator", "PodMonitor PrometheusRule"),
    )
    for kind in kinds.split()
}
"""Kind and version: the capability of a region that brings it, or the add-on that has none."""
_OF_CLUSTER: Final = frozenset(
    ("ClusterRole", "ClusterRoleBinding", "Namespace", "Node", "PersistentVolume", "PriorityClass",
     "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding")
)  # fmt: skip
"""Kinds without a namespace, for which we need rights over the cluster."""


def _unserved(
    kind: str, version: str, minor: int, able: frozenset[str]
) -> Iterator[tuple[str, str]]:
    """Why a region would not take an object, and the field of its profile that says so."""
    capability, built_in = _ADDED.get((kind, version)), _BUILT_IN.get((kind, version))
    if capability is not None and capability not in able:
        yield f"needs {capability}, which the region lacks", "capabilities"
    if kind in _OF_CLUSTER and "cluster_scope" not in able:
        yield "needs cluster_scope, which the region lacks", "capabilities"
    if built_in is not None:
        first, gone = built_in
        if minor < first:
            yield f"is of {version}, served from 1.{first} on", "kubernetes_version"
        if minor + 1 >= gone:  # also after the next upgrade
            yield f"is of {version}, not served from 1.{gone} on", "kubernetes_version"
    elif capability is None:
        yield f"is of {version}, which nobody has checked", "kubernetes_version"


@whole("P35", "api-served")
def _api_served(estate: Estate) -> Iterator[Fault]:
    """Every object is of a version that the region's Kubernetes and the next one serve, and of a
    kind that the region has: an upgrade must not turn the next `up` into an error."""
    profile = estate.facts.profile
    minor = int(profile.kubernetes_version.split(".")[1])
    there = {name for name, standing in profile.addons.items() if standing != "absent"}
    able = frozenset(profile.all_capabilities) | there
    refused: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for resource in estate.resources:
        if not resource.is_object:
            continue
        key = resource.kind, resource.type.split(":")[1]
        if key not in refused:
            refused[key] = list(_unserved(*key, minor, able))
        for what, field in refused[key]:
            yield Fault(resource, what, "render a kind and version that it serves", field)


RULES: Final[tuple[Rule, ...]] = (_api_served,)
