"""The real MLServer as a process of this machine, told to batch as a plan tells it."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import requests

from model_specs.runtimes import RUNTIMES
from regions.sandbox import servers
from regions.sandbox.processes import free_ports

ROW: Final = RUNTIMES["mlserver"]
_PORTS: Final = ("MLSERVER_HTTP_PORT", "MLSERVER_GRPC_PORT", "MLSERVER_METRICS_PORT")
_LIMIT_SECONDS: Final = 120.0


@contextmanager
def mlserver(model: Path, scratch: Path, env: dict[str, str]) -> Iterator[str]:
    """A server of the model, its address; `env` is added to that of the runtime's row."""
    ports = free_ports(len(_PORTS))
    own = {name: text.replace("{scratch}", str(scratch)) for name, text in ROW.env.items()}
    own |= {name: str(port) for name, port in zip(_PORTS, ports, strict=True)}
    own |= {"MLSERVER_HOST": "127.0.0.1", "PATH": f"{servers.PYTHON.parent}:/usr/bin:/bin"}
    log = scratch / "mlserver.log"
    with log.open("wb") as told:
        words = [*ROW.command, str(model)]
        running = subprocess.Popen(words, env=own | env, cwd=scratch, stdout=told, stderr=told)
    try:
        url = f"http://127.0.0.1:{ports[0]}"
        _await_ready(running, url, log)
        yield url
    finally:
        running.terminate()
        running.wait(_LIMIT_SECONDS)


def _await_ready(running: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + _LIMIT_SECONDS
    while running.poll() is None and time.monotonic() < deadline:
        try:
            if requests.get(f"{url}{ROW.ready_path}", timeout=2).status_code == 200:
                return
        except requests.ConnectionError:
            time.sleep(0.2)
    raise AssertionError(log.read_text()[-2000:])
