"""What the operator would read becomes what Prometheus reads, and a real Prometheus takes it."""

from __future__ import annotations

import json
import re
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any, Final

import pytest
import requests

from components.kube import Object
from regions.sandbox.errors import SandboxError
from regions.sandbox.layout import REGIONS
from regions.sandbox.monitoring.config import CONFIG_FILE, files
from regions.sandbox.monitoring.scrapes import scrape_configs
from regions.sandbox.monitoring.targets import target_groups
from regions.sandbox.node.network import POD_RANGE
from regions.sandbox.processes import free_ports
from regions.sandbox.prometheus import ensure
from tests.examples import identity, objects_of, of_kind, template, workloads
from tests.promtool import check_config

PATIENCE_SECONDS: Final = 30.0
HERE: Final = IPv4Network("127.0.0.0/8")
every_region = pytest.mark.parametrize("region", REGIONS)


def a_monitor(namespace: str = "search", **spec: Any) -> Object:
    endpoint = {"interval": "1s", "path": "/numbers", "port": "metrics"}
    whole = {"podMetricsEndpoints": [endpoint], "selector": {"matchLabels": {"app": "ranker"}}}
    return {"metadata": {"name": "ranker", "namespace": namespace}, "spec": {**whole, **spec}}


def a_pod(name: str, port: int, **over: Any) -> Object:
    """A running pod, `port` its port of metrics; `over` are parts of its metadata or status."""
    labels = {"app": "ranker", "isoserve.dev/track": "stable"}
    whole: Object = {
        "metadata": {"labels": labels, "name": name, "namespace": "search"},
        "spec": {
            "containers": [
                {
                    "name": "server",
                    "ports": [
                        {"containerPort": port, "name": "metrics"},
                        {"containerPort": port + 1, "name": "http"},
                    ],
                }
            ]
        },
        "status": {"phase": "Running", "podIP": "127.0.0.1"},
    }
    whole["metadata"] |= {key: over[key] for key in ("labels", "namespace") if key in over}
    whole["status"] |= {key: over[key] for key in ("phase", "podIP") if key in over}
    return whole


def written(folder: Path, made: dict[str, str]) -> Path:
    """The configuration, with all that it names beside it."""
    for name, text in made.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    return folder / CONFIG_FILE


@contextmanager
def prometheus(folder: Path, config: Path) -> Iterator[str]:
    """The address of a real Prometheus with this configuration."""
    (port,) = free_ports(1)
    argv = [
        str(ensure()["prometheus"]),
        f"--config.file={config}",
        f"--storage.tsdb.path={folder / 'series'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=warn",
    ]
    with (folder / "log").open("w") as log, subprocess.Popen(argv, stderr=log) as process:
        try:
            yield f"http://127.0.0.1:{port}/api/v1"
        finally:
            process.terminate()


@contextmanager
def exporter() -> Iterator[int]:
    """The port of a program with one metric, under /numbers and nowhere else."""

    class Numbers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = self.path == "/numbers"
            self.send_response(200 if found else 404)
            self.end_headers()
            self.wfile.write(b"answers_total 42\n" if found else b"")

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Numbers)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()


class StartingError(Exception):
    """Prometheus answers, and has not read its own files yet."""


def until(look: Callable[[], Any], address: str) -> Any:
    """What `look` finds, once it finds something in Prometheus at `address`."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        try:
            if found := look():
                return found
        except (requests.ConnectionError, StartingError):
            pass
        time.sleep(0.05)
    pytest.fail(f"Prometheus at {address} did not show it in {PATIENCE_SECONDS:.0f} s")


def asked(address: str, path: str, **question: str) -> Any:
    answer = requests.get(f"{address}/{path}", params=question, timeout=10)
    if answer.status_code == 503:
        raise StartingError(answer.text)
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


def read_by(address: str) -> list[dict[str, str]]:
    """The labels of every series of the metric."""
    found = asked(address, "query", query="answers_total")["result"]
    return [row["metric"] for row in found]


@every_region
def test_prometheus_takes_everything_that_is_rendered_for_it(region: str, tmp_path: Path) -> None:
    made = objects_of(region)
    monitors, rules = of_kind("PodMonitor", made), of_kind("PrometheusRule", made)
    config = written(tmp_path, files(monitors, rules, [a_pod("one", 8080)], HERE, "127.20.0.1"))
    check_config(config)
    read = json.loads(config.read_text())
    assert len(read["rule_files"]) == len(rules) > 1, "a file that is not named is not read"
    scraped = {row["job_name"] for row in read["scrape_configs"]}
    names = {f"{identity(one).namespace}/{identity(one).name}" for one in monitors}
    assert {f"podMonitor/{name}/0" for name in names} | {"envoy"} == scraped


@every_region
def test_every_pod_with_metrics_is_read_by_exactly_one_of_the_rendered_monitors(
    region: str,
) -> None:
    made = objects_of(region)
    running = [one for one in workloads(made) if one["kind"] in ("Deployment", "DaemonSet")]
    assert {one["kind"] for one in running} == {"Deployment", "DaemonSet"}, "or too little is seen"
    for one in running:
        pod = template(one) | {"status": {"phase": "Running", "podIP": "127.0.0.1"}}
        pod["metadata"] = pod["metadata"] | {
            "name": "one",
            "namespace": one["metadata"]["namespace"],
        }
        readers = [
            scrape["job_name"]
            for monitor in of_kind("PodMonitor", made)
            for scrape in scrape_configs(monitor, "targets.json")
            for group in target_groups([pod], HERE)
            if is_kept(group["labels"], scrape["relabel_configs"])
        ]
        assert len(readers) == 1, f"{identity(one)} is read by {readers or 'nobody'}"


def is_kept(labels: dict[str, str], relabelings: list[Object]) -> bool:
    for row in (row for row in relabelings if "action" in row):
        value = ";".join(labels.get(name, "") for name in row["source_labels"])
        if bool(re.fullmatch(row["regex"], value)) != (row["action"] == "keep"):
            return False
    return True


def test_prometheus_scrapes_the_chosen_pods_and_says_where_a_series_is_from(
    tmp_path: Path,
) -> None:
    with exporter() as port:
        chosen = a_pod("chosen", port)
        others = [
            a_pod("elsewhere", port, namespace="vision"),
            a_pod("another", port, labels={"app": "sentiment"}),
            a_pod("unlabelled", port, labels={}),
            a_pod("done", port, phase="Succeeded"),
            a_pod("unstarted", port, podIP=""),
        ]
        rule = {"alert": "Answers", "expr": "answers_total > 41", "labels": {"severity": "page"}}
        rules: Object = {
            "metadata": {"name": "ranker", "namespace": "search"},
            "spec": {"groups": [{"interval": "1s", "name": "ranker", "rules": [rule]}]},
        }
        monitor = a_monitor(podTargetLabels=["isoserve.dev/track"])
        config = written(tmp_path, files([monitor], [rules], [chosen, *others], HERE, "127.0.0.1"))
        with prometheus(tmp_path, config) as address:
            (labels,) = until(lambda: read_by(address), address)
            targets = asked(address, "targets", state="active")["activeTargets"]
            (fires,) = until(lambda: asked(address, "alerts")["alerts"], address)
    assert labels == {
        "__name__": "answers_total",
        "container": "server",
        "endpoint": "metrics",
        "instance": f"127.0.0.1:{port}",
        "isoserve_dev_track": "stable",
        "job": "search/ranker",
        "namespace": "search",
        "pod": "chosen",
    }, "dashboards and rules choose by the labels that the operator gives"
    pools = sorted(target["scrapePool"] for target in targets)
    assert pools == ["envoy", "podMonitor/search/ranker/0"], "one target, and the gateways"
    assert (fires["state"], fires["labels"]["severity"]) == ("firing", "page")


@pytest.mark.parametrize(
    ("row", "kept"),
    [
        ({"key": "isoserve.dev/track", "operator": "In", "values": ["stable", "spot"]}, True),
        ({"key": "isoserve.dev/track", "operator": "In", "values": ["spot"]}, False),
        ({"key": "isoserve.dev/track", "operator": "NotIn", "values": ["stable"]}, False),
        ({"key": "isoserve.dev/track", "operator": "NotIn", "values": ["spot"]}, True),
        ({"key": "absent", "operator": "NotIn", "values": ["spot"]}, True),
        ({"key": "isoserve.dev/track", "operator": "Exists"}, True),
        ({"key": "absent", "operator": "Exists"}, False),
        ({"key": "isoserve.dev/track", "operator": "DoesNotExist"}, False),
        ({"key": "absent", "operator": "DoesNotExist"}, True),
    ],
    ids=lambda given: f"{given['operator']} {given['key']}" if isinstance(given, dict) else "",
)
def test_an_expression_chooses_pods_as_kubernetes_does(row: Object, kept: bool) -> None:
    (scrape,) = scrape_configs(a_monitor(selector={"matchExpressions": [row]}), "targets.json")
    (labels,) = (
        group["labels"]
        for group in target_groups([a_pod("one", 8080)], HERE)
        if "metrics" in group["labels"].values()
    )
    assert is_kept(labels, scrape["relabel_configs"]) is kept


def test_a_port_is_chosen_by_its_number_too() -> None:
    endpoint = {"portNumber": 8081}
    (scrape,) = scrape_configs(a_monitor(podMetricsEndpoints=[endpoint]), "targets.json")
    (group,) = (
        group
        for group in target_groups([a_pod("one", 8080)], HERE)
        if is_kept(group["labels"], scrape["relabel_configs"])
    )
    assert group["targets"] == ["127.0.0.1:8081"]


@pytest.mark.parametrize(
    ("selector", "namespaces"),
    [({"any": True}, ["search", "vision"]), ({"matchNames": ["vision"]}, ["vision"])],
)
def test_a_monitor_may_look_into_other_namespaces(selector: Object, namespaces: list[str]) -> None:
    (scrape,) = scrape_configs(a_monitor(namespaceSelector=selector), "targets.json")
    pods = [a_pod("one", 8080), a_pod("two", 8080, namespace="vision")]
    found = {
        group["labels"]["__meta_kubernetes_namespace"]
        for group in target_groups(pods, HERE)
        if is_kept(group["labels"], scrape["relabel_configs"])
    }
    assert sorted(found) == namespaces


@pytest.mark.parametrize("running", ["127.0.0.0/8", POD_RANGE])
def test_an_address_that_is_no_running_pods_is_never_asked(running: str) -> None:
    assert (
        target_groups([a_pod("simulated", 8080, podIP="10.64.0.9")], IPv4Network(running)) == []
    ), "a simulated pod has an address that may be somebody else's"


def test_a_pod_of_a_real_machine_is_asked_at_its_own_address() -> None:
    groups = target_groups([a_pod("real", 8080, podIP="10.244.2.7")], IPv4Network(POD_RANGE))
    assert [group["targets"] for group in groups] == [["10.244.2.7:8080"], ["10.244.2.7:8081"]]


@pytest.mark.parametrize(
    "monitor",
    [
        a_monitor(sampleLimit=10),
        a_monitor(podMetricsEndpoints=[{"port": "metrics", "sampleLimit": 10}]),
    ],
    ids=["of the monitor", "of an endpoint"],
)
def test_a_field_that_is_not_understood_is_refused_by_name(monitor: Object) -> None:
    with pytest.raises(SandboxError, match=r"PodMonitor search/ranker has sampleLimit in spec"):
        scrape_configs(monitor, "targets.json")
