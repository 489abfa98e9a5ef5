"""What a spec may say of its pods passes every judge: `check`, `parity` and the rules."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from tests.stacks.conftest import Isoserve

REGION = "us-east-1"


def say(root: Path, model: str, **fields: Any) -> None:
    path = root / "model_specs" / f"{model}.yaml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), **fields}))


def passes(isoserve: Isoserve) -> None:
    for command in ("check", "parity", "policy"):
        answer = isoserve(command)
        assert answer.code == 0, f"{command}:\n{answer.out[-3000:]}"


def test_sizes_of_tmp_and_shared_memory(isoserve: Isoserve, here: Path) -> None:
    for model in ("search/sentiment", "search/nightly-index"):
        say(here, model, tmp_gib=10, shared_memory_gib=2)
    passes(isoserve)
