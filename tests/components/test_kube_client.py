"""The gate's look at a cluster tells in one line why there is no answer, in words of our own."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from components.kube_client import ApiError, KubeClient

SECRET = "token-of-somebody"


def kubeconfig(folder: Path, url: str) -> str:
    path = folder / "kubeconfig"
    named: list[tuple[str, Any]] = [
        ("cluster", {"server": url}),
        ("user", {"token": "t"}),
        ("context", {"cluster": "here", "user": "here"}),
    ]
    whole = {f"{kind}s": [{"name": "here", kind: value}] for kind, value in named}
    path.write_text(json.dumps({"apiVersion": "v1", "kind": "Config", **whole}))
    return str(path)


class Quiet(BaseHTTPRequestHandler):
    """Writes no line for each request."""

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def serving(handler: type[Quiet]) -> Iterator[str]:
    """The address of a server on a free port that answers by `handler`."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def api_server(status: int, body: str) -> Iterator[str]:
    class Handler(Quiet):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(status)
            self.send_header("X-Secret", SECRET)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        do_PATCH = do_GET

    with serving(Handler) as url:
        yield url


def failure(folder: Path, url: str) -> ApiError:
    with pytest.raises(ApiError) as failed:
        KubeClient(kubeconfig(folder, url), "here").listed("Deployment", "search")
    return failed.value


def test_what_is_there_is_listed(tmp_path: Path) -> None:
    items = [{"metadata": {"name": "sentiment"}}]
    with api_server(200, json.dumps({"items": items})) as url:
        assert KubeClient(kubeconfig(tmp_path, url), "here").listed("Deployment", "search") == items


@pytest.mark.parametrize(
    ("status", "passes"),
    [(500, True), (502, True), (503, True), (504, True), (429, True), (401, False), (403, False)],
)
def test_a_status_is_told_without_headers_and_body(
    tmp_path: Path, status: int, passes: bool
) -> None:
    with api_server(status, f'{{"message": "etcd: {SECRET}"}}') as url:
        found = failure(tmp_path, url)
    assert str(found).startswith(f"{status} ")
    assert str(found).endswith("(list Deployment in search)")
    assert "\n" not in str(found), "one line, for people"
    assert SECRET not in str(found)
    assert found.passes == passes


def test_a_closed_port_is_told_as_such(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    found = failure(tmp_path, f"http://127.0.0.1:{port}")
    assert str(found) == "connection refused (list Deployment in search)"
    assert found.passes, "an API server that restarts is back in a moment"


def test_an_answer_that_breaks_off_may_come_whole_the_next_time(tmp_path: Path) -> None:
    with api_server(200, '{"items": [') as url:
        found = failure(tmp_path, url)
    assert str(found) == "its answer was cut short (list Deployment in search)"
    assert found.passes


def test_a_context_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = kubeconfig(tmp_path, "http://127.0.0.1:1")
    with pytest.raises(ApiError) as failed:
        KubeClient(path, "elsewhere")
    assert str(failed.value).startswith(f"{path} has no usable context 'elsewhere'")


def test_what_is_absent_is_none_and_its_text_an_error(tmp_path: Path) -> None:
    with api_server(404, "{}") as url:
        client = KubeClient(kubeconfig(tmp_path, url), "here")
        assert client.get("/api/v1/namespaces/search") is None
        with pytest.raises(ApiError, match=r"404 Not Found \(get /api/v1/log\)"):
            client.text("/api/v1/log?tailLines=1")


def test_a_change_that_meets_a_newer_object_is_none(tmp_path: Path) -> None:
    with api_server(409, "{}") as url:
        client = KubeClient(kubeconfig(tmp_path, url), "here")
        assert client.patch("/api/v1/namespaces/search", {}) is None


def test_who_refuses_a_change_says_why_and_who_refuses_a_question_does_not(tmp_path: Path) -> None:
    with api_server(422, json.dumps({"message": "replicas: must be positive"})) as url:
        client = KubeClient(kubeconfig(tmp_path, url), "here")
        with pytest.raises(ApiError, match="422 replicas: must be positive"):
            client.patch("/api/v1/x", {"spec": {}})
        with pytest.raises(ApiError, match="422 Unprocessable"):
            client.get("/api/v1/x")


@pytest.mark.parametrize("body", ["<html>sign in</html>", "[]", "null", '"ok"'])
def test_what_answers_but_is_no_api_server_is_told(tmp_path: Path, body: str) -> None:
    with api_server(200, body) as url:
        client = KubeClient(kubeconfig(tmp_path, url), "here")
        with pytest.raises(ApiError, match="no object of Kubernetes"):
            client.get("/version")


@pytest.mark.parametrize("text", ["{[: : :", "hello", "- a", "\x00\x01"])
def test_a_file_that_is_no_kubeconfig_is_told(tmp_path: Path, text: str) -> None:
    path = tmp_path / "kubeconfig"
    path.write_text(text)
    with pytest.raises(ApiError, match="has no usable context"):
        KubeClient(str(path), "here")
