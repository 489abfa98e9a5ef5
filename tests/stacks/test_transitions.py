"""No moment between two plans is worse than both, in whatever order the engine gets there."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from itertools import permutations
from typing import Any, Final

import pytest

from components.order import ROWS, Row
from components.parts import Part, parts
from regions.plan import RegionPlan
from stacks.reviewing.moments import acts_between, side_of
from stacks.reviewing.transitions import Finding, transitions
from tests.examples import a_model, a_profile, address, an_offer, planned

ROOM: Final = {
    "gpu.l4.1": an_offer(100, 100),
    "gpu.l40s.1": an_offer(100),
    "cpu.4": an_offer(100),
}
MODEL: Final = "search/sentiment"
NEXT: Final = address("search", "sentiment", 9)
LATER: Final = address("search", "sentiment", 11)
PROFILE: Final = a_profile(machines={k: ROOM[k] for k in ("gpu.l4.1", "cpu.4")})


def a_plan(**fields: Any) -> RegionPlan:
    """The model among others of its project, in a region with room."""
    other = a_model(name="ranker", machine_type="cpu.4", image="mlserver")
    wanted = {"scaling": {"min": 3, "max": 8}, **fields}
    return planned(a_model(**wanted), other, profile=PROFILE)


def nothing() -> RegionPlan:
    """The project's other model alone."""
    return planned(a_model(name="ranker", machine_type="cpu.4", image="mlserver"), profile=PROFILE)


def found(
    old: RegionPlan, new: RegionPlan, rows: Sequence[Row] = ROWS, made: list[Part] | None = None
) -> list[Finding]:
    """What may go wrong from one plan to the other."""
    before, after = (old, list(parts(old))), (new, made or list(parts(new)))
    return list(transitions(MODEL, "here", before, after, rows))


def names(old: RegionPlan, new: RegionPlan, *without: str) -> set[str]:
    """The findings' names, with rows of the order taken out."""
    kept = [row for row in ROWS if row.name not in without]
    assert len(kept) == len(ROWS) - len(without), "the rows that are taken out must be there"
    return {finding.name for finding in found(old, new, kept)}


def canary(step: int, **fields: Any) -> RegionPlan:
    rollout = {"strategy": "canary", "candidate": {"model": NEXT}, "steps": [10, 50, 100]}
    return a_plan(access="permissive", rollout={**rollout, "step": step}, **fields)


def green(step: int, candidate: str = NEXT, **fields: Any) -> RegionPlan:
    rollout = {"strategy": "blue_green", "candidate": {"model": candidate}, "step": step}
    return a_plan(rollout=rollout, **fields)


def many(most: int) -> dict[str, Any]:
    """At least six replicas."""
    return {"scaling": {"min": 6, "max": most}}


AWAY = "users away from a candidate, then its pods"
ROUTE, SERVICE = (
    "pods that serve, then the route to them",
    "pods that serve, then the Service to them",
)
OPEN = {"access": "permissive"}
FIXED: Final[dict[str, Any]] = {"scaling": {"min": 3, "max": 3}}
SPOT = {"capacity": {"spot": True, "on_demand_base": 2}}


# -- the cases of the order's rows ---------------------------------------------------------------


@pytest.mark.parametrize("step", [1, 2])
def test_promotion_never_serves_the_old_version_again(step: int) -> None:
    before, after = canary(step), a_plan(model=NEXT, **OPEN)
    assert names(before, after) == set()
    assert "old version again" in names(before, after, ROUTE, SERVICE)


def test_promotion_after_a_swap_never_serves_the_old_version_again() -> None:
    before, after = green(1), a_plan(model=NEXT)
    assert names(before, after) == set()
    assert "old version again" in names(before, after, SERVICE)


def test_users_are_led_to_a_candidate_that_is_there() -> None:
    assert names(a_plan(), green(1)) == set()
    assert "nobody serves" in names(a_plan(), green(1), SERVICE)


@pytest.mark.parametrize("most", [6, 9])
def test_users_leave_a_candidate_before_its_pods_go(most: int) -> None:
    size = many(most)
    back = canary(2, **size), canary(0, **size)
    assert names(*back) == set()
    assert names(*back, AWAY) == {"fewer serve"}, "its replicas follow its share"
    assert names(canary(0, **size), canary(2, **size)) == set()
    assert names(canary(2, **size), a_plan(**OPEN, **size)) == set(), "called off it goes last"


def test_users_leave_a_swapped_candidate_before_its_pods_go() -> None:
    assert names(green(1, **many(6)), green(0, **FIXED)) == set()
    assert names(green(1), green(0, LATER)) == set()
    assert names(green(1), green(0, LATER), AWAY) == {"old version again"}


def test_another_candidate_with_fewer_users_comes_once_they_have_left() -> None:
    later = {"strategy": "canary", "candidate": {"model": LATER}, "step": 0, "steps": [10, 100]}
    before, after = canary(1), a_plan(access="permissive", rollout=later)
    assert names(before, after) == set()
    assert names(before, after, AWAY) == {"old version again"}


def test_users_are_led_back_to_a_stable_version_that_has_changed_meanwhile() -> None:
    before, after = canary(2, **many(6)), canary(0, model=LATER, **many(6))
    assert names(before, after) == set()
    assert names(before, after, AWAY) == {"fewer serve"}


def test_spot_pods_come_before_on_demand_pods_go() -> None:
    rows = ("spot pods, then fewer on demand", "spot pods, then fewer on demand taken over")
    before, after = (
        a_plan(scaling={"min": 6, "max": 8}),
        a_plan(scaling={"min": 6, "max": 8}, **SPOT),
    )
    assert names(before, after) == set()
    assert names(after, before) == set()
    assert "fewer serve" in names(before, after, rows[1]), "a hand-over sets the number itself"
    assert "fewer serve" in names(before, after, *rows)


@pytest.mark.parametrize("size", [(3, 3), (3, 8), (6, 6), (6, 9)], ids=str)
@pytest.mark.parametrize("base", [0, 2, 3])
def test_a_spot_fallback_that_comes_or_goes_takes_no_pod_away(
    base: int, size: tuple[int, int]
) -> None:
    scaling = {"min": size[0], "max": size[1]}
    spot = {"spot": True, "on_demand_base": base}
    held = a_plan(scaling=scaling, capacity=spot)
    falls = a_plan(scaling=scaling, capacity={**spot, "spot_fallback": "on_demand"})
    demand = a_plan(scaling=scaling)
    assert (held != falls) == (base < size[1]), "or there are no spot pods"
    for before, after in permutations((held, falls, demand), 2):
        assert names(before, after) == set()


def test_fewer_on_demand_pods_wait_for_spot_pods_that_may_fall_back_too() -> None:
    rows = ("spot pods, then fewer on demand", "spot pods, then fewer on demand taken over")
    scaling = {"min": 6, "max": 8}
    falls = {"spot": True, "on_demand_base": 2, "spot_fallback": "on_demand"}
    before, after = a_plan(scaling=scaling), a_plan(scaling=scaling, capacity=falls)
    assert "fewer serve" in names(before, after, *rows)


def test_a_field_that_is_left_out_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    before, after = a_plan(**FIXED), a_plan(scaling={"min": 3, "max": 6})
    assert found(before, after) == []
    monkeypatch.setattr("stacks.reviewing.transitions.left_alone", lambda made, scaled: [])
    made = list(parts(after))
    for part in made:
        for one in part.objects:
            if one["kind"] == "Deployment" and part.model == MODEL:
                del one["spec"]["replicas"]
    (finding,) = found(before, after, ROWS, made)
    assert finding.name == "fewer serve"
    assert finding.order[-1] == "Deployment search/sentiment is changed"


def test_an_autoscaler_is_stopped_before_its_replicas_are_fixed() -> None:
    asleep = a_plan(access="permissive", scaling={"min": 1, "max": 4, "scale_to_zero": True})
    assert names(a_plan(**OPEN), a_plan(**OPEN, **FIXED)) == set()
    row = "an autoscaler stopped, then the Deployment"
    many, fixed = a_plan(scaling={"min": 1, "max": 8}), a_plan(scaling={"min": 3, "max": 3})
    assert names(many, fixed) == set()
    assert names(asleep, a_plan(**OPEN, **FIXED)) == set()
    assert names(a_plan(scaling={"min": 4, "max": 8}), fixed, row) == set(), "it keeps four"


@pytest.mark.parametrize("access", ["permissive", "private"])
def test_a_runtime_with_other_ports_keeps_old_and_new_pods_reached(access: str) -> None:
    own = {"access": access}
    before, after = a_plan(image="vllm", **own), a_plan(image="text-embeddings-inference", **own)
    assert names(before, after) == names(after, before) == set()
    made = list(parts(after))
    for part in made:
        for one in part.objects:
            if one["kind"] == "NetworkPolicy" and one["metadata"]["name"] == "sentiment--8080":
                one["metadata"]["name"] = "sentiment--8000"  # one that is changed in place
    assert {f.name for f in found(before, after, ROWS, made)} == {"nobody serves"}


@pytest.mark.parametrize("there", [nothing, lambda: a_plan(access="permissive")])
def test_a_public_route_never_stands_without_its_sign_in(there: Any) -> None:
    public = a_plan(access="public")
    row = "SecurityPolicy, then the route"
    assert names(there(), public) == names(public, there()) == set()
    assert names(there(), public, row) == {"access opens"}
    assert "access opens" in names(public, nothing(), row), "the order of deletion is the reverse"


def test_a_route_never_stands_without_its_limit() -> None:
    row = "BackendTrafficPolicy, then the route"
    assert names(nothing(), a_plan(**OPEN)) == set()
    assert names(nothing(), a_plan(**OPEN), row) == {"access opens"}


def test_pods_of_a_new_project_never_run_without_its_policies() -> None:
    empty = planned(profile=PROFILE)
    row = "a project's policies, then its pods"
    assert names(empty, a_plan()) == names(a_plan(), empty) == set()
    drain = "a project's policies, then the drain of its pods"
    assert names(empty, a_plan(), row, drain) == {"pods without walls"}
    assert names(a_plan(), empty, row, drain) == {"pods without walls"}


@pytest.mark.parametrize(
    "row",
    [
        "a project's policies, then the drain of its pods",
        "a model's policies, then the drain of its pods",
        "the drain of pods, then the pods",
    ],
)
def test_policies_stay_until_the_pods_behind_them_have_ended(row: str) -> None:
    empty = planned(profile=PROFILE)
    assert names(a_plan(), empty) == names(a_plan(), nothing()) == set()
    assert names(a_plan(), empty, row) == {"pods without walls"}


DRAINS: Final = (
    "a project's policies, then the drain of its pods",
    "a model's policies, then the drain of its pods",
    "a model's account, then the drain of its pods",
    "the drain of pods, then the pods",
)
NIGHTLY: Final = {"schedule": "0 3 * * *"}
every_batch = pytest.mark.parametrize("batch", [{}, NIGHTLY], ids=["once", "nightly"])


def a_job(**batch: Any) -> RegionPlan:
    """The model as a batch job."""
    other = a_model(name="ranker", machine_type="cpu.4", image="mlserver")
    job = a_model(batch={"command": ["score"], **batch})
    return planned(job, other, profile=PROFILE)


def gone(old: RegionPlan, new: RegionPlan) -> set[str]:
    """The acts of deleting something."""
    sides = [side_of(plan, parts(plan), MODEL, ROWS) for plan in (old, new)]
    return {act.id for act in acts_between(*sides) if act.id.startswith("-")}


@pytest.mark.parametrize("row", DRAINS)
@every_batch
def test_what_a_job_s_pods_need_stays_until_they_have_ended(
    batch: dict[str, Any], row: str
) -> None:
    empty = planned(profile=PROFILE)
    assert names(a_job(**batch), empty) == names(a_job(**batch), nothing()) == set()
    assert names(a_job(**batch), empty, row) == {"pods without walls"}


def test_a_job_without_a_drain_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("components.order.GATES", {})
    assert names(a_job(), nothing()) == {"pods without walls"}


@every_batch
def test_a_job_of_a_new_project_never_runs_without_its_policies(batch: dict[str, Any]) -> None:
    empty = planned(profile=PROFILE)
    rows = "a project's policies, then its pods", DRAINS[0]
    assert names(empty, a_job(**batch)) == set()
    assert names(empty, a_job(**batch), *rows) == {"pods without walls"}


def test_a_job_that_gets_another_run_or_becomes_a_server_keeps_its_policies() -> None:
    once, again, nightly = a_job(), a_job(retries=1), a_job(**NIGHTLY)
    for before, after in permutations((once, again, nightly, a_plan(), a_plan(access="public")), 2):
        assert names(before, after) == set()
    run = f"search/sentiment-{once.jobs[0].run}"
    waits = {f"-batch/v1 Job {run}", f"-PodDrain {run}"}
    assert gone(once, again) == waits, "the next run takes its place, and it is waited for"


def test_what_stays_between_two_that_go_keeps_them_in_no_order() -> None:
    kept = [row for row in ROWS if row.name not in DRAINS[2:]]
    drain = next(row for row in ROWS if row.name == DRAINS[3])
    through_account = [*kept, replace(drain, later=("ServiceAccount",))]
    once, again = a_job(), a_job(retries=1)
    (finding,) = found(once, again, through_account)
    assert finding.name == "pods without walls", "the account stays, so the old run may go last"
    assert found(once, nothing(), through_account) != [], "the account goes before its pods end"


def test_the_policy_of_other_ports_stays_until_the_pods_behind_it_have_ended() -> None:
    before, after = a_plan(image="vllm"), a_plan(image="text-embeddings-inference")
    row = "a model's policies, then the drain of its pods"
    assert names(before, after) == set()
    assert names(before, after, row) == {"pods without walls"}


def test_a_finding_says_what_led_to_it_and_what_to_do() -> None:
    kept = [row for row in ROWS if row.name != SERVICE]
    finding = next(f for f in found(green(1), a_plan(model=NEXT), kept) if "old" in f.name)
    assert (finding.model, finding.region) == (MODEL, "here")
    assert "100 % of users again" in finding.reason
    assert finding.order == ("Service search/sentiment is changed",)
    assert "two steps" in finding.cure


# -- any change at all ---------------------------------------------------------------------------

Fields = dict[str, Any]


def any_spec(dice: random.Random) -> Fields:
    """What a spec can ask for, but for who serves whom."""
    least = dice.randint(1, 4)
    base = dice.randint(-(-least // 2), least)
    spot = {"spot": True, "on_demand_base": base, "spot_fallback": ("none", "on_demand")[base % 2]}
    return {
        "access": dice.choice(["private", "permissive", "public"]),
        "image": dice.choice(["vllm", "vllm", "text-embeddings-inference", "triton"]),
        "model": dice.choice([address("search", "sentiment", 3), LATER]),
        "scaling": {"min": least, "max": least + dice.choice([0, 0, 3])},
        "env": dice.choice([{}, {"SEED": "7"}]),
        "capacity": spot if dice.random() < 0.3 else {},
    }


def any_rollout(dice: random.Random, access: str) -> Fields:
    """A candidate at any step."""
    strategy = dice.choice(["blue_green", *(("canary", "shadow") if access != "private" else ())])
    steps = {"canary": 3, "blue_green": 1, "shadow": 0}[strategy]
    step = {"step": dice.randint(0, steps)} if steps else {}
    candidate = {"model": NEXT, **({"image": "triton"} if dice.random() < 0.3 else {})}
    return {"strategy": strategy, "candidate": candidate, **step}


def edited(dice: random.Random, fields: Fields) -> Fields:
    """The same with one thing changed, as a pull request does: a field, or a step of a rollout."""
    rollout, other = fields.get("rollout", {}), any_spec(dice)
    if not rollout:
        name = dice.choice([*other, "rollout"])
        value = any_rollout(dice, fields["access"]) if name == "rollout" else other[name]
        if name == "rollout":
            value["step"] = 0
        return {**fields, name: value}
    what = dice.choice(["promoted", "called off", "further", "back"])
    bare = {name: value for name, value in fields.items() if name != "rollout"}
    if what == "promoted":
        image = rollout["candidate"].get("image", fields["image"])
        return {**bare, "model": NEXT, "image": image}
    last = {"canary": 3, "blue_green": 1, "shadow": 0}[rollout["strategy"]]
    if what == "further" and rollout.get("step", 0) < last:
        return {**fields, "rollout": {**rollout, "step": rollout["step"] + 1}}
    if what == "back" and rollout.get("step", 0):
        model = dice.choice([NEXT, LATER])
        if model == fields["model"]:  # what serves is no candidate
            model = NEXT
        candidate = {**rollout["candidate"], "model": model}
        return {**fields, "rollout": {**rollout, "candidate": candidate, "step": 0}}
    return bare


def pull_requests() -> list[tuple[Fields, Fields]]:
    """Five hundred random ones: what a spec says before and after."""
    dice, found = random.Random(11), []
    for _ in range(500):
        fields = any_spec(dice)
        if dice.random() < 0.5:
            fields["rollout"] = any_rollout(dice, fields["access"])
        found.append((fields, edited(dice, fields)))
    return found


def test_five_hundred_random_pull_requests_have_no_worse_moment() -> None:
    for fields, after in pull_requests():
        bad = found(a_plan(**fields), a_plan(**after))
        assert bad == [], f"{fields}\n{after}\n{bad[0]}"


def test_whatever_changes_at_once_no_access_opens_and_no_pod_stands_in_the_open() -> None:
    dice = random.Random(7)
    plans = [a_plan(**any_spec(dice)) for _ in range(30)] + [nothing(), planned(profile=PROFILE)]
    for _ in range(10):
        fields = any_spec(dice)
        plans.append(a_plan(**fields, rollout=any_rollout(dice, fields["access"])))
    for _ in range(300):
        bad = {finding.name for finding in found(dice.choice(plans), dice.choice(plans))}
        assert bad <= {"fewer serve", "nobody serves", "old version again"}, bad


def test_orders_that_are_too_many_are_said_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stacks.reviewing.moments.LARGEST", 10)
    assert names(nothing(), a_plan(access="public")) == {"orders not looked at"}
