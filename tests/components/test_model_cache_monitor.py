"""What the caches say of themselves is read: by the operator's scrape, or by the pods' notes."""

from __future__ import annotations

from components.model_cache.agent_pod import METRICS_PORT
from regions.resolve import resolve
from tests.examples import (
    a_profile,
    containers,
    objects_of,
    of_kind,
    rendered,
    selects,
    specs,
    template,
)

NAMESPACE = "isoserve-cache"


def test_one_scrape_reads_the_agents_of_every_machine_type() -> None:
    made = objects_of("sandbox-aws")
    (monitor,) = (
        one for one in of_kind("PodMonitor", made) if one["metadata"]["namespace"] == NAMESPACE
    )
    agents = of_kind("DaemonSet", made)
    assert len(agents) > 1, "or it is not seen that all are read"
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    for agent in agents:
        labels = template(agent)["metadata"]["labels"]
        assert agent["metadata"]["namespace"] == NAMESPACE, "a monitor reads its own namespace"
        assert selects(monitor["spec"]["selector"]["matchLabels"], labels)
        (container,) = containers(template(agent)["spec"])
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        assert ports[endpoint["port"]] == METRICS_PORT


def test_without_the_operator_the_pods_say_where_to_read() -> None:
    profile = a_profile("sandbox-aws", without=["prometheus_operator"])
    made = rendered(resolve(specs(), profile, "sandbox-aws"))
    assert of_kind("PodMonitor", made) == []
    for agent in of_kind("DaemonSet", made):
        notes = template(agent)["metadata"]["annotations"]
        assert notes["prometheus.io/scrape"] == "true"
        assert notes["prometheus.io/port"] == str(METRICS_PORT)
