"""What pods of a node need, as the API server tells: listed, watched, kept while it is away."""

from __future__ import annotations

import io
import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from ipaddress import ip_address
from pathlib import Path
from queue import Queue
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography.x509 import IPAddress

from components.model_cache import scheduled
from components.model_cache.api_server import ApiServer
from components.model_cache.listen import AddressServer, answering
from components.model_cache.scheduled import Needs, Scheduled
from components.model_pod import NEEDED
from model_specs.names import LABEL_MODEL
from tests.components.test_prober_answers import certificate

LIMIT_SECONDS = 30.0
A, B = "a" * 64, "b" * 64
END = "end of the watch"


class Api:
    """Answers lists with `pods`, and watches with what is put into `news`."""

    def __init__(self) -> None:
        self.pods: list[dict[str, Any]] = []
        self.news: Queue[Any] = Queue()
        self.asked: list[tuple[str, dict[str, list[str]], str]] = []
        self.status = 200


def a_pod(uid: str, model: str = "m", digest: str = A, project: str = "chat") -> dict[str, Any]:
    head = {
        "annotations": {NEEDED: digest},
        "labels": {LABEL_MODEL: model},
        "namespace": project,
        "resourceVersion": "7",
        "uid": uid,
    }
    return {"kind": "PartialObjectMetadata", "metadata": head}


@contextmanager
def an_api(folder: Path) -> Iterator[tuple[Api, ApiServer]]:
    api = Api()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = urlsplit(self.path)
            query = parse_qs(found.query)
            api.asked.append((found.path, query, self.headers["Accept"]))
            self.send_response(api.status)
            self.end_headers()
            if api.status != 200:
                return
            if "watch" not in query:
                body = {"metadata": {"resourceVersion": "5"}, "items": api.pods}
                self.wfile.write(json.dumps(body).encode())
                return
            while (event := api.news.get()) != END:
                self.wfile.write(json.dumps(event).encode() + b"\n")
                self.wfile.flush()

        def log_message(self, *_: object) -> None:
            pass

    file = certificate(folder, IPAddress(ip_address("127.0.0.1")))
    (folder / "ca.crt").write_bytes(file.read_bytes())
    (folder / "token").write_text("tok\n")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    server = AddressServer("127.0.0.1", 0, Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    with answering(server, "api") as port:
        yield api, ApiServer(url=f"https://127.0.0.1:{port}", folder=folder, node="node-1")
        while MADE:
            MADE.pop().follow([])
        for _ in range(9):
            api.news.put(END)
        # A server that goes while one connects would leave a socket that Python never closes.
        until(lambda: not any(map(_follows, threading.enumerate())), "those who ask have ended")


def _follows(thread: threading.Thread) -> bool:
    return thread.name.startswith("pods ")


def until(holds: Callable[[], bool], reason: str) -> None:
    deadline = time.monotonic() + LIMIT_SECONDS
    while not holds():
        assert time.monotonic() < deadline, f"never: {reason}"
        time.sleep(0.01)


MADE: list[Scheduled] = []


def watching(where: ApiServer) -> Scheduled:
    pods = Scheduled(where, lambda _: 0.0, lambda _: time.sleep(0.01))
    MADE.append(pods)
    pods.follow(["chat"])
    return pods


def becomes(pods: Scheduled, *needs: tuple[str, str]) -> bool:
    """Whether that is all that pods need, within a time."""
    wanted: Needs = {"chat": frozenset(needs)}
    until(lambda: pods.needs() == wanted, f"pods need {wanted}")
    return True


def told(kind: str, pod: dict[str, Any]) -> dict[str, Any]:
    return {"type": kind, "object": pod}


def test_names_are_those_that_pods_are_rendered_with() -> None:
    assert (scheduled.DIGEST, scheduled.MODEL) == (NEEDED, LABEL_MODEL)


def test_pods_that_come_and_go_are_known(tmp_path: Path) -> None:
    with an_api(tmp_path) as (api, where):
        api.pods = [a_pod("1")]
        pods = watching(where)
        assert becomes(pods, ("m", A))
        api.news.put(told("ADDED", a_pod("2", "other", B)))
        assert becomes(pods, ("m", A), ("other", B))
        api.news.put(told("ADDED", a_pod("3", "other", B)))
        api.news.put(told("DELETED", a_pod("2", "other", B)))
        api.news.put(told("DELETED", a_pod("1")))
        assert becomes(pods, ("other", B))
        api.news.put(told("DELETED", a_pod("3", "other", B)))
        assert becomes(pods)


def test_only_the_metadata_of_the_nodes_own_pods_is_asked_for(tmp_path: Path) -> None:
    with an_api(tmp_path) as (api, where):
        pods = watching(where)
        assert becomes(pods)
        until(lambda: len(api.asked) >= 2, "it watches")
    for path, query, accept in api.asked[:2]:
        assert path == "/api/v1/namespaces/chat/pods"
        (selector,) = query["fieldSelector"]
        assert "spec.nodeName=node-1" in selector.split(","), "no other node's"
        assert accept.startswith("application/json;as=PartialObjectMetadata"), "no agent reads env"
    assert api.asked[1][1]["resourceVersion"] == ["5"], "nothing is missed between the two"


def test_a_watch_that_ends_goes_on_from_what_it_last_heard(tmp_path: Path) -> None:
    with an_api(tmp_path) as (api, where):
        pods = watching(where)
        api.news.put(told("BOOKMARK", {"metadata": {"resourceVersion": "9"}}))
        api.news.put(END)
        until(lambda: len(api.asked) >= 3, "it watches again")
        assert becomes(pods)
    assert [query.get("resourceVersion") for _, query, _ in api.asked[:3]] == [["0"], ["5"], ["9"]]


def test_a_version_that_is_too_old_is_listed_anew(tmp_path: Path) -> None:
    with an_api(tmp_path) as (api, where):
        pods = watching(where)
        assert becomes(pods)
        api.pods = [a_pod("1")]
        api.news.put(told("ERROR", {"kind": "Status", "code": 410}))
        assert becomes(pods, ("m", A))


def test_what_was_known_stays_true_while_the_api_server_is_away(tmp_path: Path) -> None:
    with an_api(tmp_path) as (api, where):
        api.pods = [a_pod("1")]
        pods = watching(where)
        assert becomes(pods, ("m", A))
        api.status, before = 503, len(api.asked)
        api.news.put(END)
        until(lambda: len(api.asked) > before + 3, "it is asked again and again")
        assert pods.needs() == {"chat": {("m", A)}}, "without it no pod comes or goes"
        api.pods, api.status = [], 200
        assert becomes(pods)


@pytest.mark.parametrize("status", [401, 403, 500])
def test_before_the_first_answer_nothing_is_known(tmp_path: Path, status: int) -> None:
    with an_api(tmp_path) as (api, where):
        api.status = status
        pods = watching(where)
        until(lambda: len(api.asked) > 2, "it is asked again and again")
        assert pods.needs() == {}, "which is not the same as no pods"
        api.status = 200
        assert becomes(pods)


def test_without_an_api_server_nothing_is_ever_known() -> None:
    pods = Scheduled(None, lambda _: 0.0, lambda _: None)
    before = threading.active_count()
    pods.follow(["chat"])
    assert pods.needs() == {}
    assert threading.active_count() == before


def test_a_project_that_is_followed_no_more_is_forgotten(tmp_path: Path) -> None:
    with an_api(tmp_path) as (api, where):
        api.pods = [a_pod("1")]
        pods = watching(where)
        assert becomes(pods, ("m", A))
        pods.follow([])
        assert pods.needs() == {}
        pods.follow(["chat"])
        assert becomes(pods, ("m", A))


@pytest.mark.parametrize(
    ("model", "digest"), [("m", "../../x"), ("m", ""), ("../m", A), ("", A), ("m", A.upper())]
)
def test_what_is_no_version_is_not_believed(tmp_path: Path, model: str, digest: str) -> None:
    with an_api(tmp_path) as (api, where):
        api.pods = [a_pod("1", model, digest), a_pod("2", "other", B)]
        assert becomes(watching(where), ("other", B))


@dataclass(frozen=True, kw_only=True)
class Turning(ApiServer):
    """During its first watch the project is left, and followed again when the watch has ended."""

    turns: list[Callable[[], None]]
    watchers: list[threading.Thread]
    end: threading.Event

    def open(
        self, path: str, headers: Mapping[str, str], seconds: float, body: bytes | None = None
    ) -> Any:
        return self.answer(path)

    @contextmanager
    def answer(self, path: str) -> Iterator[Any]:
        if "watch=1" not in path:
            yield io.BytesIO(b'{"metadata": {"resourceVersion": "5"}, "items": []}')
            return
        self.watchers.append(threading.current_thread())
        if not self.turns:
            self.end.wait(LIMIT_SECONDS)
            yield []
            return
        leave, follow = self.turns.pop(), self.turns.pop()
        leave()
        try:
            yield [json.dumps(told("BOOKMARK", {"metadata": {"resourceVersion": "6"}})).encode()]
        finally:
            follow()


def test_a_project_that_is_followed_again_at_once_is_watched_by_one_thread() -> None:
    nowhere: Any = {"url": "", "folder": Path(), "node": "node-1"}
    where = Turning(**nowhere, turns=[], watchers=[], end=threading.Event())
    pods = Scheduled(where, lambda _: 0.0, lambda _: None)
    where.turns.extend((lambda: pods.follow(["chat"]), lambda: pods.follow([])))
    pods.follow(["chat"])
    try:
        until(lambda: len(where.watchers) == 2, "it is watched again")
        first, second = where.watchers
        until(lambda: not first.is_alive(), "who heard that it is left ends")
        assert second.is_alive(), "another thread watches, and nobody but it"
        assert pods.needs() == {"chat": frozenset()}
    finally:
        pods.follow([])
        where.end.set()
        until(lambda: not any(map(_follows, threading.enumerate())), "all have ended")
