"""Probes ask real servers; only enough answers in a row change what a container is."""

from __future__ import annotations

import signal
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from regions.sandbox.kube import Object
from regions.sandbox.process_node.container_life import LONGEST_PAUSE_SECONDS, pause_seconds
from regions.sandbox.process_node.probes import Outcome, Target, ask
from regions.sandbox.process_node.probing import Judge, Probing
from regions.sandbox.process_node.stopping import Stopping

PATIENCE_SECONDS = 20.0


class Server(BaseHTTPRequestHandler):
    asked: list[tuple[str, dict[str, str]]]

    def do_GET(self) -> None:
        self.asked.append((self.path, dict(self.headers)))
        self.send_response(int(self.path.rsplit("/", 1)[1]))
        if self.path.endswith("302"):
            self.send_header("Location", "/moved/200")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def serving() -> Iterator[tuple[Target, list[tuple[str, dict[str, str]]]]]:
    asked: list[tuple[str, dict[str, str]]] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Own", (Server,), {"asked": asked}))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    ports = [{"name": "http", "containerPort": server.server_port}]
    try:
        yield Target("127.0.0.1", ports, no_program), asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def no_program(_argv: Sequence[str], _timeout_seconds: float) -> tuple[int, str]:
    raise AssertionError("this probe runs no program")


def until(holds: Any, reason: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < deadline, f"never: {reason}"
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("code", "passes"), [(200, True), (204, True), (302, True), (404, False), (503, False)]
)
def test_an_answer_from_200_to_399_passes(code: int, passes: bool) -> None:
    with serving() as (target, _):
        outcome = ask({"httpGet": {"path": f"/{code}", "port": "http"}}, target, 5)
    assert outcome.passed is passes, outcome.message
    assert passes or str(code) in outcome.message


def test_a_probe_sends_its_headers_and_takes_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    headers = [{"name": "X-Own", "value": "yes"}]
    with serving() as (target, asked):
        port = target.ports[0]["containerPort"]
        wanted = {"path": "live/200", "port": port, "httpHeaders": headers}
        assert ask({"httpGet": wanted}, target, 5) == Outcome(True)
    path, sent = asked[0]
    assert path == "/live/200", "a path may lack its slash"
    assert sent["X-Own"] == "yes"
    assert sent["User-Agent"].startswith("kube-probe/")


def test_a_server_that_does_not_answer_fails_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        target = Target("127.0.0.1", [], no_program)
        port = silent.getsockname()[1]
        assert "no answer within 0.2 s" in ask({"httpGet": {"port": port}}, target, 0.2).message
        assert ask({"tcpSocket": {"port": port}}, target, 5).passed, "it does accept connections"
    assert not ask({"tcpSocket": {"port": port}}, target, 5).passed
    assert not ask({"httpGet": {"port": port}}, target, 5).passed


def test_a_program_passes_by_its_exit_code() -> None:
    ran: list[tuple[Sequence[str], float]] = []

    def run(argv: Sequence[str], timeout_seconds: float) -> tuple[int, str]:
        ran.append((argv, timeout_seconds))
        return (0, "") if argv == ["good"] else (2, "no lamp")

    target = Target("127.0.0.1", [], run)
    assert ask({"exec": {"command": ["good"]}}, target, 3).passed
    bad = ask({"exec": {"command": ["bad"]}}, target, 3)
    assert (bad.passed, bad.message) == (False, "exited with 2: no lamp")
    assert ran == [(["good"], 3), (["bad"], 3)]


@pytest.mark.parametrize("action", [{"grpc": {"port": 1}}, {"httpGet": {"port": "absent"}}, {}])
def test_what_can_not_be_asked_is_said(action: Object) -> None:
    outcome = ask(action, Target("127.0.0.1", [], no_program), 1)
    assert not outcome.passed
    assert outcome.message


@pytest.mark.parametrize(
    ("outcomes", "verdicts"),
    [
        ("FFF", [None, None, False]),
        ("FFPFFF", [None, None, True, None, None, False]),
        ("P", [True]),
        ("FFFF", [None, None, False, False]),
    ],
)
def test_only_failures_in_a_row_count(outcomes: str, verdicts: list[bool | None]) -> None:
    judge = Judge({})
    assert [judge.take(one == "P") for one in outcomes] == verdicts


def test_several_successes_in_a_row_may_be_asked_for() -> None:
    judge = Judge({"successThreshold": 2, "failureThreshold": 1})
    assert [judge.take(one) for one in (True, False, True, True)] == [None, False, None, True]


class Answers:
    """What the container's probes find, kind by kind, and how often they asked."""

    def __init__(self, **passing: bool) -> None:
        self.passing, self.asked = passing, {"startup": 0, "live": 0, "ready": 0}
        kinds = {"startup": "startupProbe", "live": "livenessProbe", "ready": "readinessProbe"}
        self.container: Object = {"name": "c"} | {
            kinds[kind]: {"kind": kind, "periodSeconds": 0.01, "failureThreshold": 2}
            for kind in passing
        }

    def attempt(self, probe: Object) -> Outcome:
        self.asked[probe["kind"]] += 1
        return Outcome(self.passing[probe["kind"]], "is dark")

    def begin(self) -> Probing:
        probing = Probing(self.container, self.attempt, lambda _message: None)
        probing.begin()
        return probing


def test_without_probes_a_container_is_started_and_ready() -> None:
    probing = Answers().begin()
    assert (probing.started, probing.ready, probing.failed) == (True, True, "")


def test_startup_holds_the_other_probes_back() -> None:
    answers = Answers(startup=True, live=True, ready=True)
    answers.container["startupProbe"]["successThreshold"] = 1
    answers.passing["startup"] = False
    answers.container["startupProbe"]["failureThreshold"] = 10_000
    probing = answers.begin()
    until(lambda: answers.asked["startup"] > 5, "startup is asked")
    assert (answers.asked["live"], answers.asked["ready"]) == (0, 0)
    assert (probing.started, probing.ready) == (False, False)
    answers.passing["startup"] = True
    until(lambda: probing.ready, "it is started, then ready")
    until(lambda: answers.asked["live"] > 0, "then liveness is asked too")
    probing.end()


@pytest.mark.parametrize(("kind", "title"), [("startup", "startup"), ("live", "liveness")])
def test_a_failed_startup_or_liveness_says_why_the_container_has_to_end(
    kind: str, title: str
) -> None:
    probing = Answers(**{kind: False}).begin()
    until(lambda: probing.failed, "it has failed")
    assert probing.failed == f"failed {title} probe: is dark"
    probing.end()


def test_readiness_comes_and_goes_and_is_asked_while_the_container_is_being_ended() -> None:
    answers = Answers(ready=True, live=False)
    answers.container["livenessProbe"]["failureThreshold"] = 10_000
    probing = answers.begin()
    until(lambda: probing.ready, "it is ready")
    probing.spare()
    answers.passing["ready"] = False
    until(lambda: not probing.ready, "it is no longer ready")
    lives, readies = answers.asked["live"], answers.asked["ready"]
    until(lambda: answers.asked["ready"] > readies + 3, "readiness is still asked")
    assert answers.asked["live"] <= lives + 1, "liveness is not"
    assert probing.failed == ""
    probing.end()


class Recorded:
    """A container that writes down what is done to it."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.termed = threading.Event()

    def signal(self, number: int) -> None:
        self.done.append(signal.Signals(number).name)
        self.termed.set()

    def kill(self) -> None:
        self.done.append("kill")

    def hook(self, action: Object, timeout_seconds: float) -> Outcome:
        self.done.append(f"{action['name']} within {timeout_seconds > 0}")
        return Outcome(False, "no such file")


def test_a_container_that_ends_by_sigterm_is_not_killed() -> None:
    ending, told = Recorded(), list[str]()
    stopping = Stopping(ending, {"name": "hook"}, 600, ending.hook, told.append)
    assert ending.termed.wait(PATIENCE_SECONDS)
    stopping.over()
    assert ending.done == ["hook within True", "SIGTERM"]
    assert told == ["PreStopHook failed: no such file"], "a hook that fails changes nothing else"


def test_a_container_that_stays_is_killed_after_its_grace() -> None:
    ending = Recorded()
    Stopping(ending, None, 0.1, ending.hook, ending.done.append)
    until(lambda: "kill" in ending.done, "it is killed")
    assert ending.done == ["SIGTERM", "kill"]


def test_a_hook_that_sleeps_ends_with_the_container_or_when_there_is_no_time_left() -> None:
    first, second = Recorded(), Recorded()
    sleep = {"sleep": {"seconds": 10_000}}
    ended = Stopping(first, sleep, 20_000, first.hook, first.done.append)
    ended.over()
    Stopping(second, sleep, 20_000, second.hook, second.done.append).hurry(0)
    until(lambda: second.done == ["SIGTERM", "kill"], "who is in a hurry waits for no hook")
    assert first.done == [], "who has ended gets no signal"


def test_the_pause_after_a_failure_doubles_to_its_bound() -> None:
    assert [pause_seconds(n) for n in (1, 2, 3, 4)] == [0, 1, 2, 4]
    assert pause_seconds(500) == LONGEST_PAUSE_SECONDS
