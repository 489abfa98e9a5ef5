"""The region's Prometheus: where it stands, whose monitors it reads, which versions are built."""

from __future__ import annotations

import re
from ipaddress import IPv4Network
from typing import Final

from components.kube import Object
from regions.addon_values import values
from regions.sandbox.control_plane import SIMULATED_PODS
from regions.sandbox.layout import REGIONS, TOOLCHAIN
from regions.sandbox.node import prometheus, region
from regions.sandbox.node.network import POD_RANGE
from regions.sandbox.plans import plan_of
from regions.sandbox.toolchain import parse_version
from tests.examples import profiles

MADE: Final = {one["kind"]: one for one in region.documents("prometheus.yaml", machine="cpu-01")}
SPEC: Final = MADE["Prometheus"]["spec"]


def test_it_is_where_profiles_name_it_with_the_port_that_the_host_asks() -> None:
    (container,) = SPEC["containers"]
    (port,) = container["ports"]
    assert port["containerPort"] == port["hostPort"] == prometheus.PORT
    service = MADE["Service"]
    (at,) = service["spec"]["ports"]
    name = "{name}.{namespace}".format(**service["metadata"])
    for profile in REGIONS:
        assert plan_of(profile).prometheus.url == f"http://{name}.svc:{at['port']}"


def test_it_selects_what_the_charts_would_with_our_values() -> None:
    made = values("kube-prometheus-stack", profiles()["us-east-1"])["prometheus"]["prometheusSpec"]
    kinds = [field.removesuffix("SelectorNilUsesHelmValues") for field in made]
    # false: without a selector of its own the chart writes an empty one, which takes everything.
    assert list(made.values()) == [False] * 4
    for kind in kinds:
        assert SPEC[f"{kind}Selector"] == SPEC[f"{kind}NamespaceSelector"] == {}


def test_simulated_pods_are_no_targets_and_real_ones_are() -> None:
    (of_all,) = SPEC["scrapeClasses"]
    (dropped,) = of_all["relabelings"]
    assert (of_all["default"], dropped["action"]) == (True, "drop")

    def is_dropped(network: str) -> set[bool]:
        parts = IPv4Network(network).subnets(new_prefix=20)
        return {bool(re.fullmatch(dropped["regex"], str(one[-1]))) for one in parts}

    assert is_dropped(SIMULATED_PODS) == {True}
    assert is_dropped(POD_RANGE) == {False}
    assert is_dropped("10.48.0.0/12") | is_dropped("10.80.0.0/12") == {False}, "its neighbours"


def test_the_images_have_the_versions_that_are_built() -> None:
    pinned = (TOOLCHAIN / "prometheus" / "go.mod").read_text()
    major, minor, patch = parse_version(prometheus.PROMETHEUS_VERSION)
    assert f"/prometheus/prometheus v0.{major}{minor:02}.{patch}" in pinned
    assert f"/prometheus-operator {prometheus.VERSION}" in pinned


def test_the_operator_stands_on_our_machine_and_asks_for_no_cpu() -> None:
    resources = {"limits": {"cpu": "200m"}, "requests": {"cpu": "100m", "memory": "100Mi"}}
    container = {"name": "prometheus-operator", "args": ["--kept"], "resources": resources}
    pod: Object = {"containers": [container], "serviceAccountName": "prometheus-operator"}
    spec = {"template": {"spec": pod}}
    found = prometheus.placed({"kind": "Deployment", "metadata": {}, "spec": spec}, "cpu-01")
    assert found["metadata"] == {"namespace": "monitoring"}
    made = found["spec"]["template"]["spec"]
    assert made["nodeSelector"] == {"kubernetes.io/hostname": "cpu-01"}
    assert made["serviceAccountName"] == "prometheus-operator"
    (changed,) = made["containers"]
    assert changed["args"][0] == "--kept"
    assert "cpu" not in {*changed["resources"]["limits"], *changed["resources"]["requests"]}


def test_rights_are_given_to_the_accounts_of_our_namespace() -> None:
    account = {"kind": "ServiceAccount", "name": "prometheus", "namespace": "default"}
    binding = {"kind": "ClusterRoleBinding", "metadata": {}, "subjects": [account]}
    found = prometheus.placed(binding, "cpu-01")
    assert found["subjects"] == [{**account, "namespace": "monitoring"}]
    assert found["metadata"] == {}, "it is of no namespace"
