"""The Helm values of each add-on, from a region's profile and the nodes of its machine types.

A row has what its chart's defaults get wrong here, and nothing else. The keys were read where the
`source` of the row in regions.addons says, on 2026-11-30. Pulumi's helm.v4.Chart renders charts
without their hooks and without a look at the cluster (pulumi-kubernetes,
provider/pkg/provider/helm/v4/chart.go: DisableHooks; pkg/helm/tool.go: DryRunOption): certificates
and passwords that a chart makes in a hook would be missing, and those that it makes while it is
rendered would be new in each `up`. The values avoid both where a chart has another way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from model_specs.gpu_kinds import GPU_KINDS
from model_specs.names import GATEWAY_NAMESPACE, LABEL_MACHINE
from regions import addon_counter
from regions.machines import MACHINES, MachineType
from regions.model_plan import Toleration
from regions.pools import PRIORITIES
from regions.profile import RegionProfile
from regions.tracks import tolerations

Values = dict[str, Any]

_LONGEST_DRAIN_SECONDS: Final = 3600
"""A spec's longest `drain_seconds`, which a proxy that is replaced has too: Envoy Gateway's own
drainTimeout is 60 s, and a proxy without connections goes at once
(internal/cmd/envoy/shutdown_manager.go of 1.9.1)."""
_NVIDIA: Final = "nvidia"
_PROVISION_SECONDS: Final = 900
"""Default of the cluster autoscaler's --max-node-provision-time."""
_LONGEST_GRACE_SECONDS: Final = _LONGEST_DRAIN_SECONDS + 20
"""Its --max-graceful-termination-sec is 600 by default, after which it would end pods that may
still drain: `drain_seconds` of a spec is 3600 at most, and 20 come before and after."""
_AUTOSCALERS: Final = {
    "1.30": "v1.30.7",
    "1.31": "v1.31.5",
    "1.32": "v1.32.7",
    "1.33": "v1.33.6",
    "1.34": "v1.34.5",
    "1.35": "v1.35.2",
    "1.36": "v1.36.1",
}
"""The cluster autoscaler's newest patch for each minor version of Kubernetes, which it must match.
Source: kubernetes/autoscaler@55c37cd, cluster-autoscaler/README.md and git tags."""
_NEWEST_AUTOSCALER: Final = "v1.36.1"


def _has(profile: RegionProfile, name: str) -> bool:
    return profile.addons.get(name, "absent") != "absent"


def _nothing(_: RegionProfile) -> Values:
    return {}


def _gateway_api(_: RegionProfile) -> Values:
    # The controller's own chart brings the experimental channel; none of its fields is used.
    gateway_api = {"enabled": True, "channel": "standard"}
    return {"crds": {"gatewayAPI": gateway_api, "envoyGateway": {"enabled": True}}}


def _envoy_gateway(profile: RegionProfile) -> Values:
    """`enableBackend` admits Backends, `rateLimit` the limits of public models: without it the
    controller refuses their BackendTrafficPolicy. By its defaults a gateway is one proxy, which
    may be evicted at any moment and breaks off whatever takes more than a minute."""
    is_beside = GATEWAY_NAMESPACE in profile.proxy_namespaces
    deploy: Values = {"kubernetes": {"deploy": {"type": "GatewayNamespace"}}} if is_beside else {}
    config = {
        "provider": {"type": "Kubernetes", **deploy},
        "extensionApis": {"enableBackend": True},
        "rateLimit": {"backend": {"type": "Redis", "redis": {"url": addon_counter.URL}}},
        "envoyProxy": {
            "provider": {
                "type": "Kubernetes",
                "kubernetes": {
                    "envoyDeployment": {"replicas": 2},
                    "envoyPDB": {"minAvailable": 1},
                },
            },
            "shutdown": {"drainTimeout": f"{_LONGEST_DRAIN_SECONDS}s"},
        },
    }
    return {"crds": {"enabled": False}, "config": {"envoyGateway": config}}


def _rate_limit_counter(_: RegionProfile) -> Values:
    return addon_counter.VALUES


def _kube_prometheus_stack(profile: RegionProfile) -> Values:
    """Prometheus selects monitors and rules of everybody, not only those of its own release.

    The operator's webhook has its certificate of cert-manager, and is left out without it: the
    chart's own comes by a hook. kube-state-metrics is a row of its own. Grafana is the profile's
    grafana_url: the chart's has a new password each time that it is rendered.
    """
    certified = _has(profile, "cert-manager")
    kinds = ("podMonitor", "probe", "rule", "serviceMonitor")
    return {
        "prometheus": {
            "prometheusSpec": {f"{kind}SelectorNilUsesHelmValues": False for kind in kinds}
        },
        "prometheusOperator": {
            "admissionWebhooks": {
                "enabled": certified,
                "patch": {"enabled": False},
                "certManager": {"enabled": certified},
            },
            "tls": {"enabled": certified},
        },
        "kubeStateMetrics": {"enabled": False},
        "grafana": {"enabled": False},
    }


def _kube_state_metrics(profile: RegionProfile) -> Values:
    """`honorLabels` keeps the namespace and pod that a series is about, not the exporter's own;
    the label of the machine type is what dashboards group nodes by (components/region_panels.py).
    """
    is_watched = "prometheus_operator" in profile.all_capabilities
    return {
        "metricLabelsAllowlist": [f"nodes=[{LABEL_MACHINE}]"],
        "prometheus": {"monitor": {"enabled": is_watched, "http": {"honorLabels": True}}},
    }


def _cert_manager(_: RegionProfile) -> Values:
    return {
        "crds": {"enabled": True},
        "config": {
            "apiVersion": "controller.config.cert-manager.io/v1alpha1",
            "kind": "ControllerConfiguration",
            "gatewayAPI": {"enabled": True},
        },
    }


# -- what stands on GPU nodes ------------------------------------------------------------------


def _nvidia_machines(profile: RegionProfile) -> Iterator[MachineType]:
    rows = (MACHINES[name] for name in sorted(profile.machines))
    return (row for row in rows if row.kind.vendor == _NVIDIA and row.gpus)


def _tolerated(one: Toleration) -> dict[str, str]:
    value = {"operator": "Equal", "value": one.value} if one.value else {"operator": "Exists"}
    return {"key": one.key, "effect": "NoSchedule", **value}


def _has_labels(labels: Mapping[str, list[str]]) -> Values:
    """A term of a node affinity: a node that has one of the values of each label."""
    rows = labels.items()
    return {
        "matchExpressions": [{"key": key, "operator": "In", "values": row} for key, row in rows]
    }


def _on_gpu_nodes(profile: RegionProfile) -> Values:
    """All nodes of NVIDIA's GPUs: those with the vendor's labels, and our pools by machine type.

    The taints are what the region's GPU pods tolerate: ours, the vendor's, the machine types' and
    those of the profile.
    """
    machines = list(_nvidia_machines(profile))
    kinds = [kind for kind in GPU_KINDS.values() if kind.vendor == _NVIDIA and kind.labels]
    terms = [_has_labels({key: [text] for key, text in kind.labels.items()}) for kind in kinds]
    if machines:
        terms.append(_has_labels({LABEL_MACHINE: [row.name for row in machines]}))
    wanted = [one for row in machines for one in tolerations(row, profile.machines[row.name])]
    required = {"nodeSelectorTerms": [one for at, one in enumerate(terms) if one not in terms[:at]]}
    return {
        "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}},
        "tolerations": [_tolerated(one) for one in dict.fromkeys(wanted)],
    }


def _dcgm_exporter(profile: RegionProfile) -> Values:
    # Without honorLabels, its default, a GPU's pod is `exported_pod`, as our dashboards read it.
    is_watched = "prometheus_operator" in profile.all_capabilities
    return {**_on_gpu_nodes(profile), "serviceMonitor": {"enabled": is_watched}}


# -- AWS ---------------------------------------------------------------------------------------


def _cluster_autoscaler(profile: RegionProfile) -> Values:
    autoscaler = profile.cluster.node_autoscaler
    seconds = autoscaler.provision_timeout_seconds if autoscaler else _PROVISION_SECONDS
    return {
        "fullnameOverride": "cluster-autoscaler",
        "autoDiscovery": {"clusterName": profile.cluster.name},
        "awsRegion": profile.account.region,
        "image": {"tag": _AUTOSCALERS.get(profile.kubernetes_version, _NEWEST_AUTOSCALER)},
        "extraArgs": {
            "expander": "priority",
            "max-graceful-termination-sec": _LONGEST_GRACE_SECONDS,
            "max-node-provision-time": f"{seconds}s",
        },
        "expanderPriorities": PRIORITIES,
    }


def _karpenter(profile: RegionProfile) -> Values:
    return {"settings": {"clusterName": profile.cluster.name}}


def _aws_load_balancer_controller(profile: RegionProfile) -> Values:
    # Its own certificate would be new each time that the chart is rendered.
    return {
        "clusterName": profile.cluster.name,
        "region": profile.account.region,
        "enableCertManager": _has(profile, "cert-manager"),
    }


def _external_dns(profile: RegionProfile) -> Values:
    """Hosts of HTTPRoutes below the region's domain. It deletes no record (`upsert-only`, the
    chart's default), and touches only those that its TXT records call this cluster's."""
    return {
        "sources": ["gateway-httproute"],
        "domainFilters": [profile.domain],
        "policy": "upsert-only",
        "txtOwnerId": profile.cluster.name,
    }


_VALUES: Final[dict[str, Callable[[RegionProfile], Values]]] = {
    "gateway-api": _gateway_api,
    "envoy-gateway": _envoy_gateway,
    "rate-limit-counter": _rate_limit_counter,
    "keda": _nothing,
    "kube-prometheus-stack": _kube_prometheus_stack,
    "kube-state-metrics": _kube_state_metrics,
    "cert-manager": _cert_manager,
    "nvidia-device-plugin": _on_gpu_nodes,
    "dcgm-exporter": _dcgm_exporter,
    "metrics-server": _nothing,
    "cluster-autoscaler": _cluster_autoscaler,
    "karpenter": _karpenter,
    "aws-load-balancer-controller": _aws_load_balancer_controller,
    "external-dns": _external_dns,
}


def values(name: str, profile: RegionProfile) -> Values:
    """The Helm values of the row `name` of regions.addons in the region of `profile`.

    They are plain JSON: ours, and over them the profile's own. Raises KeyError for a name that has
    no row.
    """
    return _over(_VALUES[name](profile), profile.addon_values.get(name, {}))


def _over(ours: Values, own: Values) -> Values:
    """`own` over our values, as Helm merges them: maps by key, and all else whole."""
    merged = dict(ours)
    for key, value in own.items():
        before: Any = ours.get(key)
        is_deeper = isinstance(before, dict) and isinstance(value, dict)
        merged[key] = _over(before, value) if is_deeper else value
    return merged
