"""Who reaches each model of the examples, computed from what is rendered for them, both ways."""

from __future__ import annotations

import pytest

from policies.access import by_model, ports
from policies.callers import gets_out, some_pods
from policies.podsets import TCP, PodSet
from policies.reach import Path, Reach
from policies.rule import Estate
from policies.walls import LABEL_NAMESPACE, Sender, admits, releases
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
        for model, sets in by_model(reach.estate).items()
    }


PARTS = ("DaemonSet ", "Deployment ")
"""How those begin that are no models."""
EVERYBODY = {
    "Deployment chat/prober": ["monitoring"],
    "Deployment search/prober": ["monitoring"],
    "Deployment vision/prober": ["monitoring"],
    "chat/assistant": [
        "chat",
        "envoy-gateway-system",
        "monitoring",
        "the internet via isoserve-gateway/public signed in, quota for each caller",
    ],
    "chat/helper": [
        "chat",
        "envoy-gateway-system",
        "every project via isoserve-gateway/internal, one limit for all",
        "monitoring",
        "search",
    ],
    "search/embedder": ["monitoring", "search"],
    "search/nightly-index": [],
    "search/scores": [],
    "search/ranker": [
        "envoy-gateway-system",
        "every project via isoserve-gateway/internal, one limit for all",
        "monitoring",
        "search",
    ],
    "search/sentiment": ["monitoring", "search"],
    "vision/tagger": [
        "envoy-gateway-system",
        "every project via isoserve-gateway/internal, one limit for all",
        "monitoring",
        "search",
        "vision",
    ],
}


@pytest.mark.parametrize("region", REGIONS)
def test_who_reaches_each_model_is_what_its_spec_says(region: str) -> None:
    found = reached_by(region)
    agents = {model: found.pop(model) for model in list(found) if " isoserve-cache/" in model}
    assert found == {model: EVERYBODY[model] for model in found}
    among = {model: ["isoserve-cache", "monitoring"] for model in agents}
    assert agents == among, "agents give weights, and to each other only"
    assert len(found) >= len(EVERYBODY) - 1, "seoul-dc1 lacks the machine of one model"


def test_a_path_names_every_step() -> None:
    reach = Reach(Estate(good("sandbox-aws"), facts()))
    (pods,) = by_model(reach.estate)["chat/assistant"]
    words = [str(path) for path in reach.paths(pods, 120)]
    assert words[0] == (
        "from the internet: Gateway isoserve-gateway/public -> HTTPRoute chat/assistant -> "
        "Service chat/assistant -> pods"
    )
    assert "from chat: NetworkPolicy chat/assistant--8000 -> pods" in words


def doors_of(reach: Reach, sets: list[PodSet]) -> list[tuple[PodSet, int]]:
    """Pods and ports to which a model's Services send."""
    return [(pods, at) for pods in sets for one in reach.services(pods) for at in ports(one, pods)]


def called_from(region: str) -> dict[str, list[str]]:
    """Per model, the projects whose pods get there: out by their own walls, and in by its."""
    estate = Estate(good(region), facts(region))
    reach = Reach(estate)

    def comes_in(pods: PodSet, project: str, port: int) -> bool:
        sender = Sender(project, {LABEL_NAMESPACE: project}, {}, "")
        return admits(reach.walls(pods), pods, sender, port, TCP)

    return {
        model: sorted(
            project
            for project in estate.facts.projects
            if any(
                gets_out(reach, project, pods, [port]) and comes_in(pods, project, port)
                for pods, port in doors_of(reach, sets)
            )
        )
        for model, sets in by_model(reach.estate).items()
        if not model.startswith(PARTS)
    }


CALLED_FROM = {
    "chat/assistant": ["chat"],
    "chat/helper": ["chat", "search"],
    "search/embedder": ["search"],
    "search/nightly-index": [],
    "search/scores": [],
    "search/ranker": ["search"],
    "search/sentiment": ["search"],
    "vision/tagger": ["search", "vision"],
}


@pytest.mark.parametrize("region", REGIONS)
def test_whoever_a_model_is_shared_with_gets_there_and_nobody_else(region: str) -> None:
    found = called_from(region)
    assert found == {model: CALLED_FROM[model] for model in found}
    assert len(found) >= len(CALLED_FROM) - 1, "seoul-dc1 lacks the machine of one model"


@pytest.mark.parametrize("region", REGIONS)
def test_every_project_gets_to_the_gateway_of_permissive_models(region: str) -> None:
    reach = Reach(Estate(good(region), facts(region)))
    gateways = some_pods("envoy-gateway-system")
    for project in reach.estate.facts.projects:
        assert gets_out(reach, project, gateways, [10080, 10443]), "as `permissive` promises"


@pytest.mark.parametrize("region", REGIONS)
def test_a_models_own_code_calls_nobody(region: str) -> None:
    reach = Reach(Estate(good(region), facts(region)))
    models = {m: sets for m, sets in by_model(reach.estate).items() if not m.startswith(PARTS)}
    for code in (pods for sets in models.values() for pods in sets):
        walls = reach.walls(code)
        called = [
            (str(pods.workload), port)
            for sets in models.values()
            for pods, port in doors_of(reach, sets)
            if releases(walls, code, pods, port, TCP)
        ]
        assert not called, f"{code.workload} runs files that anybody may have made"
        gateways = some_pods("envoy-gateway-system")
        assert not releases(walls, code, gateways, 10080, TCP), "that way leads to every project"
