"""The sandbox believes the probers, and calls simulated what no pod serves that runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from regions.sandbox import probes
from regions.sandbox.errors import SandboxError
from regions.sandbox.kube import Object
from regions.sandbox.status import Heard

RANKER, SENTIMENT = ("search", "ranker"), ("search", "sentiment")
Execute = Callable[..., str]


def a_pod(role: str, address: str, model: str) -> Object:
    labels = {"isoserve.dev/role": role, "isoserve.dev/project": "search"}
    labels["isoserve.dev/model"] = model
    metadata = {"labels": labels, "namespace": "search", "name": f"{role}-{address}"}
    return {"metadata": metadata, "status": {"podIP": address}}


@dataclass
class Recorded:
    """An API server's answers about pods, as recorded."""

    pods: list[Object] = field(default_factory=list)
    region: str = "sandbox-aws"

    def get(self, path: str) -> Object:
        role = path.rpartition("%3D")[2]
        found = [p for p in self.pods if p["metadata"]["labels"]["isoserve.dev/role"] == role]
        return {"items": found}


def said(ranker: int) -> str:
    return (
        "# TYPE probe_success gauge\n"
        f'probe_success{{project="search",model="ranker"}} {ranker}\n'
        'probe_success{project="search",model="sentiment"} 0\n'
    )


CLUSTER: Any = Recorded(
    [
        a_pod("model-server", "10.244.2.7", "ranker"),
        a_pod("model-server", "10.64.0.9", "sentiment"),
        a_pod("prober", "10.244.1.3", ""),
        a_pod("prober", "10.64.0.10", ""),
    ]
)


def saying(ranker: int, asked: list[tuple[str, ...]]) -> Execute:
    """Commands in containers that print a prober's numbers."""

    def execute(kubeconfig: Path, *place_and_command: str) -> str:
        asked.append(place_and_command[:3])
        return said(ranker)

    return execute


def test_the_prober_is_asked_within_its_container_and_the_wait_ends_with_right_answers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[tuple[str, ...]] = []
    monkeypatch.setattr(probes, "execute", saying(1, asked))
    assert probes.served(CLUSTER) == {RANKER}, "kwok's pods have an address and nobody there"
    assert probes.results(CLUSTER) == {RANKER: True, SENTIMENT: False}
    assert asked == [("search", "prober-10.244.1.3", "python")], "NetworkPolicies let no host in"
    note = probes.await_right_answers(CLUSTER, 5)
    assert note.startswith("1 of 1"), "the simulated model is nobody's fault"


def test_a_model_that_answers_wrongly_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes, "execute", saying(0, []))
    with pytest.raises(SandboxError, match="search/ranker"):
        probes.await_right_answers(CLUSTER, 0)


def test_a_container_that_starts_only_now_has_said_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def execute(kubeconfig: Path, *place_and_command: str) -> str:
        raise SandboxError("no container yet")

    monkeypatch.setattr(probes, "execute", execute)
    assert probes.results(CLUSTER) == {}
    with pytest.raises(SandboxError, match=r"search/ranker in 0 s; see `kubectl .* -n search logs"):
        probes.await_right_answers(CLUSTER, 0)


@pytest.mark.parametrize(
    ("results", "word"), [({RANKER: True}, "passes"), ({RANKER: False}, "fails"), ({}, "-")]
)
def test_the_table_has_one_word_for_each_state(results: dict[Any, bool], word: str) -> None:
    heard = Heard({RANKER}, results)
    assert heard.word(RANKER) == word
    assert heard.word(SENTIMENT) == "simulated", "whatever its probe finds, nothing runs"
