"""The sandbox believes the probers, and calls simulated what no process of this machine serves."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from regions.sandbox import probes
from regions.sandbox.errors import SandboxError
from regions.sandbox.kube import Object
from regions.sandbox.status import Heard

ADDRESS = "127.93.16.1"
RANKER, SENTIMENT = ("search", "ranker"), ("search", "sentiment")


def a_pod(role: str, address: str, model: str) -> Object:
    labels = {"isoserve.dev/role": role, "isoserve.dev/project": "search"}
    labels["isoserve.dev/model"] = model
    return {"metadata": {"labels": labels}, "status": {"podIP": address}}


@dataclass
class Recorded:
    """An API server's answers about pods, as recorded."""

    pods: list[Object] = field(default_factory=list)
    region: str = "sandbox-aws"

    def get(self, path: str) -> Object:
        role = path.rpartition("%3D")[2]
        found = [p for p in self.pods if p["metadata"]["labels"]["isoserve.dev/role"] == role]
        return {"items": found}


@contextmanager
def a_prober(text: str) -> Iterator[None]:
    """Its metrics on a pod's address, from a real server."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = http.server.HTTPServer((ADDRESS, 9090), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def said(ranker: int) -> str:
    return (
        "# TYPE probe_success gauge\n"
        f'probe_success{{project="search",model="ranker"}} {ranker}\n'
        'probe_success{project="search",model="sentiment"} 0\n'
    )


CLUSTER: Any = Recorded(
    [
        a_pod("model-server", "127.93.16.2", "ranker"),
        a_pod("model-server", "10.64.0.9", "sentiment"),
        a_pod("prober", ADDRESS, ""),
        a_pod("prober", "10.64.0.10", ""),
    ]
)


def test_only_models_of_process_nodes_are_served() -> None:
    assert probes.served(CLUSTER) == {RANKER}, "kwok's pods have an address and nobody there"


def test_the_probers_answers_are_told_and_the_wait_ends_with_the_right_ones() -> None:
    with a_prober(said(1)):
        assert probes.results(CLUSTER) == {RANKER: True, SENTIMENT: False}
        note = probes.await_right_answers(CLUSTER, 5)
    assert note.startswith("1 of 1"), "the simulated model is nobody's fault"


def test_a_model_that_answers_wrongly_is_named() -> None:
    with a_prober(said(0)), pytest.raises(SandboxError, match="search/ranker"):
        probes.await_right_answers(CLUSTER, 0)


def test_a_prober_that_starts_only_now_has_said_nothing() -> None:
    assert probes.results(CLUSTER) == {}


@pytest.mark.parametrize(
    ("results", "word"), [({RANKER: True}, "passes"), ({RANKER: False}, "fails"), ({}, "-")]
)
def test_the_table_has_one_word_for_each_state(results: dict[Any, bool], word: str) -> None:
    heard = Heard({RANKER}, results)
    assert heard.word(RANKER) == word
    assert heard.word(SENTIMENT) == "simulated", "whatever its probe finds, nothing runs"
