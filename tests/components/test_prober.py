from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from components.service_dashboard import model_dashboard, region_dashboard
from components.synthetic_probe import prober
from components.synthetic_probe.objects import CONFIG_PATH, probe_config
from components.synthetic_probe.reach import METRICS_PORT
from components.synthetic_probe.rules import rule_groups
from components.synthetic_probe.settings import load
from regions.model_plan import ServerPlan
from tests.builders import a_probe, a_server, a_workload
from tests.examples import REGIONS, objects_of
from tests.images import check_image
from tests.loopback import PROTECTION_SECONDS, Handler, says, serving
from tests.promtool import check_metrics

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = ROOT / "components" / "synthetic_probe" / "Dockerfile"
OWN = '{model="sentiment",project="search",track=""}'
IN_A_ROW = f"probe_failures_in_a_row{OWN}"
PONG = b'{"choices": [{"text": "pong"}]}'
# The rules' own series have a colon before it.
READ = re.compile(r"(?<![:\w])(probe_\w+)(?:\{([^}]*)\})?")


class Program:
    """The prober as the pod runs it, on a free port."""

    def __init__(self, process: subprocess.Popen[str], host: str) -> None:
        self.process = process
        self._host = host
        self.log: list[str] = []
        self._port = 0
        self._begun = threading.Event()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        assert self._begun.wait(PROTECTION_SECONDS), self.log
        assert self._port, f"it ended: {self.log}"

    def _read(self) -> None:
        assert self.process.stderr
        for line in self.process.stderr:
            self.log.append(line)
            if found := re.search(r"metrics on port ([0-9]+)", line):
                self._port = int(found.group(1))
                self._begun.set()
        self._begun.set()

    def get(self, path: str, host: str = "") -> str:
        url = f"http://{host or self._host or '127.0.0.1'}:{self._port}{path}"
        with urllib.request.urlopen(url) as answer:
            return str(answer.read().decode())

    def samples(self) -> dict[str, float]:
        """Every series with its value."""
        lines = [line for line in self.get("/metrics").splitlines() if not line.startswith("#")]
        return {series: float(value) for series, value in (line.rsplit(" ", 1) for line in lines)}

    def wait_for(self, state: Callable[[dict[str, float]], bool]) -> dict[str, float]:
        """The samples of the first time that they are as `state` says."""
        end = time.monotonic() + PROTECTION_SECONDS
        while not state(found := self.samples()):
            assert time.monotonic() < end, f"it never came to that: {found} {self.log}"
            time.sleep(0.02)
        return found

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(PROTECTION_SECONDS)
        self._reader.join()
        return code


def to_file(directory: Path, *servers: ServerPlan, **over: Any) -> Path:
    """The config of a prober of `servers`, each row changed by `over`."""
    config = json.loads(probe_config("search", servers))
    config["probes"] = [row | over for row in config["probes"]]
    file = directory / "config.json"
    file.write_text(json.dumps(config))
    return file


@contextmanager
def running(config: Path, host: str = "", **environment: str) -> Iterator[Program]:
    command = [sys.executable, "-m", prober.__name__, "--config", str(config), "--port", "0"]
    command += ["--host", host] if host else []
    pipe, variables = subprocess.PIPE, {**os.environ, **environment}
    with subprocess.Popen(command, cwd=ROOT, env=variables, stderr=pipe, text=True) as process:
        try:
            yield Program(process, host)
        finally:
            process.kill()


def failures(samples: dict[str, float]) -> dict[str, float]:
    """Failures by reason, without those that never happened."""
    found = {
        re.findall(r'reason="(\w+)"', series)[0]: value
        for series, value in samples.items()
        if series.startswith("probe_failures_total")
    }
    return {reason: value for reason, value in found.items() if value}


# -- the metrics -----------------------------------------------------------------------------


def series_read(server: ServerPlan) -> set[tuple[str, str]]:
    """Every series of the prober, with its matchers, that rules and dashboards ask for."""
    maps = (model_dashboard(server), region_dashboard())
    drawn = [json.loads(text) for found in maps for text in found["data"].values()]
    shown = [t["expr"] for board in drawn for panel in board["panels"] for t in panel["targets"]]
    judged = [r["expr"] for g in rule_groups(server, "https://grafana") for r in g["rules"]]
    return {match for expr in (*shown, *judged) for match in READ.findall(expr)}


def test_every_series_that_rules_and_dashboards_read_is_there_after_one_probe(
    tmp_path: Path,
) -> None:
    with serving(says(PONG)) as served:
        server = a_server(probe=a_probe(url=served.url))
        with running(to_file(tmp_path, server)) as program:
            found = program.wait_for(lambda samples: bool(samples))
            text = program.get("/metrics")
    read = series_read(server)
    assert {name for name, _ in read} == {
        "probe_duration_seconds",
        "probe_failures_in_a_row",
        "probe_last_timestamp_seconds",
        "probe_success",
    }, "the rules changed: does the program still export what they read?"
    for name, matchers in read:
        wanted = set(filter(None, matchers.split(",")))
        assert any(
            series.startswith(f"{name}{{") and wanted <= set(series[len(name) + 1 : -1].split(","))
            for series in found
        ), f"{name}{{{matchers}}} would be empty for ever"
    assert found[f"probe_success{OWN}"] == 1, program.log
    assert found[f"probe_attempts_total{OWN}"] == 1, "its interval is 30 s"
    assert abs(found[f"probe_last_timestamp_seconds{OWN}"] - time.time()) < 300, "Unix seconds"
    assert failures(found) == {}, "and every reason is there at 0, for `increase`"
    assert text.count("probe_failures_total{") == 17, "the reasons are a closed set"
    check_metrics(text)


def test_wedged_model_is_reported_by_the_second_probe_at_the_latest(tmp_path: Path) -> None:
    wedged = threading.Event()

    def answer(handler: Handler) -> None:
        if wedged.is_set():
            handler.hang()
        handler.reply(PONG)

    def right(found: dict[str, float]) -> float:
        return found[f"probe_attempts_total{OWN}"] - sum(failures(found).values())

    with serving(answer) as served:
        server = a_server(probe=a_probe(url=served.url))
        fast = to_file(tmp_path, server, interval_seconds=0.2, latency_seconds=1.0)
        with running(fast) as program:
            program.wait_for(lambda found: found.get(f"probe_success{OWN}") == 1)
            wedged.set()
            before = program.samples()
            after = program.wait_for(lambda found: found[f"probe_success{OWN}"] == 0)
            assert program.get("/healthz") == "ok", "a restart of the prober mends no model"
            program.stop()
    assert right(after) - right(before) <= 1, "only one that was on its way may still be right"
    assert set(failures(after)) == {"timeout"}, "why it failed"


def test_wedged_model_has_two_wrong_answers_long_before_its_next_turn(tmp_path: Path) -> None:
    with serving(Handler.hang) as served:
        server = a_server(probe=a_probe(url=served.url))
        hourly = to_file(tmp_path, server, interval_seconds=3600, latency_seconds=1.0)
        with running(hourly) as program:
            found = program.wait_for(lambda found: found.get(IN_A_ROW) == 2)
            assert program.get("/healthz") == "ok", "it is on time, whatever the model does"
            health = urllib.request.urlopen(served.url).read()
    assert health == b"ok", "the server's own health saw nothing"
    assert failures(found) == {"timeout": 2}, "its second turn is an hour away"
    assert len(served.requests) == 2, "and nobody hammers a server that is down"
    assert found[f"probe_success{OWN}"] == 0, "the alert asks for both"


def test_wedge_is_a_row_of_failures_that_one_right_answer_ends(tmp_path: Path) -> None:
    wedged = threading.Event()
    answered: list[bytes] = []

    def answer(handler: Handler) -> None:
        if wedged.is_set():
            handler.hang()
        answered.append(PONG)
        handler.reply(PONG)

    with serving(answer) as served:
        server = a_server(probe=a_probe(url=served.url))
        fast = to_file(tmp_path, server, interval_seconds=2.5, latency_seconds=0.5)
        with running(fast) as program:
            right = program.wait_for(lambda found: found.get(f"probe_success{OWN}") == 1)
            wedged.set()
            wrong = program.wait_for(lambda found: found[IN_A_ROW] >= 2)
            rightly = len(answered)
            wedged.clear()
            mended = program.wait_for(lambda found: found[IN_A_ROW] == 0)
    assert right[IN_A_ROW] == 0, "a row of none"
    assert wrong[f"probe_attempts_total{OWN}"] == rightly + wrong[IN_A_ROW], "every ask since"
    assert set(failures(wrong)) == {"timeout"}, "why they failed"
    assert mended[f"probe_success{OWN}"] == 1, "a turn found it right, and the page is over"


def test_stopped_model_is_refused_twice_before_its_next_turn(tmp_path: Path) -> None:
    with serving(says(PONG)) as served:
        server = a_server(probe=a_probe(url=served.url))
    hourly = to_file(tmp_path, server, interval_seconds=3600, latency_seconds=1.0)
    with running(hourly) as program:
        found = program.wait_for(lambda found: found.get(IN_A_ROW) == 2)
    assert failures(found) == {"connect": 2}, "nobody listens any more"


# -- where it listens ------------------------------------------------------------------------


def test_prober_listens_on_the_address_it_is_given_and_on_no_other(tmp_path: Path) -> None:
    with running(to_file(tmp_path), host="127.0.0.2") as program:
        assert program.get("/healthz") == "ok"
        with pytest.raises(urllib.error.URLError, match="refused"):
            program.get("/healthz", host="127.0.0.1")


def test_prober_listens_on_all_addresses_unless_it_is_told(tmp_path: Path) -> None:
    with running(to_file(tmp_path)) as program:
        answers = {program.get("/healthz", host=host) for host in ("127.0.0.1", "127.0.0.2")}
    assert answers == {"ok"}, "the kubelet and Prometheus come by the pod's address"


def test_address_that_cannot_be_had_stops_the_program(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--config", str(to_file(tmp_path)), "--host", "203.0.113.9", "--port", "0"]
    assert prober.main(words) == 2, "an input error"
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("prober: address 203.0.113.9, port 0: "), "which one"


def test_hanging_model_holds_up_no_other_and_not_the_end(tmp_path: Path) -> None:
    other = a_workload(id="search/good", model="good")
    with serving(Handler.hang) as wedged, serving(says(PONG)) as good:
        config = to_file(
            tmp_path,
            a_server(probe=a_probe(url=wedged.url, latency_seconds=600.0)),
            a_server(probe=a_probe(url=good.url), workload=other),
            interval_seconds=0.1,
        )
        with running(config) as program:
            assert wedged.asked.wait(PROTECTION_SECONDS), program.log
            attempts = f"probe_attempts_total{OWN}".replace("sentiment", "good")
            found = program.wait_for(lambda found: found.get(attempts, 0) >= 3)
            assert program.stop() == 0, "the kubelet would kill it after 10 s"
    assert not [series for series in found if "sentiment" in series], "its answer is not there yet"
    assert "search: stopping" in program.log[-1], "and not because it crashed"


HANGING_RESOLVER = """
import socket, threading
real = socket.getaddrinfo
def hang(host, *args, **options):
    if host == "stuck.invalid":
        threading.Event().wait()
    return real(host, *args, **options)
socket.getaddrinfo = hang
"""


def test_hanging_resolver_holds_up_neither_the_deadline_nor_the_end(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(HANGING_RESOLVER)
    server = a_server(probe=a_probe(url="http://stuck.invalid/"))
    config = to_file(tmp_path, server, interval_seconds=0.2, latency_seconds=0.2)
    with running(config, PYTHONPATH=str(tmp_path)) as program:
        found = program.wait_for(lambda found: found.get(f"probe_attempts_total{OWN}", 0) >= 3)
        assert program.stop() == 0, "the kubelet would kill it after 10 s"
    assert set(failures(found)) == {"timeout"}, "no system call ends a look-up, the deadline does"


# -- the contract with what is rendered ------------------------------------------------------


def test_program_looks_where_the_rendering_puts_things() -> None:
    assert (prober.CONFIG_PATH, prober.METRICS_PORT) == (CONFIG_PATH, METRICS_PORT), (
        "the pod has no arguments"
    )


@pytest.mark.parametrize("region", REGIONS)
def test_program_understands_the_config_of_every_region(tmp_path: Path, region: str) -> None:
    configs = [o for o in objects_of(region) if "config.json" in o.get("data", {})]
    assert configs, "a region without a prober"
    for config in configs:
        file = tmp_path / "config.json"
        file.write_text(config["data"]["config.json"])
        told = load(file)
        assert told.project == config["metadata"]["namespace"], "the label that rules look for"
        assert told.rows, "a prober that asks nobody"


@pytest.mark.parametrize(
    "text",
    ["", "{}", "[]", '{"project": "search", "probes": [{}]}', '{"project": "a", "probes": 1}'],
)
def test_config_that_is_not_understood_stops_the_program(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    file = tmp_path / "config.json"
    file.write_text(text)
    assert prober.main(["--config", str(file)]) == 2, "a check left out would pass wrong answers"
    (line,) = capsys.readouterr().err.splitlines()
    assert str(file) in line, "which file"


def test_row_with_a_newer_check_stops_the_program(tmp_path: Path) -> None:
    file = to_file(tmp_path, a_server(), answer_length=1024)
    with pytest.raises(ValueError, match="another version"):
        load(file)


def test_missing_config_stops_the_program(capsys: pytest.CaptureFixture[str]) -> None:
    assert prober.main(["--config", "/nowhere/config.json"]) == 2, "input error"
    assert "No such file" in capsys.readouterr().err, "and no traceback"


# -- the image -------------------------------------------------------------------------------


def test_image_holds_all_that_the_program_imports_and_no_more(tmp_path: Path) -> None:
    check_image("prober", tmp_path)


def test_image_runs_as_nobody_from_a_base_that_is_named_when_it_is_built() -> None:
    text = DOCKERFILE.read_text()
    assert "\nARG BASE\nFROM ${BASE}\n" in text, "a tag is another image tomorrow"
    assert "\nUSER 10001:10001\n" in text, "the user of the pod's security context"
