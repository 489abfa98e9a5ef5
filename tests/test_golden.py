"""Plans and renderings of the examples are what was last reviewed."""

from __future__ import annotations

import difflib
from functools import cache

import pytest

from tests.golden.texts import DIFFERING, HERE, WHOLE, texts

CURE = "read the difference, and if it is meant run `make golden` and commit it"
BUDGET_BYTES = 680_000


@cache
def wanted() -> dict[str, str]:
    return texts()


def differences(name: str, kept: str) -> str:
    lines = difflib.unified_diff(
        kept.splitlines(), wanted()[name].splitlines(), "golden", "now", n=2, lineterm=""
    )
    return "\n".join(list(lines)[:40])


@pytest.mark.parametrize("name", sorted(texts()))
def test_a_plan_or_rendering_is_what_was_reviewed(name: str) -> None:
    path = HERE / name
    kept = path.read_text(encoding="utf-8") if path.is_file() else ""
    assert kept == wanted()[name], f"tests/golden/{name} differs; {CURE}\n{differences(name, kept)}"


def test_no_golden_file_is_left_of_what_is_gone() -> None:
    found = {
        path.relative_to(HERE).as_posix()
        for path in [*HERE.glob("plan/*"), *HERE.glob("objects/*/*")]
    }
    assert found == set(wanted()), f"a stale golden file reviews nothing; {CURE}"


def test_every_noun_has_a_golden_rendering() -> None:
    nouns = {name.split("/")[-1] for name in wanted() if name.startswith(f"objects/{WHOLE}/")}
    others = {f"{noun}.yaml" for nouns_there in DIFFERING.values() for noun in nouns_there}
    assert {"ModelServer.yaml", "ReplicaAutoscaler.yaml", "ModelRoute.yaml"} <= nouns
    assert others - nouns == {"GpuNodePool.yaml"}, (
        "only the labelled nodes of own metal are no Kubernetes objects on AWS"
    )


def test_the_golden_files_stay_small_enough_to_be_read() -> None:
    size = sum(len(text) for text in wanted().values())
    assert size < BUDGET_BYTES, f"{size} bytes: nobody reviews more; keep fewer renderings"
