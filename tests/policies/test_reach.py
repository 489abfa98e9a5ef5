"""Who reaches each model of the examples, computed from what is rendered for them."""

from __future__ import annotations

import pytest

from policies.access import by_model
from policies.reach import Path, Reach
from policies.rule import Estate
from policies.wishes import wish_of
from tests.examples import REGIONS
from tests.policies.estate import facts, good


def guards(path: Path) -> str:
    signed = " signed in" if path.gate and not path.unsigned else ""
    counted = ", quota for each caller" if path.counted else ""
    return signed + counted + (", one limit for all" if path.bounded else "")


def reached_by(region: str) -> dict[str, list[str]]:
    """Per model, who comes in how: through a gateway, or straight through its own wall."""
    estate = Estate(good(region), facts(region))
    reach = Reach(estate)
    return {
        model: sorted(
            {
                f"{path.who}{' via ' + path.gate if path.gate else ''}{guards(path)}"
                for pods in sets
                for path in reach.paths(pods, wish_of(pods, estate.facts).most)
            }
        )
        for model, sets in by_model(reach).items()
    }


EVERYBODY = {
    "Deployment chat/prober": ["monitoring"],
    "Deployment search/prober": ["monitoring"],
    "Deployment vision/prober": ["monitoring"],
    "chat/assistant": [
        "chat",
        "isoserve-gateway",
        "monitoring",
        "the internet via isoserve-gateway/public signed in, quota for each caller",
    ],
    "chat/helper": [
        "chat",
        "every project via isoserve-gateway/internal, one limit for all",
        "isoserve-gateway",
        "monitoring",
        "search",
    ],
    "search/embedder": ["monitoring", "search"],
    "search/nightly-index": [],
    "search/ranker": ["monitoring", "search"],
    "search/sentiment": ["monitoring", "search"],
    "vision/tagger": [
        "every project via isoserve-gateway/internal, one limit for all",
        "isoserve-gateway",
        "monitoring",
        "search",
        "vision",
    ],
}


@pytest.mark.parametrize("region", REGIONS)
def test_who_reaches_each_model_is_what_its_spec_says(region: str) -> None:
    found = reached_by(region)
    assert found == {model: EVERYBODY[model] for model in found}
    assert len(found) >= len(EVERYBODY) - 1, "seoul-dc1 lacks the machine of one model"


def test_a_path_names_every_step() -> None:
    reach = Reach(Estate(good("sandbox-aws"), facts()))
    (pods,) = by_model(reach)["chat/assistant"]
    words = [str(path) for path in reach.paths(pods, 120)]
    assert words[0] == (
        "from the internet: Gateway isoserve-gateway/public -> HTTPRoute chat/assistant -> "
        "Service chat/assistant -> pods"
    )
    assert "from chat: NetworkPolicy chat/assistant -> pods" in words
