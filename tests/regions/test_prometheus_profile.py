"""The Prometheus that a profile names finds every object, and is let in to every metric."""

from __future__ import annotations

import json
from typing import Any

import pytest

from components.kube import Object
from regions.profile import RegionProfile
from regions.resolve import resolve
from tests.examples import of_kind, profiles, rendered, specs

RELEASE = {"release": "kps"}
"""What kube-prometheus-stack's Prometheus selects by unless it is told otherwise, for a release
named kps: podMonitorSelectorNilUsesHelmValues and ruleSelectorNilUsesHelmValues are true in the
chart's values.yaml (prometheus-community/helm-charts)."""


def a_region(**over: Any) -> list[Object]:
    values = json.loads(profiles()["us-east-1"].model_dump_json())
    profile = RegionProfile.model_validate_json(json.dumps(values | over))
    return rendered(resolve(specs(), profile, "us-east-1"))


def test_a_stack_with_its_default_selectors_finds_every_monitor_and_rule() -> None:
    found = a_region(prometheus_labels=RELEASE)
    kinds = ("PodMonitor", "PrometheusRule")
    chosen = [made for kind in kinds for made in of_kind(kind, found)]
    assert len(chosen) > 10, "servers, probers, agents, gateways and their rules"
    for made in chosen:
        labels = made["metadata"]["labels"]
        assert RELEASE.items() <= labels.items(), f"{made['metadata']['name']} would be ignored"


def namespaces(policy: Object) -> set[str]:
    return {
        peer.get("namespaceSelector", {}).get("matchLabels", {}).get("kubernetes.io/metadata.name")
        for rule in policy["spec"].get("ingress", ())
        for peer in rule["from"]
    }


@pytest.mark.parametrize(
    ("over", "namespace"),
    [
        ({"prometheus_url": "http://kps.observability.svc:9090"}, "observability"),
        ({"prometheus_url": "http://kps.observability.svc.cluster.local:9090"}, "observability"),
        (
            {"prometheus_url": "https://prometheus.acme.dev", "prometheus_namespace": "metrics"},
            "metrics",
        ),
    ],
)
def test_every_network_policy_lets_in_where_prometheus_stands(
    over: dict[str, str], namespace: str
) -> None:
    found = of_kind("NetworkPolicy", a_region(**over))
    read = [p for p in found if p["metadata"]["name"] not in ("default-deny", "default-callers")]
    let_in = [policy for policy in read if policy["spec"].get("ingress")]
    assert len(let_in) > 8, "servers, probers and agents"
    for policy in let_in:
        assert namespace in namespaces(policy), f"{policy['metadata']['name']} hides its metrics"
        assert "monitoring" not in namespaces(policy), "nobody stands there"


def test_a_prometheus_outside_needs_the_namespace_of_who_scrapes() -> None:
    with pytest.raises(ValueError, match="it does not follow from prometheus_url"):
        a_region(prometheus_url="https://prometheus.acme.dev")


@pytest.mark.parametrize("key", ["isoserve.dev/model", "app.kubernetes.io/managed-by"])
def test_a_label_of_the_platforms_own_is_refused(key: str) -> None:
    with pytest.raises(ValueError, match="the platform sets this label itself"):
        a_region(prometheus_labels={key: "x"})
