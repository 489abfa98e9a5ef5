"""The digests of a content's beginnings: where they are, and where nobody can say."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from components.model_registry import keys, prefixes
from components.model_registry.errors import Denied, RegistryError
from components.model_registry.keys import address
from components.model_registry.manifest import ManifestFile
from components.model_registry.sessions import Registry
from components.model_registry.share import share
from components.model_registry.store import Store
from tests.components.model_registry.conftest import files_in, push

LARGE = ManifestFile(path="w", size=prefixes.PREFIX_BYTES * 2 + 1, sha256="a" * 64)
DENIED = b"<Error><Code>AccessDenied</Code></Error>"


@contextmanager
def refusing(status: int, body: bytes) -> Iterator[Store]:
    """A store that answers all questions alike."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}"
        known = {"access_key_id": "a", "secret_access_key": "b", "expires_at": None}
        try:
            yield Store("s3://isoserve-test", url, "us-east-1", lambda: known)
        finally:
            server.shutdown()
            thread.join()


def test_who_may_not_list_is_refused_what_is_missing_and_goes_on_without() -> None:
    with refusing(403, DENIED) as store:
        with pytest.raises(Denied, match="AccessDenied"):
            store.read("search/prefixes/sha256/a")
        assert prefixes.load(store, "search", LARGE) == (), "as S3 answers the agents"


def test_a_store_that_cannot_answer_is_no_store_without_them() -> None:
    skewed = b"<Error><Code>RequestTimeTooSkewed</Code></Error>"
    with refusing(400, skewed) as store, pytest.raises(RegistryError, match="TooSkewed"):
        prefixes.load(store, "search", LARGE)


def test_a_small_content_is_not_asked_about() -> None:
    small = ManifestFile(path="w", size=prefixes.PREFIX_BYTES, sha256="a" * 64)
    with refusing(400, b"") as store:
        assert prefixes.load(store, "search", small) == (), "its end comes as soon"


def test_who_shares_a_model_shares_them(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prefixes, "PREFIX_BYTES", 4)
    pushed = push(registry, files_in(tmp_path, {"w.bin": b"123456789"}), "search/sentiment:v1")
    (file,) = pushed.manifest.files
    prefixes.save(registry.store, "search", file.sha256, ["b" * 64, "c" * 64])
    source = address(f"search/sentiment:v1@{pushed.digest}")
    assert share(registry, source, address("chat/copy:v1"), lambda work, count: None) == []
    found = registry.store.read(keys.prefixes("chat", file.sha256)).split()
    assert found == [b"b" * 64, b"c" * 64]
