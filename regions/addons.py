"""The add-ons that a region's cluster stands on: one row each, whoever installs them.

The stack REGION.addons installs rows by their charts, `isoserve doctor` compares a cluster with
them, and a profile gains capabilities by them. A chart's release is named like its row, on which
the names in `workloads` depend. What a row's chart is given is in regions.addon_values.

Facts were read on 2026-11-30 in the repositories that `source` names; @ precedes the commit or tag.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from typing import Final, Literal

Standing = Literal["install", "provided", "absent"]
"""Who brings an add-on: the stack REGION.addons, somebody else, or nobody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """A Helm chart at a pinned version.

    `repository` is the https URL of an index, or an oci:// prefix before the chart's name.
    """

    repository: str
    name: str
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Addon:
    """One add-on of a cluster.

    `capability` is what a profile gains by it (regions.profile.CAPABILITIES) or empty. Without a
    `chart` the stack has the objects of regions.addon_counter. `version` is the product's at which
    these facts were read, `oldest` the first with which our objects work. It does not work without
    the rows in `needs`, nor with another `provider` where one is named; those in `after` come first
    where they are installed too. `serves` has the version that we use by the name of each
    CustomResourceDefinition.
    `workloads` are what must be available in `namespace`, as Kind/name of our own release.
    `hooks` says what the chart makes in a Helm hook, where it does not work without: such a chart
    is installed as a Helm release, whose objects a preview does not show. `unchecked` says what
    nobody can check from here.
    """

    title: str
    capability: str = ""
    chart: Chart | None
    version: str
    oldest: str
    namespace: str
    provider: str = ""
    needs: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    serves: Mapping[str, str] = field(default_factory=dict)
    workloads: tuple[str, ...] = ()
    hooks: str = ""
    unchecked: str
    source: str

    @property
    def origin(self) -> str:
        """Where it comes from, for people."""
        if self.chart is None:
            return "regions/addon_counter.py"
        return f"{self.chart.repository} {self.chart.name} {self.chart.version}"


RELEASE_PENDING: Final = "status in (pending-install,pending-upgrade,pending-rollback)"
"""Label selector of the records of a Helm release that a run works on, or has been killed at
(helm.sh/helm/v3: pkg/release/status.go, pkg/storage/driver/secrets.go)."""

_ENVOY: Final = "oci://docker.io/envoyproxy"
_PROMETHEUS: Final = "https://prometheus-community.github.io/helm-charts"
_MONITORING: Final = "monitoring"

ADDONS: Final[dict[str, Addon]] = {
    "gateway-api": Addon(
        title="CustomResourceDefinitions of Gateway API (standard channel) and Envoy Gateway",
        capability="gateway_api",
        chart=Chart(repository=_ENVOY, name="gateway-crds-helm", version="v1.9.1"),
        version="1.6.1",
        # What the sandbox validates our objects against, and the minor version (1.4) that Envoy
        # Gateway 1.7 is compiled with (gateway.envoyproxy.io/news/releases/matrix). Its standard
        # channel has names of a route's rules (config/crd/standard of 1.4.0, HTTPRoute).
        oldest="1.4.0",
        namespace="envoy-gateway-system",
        serves={
            "gatewayclasses.gateway.networking.k8s.io": "v1",
            "gateways.gateway.networking.k8s.io": "v1",
            "httproutes.gateway.networking.k8s.io": "v1",
        },
        unchecked="Whether another controller of the cluster needs the experimental channel: the "
        "policy safe-upgrades.gateway.networking.k8s.io keeps one from replacing the other.",
        source="envoyproxy/gateway@v1.9.1: charts/gateway-crds-helm/values.yaml and "
        "templates/standard-gatewayapi-crds.yaml (bundle-version v1.6.1), read 2026-11-30",
    ),
    "envoy-gateway": Addon(
        title="Envoy Gateway, the controller of the gateways and their policies",
        capability="envoy_gateway",
        chart=Chart(repository=_ENVOY, name="gateway-helm", version="v1.9.1"),
        version="1.9.1",
        # Before 1.7.2 a mirror target without endpoints made the live route unaccepted: a crashing
        # candidate would take its model down. Keys of callers are told apart and kept from models
        # since 1.5.0, and all entries of a Secret are read since 1.7.1 (release-notes of 1.9.1).
        oldest="1.7.2",
        namespace="envoy-gateway-system",
        needs=("gateway-api",),
        serves={
            "backendtrafficpolicies.gateway.envoyproxy.io": "v1alpha1",
            "securitypolicies.gateway.envoyproxy.io": "v1alpha1",
        },
        workloads=("Deployment/envoy-gateway",),
        hooks="the certificates between the controller and its proxies "
        "(charts/gateway-helm/templates/certgen.yaml)",
        unchecked="Whether the load balancers are reached from where the callers are.",
        source="envoyproxy/gateway@v1.9.1: charts/gateway-helm/values.tmpl.yaml, "
        "templates/envoy-gateway-deployment.yaml, charts/gateway-crds-helm/templates/generated, "
        "read 2026-11-30",
    ),
    "rate-limit-counter": Addon(
        title="Valkey, in which Envoy Gateway counts the requests of each caller of public models",
        chart=None,
        version="8.1.10",
        # The first Valkey; the rate limit service asks for commands of Redis 3 and no more.
        oldest="7.2.5",
        namespace="envoy-gateway-system",
        after=("envoy-gateway",),
        workloads=("Deployment/rate-limit-counter",),
        unchecked="Whether limits hold while it is away: Envoy then lets requests pass.",
        source="envoyproxy/ratelimit@3fb702589d36: src/redis/fixed_cache_impl.go (INCRBY and "
        "EXPIRE); valkey-io/valkey-container: docker-entrypoint.sh; the tag 8.1.10-alpine as "
        "public files name it, read 2026-11-30",
    ),
    "keda": Addon(
        title="KEDA, which scales on the requests in the servers, on schedules and to zero",
        capability="keda",
        chart=Chart(repository="https://kedacore.github.io/charts", name="keda", version="2.21.0"),
        version="2.21.0",
        # ScaledObjects' fallback.behavior came with 2.17.0 (kedacore/keda@v2.21.0: CHANGELOG.md).
        oldest="2.17.0",
        namespace="keda",
        serves={"scaledobjects.keda.sh": "v1alpha1"},
        workloads=(
            "Deployment/keda-operator",
            "Deployment/keda-operator-metrics-apiserver",
            "Deployment/keda-admission-webhooks",
        ),
        unchecked="Whether KEDA's pods reach the profile's prometheus_url.",
        source="kedacore/keda@v2.21.0: config/crd/bases; kedacore/charts@1444d00 (chart 2.20.2): "
        "keda/values.yaml and templates; github.com/kedacore/charts/releases: chart and app 2.21.0 "
        "precede v2.21.1, read 2026-11-30",
    ),
    "kube-prometheus-stack": Addon(
        title="Prometheus, Alertmanager, the node exporter and their operator",
        capability="prometheus_operator",
        chart=Chart(repository=_PROMETHEUS, name="kube-prometheus-stack", version="88.5.3"),
        version="0.93.1",
        # The definitions that the sandbox validates our PodMonitors and PrometheusRules against.
        oldest="0.85.0",
        namespace=_MONITORING,
        after=("cert-manager",),
        serves={
            "podmonitors.monitoring.coreos.com": "v1",
            "probes.monitoring.coreos.com": "v1",
            "prometheuses.monitoring.coreos.com": "v1",
            "prometheusrules.monitoring.coreos.com": "v1",
        },
        workloads=(
            "Deployment/kube-prometheus-stack-operator",
            "StatefulSet/prometheus-kube-prometheus-stack-prometheus",
        ),
        unchecked="Who receives Alertmanager's notifications, whether they arrive, and for how "
        "long metrics are kept: the chart's defaults have no receiver and no volume.",
        source="prometheus-community/helm-charts@kube-prometheus-stack-88.5.3: "
        "charts/kube-prometheus-stack/Chart.yaml (appVersion v0.93.1), values.yaml, templates; "
        "prometheus-operator/prometheus-operator@v0.85.0: example/prometheus-operator-crd, "
        "read 2026-11-30",
    ),
    "kube-state-metrics": Addon(
        title="kube-state-metrics, which dashboards read nodes, Deployments and restarts from",
        chart=Chart(repository=_PROMETHEUS, name="kube-state-metrics", version="8.4.0"),
        version="2.20.0",
        # Before 2.0.0 --metric-labels-allowlist had another name (its release v2.0.0-rc.1).
        oldest="2.0.0",
        namespace=_MONITORING,
        after=("kube-prometheus-stack",),
        workloads=("Deployment/kube-state-metrics",),
        unchecked="Whether the kube-state-metrics of somebody else exports the nodes' label of the "
        "machine type, without which panels by machine type stay empty.",
        source="prometheus-community/helm-charts@kube-state-metrics-8.4.0: "
        "charts/kube-state-metrics/Chart.yaml, values.yaml, templates, read 2026-11-30",
    ),
    "cert-manager": Addon(
        title="cert-manager, which issues and renews the gateways' certificate",
        chart=Chart(
            repository="oci://quay.io/jetstack/charts", name="cert-manager", version="v1.21.2"
        ),
        version="1.21.2",
        # Its support of Gateway API needs no feature gate of its own from 1.15 on (GatewayAPIConfig
        # in pkg/apis/config/controller/v1alpha1/types.go).
        oldest="1.15.0",
        namespace="cert-manager",
        needs=("gateway-api",),
        serves={
            "certificates.cert-manager.io": "v1",
            "clusterissuers.cert-manager.io": "v1",
            "issuers.cert-manager.io": "v1",
        },
        workloads=(
            "Deployment/cert-manager",
            "Deployment/cert-manager-cainjector",
            "Deployment/cert-manager-webhook",
        ),
        unchecked="Whether an issuer may issue a certificate for *.domain: that takes an account "
        "and rights in the domain's DNS.",
        source="cert-manager/cert-manager@v1.21.2: deploy/charts/cert-manager/values.yaml, "
        "README.template.md (oci:// reference), deploy/crds, read 2026-11-30",
    ),
    "nvidia-device-plugin": Addon(
        title="NVIDIA's device plugin, by which nodes advertise nvidia.com/gpu",
        chart=Chart(
            repository="https://nvidia.github.io/k8s-device-plugin",
            name="nvidia-device-plugin",
            version="0.20.0",
        ),
        version="0.20.0",
        # The first chart whose affinity knows the label nvidia.com/gpu.present of our GPU nodes.
        oldest="0.15.0",
        namespace="nvidia-device-plugin",
        workloads=("DaemonSet/nvidia-device-plugin",),
        unchecked="Whether driver and container toolkit of the nodes' image fit the plugin; nodes "
        "then allocate as many GPUs as they have.",
        source="NVIDIA/k8s-device-plugin@v0.20.0: deployments/helm/nvidia-device-plugin and "
        "README.md; values.yaml@v0.14.5 and @v0.15.0 for the label, read 2026-11-30",
    ),
    "dcgm-exporter": Addon(
        title="NVIDIA's DCGM exporter, which dashboards read GPU load and memory from",
        chart=Chart(
            repository="https://nvidia.github.io/dcgm-exporter/helm-charts",
            name="dcgm-exporter",
            version="4.8.2",
        ),
        version="4.8.2",
        # DCGM 4, with DCGM_FI_DEV_GPU_UTIL and DCGM_FI_DEV_FB_USED among the chart's own counters
        # (etc/default-counters.csv at the tag 4.1.1-4.0.4); earlier ones have not been looked at.
        oldest="4.0.4",
        namespace=_MONITORING,
        after=("kube-prometheus-stack",),
        workloads=("DaemonSet/dcgm-exporter",),
        unchecked="Whether the GPUs' driver lets DCGM read them; vGPUs often do not.",
        source="NVIDIA/dcgm-exporter@4.5.3-4.8.2: deployment/Chart.yaml, values.yaml, templates, "
        "README.md, read 2026-11-30",
    ),
    "metrics-server": Addon(
        title="metrics-server, by whose CPU readings HorizontalPodAutoscalers scale",
        chart=Chart(
            repository="https://kubernetes-sigs.github.io/metrics-server/",
            name="metrics-server",
            version="3.13.1",
        ),
        version="0.8.1",
        # The first for Kubernetes 1.27 and later (README.md, compatibility matrix); ours is 1.30.
        oldest="0.7.0",
        namespace="kube-system",
        workloads=("Deployment/metrics-server",),
        unchecked="Whether the kubelets' serving certificates are signed by the cluster's CA; else "
        "the cluster's owner starts it with --kubelet-insecure-tls.",
        source="kubernetes-sigs/metrics-server@metrics-server-helm-chart-3.13.1: "
        "charts/metrics-server/Chart.yaml; README.md@5ed5d3a, read 2026-11-30",
    ),
    "cluster-autoscaler": Addon(
        title="The cluster autoscaler, which adds nodes to our node groups",
        chart=Chart(
            repository="https://kubernetes.github.io/autoscaler",
            name="cluster-autoscaler",
            version="9.59.0",
        ),
        # The chart's own image is of 1.35.0; ours follows the cluster (regions.addon_values).
        version="1.36.1",
        # Its minor version is that of Kubernetes (cluster-autoscaler/README.md); ours is 1.30.
        oldest="1.30.0",
        namespace="kube-system",
        provider="aws",
        workloads=("Deployment/cluster-autoscaler",),
        unchecked="Whether its IAM role may scale our groups: the policy is on the service "
        "account cluster-autoscaler or on the nodes.",
        source="kubernetes/autoscaler@cluster-autoscaler-chart-9.59.0: Chart.yaml, values.yaml, "
        "templates; git tags cluster-autoscaler-1.30.7 to 1.36.1 for the image, read 2026-11-30",
    ),
    "karpenter": Addon(
        title="Karpenter, which adds nodes that are not of our node groups",
        chart=Chart(
            repository="oci://public.ecr.aws/karpenter", name="karpenter", version="1.14.1"
        ),
        version="1.14.1",
        # NodePool is v1 from 1.0.0 on (pkg/apis/crds@v1.0.0). Kubernetes 1.36 needs 1.13, and 1.30
        # needs 0.37 (docs/upgrading/compatibility.md).
        oldest="1.0.0",
        namespace="kube-system",
        serves={
            "ec2nodeclasses.karpenter.k8s.aws": "v1",
            "nodeclaims.karpenter.sh": "v1",
            "nodepools.karpenter.sh": "v1",
        },
        provider="aws",
        workloads=("Deployment/karpenter",),
        unchecked="Its IAM role and its queue of interruptions, and whether a NodePool gives the "
        "labels and taints that our pods expect: isoserve makes none.",
        source="aws/karpenter-provider-aws@1d92708: charts/karpenter/Chart.yaml, values.yaml, "
        "README.md, Makefile (namespace kube-system), "
        "website/content/en/docs/upgrading/compatibility.md, pkg/apis/crds, read 2026-11-30",
    ),
    "aws-load-balancer-controller": Addon(
        title="The AWS Load Balancer Controller, which makes the gateways' load balancers",
        chart=Chart(
            repository="https://aws.github.io/eks-charts",
            name="aws-load-balancer-controller",
            version="3.5.0",
        ),
        version="3.5.0",
        # It reads aws-load-balancer-scheme, and makes internal balancers by default, from 2.2.0 on
        # (docs/guide/service/nlb.md and annotations.md).
        oldest="2.2.0",
        namespace="kube-system",
        after=("cert-manager",),
        serves={"targetgroupbindings.elbv2.k8s.aws": "v1beta1"},
        provider="aws",
        workloads=("Deployment/aws-load-balancer-controller",),
        unchecked="Whether its IAM role may make load balancers, and whether its pods reach the "
        "instance metadata service, from which it learns the VPC: nodes of ours let no pod there.",
        source="aws/eks-charts@5239609: stable/aws-load-balancer-controller/Chart.yaml; "
        "kubernetes-sigs/aws-load-balancer-controller@225f445: "
        "helm/aws-load-balancer-controller/values.yaml, templates/_helpers.tpl, "
        "docs/deploy/installation.md, read 2026-11-30",
    ),
    "external-dns": Addon(
        title="ExternalDNS, which writes the DNS records of routed models",
        chart=Chart(
            repository="https://kubernetes-sigs.github.io/external-dns/",
            name="external-dns",
            version="1.21.1",
        ),
        version="0.21.0",
        # The oldest at which its use of Gateway API's v1 was read.
        oldest="0.21.0",
        namespace="kube-system",
        needs=("gateway-api",),
        workloads=("Deployment/external-dns",),
        unchecked="Whether it may write to the domain's zone, and whether that zone answers where "
        "callers of the internal gateway ask.",
        source="kubernetes-sigs/external-dns@external-dns-helm-chart-1.21.1: "
        "charts/external-dns/Chart.yaml, values.yaml, docs/sources/gateway-api.md, "
        "read 2026-11-30",
    ),
}
"""By name, in the order in which they are shown."""


def gained(standings: Mapping[str, Standing]) -> tuple[str, ...]:
    """The capabilities of all rows that are not absent, in the order of ADDONS.

    A row that `standings` does not name is absent.
    """
    there = [row for name, row in ADDONS.items() if standings.get(name, "absent") != "absent"]
    return tuple(row.capability for row in there if row.capability)


def order(names: Iterable[str]) -> list[str]:
    """The rows `names`, each after those of them that it needs or comes after.

    The result does not depend on the order of `names`. Raises KeyError for a name that has no row.
    """
    wanted = set(names)
    if strange := sorted(wanted - set(ADDONS)):
        raise KeyError(strange[0])
    rows = [(name, row) for name, row in ADDONS.items() if name in wanted]
    first = {name: [one for one in (*row.needs, *row.after) if one in wanted] for name, row in rows}
    return list(TopologicalSorter(first).static_order())
