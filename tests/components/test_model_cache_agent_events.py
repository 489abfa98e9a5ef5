"""Events that people read: what they say, by whose right, and that nothing waits for them."""

from __future__ import annotations

import json
import logging
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from ipaddress import ip_address
from pathlib import Path
from queue import SimpleQueue
from threading import Event
from typing import Any

import pytest
from cryptography.x509 import IPAddress

from components.model_cache import api_access, duty, events
from components.model_cache.api_server import ApiServer, api_server
from components.model_cache.config import Wanted
from components.model_cache.listen import AddressServer, answering
from model_specs.names import CACHE_NAMESPACE
from tests.cache_node import Node
from tests.components.test_prober_answers import certificate
from tests.counted_store import counted_store
from tests.examples import objects_of, of_kind

SECONDS = 60.0
Asked = SimpleQueue[tuple[str, str, dict[str, Any]]]


@contextmanager
def an_api_server(folder: Path) -> Iterator[tuple[int, Asked]]:
    """Says 201 to everything; its port, and what it was asked. Its certificate is in `folder`."""
    asked: Asked = SimpleQueue()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            asked.put((self.path, self.headers["Authorization"], json.loads(body)))
            self.send_response(201)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    file = certificate(folder, IPAddress(ip_address("127.0.0.1")))
    (folder / "ca.crt").write_bytes(file.read_bytes())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    server = AddressServer("127.0.0.1", 0, Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    with answering(server, "api") as port:
        yield port, asked


def volume(folder: Path) -> Path:
    """The files that a pod has."""
    for name, text in (("token", "tok"), ("namespace", "isoserve-cache"), ("name", "cache-x")):
        (folder / name).write_text(f"{text}\n")
    return folder


def test_an_event_is_written_by_the_pod_s_own_right(tmp_path: Path) -> None:
    with an_api_server(volume(tmp_path)) as (port, asked):
        env = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(port)}
        where = api_server({**env, "NODE_NAME": "node-1"}, tmp_path)
        assert where
        log = logging.Logger("cache")
        log.addHandler(events.Events(where))
        for _ in range(2):
            log.error("%s is not held", "search/m:v1", extra={"event": "ModelNotHeld"})
        log.error("of no lasting interest")
        (tmp_path / "token").write_text("renewed")
        log.error("x" * 2000, extra={"event": "ContentRotten"})
        path, _, first = asked.get(timeout=SECONDS)
        _, token, second = asked.get(timeout=SECONDS)
    assert path == "/api/v1/namespaces/isoserve-cache/events"
    assert (first["reason"], first["message"]) == ("ModelNotHeld", "search/m:v1 is not held")
    assert first["type"] == "Warning"
    assert first["involvedObject"]["name"] == "cache-x", "kubectl describe of the pod shows it"
    assert first["source"]["host"] == "node-1"
    assert second["reason"] == "ContentRotten", "the same sentence is written once"
    assert len(second["message"]) == 1000, "the API server refuses more than 1024"
    assert token == "Bearer renewed", "the file is read each time"


def test_an_event_that_cannot_be_written_disturbs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = ApiServer(url="https://127.0.0.1:1", folder=tmp_path, node="node-1")
    with pytest.raises(OSError, match="No such file"):
        events._write(where, "r", "without a token")
    second = Event()

    def write(_: ApiServer, reason: str, sentence: str) -> None:
        if sentence == "second":
            second.set()
        raise ValueError("whatever")

    monkeypatch.setattr(events, "_write", write)
    log = logging.Logger("cache")
    log.addHandler(events.Events(where))
    log.error("first", extra={"event": "r"})
    log.error("second", extra={"event": "r"})
    assert second.wait(SECONDS), "its thread goes on"


def test_where_there_is_no_api_server_there_are_no_events(tmp_path: Path) -> None:
    assert api_server({}, volume(tmp_path)) is None
    (tmp_path / "token").unlink()
    assert api_server({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, tmp_path) is None


def test_what_waiting_cannot_mend_makes_an_event(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with counted_store() as store:
        one = store.push({"w.bin": b"right"}, "events/model:v1")
        store.spoil("events", b"right", b"wrong")
        node = Node(tmp_path, store.store)
        node.hold(one)
        absent = Wanted(
            project="events", model="m", address="a", digest="0" * 64, bytes=0, pinned=False
        )
        node.hold(absent)
        told = [getattr(record, "event", "") for record in caplog.records]
        assert told == ["ModelNotHeld", ""], "a manifest may yet come"
        for _ in range(8):
            node.hold(absent)
        assert getattr(caplog.records[-1], "event", "") == "ModelNotHeld", "it is refused now"


def test_what_is_rendered_is_what_the_agent_reads() -> None:
    assert str(duty.API_FOLDER) == api_access.FOLDER
    (agent, *_) = of_kind("DaemonSet", objects_of("sandbox-aws"))
    pod = agent["spec"]["template"]["spec"]
    assert pod["automountServiceAccountToken"] is False, "one container, one token, one folder"
    (found,) = (one["projected"] for one in pod["volumes"] if one["name"] == "api")
    parts = [part for source in found["sources"] for part in source.values()]
    rows = [row for part in parts for row in part.get("items", [part])]
    assert {row["path"] for row in rows} == {"ca.crt", "name", "namespace", "token"}


def test_the_agents_may_write_events_and_see_pods_and_nothing_else() -> None:
    found = objects_of("sandbox-aws")
    agents = {
        role["metadata"]["namespace"]: role["rules"]
        for role in of_kind("Role", found)
        if role["metadata"]["name"] == "cache-agent"
    }
    own = agents.pop(CACHE_NAMESPACE)
    assert own == [{"apiGroups": [""], "resources": ["events"], "verbs": ["create"]}]
    seen = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["list", "watch"]}]
    windows = of_kind("PersistentVolumeClaim", found)
    projects = {claim["metadata"]["namespace"] for claim in windows}
    assert agents == dict.fromkeys(projects, seen), "of each project that is held anything of"
    bound = {
        one["metadata"]["namespace"]
        for one in of_kind("RoleBinding", found)
        if one["roleRef"]["name"] == "cache-agent"
        and [who["namespace"] for who in one["subjects"]] == [CACHE_NAMESPACE]
    }
    assert bound == {CACHE_NAMESPACE, *projects}
