"""The table of add-ons is complete, and what a chart is given fits the region's own objects."""

from __future__ import annotations

import json
import re
from typing import Any, Final

import pytest

from components.gpu_node_pool import node_labels
from model_specs.names import RESERVED
from regions.abilities import Abilities
from regions.addon_values import values
from regions.addons import ADDONS, Standing, gained, order
from regions.capabilities import CAPABILITIES
from regions.machines import MACHINES
from regions.namespaces import TAKEN
from regions.offers import Nodes, Taint
from regions.plan import PoolPlan
from regions.pools import Demand, pools
from regions.profile import RegionProfile
from tests.examples import REGIONS, a_profile, an_offer, objects_of, profiles, with_capabilities

LABEL: Final = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
VERSION: Final = r"\d+\.\d+\.\d+"
ON_GPU_NODES: Final = ("nvidia-device-plugin", "dcgm-exporter")
OURS: Final = ("gateway.networking.k8s.io", "gateway.envoyproxy.io", "keda.sh",
               "monitoring.coreos.com")  # fmt: skip


@pytest.mark.parametrize("name", ADDONS)
def test_a_row_says_all_that_people_and_programs_ask_of_it(name: str) -> None:
    row = ADDONS[name]
    assert re.fullmatch(LABEL, name), "a chart's release is named like its row"
    assert re.fullmatch(".+", row.title), "it is one line"
    assert re.fullmatch(LABEL, row.namespace), "a namespace is a DNS label"
    assert row.unchecked.endswith("."), "it is a sentence for people"
    assert re.search("@.*2026-11-30", row.source), "a fact has a place and a day"
    assert row.capability in {"", *CAPABILITIES}


@pytest.mark.parametrize("name", ADDONS)
def test_a_row_is_pinned_and_not_older_than_what_we_support(name: str) -> None:
    row = ADDONS[name]
    for version in (row.version, row.oldest):
        assert re.fullmatch(VERSION, version), "doctor compares numbers"
    assert numbers(row.oldest) <= numbers(row.version)
    if row.chart:
        assert re.fullmatch(rf"v?{VERSION}", row.chart.version), "an unpinned one changes by itself"
        assert row.chart.repository.startswith(("https://", "oci://"))


def numbers(version: str) -> list[int]:
    return [int(part) for part in version.split(".")]


@pytest.mark.parametrize("name", ADDONS)
def test_a_row_names_definitions_and_workloads_as_kubernetes_does(name: str) -> None:
    for definition, version in ADDONS[name].serves.items():
        assert re.fullmatch(rf"{LABEL}(\.{LABEL}){{2,}}", definition), "a plural and a group"
        assert re.fullmatch(r"v\d+((alpha|beta)\d+)?", version)
    for workload in ADDONS[name].workloads:
        assert re.fullmatch(rf"(Deployment|DaemonSet|StatefulSet)/{LABEL}", workload)


def test_no_project_can_be_named_like_an_add_ons_namespace() -> None:
    for name, row in ADDONS.items():
        is_reserved = row.namespace.split("-")[0] in RESERVED
        assert row.namespace in TAKEN or is_reserved, f"a project could take that of {name}"


def test_the_capabilities_that_add_ons_bring_are_these() -> None:
    brought = {name: row.capability for name, row in ADDONS.items() if row.capability}
    assert brought == {
        "gateway-api": "gateway_api",
        "envoy-gateway": "envoy_gateway",
        "keda": "keda",
        "kube-prometheus-stack": "prometheus_operator",
    }


def test_a_profile_gains_by_what_is_there_whoever_brings_it() -> None:
    there: dict[str, Standing] = {
        "kube-prometheus-stack": "absent",
        "keda": "install",
        "metrics-server": "install",
        "gateway-api": "provided",
    }
    assert gained(there) == ("gateway_api", "keda"), "in the order of the table"
    assert gained({}) == (), "a row that nobody names is absent"


def test_each_row_comes_after_those_that_it_needs() -> None:
    found = order(ADDONS)
    assert sorted(found) == sorted(ADDONS), "a circle of needs would have no order"
    for name, row in ADDONS.items():
        for earlier in (*row.needs, *row.after):
            assert found.index(earlier) < found.index(name)
    assert order(reversed(list(ADDONS))) == found, "the order of a profile's keys says nothing"


def test_what_is_needed_and_brought_by_others_is_not_in_the_order() -> None:
    assert order(["envoy-gateway", "keda"]) == ["envoy-gateway", "keda"]
    with pytest.raises(KeyError):
        order(["kedda"])


@pytest.mark.parametrize("region", REGIONS)
def test_every_definition_that_a_region_rests_on_is_in_the_table(region: str) -> None:
    served = {key: version for row in ADDONS.values() for key, version in row.serves.items()}
    for made in objects_of(region):
        group, _, version = made["apiVersion"].partition("/")
        if group in OURS:
            plural = re.sub(r"([^aeiou])ys$", r"\1ies", made["kind"].lower() + "s")
            assert served[f"{plural}.{group}"] == version, "doctor would not look for it"


@pytest.mark.parametrize("name", ADDONS)
@pytest.mark.parametrize("region", REGIONS)
def test_values_are_plain_json(region: str, name: str) -> None:
    made = values(name, profiles()[region])
    assert json.loads(json.dumps(made)) == made, "they are written into a stack's state"


# -- GPU nodes ---------------------------------------------------------------------------------


def all_pools(profile: RegionProfile) -> tuple[PoolPlan, ...]:
    """The pools of all machine types of a profile, whether a model wants them or not."""
    bounds = Nodes(min=0, max=1)
    offers = {
        name: offer.model_copy(update={"on_demand": bounds, "spot": bounds})
        for name, offer in profile.machines.items()
    }
    wanted: Demand = {(name, kind): (1, 1, 1) for name in offers for kind in ("on_demand", "spot")}
    able = Abilities("here", frozenset(CAPABILITIES))
    return pools(profile.model_copy(update={"machines": offers}), able, wanted)


def nvidia_pools(profile: RegionProfile) -> list[PoolPlan]:
    rows = all_pools(profile)
    return [pool for pool in rows if MACHINES[pool.machine_type].kind.vendor == "nvidia"]


def tolerates(tolerations: list[dict[str, str]], key: str, value: str) -> bool:
    """As Kubernetes' ToleratesTaint has it, for the effect NoSchedule."""
    return any(
        one["key"] == key
        and one["effect"] == "NoSchedule"
        and (one["operator"] == "Exists" or one.get("value", "") == value)
        for one in tolerations
    )


def matches(affinity: dict[str, Any], labels: dict[str, str]) -> bool:
    """Whether a node satisfies one of the terms."""
    required = affinity["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    return any(
        all(labels.get(one["key"]) in one["values"] for one in term["matchExpressions"])
        for term in required["nodeSelectorTerms"]
    )


@pytest.mark.parametrize("name", ON_GPU_NODES)
@pytest.mark.parametrize("region", REGIONS)
def test_what_gpus_need_stands_on_every_gpu_node_and_no_other(region: str, name: str) -> None:
    profile = profiles()[region]
    made = values(name, profile)
    for pool in all_pools(profile):
        is_nvidia = pool in nvidia_pools(profile)
        for group in pool.groups:
            labels = node_labels(pool, group.capacity)
            assert matches(made["affinity"], labels) is is_nvidia, pool.name
            if is_nvidia:
                for taint in group.taints:
                    assert tolerates(made["tolerations"], taint.key, taint.value), taint.key


@pytest.mark.parametrize("name", ON_GPU_NODES)
def test_what_gpus_need_tolerates_the_taints_that_others_put_there(name: str) -> None:
    offer = an_offer(4, taints=(Taint(key="dedicated", value="ml"),))
    made = values(name, a_profile(machines={"gpu.l4.1": offer}))["tolerations"]
    assert tolerates(made, "dedicated", "ml"), "no pod would get a GPU there"
    assert tolerates(made, "isoserve.dev/machine-type", "gpu.l4.1"), "nodes of earlier versions"
    assert not tolerates(made, "dedicated", "web"), "those nodes are another team's"


def test_a_region_without_gpus_has_valid_values_too() -> None:
    made = values("nvidia-device-plugin", a_profile(machines={}))
    assert made["tolerations"] == []
    assert matches(made["affinity"], {"nvidia.com/gpu.present": "true"}), "by the vendor's label"


# -- what charts are told of the region ----------------------------------------------------------


@pytest.mark.parametrize(
    ("namespaces", "deploy"),
    [
        (("envoy-gateway-system",), None),
        (("isoserve-gateway",), {"deploy": {"type": "GatewayNamespace"}}),
        (("envoy-gateway-system", "isoserve-gateway"), {"deploy": {"type": "GatewayNamespace"}}),
    ],
)
def test_proxies_stand_where_network_policies_expect_them(
    namespaces: tuple[str, ...], deploy: dict[str, Any] | None
) -> None:
    made = values("envoy-gateway", a_profile(proxy_namespaces=namespaces))
    config = made["config"]["envoyGateway"]
    assert config["provider"].get("kubernetes") == deploy
    assert config["rateLimit"]["backend"]["type"] == "Redis", "else public routes are refused"
    assert made["crds"]["enabled"] is False, "the definitions are the row gateway-api's"


def test_prometheus_selects_monitors_and_rules_of_everybody() -> None:
    made = values("kube-prometheus-stack", a_profile())["prometheus"]["prometheusSpec"]
    assert made == {
        "podMonitorSelectorNilUsesHelmValues": False,
        "probeSelectorNilUsesHelmValues": False,
        "ruleSelectorNilUsesHelmValues": False,
        "serviceMonitorSelectorNilUsesHelmValues": False,
    }, "with the chart's defaults nothing of ours is scraped"


@pytest.mark.parametrize("standing", ["install", "provided", "absent"])
def test_webhooks_have_certificates_of_cert_manager_where_it_is(standing: Standing) -> None:
    profile = a_profile()
    profile = profile.model_copy(update={"addons": {**profile.addons, "cert-manager": standing}})
    is_there = standing != "absent"
    webhooks = values("kube-prometheus-stack", profile)["prometheusOperator"]
    assert webhooks["tls"]["enabled"] is is_there, "no hook makes the Secret"
    assert webhooks["admissionWebhooks"]["certManager"]["enabled"] is is_there
    assert values("aws-load-balancer-controller", profile)["enableCertManager"] is is_there


def test_nodes_are_counted_by_the_label_that_dashboards_read() -> None:
    made = values("kube-state-metrics", a_profile())
    assert made["metricLabelsAllowlist"] == ["nodes=[isoserve.dev/machine-type]"]
    assert values("kube-prometheus-stack", a_profile())["kubeStateMetrics"] == {"enabled": False}


@pytest.mark.parametrize("name", ["kube-state-metrics", "dcgm-exporter"])
def test_exporters_have_a_service_monitor_only_where_its_definition_is(name: str) -> None:
    claimed = set(CAPABILITIES)
    operated = json.dumps(values(name, a_profile()))
    lesser = with_capabilities(a_profile(), claimed - {"prometheus_operator"})
    assert '"enabled": true' in operated
    assert '"enabled": true' not in json.dumps(values(name, lesser))


def test_the_cluster_autoscaler_is_of_the_clusters_minor_version() -> None:
    profile = a_profile()
    made = values("cluster-autoscaler", profile)
    assert made["image"]["tag"].startswith(f"v{profile.kubernetes_version}.")
    assert made["image"]["tag"] == f"v{ADDONS['cluster-autoscaler'].version}"
    assert made["autoDiscovery"]["clusterName"] == profile.cluster.name
    assert made["extraArgs"]["expander"] == "priority", "spot groups come before on-demand ones"
    assert made["expanderPriorities"], "the chart makes the ConfigMap only of these"


def test_dns_records_are_written_for_the_regions_routes_alone() -> None:
    profile = a_profile()
    made = values("external-dns", profile)
    assert made["sources"] == ["gateway-httproute"]
    assert made["domainFilters"] == [profile.domain]
    assert made["txtOwnerId"] == profile.cluster.name, "two clusters may share a zone"
