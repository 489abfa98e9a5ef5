"""What the caches say of themselves is read: by the operator's scrape, or by the pods' notes."""

from __future__ import annotations

import re

from components.model_cache.agent_pod import METRICS_PORT
from components.model_cache.signs import STATES, Signs
from components.service_dashboard import region_dashboard
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


_MODEL_TELLS = "a pod that waits for it is told of, and its model's own alerts call"
_TREND = "it is looked up when one of the others is looked into"
REASONS = {
    "isoserve_cache_budget_bytes": "a disk fills as it should: a cache is to be full",
    "isoserve_cache_evicted_total": "room is made every day; " + _TREND,
    "isoserve_cache_failures_total": _MODEL_TELLS + "; what lasts is a version refused",
    "isoserve_cache_fetched_bytes_total": _TREND,
    "isoserve_cache_held_bytes": "a cache is to be full",
    "isoserve_cache_models": "elsewhere: others hold it, as planned; else " + _MODEL_TELLS,
    "isoserve_cache_peer_bytes_total": _TREND,
    "isoserve_cache_peer_failures_total": "the registry gives what a peer does not",
    "isoserve_cache_published_total": _TREND,
    "isoserve_cache_rotten_total": "it is fetched again at once; " + _TREND,
    "isoserve_cache_rotten_served": "the agent's log names the version; " + _MODEL_TELLS,
    "isoserve_cache_unknown_projects": "all they may need comes before what others might: "
    + _MODEL_TELLS,
    "isoserve_cache_used_bytes": "a cache is to be full",
}
"""Why nobody is called for what the agents say."""
ON_THE_BOARD = {
    "isoserve_cache_budget_bytes",
    "isoserve_cache_held_bytes",
    "isoserve_cache_models",
    "isoserve_cache_unknown_projects",
}


def exported() -> set[str]:
    """The names of all series of an agent."""
    signs = Signs("node-1")
    signs.begin("search")
    signs.states(dict.fromkeys(STATES, 0))
    lines = signs.text().decode().splitlines()
    return {line.split()[2] for line in lines if line.startswith("# TYPE")}


def test_whatever_an_agent_says_calls_somebody_or_has_a_reason_not_to() -> None:
    alerts = [
        rule["expr"]
        for made in objects_of("us-east-1")
        for group in made.get("spec", {}).get("groups", ())
        for rule in group["rules"]
    ]
    called = {name for name in exported() for expr in alerts if name in expr}
    assert called | set(REASONS) == exported()
    assert not called & set(REASONS), "a reason that holds no more"


def test_the_region_s_board_shows_what_the_caches_hold_and_what_they_lack() -> None:
    drawn = re.findall(r"isoserve_cache_\w+", str(region_dashboard()["data"]))
    assert set(drawn) == ON_THE_BOARD


def test_without_the_operator_the_pods_say_where_to_read() -> None:
    profile = a_profile("sandbox-aws", without=["prometheus_operator"])
    made = rendered(resolve(specs(), profile, "sandbox-aws"))
    assert of_kind("PodMonitor", made) == []
    for agent in of_kind("DaemonSet", made):
        notes = template(agent)["metadata"]["annotations"]
        assert notes["prometheus.io/scrape"] == "true"
        assert notes["prometheus.io/port"] == str(METRICS_PORT)
