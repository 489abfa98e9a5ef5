"""A real S3 API on loopback that remembers what it was asked, and models in it."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from components.model_cache.config import Wanted, wanted
from components.model_registry import keys
from components.model_registry.manifest import Manifest, ManifestFile, digest, to_bytes
from components.model_registry.store import Store

BUCKET: Final = "isoserve-models-test"
CREDENTIALS: Final = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
Files = Mapping[str, bytes]


@dataclass
class Counted:
    """The store at work; `reads` are the keys and ranges of every GET, in the order they came."""

    url: str
    store: Store
    reads: list[tuple[str, str]] = field(default_factory=list)
    callers: set[str] = field(default_factory=set)
    """The access keys by which it was asked."""

    def blob_reads(self) -> list[tuple[str, str]]:
        """Those of content, by SHA-256 and range."""
        return [(key.rpartition("/")[2], span) for key, span in self.reads if "/blobs/" in key]

    def env(self) -> dict[str, str]:
        """What a pod is told of it."""
        return {
            **CREDENTIALS,
            "AWS_REGION": "us-east-1",
            "ISOSERVE_REGISTRY": f"s3://{BUCKET}",
            "ISOSERVE_REGISTRY_ENDPOINT": self.url,
        }

    def push(self, files: Files, name: str) -> Wanted:
        """Put a version into the store, `name` like `search/sentiment:v3`."""
        project = name.split("/")[0]
        rows = tuple(
            ManifestFile(path=path, size=len(files[path]), sha256=sha256(files[path]))
            for path in sorted(files)
        )
        raw = to_bytes(Manifest(files=rows, metadata={}, facts={}))
        for data in files.values():
            self.store.put(keys.blob(project, sha256(data)), data)
        self.store.put(keys.manifest(project, digest(raw)), raw)
        return wanted(f"{name}@{digest(raw)}", sum(map(len, files.values())), pinned=False)

    def spoil(self, project: str, right: bytes, wrong: bytes) -> None:
        """Let the blob of `right` hold something else."""
        self.store.put(keys.blob(project, sha256(right)), wrong)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _recording(
    application: Any, reads: list[tuple[str, str]], callers: set[str]
) -> Callable[..., Iterable[bytes]]:
    def answer(environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        signed = environ.get("HTTP_AUTHORIZATION", "")
        callers.add(signed.partition("Credential=")[2].partition("/")[0])
        if environ["REQUEST_METHOD"] == "GET":
            reads.append((environ["PATH_INFO"], environ.get("HTTP_RANGE", "")))
        found: Iterable[bytes] = application(environ, start)
        return found

    return answer


@contextmanager
def counted_store() -> Iterator[Counted]:
    """An empty bucket of moto's, on a free port."""
    # Late: only tests that use it pay for it.
    from moto.core.models import DEFAULT_ACCOUNT_ID  # noqa: F401  # loads what the server needs
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from moto.s3.models import s3_backends
    from werkzeug.serving import WSGIRequestHandler, make_server

    class Quiet(WSGIRequestHandler):
        protocol_version = "HTTP/1.1"

        def log(self, type: str, message: str, *args: Any) -> None:
            pass

    reads: list[tuple[str, str]] = []
    callers: set[str] = set()
    application = _recording(DomainDispatcherApplication(create_backend_app), reads, callers)
    server = make_server("127.0.0.1", 0, application, threaded=True, request_handler=Quiet)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield Counted(url, open_store(url), reads, callers)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
        for account in s3_backends.values():
            account["aws"].reset()


def open_store(url: str) -> Store:
    """A client of the store at `url`, whose bucket is made if need be."""
    import boto3
    from botocore.config import Config

    client = boto3.client(
        "s3",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(proxies={}, s3={"addressing_style": "path"}),
    )
    client.create_bucket(Bucket=BUCKET)
    return client_of(url)


def client_of(url: str) -> Store:
    """As the agent opens it."""
    return Store(f"s3://{BUCKET}", url, "us-east-1", lambda: _KEYS)


_KEYS: Final = {"access_key_id": "test", "secret_access_key": "test", "expires_at": None}
