"""What `batching` gives on the real MLServer: 32 callers, on and off, in turn.

    python -m tests.bench.batching

The model is a forest of 300 trees, of which one call costs about the same for 1 row and for 32: the
kind that batches are for. Callers and server share this machine.
"""

from __future__ import annotations

import http.client
import json
import statistics
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from model_specs.batching import Batching, variables
from regions.sandbox import servers
from tests.mlserver_process import ROW, mlserver

CALLERS: Final = 32
SECONDS: Final = 10.0
WAIT_MS: Final = 20
RUNS: Final = 3
ON: Final = variables(ROW, Batching(max_size=CALLERS, max_wait_ms=WAIT_MS))
_TRAIN: Final = """
import sys, joblib, numpy
from sklearn.ensemble import RandomForestRegressor
rows = numpy.random.default_rng(1).random((2000, 4))
model = RandomForestRegressor(300, random_state=1).fit(rows, rows.sum(axis=1))
joblib.dump(model, sys.argv[1])
"""
_BODY: Final = json.dumps(
    {"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [0.1, 0.2, 0.3, 0.4]}]}
)


def train(folder: Path) -> None:
    """Write the model's files."""
    settings = {
        "name": "forest",
        "implementation": "mlserver_sklearn.SKLearnModel",
        "parameters": {"uri": "./model.joblib"},
    }
    folder.mkdir()
    (folder / "model-settings.json").write_text(json.dumps(settings))
    words = [str(servers.PYTHON), "-I", "-c", _TRAIN, str(folder / "model.joblib")]
    subprocess.run(words, check=True)


def ask(url: str) -> list[float]:
    """How long each answer took, in seconds, from all callers."""
    took: list[float] = []
    end = time.monotonic() + SECONDS

    def call() -> None:
        connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
        while (began := time.monotonic()) < end:
            connection.request("POST", "/v2/models/forest/infer", _BODY)
            answer = connection.getresponse()
            answer.read()
            if answer.status != 200:
                raise RuntimeError(f"status {answer.status}")
            took.append(time.monotonic() - began)

    callers = [threading.Thread(target=call) for _ in range(CALLERS)]
    for one in callers:
        one.start()
    for one in callers:
        one.join()
    return took


def main() -> None:
    """Print a row a run."""
    servers.ensure(print)
    with tempfile.TemporaryDirectory() as folder:
        train(Path(folder) / "model")
        print("| batching | answers/s | median ms | p95 ms |\n|---|---|---|---|")
        for _ in range(RUNS):
            for name, env in (("off", {}), (f"{CALLERS} within {WAIT_MS} ms", ON)):
                with mlserver(Path(folder) / "model", Path(folder), env) as url:
                    took = sorted(ask(url))
                median = statistics.median(took) * 1000
                p95 = took[int(len(took) * 0.95)] * 1000
                rate = len(took) / SECONDS
                print(f"| {name} | {rate:.0f} | {median:.0f} | {p95:.0f} |", flush=True)


if __name__ == "__main__":
    main()
