"""`batching` in a spec makes the real MLServer answer requests together."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import pytest
import requests

from model_specs.batching import Batching, variables
from regions.sandbox import servers
from tests.mlserver_process import ROW, mlserver

pytestmark = pytest.mark.engine

CALLERS: Final = 32
BATCHED: Final = variables(ROW, Batching(max_size=8, max_wait_ms=500))
_MODEL: Final = '''
from mlserver import MLModel
from mlserver.types import InferenceResponse, ResponseOutput

class Counts(MLModel):
    """Says to each request how many were answered with it."""

    async def predict(self, payload):
        (rows,) = {one.shape[0] for one in payload.inputs}
        output = ResponseOutput(name="rows", shape=[rows, 1], datatype="INT64", data=[rows] * rows)
        return InferenceResponse(model_name=self.name, outputs=[output])
'''


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    servers.ensure(print)
    folder = tmp_path_factory.mktemp("model")
    (folder / "counts.py").write_text(_MODEL)
    settings = {"name": "counts", "implementation": "counts.Counts"}
    (folder / "model-settings.json").write_text(json.dumps(settings))
    return folder


def together(model: Path, scratch: Path, env: dict[str, str]) -> list[int]:
    """With how many others each of CALLERS requests at once was answered."""
    row = {"name": "x", "shape": [1, 1], "datatype": "FP32", "data": [1.0]}

    def ask(url: str) -> int:
        answer = requests.post(f"{url}/v2/models/counts/infer", json={"inputs": [row]}, timeout=60)
        assert answer.ok, answer.text
        return int(answer.json()["outputs"][0]["data"][0])

    with mlserver(model, scratch, env) as url, ThreadPoolExecutor(CALLERS) as callers:
        return list(callers.map(ask, [url] * CALLERS))


def test_requests_are_answered_together_up_to_max_size(model: Path, tmp_path: Path) -> None:
    sizes = together(model, tmp_path, BATCHED)
    assert 1 < max(sizes) <= 8, "requests at once share a batch, and no batch has more"


def test_without_batching_every_request_is_answered_alone(model: Path, tmp_path: Path) -> None:
    assert set(together(model, tmp_path, {})) == {1}, "or the other test would show nothing"
