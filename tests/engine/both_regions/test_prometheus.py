"""Real Prometheus reads each region: what runs is seen, a wedged model calls people in time."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from ipaddress import IPv4Network, ip_address
from typing import Any, Final
from urllib.parse import urlsplit

import pytest

from components.kube import FIELD_MANAGER, Object
from regions.sandbox.kube import own_session
from regions.sandbox.node.network import POD_RANGE
from regions.sandbox.node.prometheus import PORT
from regions.sandbox.plans import profile_of
from tests.engine.world import REGIONS, World

pytestmark = pytest.mark.engine

MODEL: Final = '{project="search",model="ranker"}'
FIRING: Final = (
    'ALERTS{alertname="ModelProbeFailing",alertstate="firing",project="search",model="ranker"}'
)
MONITORS: Final = "/apis/monitoring.coreos.com/v1/namespaces/search/podmonitors"
FIRING_ANY: Final = 'ALERTS{alertstate="firing"}'
JOBS: Final = {
    "chat/prober",
    "isoserve-cache/cache-agent",
    "isoserve-gateway/internal-proxies",
    "isoserve-gateway/public-proxies",
    "prometheus-operator",
    "search/prober",
    "search/ranker",
    "vision/prober",
}
"""What runs on real machines; simulated pods have nothing to read and are no targets."""

# The longest that anything here may take; what is promised is asserted on recorded times.
SEEN_SECONDS: Final = 90.0
EVALUATED_SECONDS: Final = 180.0  # the slowest groups take their turn every 2 minutes
RESOLVED_SECONDS: Final = 120.0

ERRORS: Final = 12
"""As many as a share is judged of, and more (components/synthetic_probe/signals.py)."""

every_region = pytest.mark.parametrize("region", REGIONS)


def asked(world: World, region: str, path: str, **question: str) -> Any:
    """What the region's Prometheus answers."""
    address = f"http://{world.network(region).machine_address(1)}:{PORT}/api/v1/{path}"
    answer = own_session().get(address, params=question, timeout=10)
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


def series(world: World, region: str, query: str) -> list[Object]:
    """The series that a query finds, each with its labels and its value or samples."""
    found: list[Object] = asked(world, region, "query", query=query)["result"]
    return found


def eventually(look: Callable[[], bool], seconds: float, what: Callable[[], object]) -> None:
    """Wait until `look` is true; else fail with `what` there is instead."""
    deadline = time.monotonic() + seconds
    while not look():
        if time.monotonic() > deadline:
            pytest.fail(f"not within {seconds:.0f} s; there is {what()}")
        time.sleep(0.5)


def active(world: World, region: str) -> list[Object]:
    """The targets that Prometheus reads now."""
    found: list[Object] = asked(world, region, "targets", state="active")["activeTargets"]
    return found


def targets(world: World, region: str) -> dict[str, set[str]]:
    """The health of each job's targets."""
    found: dict[str, set[str]] = {}
    for target in active(world, region):
        found.setdefault(target["labels"]["job"], set()).add(target["health"])
    return found


def unwell(world: World, region: str) -> object:
    """The jobs that there are, why targets are not up, and the pods that the region has there."""
    bad = [one for one in active(world, region) if one["health"] != "up"]
    pods = world.cluster(region).get("/api/v1/namespaces/search/pods")
    assert pods is not None
    return (
        targets(world, region),
        [(one["labels"], one["scrapeUrl"], one["lastError"]) for one in bad],
        [(one["metadata"], one["status"]) for one in pods["items"]],
    )


@every_region
def test_what_runs_is_read(world: World, region: str) -> None:
    wanted = {job: {"up"} for job in JOBS}
    eventually(
        lambda: targets(world, region) == wanted, SEEN_SECONDS, lambda: unwell(world, region)
    )
    hosts = {str(urlsplit(one["scrapeUrl"]).hostname) for one in active(world, region)}
    assert all(ip_address(host) in IPv4Network(POD_RANGE) for host in hosts), "no simulated pod"


@every_region
def test_the_probe_and_the_cache_say_that_the_model_is_there(world: World, region: str) -> None:
    query = f"probe_success{MODEL} == 1"
    eventually(lambda: bool(series(world, region, query)), SEEN_SECONDS, lambda: "no such series")
    held = series(world, region, f"isoserve_cache_held_bytes{MODEL}")
    assert all(float(row["value"][1]) > 0 for row in held), held
    # A node may speak twice for a minute: the series of an agent that has gone end so late.
    assert {row["metric"]["node"] for row in held} == agent_nodes(world, region)


@every_region
def test_the_queue_by_which_replicas_are_scaled_is_there(world: World, region: str) -> None:
    query = 'rest_server_requests_in_progress{namespace="search",pod=~"ranker-.+"}'
    eventually(lambda: bool(series(world, region, query)), SEEN_SECONDS, lambda: "no such series")
    (server,) = {row["metric"]["job"] for row in series(world, region, query)}
    assert server == "search/ranker", "an autoscaler that reads nothing scales nothing"


@every_region
def test_every_rule_is_evaluated_without_an_error(world: World, region: str) -> None:
    def healths() -> set[str]:
        groups = asked(world, region, "rules")["groups"]
        return {rule["health"] for group in groups for rule in group["rules"]}

    eventually(lambda: bool(healths()) and "unknown" not in healths(), EVALUATED_SECONDS, healths)
    groups = asked(world, region, "rules")["groups"]
    wrong = [
        (rule["name"], rule["lastError"])
        for group in groups
        for rule in group["rules"]
        if rule["health"] != "ok"
    ]
    assert wrong == []
    of_model = {g["name"] for g in groups if g["name"].startswith("search-ranker-")}
    parts = ("budget", "gateway", "probe", "slo")
    assert of_model == {f"search-ranker-{one}" for one in parts}


@every_region
def test_people_are_called_for_simulated_models_only(world: World, region: str) -> None:
    """Simulated pods answer no probe: rightly, ModelProbeFailing fires once they had time to start.

    By their clocks that is 8 to 13 minutes after the first probe, 39 for chat/assistant; a full
    hour later the budgets burn too. Each of them is probed, and none answers, so the alerts for
    models that are slow or not probed at all stay silent.
    """
    query = f"probe_success{MODEL} == 1"
    eventually(lambda: bool(series(world, region, query)), SEEN_SECONDS, lambda: "no such series")
    simulated = {
        (row["project"], row["model"])
        for row in world.status()
        if row["region"] == region and row["probe"] == "simulated"
    }
    assert len(simulated) == 5, "all but search/ranker"

    def called_for() -> set[tuple[str, str]]:
        """Models as (project, name); an alert that a test before this one raised may just end."""
        firing = series(world, region, FIRING_ANY)
        return {(row["metric"]["project"], row["metric"]["model"]) for row in firing}

    eventually(lambda: called_for() <= simulated, RESOLVED_SECONDS, called_for)
    names = {row["metric"]["alertname"] for row in series(world, region, FIRING_ANY)}
    fails = {"ModelProbeFailing", "ModelBudgetBurning", "ModelCandidateFailing"}
    fails.add("ModelRequestsFailing")  # of callers, as the next test is one
    assert names <= fails, "the alerts for what fails"


@every_region
def test_callers_whom_a_gateway_answers_with_errors_call_people(world: World, region: str) -> None:
    """Envoy finds no pod of a simulated model, and counts its own 503 like those of a model."""
    labels = 'alertname="ModelRequestsFailing",alertstate="firing",project="chat",model="helper"'
    domain = str(profile_of(region).domain)

    def ask(_: int) -> int:
        address = world.network(region).gateway_address("internal")
        headers = {"Host": f"helper--chat.internal.{domain}"}
        url = f"http://{address}/v1/chat/completions"
        return own_session().post(url, json={}, headers=headers, timeout=60).status_code

    def is_called_for() -> bool:
        # A counter that begins with its first error has not grown: some come after it was read.
        with ThreadPoolExecutor(ERRORS) as pool:
            assert set(pool.map(ask, range(ERRORS))) == {503}
        return bool(series(world, region, f"ALERTS{{{labels}}}"))

    eventually(is_called_for, RESOLVED_SECONDS, lambda: series(world, region, FIRING_ANY))


def test_a_changed_monitor_comes_through(world: World) -> None:
    cluster, path = world.cluster("sandbox-onprem"), f"{MONITORS}/ranker"
    found = cluster.get(path)
    assert found is not None
    endpoints = found["spec"]["podMetricsEndpoints"]
    changed = [{**one, "interval": "17s"} for one in endpoints]

    def write(rows: list[Object]) -> None:
        change = {"spec": {"podMetricsEndpoints": rows}}
        ours = f"{path}?fieldManager={FIELD_MANAGER}"
        cluster.send("PATCH", ours, change, "application/merge-patch+json")

    def config() -> str:
        text: str = asked(world, "sandbox-onprem", "status/config")["yaml"]
        return text

    write(changed)
    try:
        eventually(lambda: "scrape_interval: 17s" in config(), SEEN_SECONDS, config)
        assert "job_name: podMonitor/search/prober/0" in config(), "the other monitors stay"
    finally:
        write(endpoints)


def agent_nodes(world: World, region: str) -> set[str]:
    """The nodes of the model's machine type that have an agent."""
    selector = "labelSelector=isoserve.dev/machine-type%3Dcpu.4,isoserve.dev/role%3Dcache-agent"
    pods = world.cluster(region).get(f"/api/v1/namespaces/isoserve-cache/pods?{selector}")
    assert pods is not None
    assert pods["items"], "or nothing is compared"
    return {pod["spec"]["nodeName"] for pod in pods["items"]}


def interval_seconds(world: World, region: str) -> int:
    """How often the prober asks the model."""
    config = world.cluster(region).get("/api/v1/namespaces/search/configmaps/prober")
    assert config is not None
    rows = json.loads(config["data"]["config.json"])["probes"]
    (row,) = (row for row in rows if row["id"] == "search/ranker")
    return int(row["interval_seconds"])


@contextmanager
def wedged(pids: list[int]) -> Iterator[float]:
    """Processes that hold their sockets and answer nothing; since when, Unix time."""
    assert pids, "no server runs"
    since = time.time()
    try:
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        yield since
    finally:
        for pid in pids:
            with suppress(ProcessLookupError):  # its liveness probe was quicker
                os.kill(pid, signal.SIGCONT)


def fired_at(world: World, region: str, since: float) -> float | None:
    """When Prometheus recorded the page for the first time after `since`."""
    found = series(world, region, f"{FIRING}[10m]")
    times = [float(sample[0]) for row in found for sample in row["values"]]
    return min((moment for moment in times if moment > since), default=None)


def test_a_wedged_server_pages_within_two_probe_intervals_and_stops_when_it_answers(
    world: World,
) -> None:
    region = "sandbox-onprem"
    query = f"probe_success{MODEL} == 1"
    eventually(lambda: bool(series(world, region, query)), SEEN_SECONDS, lambda: "no such series")
    assert series(world, region, FIRING) == [], "or this proves nothing"
    interval = interval_seconds(world, region)
    with wedged(world.server_processes(region)) as since:
        eventually(
            lambda: fired_at(world, region, since) is not None,
            3 * interval,
            lambda: series(world, region, f"ALERTS{MODEL}"),
        )
        paged = fired_at(world, region, since)
    assert paged is not None
    told = f"the page came {paged - since:.1f} s after the server stood still"
    print(told)
    assert paged - since <= 2 * interval, told
    eventually(
        lambda: series(world, region, FIRING) == [],
        RESOLVED_SECONDS,
        lambda: series(world, region, f"ALERTS{MODEL}"),
    )
