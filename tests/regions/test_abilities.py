"""What a region lacks has one declared outcome for every feature, and no object of its kind."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import combinations

import pytest

from components.kube import Object
from model_specs.errors import SpecErrors
from model_specs.load import Model
from regions.abilities import DERIVED, FEATURES, REFUSE, Abilities, Feature
from regions.capabilities import CAPABILITIES
from regions.plan import RegionPlan
from regions.resolve import resolve
from tests.examples import (
    a_model,
    a_profile,
    a_tree,
    address,
    an_offer,
    planned,
    rendered,
)

SHORT = {
    "canary": {
        "strategy": "canary",
        "candidate": {"model": address("search", "public", 9)},
        "steps": [10, 50, 100],
    },
    "windows": [{"start": "0 8 * * *", "end": "0 20 * * *", "replicas": 3}],
}
MODELS: dict[str, Model] = {
    model.name: model
    for model in (
        a_model(name="plain"),
        a_model(name="public", access="public", rollout=SHORT["canary"]),
        a_model(name="sleeper", access="permissive", scaling={"max": 2, "scale_to_zero": True}),
        a_model(name="windows", scaling={"max": 4, "schedules": SHORT["windows"]}),
        a_model(name="spotty", scaling={"max": 4}, capacity={"spot": True}),
        a_model(name="nightly", batch={"command": ["index"], "schedule": "0 2 * * *"}),
        a_model(name="ranker", machine_type="cpu.4", image="mlserver", cache="never"),
    )
}
ASKED_BY: dict[str, tuple[str, ...]] = {
    "queue autoscaling": ("plain", "public", "ranker", "sleeper", "spotty", "windows"),
    "queue metric": ("ranker",),
    "queue metric of GPUs": ("plain", "public", "sleeper", "spotty", "windows"),
    "scale to zero": ("sleeper",),
    "schedules": ("windows",),
    "route": ("public", "sleeper"),
    "route policies": ("public", "sleeper"),
    "model cache": ("nightly", "plain", "public", "sleeper", "spotty", "windows"),
    "spot nodes": ("spotty",),
}
"""Which models ask for which feature; what is not here the region itself asks for."""
NEEDED_TOO = {"queue metric": ("keda",), "queue metric of GPUs": ("keda",)}
"""Features that are only asked for where another capability is absent already."""
LIKE = {"node labels": "sandbox-onprem"}
"""Features that only one provider asks for."""
KINDS: dict[str, str] = {
    "keda": r"keda\.sh/.*",
    "gateway_api": r"gateway\.networking\.k8s\.io/.*",
    "envoy_gateway": r"gateway\.envoyproxy\.io/.*",
    "prometheus_operator": r"monitoring\.coreos\.com/.*",
    "cluster_scope": r".*/(Namespace|PersistentVolume|PriorityClass|Node|ClusterRole"
    r"|ClusterRoleBinding|ValidatingAdmissionPolicy.*)",
}
"""By capability, the `apiVersion/Kind` of objects that only it makes possible."""
CUSTOM_GROUP = re.compile(r"[a-z0-9.-]+\.(sh|io|com|dev)/")
BUILT_IN = re.compile(r"[a-z.]+\.k8s\.io/")
ON_CAPABILITY = [f for f in FEATURES.values() if f.capability in CAPABILITIES]


def plan_without(*lacking: str, like: str = "us-east-1") -> RegionPlan:
    return planned(*MODELS.values(), profile=a_profile(like, lacking))


def outcomes(plan: RegionPlan, feature: str) -> list[tuple[str, str]]:
    """Model and outcome, for each time that `feature` was refused or replaced."""
    done = [(d.model, d.outcome) for d in plan.downgrades if d.feature == feature]
    return done + [(g.model, REFUSE) for g in plan.gaps if g.reason.startswith(f"{feature} needs")]


def named(made: Object) -> str:
    return f"{made['apiVersion']}/{made['kind']}"


def test_a_region_with_everything_lacks_nothing() -> None:
    for like in ("us-east-1", "sandbox-onprem"):
        machines = {"gpu.l4.1": an_offer(60, 10), "cpu.4": an_offer(9)}
        if like == "sandbox-onprem":
            nodes = tuple(f"node-{number}" for number in range(60))
            machines = {
                name: offer.model_copy(update={"instance_types": (), "node_names": nodes})
                for name, offer in machines.items()
            }
        plan = planned(*MODELS.values(), profile=a_profile(like, machines=machines))
        assert plan.downgrades == (), "nothing is missing, so nothing is done otherwise"
        assert plan.gaps == (), "nothing is missing, so everything is served"
        assert len(plan.servers) + len(plan.jobs) == len(MODELS)


@pytest.mark.parametrize("feature", ON_CAPABILITY, ids=lambda row: row.name)
def test_a_missing_capability_has_the_declared_outcome_and_no_other(feature: Feature) -> None:
    like = LIKE.get(feature.name, "us-east-1")
    lacking = (feature.capability, *NEEDED_TOO.get(feature.name, ()))
    found = outcomes(plan_without(*lacking, like=like), feature.name)
    owners = sorted(model for model, _ in found)
    wanted = [f"search/{name}" for name in ASKED_BY.get(feature.name, ())] or [""]
    assert owners == sorted(wanted), "each model that asks is told once, and no other is"
    assert {outcome for _, outcome in found} == {feature.outcome}, (
        "a feature ends in exactly one way where its capability is absent"
    )
    before = outcomes(plan_without(*lacking[1:], like=like), feature.name)
    assert before == [], "with the capability nothing is refused or replaced"


def test_spot_is_replaced_where_the_offer_has_no_spot_nodes() -> None:
    machines = {"gpu.l4.1": an_offer(60, 0), "cpu.4": an_offer(9)}
    plan = planned(*MODELS.values(), profile=a_profile(machines=machines))
    assert outcomes(plan, "spot nodes") == [("search/spotty", "runs on on-demand nodes")]
    (server,) = (s for s in plan.servers if s.workload.model == "spotty")
    assert [track.track for track in server.tracks] == ["stable"], "one Deployment carries all"
    assert server.tracks[0].scaler.max == 4, "the replicas are not fewer for it"


def test_every_capability_a_feature_needs_can_be_claimed() -> None:
    needed = {feature.capability for feature in FEATURES.values()} - DERIVED
    assert needed <= set(CAPABILITIES), "a capability no profile may claim is always absent"


def test_every_capability_that_can_be_claimed_is_needed() -> None:
    assert set(CAPABILITIES) <= {feature.capability for feature in FEATURES.values()}, (
        "a capability that no feature asks for says nothing"
    )


def subsets() -> Iterator[tuple[str, ...]]:
    for size in range(len(CAPABILITIES) + 1):
        yield from combinations(sorted(CAPABILITIES), size)


@pytest.mark.parametrize("like", ["us-east-1", "sandbox-onprem"])
def test_no_object_of_a_kind_the_region_lacks_is_ever_rendered(like: str) -> None:
    for lacking in subsets():
        plan = plan_without(*lacking, like=like)
        kinds = {named(made) for made in rendered(plan)}
        for capability in lacking:
            bad = {k for k in kinds if re.fullmatch(KINDS.get(capability, "never"), k)}
            assert not bad, f"without {lacking} the API server of the region refuses {bad}"


def test_every_custom_kind_is_bound_to_a_capability() -> None:
    kinds = {named(made) for made in rendered(plan_without(like="sandbox-onprem"))}
    custom = {k for k in kinds if CUSTOM_GROUP.match(k) and not BUILT_IN.match(k)}
    custom |= {k for k in kinds if k.startswith("gateway.networking")}
    unbound = {k for k in custom if not any(re.fullmatch(p, k) for p in KINDS.values())}
    assert custom, "the models use custom resources, or this proves nothing"
    assert not unbound, f"{unbound}: a kind outside Kubernetes needs a capability, and a row here"


@pytest.mark.parametrize("like", ["us-east-1", "sandbox-onprem"])
def test_a_model_is_served_or_lacking_but_never_both_or_neither(like: str) -> None:
    for lacking in subsets():
        plan = plan_without(*lacking, like=like)
        served = {s.workload.id for s in plan.servers} | {j.workload.id for j in plan.jobs}
        refused = {gap.model for gap in plan.gaps}
        assert not served & refused, f"without {lacking}: half a model is served"
        assert served | refused == {m.id for m in MODELS.values()}, (
            f"without {lacking}: a model vanished without a word"
        )


@pytest.mark.parametrize("like", ["us-east-1", "sandbox-onprem"])
def test_a_model_that_is_not_served_is_not_said_to_be_served_otherwise(like: str) -> None:
    for lacking in subsets():
        plan = plan_without(*lacking, like=like)
        both = {gap.model for gap in plan.gaps} & {d.model for d in plan.downgrades}
        assert not both, f"without {lacking}: {both} are refused and replaced at the same time"


@pytest.mark.parametrize("like", ["us-east-1", "sandbox-onprem"])
def test_whatever_is_rendered_differently_is_declared(like: str) -> None:
    whole = {(m["kind"], m["metadata"]["name"]) for m in rendered(plan_without(like=like))}
    for capability in CAPABILITIES:
        plan = plan_without(capability, like=like)
        less = {(m["kind"], m["metadata"]["name"]) for m in rendered(plan)}
        told = {d.capability for d in plan.downgrades} | {
            capability for gap in plan.gaps if capability in gap.reason
        }
        if less != whole:
            assert capability in told, f"without {capability} objects are missing unexplained"


def test_a_refusal_names_the_feature_the_capability_and_the_region() -> None:
    abilities = Abilities("here", frozenset())
    abilities.allow("route", "search/a", "access")
    (gap,) = abilities.gaps
    assert gap.code == "E333"
    for word in ("route", "gateway_api", "here", "leave it out of regions"):
        assert word in gap.reason, "a person is told what is lacking where, and what to do"
    assert not abilities.downgrades


def test_a_model_that_names_the_region_is_refused_with_its_place() -> None:
    model = a_model(name="public", access="public", regions=["test-region"])
    with pytest.raises(SpecErrors) as refused:
        resolve(a_tree(model), a_profile(without=("gateway_api",)), "test-region")
    assert {(e.path, e.code) for e in refused.value.errors} == {("access", "E333")}, (
        "who asks for a region by name wants to know that it cannot"
    )


def test_a_model_for_all_regions_is_a_gap_where_it_cannot_be() -> None:
    plan = planned(
        a_model(name="public", access="public"), profile=a_profile(without=["gateway_api"])
    )
    assert [(gap.model, gap.code) for gap in plan.gaps] == [("search/public", "E333")]
    assert plan.servers == (), "a model without its route is no endpoint"


def test_a_public_model_needs_someone_to_sign_in_with() -> None:
    plan = planned(a_model(name="public", access="public"), profile=a_profile(sign_in=None))
    assert [gap.code for gap in plan.gaps] == ["E333"]
    assert plan.servers == (), "without a sign-in a public route has an anonymous path"
    assert {gateway.name for gateway in plan.gateways} == {"internal"}, "and no public entrance"
