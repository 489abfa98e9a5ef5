"""The line that a person pastes asks what the spec says, where its region's gateway stands."""

from __future__ import annotations

import json
import shlex

import pytest

from regions.sandbox import curl
from regions.sandbox.node.network import Network
from regions.sandbox.plans import plan_of


@pytest.fixture
def words(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The line as a shell takes it apart."""
    monkeypatch.setattr(curl, "network_of", lambda region: Network(44))
    line = curl.commands("sandbox-onprem")["search/ranker"]
    assert "\n" not in line, "one line can be pasted"
    return shlex.split(line)


def test_it_goes_to_the_route_of_the_model_at_the_regions_gateway(words: list[str]) -> None:
    host = "ranker--search.internal.onprem.sandbox.example.com"
    assert words[words.index("--resolve") + 1] == f"{host}:80:198.19.44.200"
    assert f"http://{host}/v2/models/ranker/infer" in words
    assert "--fail-with-body" in words, "a refusal is seen, with its words"


def test_it_sends_the_very_request_of_the_probe(words: list[str]) -> None:
    (ranker,) = (
        row for row in plan_of("sandbox-onprem").servers if row.workload.id == "search/ranker"
    )
    assert json.loads(words[words.index("-d") + 1]) == ranker.probe.body


def test_only_models_that_everybody_may_ask_have_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(curl, "network_of", lambda region: Network(44))
    modes = {row.workload.id: row.access.mode for row in plan_of("sandbox-aws").servers}
    assert {"private", "public"} <= set(modes.values()), "there are others to leave out"
    asked = {model for model, mode in modes.items() if mode == "permissive"}
    assert set(curl.commands("sandbox-aws")) == asked


def test_the_gateway_of_an_existing_cluster_is_where_it_alone_knows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(curl, "network_of", lambda region: None)
    assert curl.commands("sandbox-aws") == {}
