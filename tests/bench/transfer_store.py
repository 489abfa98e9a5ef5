"""A fast S3 on loopback for the transfer benchmark: versitygw over a directory.

Objects are files of that directory, so that what has arrived can be looked at without a client.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from regions.sandbox import lifecycle, toolchain

BUCKET: Final = "isoserve-models-bench"
KEYS: Final = ("bench-access", "bench-secret")
_START_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class BenchStore:
    """The running store at `url`; `bucket` is where its objects are files."""

    url: str
    bucket: Path
    pid: int

    def empty(self) -> None:
        """Remove all objects; the bucket's own directory holds its owner."""
        for path in self.bucket.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    def link(self, source: str, target: str) -> None:
        """Give an object a second key, without its bytes taking memory twice."""
        (self.bucket / target).parent.mkdir(parents=True, exist_ok=True)
        os.link(self.bucket / source, self.bucket / target)

    def cpu_seconds(self) -> float:
        """What the server has used so far."""
        words = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextmanager
def bench_store(folder: Path) -> Iterator[BenchStore]:
    """An empty store over `folder`."""
    with lifecycle.alone():
        program = toolchain.prepare_bench(lambda line: print(line, flush=True))
    bucket, port = folder / BUCKET, _free_port()
    folder.mkdir(parents=True)
    address = f"127.0.0.1:{port}"
    access, secret = KEYS
    env = os.environ | {"ROOT_ACCESS_KEY_ID": access, "ROOT_SECRET_ACCESS_KEY": secret}
    # Without keep-alive every client would mostly measure how fast it connects.
    words = ["--port", address, "--keep-alive", "--quiet", "posix", str(folder)]
    log = folder.with_suffix(".log")
    with log.open("wb") as output:
        server = subprocess.Popen([str(program), *words], env=env, stdout=output, stderr=output)
    try:
        _wait_for(server, port, log)
        bucket.mkdir()
        yield BenchStore(f"http://{address}", bucket, server.pid)
    finally:
        server.terminate()
        server.wait(_START_SECONDS)


def _wait_for(server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    until = time.monotonic() + _START_SECONDS
    while time.monotonic() < until and server.poll() is None:
        with socket.socket() as one:
            if one.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError(f"versitygw does not listen: {log.read_text()[-1000:]}")
