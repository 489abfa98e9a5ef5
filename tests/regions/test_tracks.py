"""A model's Deployments: which version, how many replicas, who scales them, how the files come."""

from __future__ import annotations

from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_specs.load import Model
from model_specs.names import LABEL_CAPACITY, LABEL_MACHINE, LABEL_MODEL, LABEL_TRACK
from model_specs.runtimes import CUSTOM, RUNTIMES
from regions.gpu_memory import fits_memory
from regions.machines import MACHINES
from regions.model_plan import ScalerPlan, ServerPlan, TrackPlan
from regions.tracks import CACHE_FROM_BYTES, version
from tests.builders import DIGEST
from tests.examples import (
    GIB,
    a_model,
    a_profile,
    a_tree,
    address,
    an_offer,
    of_kind,
    planned,
    rendered,
    template,
)

ROOM = {"gpu.l4.1": an_offer(10_000, 10_000), "cpu.4": an_offer(10_000)}
NEXT = address("search", "sentiment", 9)
WINDOW = {"start": "0 8 * * *", "end": "0 20 * * *", "timezone": "Asia/Seoul"}
OWN_IMAGE = f"registry.example.com/team/server@sha256:{DIGEST}"


def the_server(model: Model, without: tuple[str, ...] = (), **tree: Any) -> ServerPlan:
    profile = a_profile(without=without, machines=ROOM)
    (server,) = planned(model, profile=profile, **tree).servers
    return server


def the_track(model: Model, without: tuple[str, ...] = (), **tree: Any) -> TrackPlan:
    (track,) = the_server(model, without, **tree).tracks
    return track


def the_scaler(without: tuple[str, ...] = (), **fields: Any) -> ScalerPlan:
    return the_track(a_model(**fields), without).scaler


def a_rollout(strategy: str, **fields: Any) -> dict[str, Any]:
    return {"strategy": strategy, "candidate": {"model": NEXT}, **fields}


def with_candidate(**rollout: Any) -> ServerPlan:
    scaling = rollout.pop("scaling", {"min": 4, "max": 10})
    model = a_model(access="permissive", scaling=scaling, rollout=a_rollout(**rollout))
    return the_server(model)


# -- replicas --------------------------------------------------------------------------------

some_replicas = st.tuples(st.integers(1, 50), st.integers(1, 50)).map(sorted)


@given(bounds=some_replicas, base=st.integers(0, 60), keda=st.booleans())
def test_spot_and_base_together_are_what_the_spec_asks(
    bounds: list[int], base: int, keda: bool
) -> None:
    least, most = bounds
    capacity = {"spot": True, "on_demand_base": base}
    model = a_model(scaling={"min": least, "max": most}, capacity=capacity)
    tracks = the_server(model, () if keda else ("keda",)).tracks
    assert sum(t.scaler.max for t in tracks) == most, "a split adds and loses no replica"
    floors = sum(t.scaler.min for t in tracks)
    assert floors >= least, "what the spec keeps warm is kept"
    expected = max(least, base if base < most else least)
    # An HPA cannot rest at zero, so the spot Deployment keeps one replica where there is no KEDA.
    assert floors <= expected + (0 if keda else 1), "nobody pays for more than was asked"


@given(bounds=some_replicas, base=st.integers(0, 60))
def test_the_base_stands_on_demand_and_the_rest_on_spot(bounds: list[int], base: int) -> None:
    least, most = bounds
    capacity = {"spot": True, "on_demand_base": base}
    model = a_model(scaling={"min": least, "max": most}, capacity=capacity)
    for track in the_server(model).tracks:
        kind = "spot" if track.track == "spot" else "on_demand"
        assert track.placement.node_selector[LABEL_CAPACITY] == kind
        tolerated = any(t.key == LABEL_CAPACITY for t in track.placement.tolerations)
        assert tolerated == (kind == "spot"), "only who asked for spot stands on a node that goes"
        if kind == "on_demand" and base < most:
            assert track.scaler.kind == "fixed", "the base does not scale, the spot part does"
            assert track.scaler.min == track.scaler.max == base


def test_without_a_base_everything_is_spot() -> None:
    model = a_model(scaling={"min": 1, "max": 3}, capacity={"spot": True, "on_demand_base": 0})
    assert [(t.name, t.track) for t in the_server(model).tracks] == [("sentiment-spot", "spot")]


@pytest.mark.parametrize(
    ("capacity", "without", "counted"),
    [
        ({}, (), [("", 2)]),
        ({"spot": True, "on_demand_base": 1}, (), [("", 1), ("spot", 0)]),
        ({"spot": True, "on_demand_base": 0}, (), [("spot", 0)]),
        ({"priority": "preemptible"}, (), [("preemptible", 0)]),
        (
            {"priority": "preemptible", "spot": True, "on_demand_base": 1},
            (),
            [("preemptible", 0), ("preemptible", 0)],
        ),
        ({"priority": "preemptible"}, ("cluster_scope",), [("", 2)]),
    ],
    ids=["on demand", "a base", "all spot", "preemptible", "both", "no priority classes"],
)
def test_what_may_be_taken_away_counts_as_nothing(
    capacity: dict[str, Any], without: tuple[str, ...], counted: list[tuple[str, int]]
) -> None:
    server = the_server(a_model(scaling={"min": 2, "max": 4}, capacity=capacity), without)
    assert [(track.interruption, track.guaranteed) for track in server.tracks] == counted


def test_spot_replicas_serve_the_stable_version() -> None:
    model = a_model(scaling={"max": 3}, capacity={"spot": True})
    assert {t.role for t in the_server(model).tracks} == {"stable"}, (
        "the Service selects on the role, so spot replicas take the same requests"
    )


def test_equal_bounds_need_no_autoscaler() -> None:
    assert the_scaler(scaling={"min": 2, "max": 2}).kind == "fixed"


@pytest.mark.parametrize(
    ("without", "kind"),
    [
        ((), "scaled_object"),
        (("keda",), "hpa_queue"),
        (("keda", "custom_metrics"), "hpa_cpu"),
        (("custom_metrics",), "scaled_object"),
    ],
)
def test_the_autoscaler_is_the_best_the_region_has(without: tuple[str, ...], kind: str) -> None:
    assert the_scaler(without).kind == kind


def test_without_a_better_signal_a_gpu_server_is_said_to_scale_on_what_does_not_follow_it() -> None:
    for machine, words in (("gpu.l4.1", "does not follow the load of a GPU"), ("cpu.4", "on CPU")):
        model = a_model(machine_type=machine, image="triton")
        profile = a_profile(without=("keda", "custom_metrics"), machines=ROOM)
        plan = planned(model, profile=profile)
        (row,) = (d for d in plan.downgrades if d.capability == "custom_metrics")
        assert words in row.outcome, "whoever reads the review knows what it is"


def queries(server: ServerPlan) -> dict[str, str]:
    return {track.track: track.scaler.query for track in server.tracks}


@pytest.mark.parametrize("strategy", ["canary", "blue_green", "shadow"])
def test_each_version_scales_on_its_own_requests(strategy: str) -> None:
    found = queries(with_candidate(strategy=strategy))
    assert 'isoserve_dev_track=~"stable|spot"' in found["stable"]
    assert 'isoserve_dev_track="candidate"' in found["candidate"], (
        "by the other's load it would grow to its most for nothing"
    )


def test_stable_and_spot_replicas_share_their_requests() -> None:
    model = a_model(scaling={"min": 2, "max": 6, "queue_depth": 4}, capacity={"spot": True})
    server = the_server(model)
    found = queries(server)
    assert found["spot"] == found["stable"], "one Service leads to both"
    (spot,) = (track.scaler for track in server.tracks if track.track == "spot")
    assert spot.carried == 4, "the one on demand takes as many as any other"


def test_a_candidate_is_measured_by_the_metrics_of_its_own_runtime() -> None:
    candidate = {"candidate": {"image": "triton", "args": []}, "strategy": "blue_green"}
    found = queries(the_server(a_model(image="vllm", rollout=candidate)))
    assert "nv_inference_pending_request_count" in found["candidate"]
    assert "vllm:num_requests_running" in found["stable"]


def test_every_version_carries_the_label_by_which_it_is_measured() -> None:
    model = a_model(
        scaling={"max": 3},
        capacity={"spot": True},
        rollout={"strategy": "blue_green", "candidate": {"model": NEXT}},
    )
    made = rendered(planned(model, profile=a_profile(machines=ROOM)))
    handed = of_kind("PodMonitor", made)
    assert all(
        LABEL_TRACK in m["spec"]["podTargetLabels"]
        for m in handed
        if LABEL_MODEL in m["spec"]["selector"]["matchLabels"]
    )
    pods = {template(d)["metadata"]["labels"].get(LABEL_TRACK) for d in of_kind("Deployment", made)}
    assert {"stable", "spot", "candidate"} <= pods, "the names in the queries are those of pods"


def test_a_candidate_does_not_sleep() -> None:
    rollout = a_rollout("canary", steps=[10, 100])
    model = a_model(access="permissive", rollout=rollout, scaling={"max": 4, "scale_to_zero": True})
    least = {track.track: track.scaler.min for track in the_server(model).tracks}
    assert least == {"stable": 0, "candidate": 1}, "who sleeps answers no probe"


@given(bounds=some_replicas, zero=st.booleans(), floor=st.integers(1, 50), keda=st.booleans())
def test_every_scaler_is_one_that_kubernetes_accepts(
    bounds: list[int], zero: bool, floor: int, keda: bool
) -> None:
    least, most = bounds
    window = {**WINDOW, "replicas": min(floor, most)}
    scaling = {"min": least, "max": most, "scale_to_zero": zero, "schedules": [window]}
    scaler = the_scaler(() if keda else ("keda",), access="permissive", scaling=scaling)
    assert scaler.max == most, "no signal raises what the spec caps"
    assert 0 <= scaler.min <= scaler.max
    if scaler.kind.startswith("hpa"):
        assert 1 <= scaler.min < scaler.max, "an HPA has a minReplicas of one, and room to scale"
    if scaler.kind == "fixed":
        assert scaler.min == scaler.max, "a fixed Deployment runs what was asked for"
    if scaler.min == 0:
        assert scaler.wake_query, "nothing would ever wake it"
    for schedule in scaler.schedules:
        assert scaler.min <= schedule.replicas <= scaler.max, "a window is a floor, never a cap"


# -- scale to zero and schedules -------------------------------------------------------------


def test_a_model_at_zero_is_woken_by_requests_seen_outside_its_pods() -> None:
    zero = {"max": 2, "scale_to_zero": True}
    scaler = the_scaler(access="permissive", scaling=zero)
    assert scaler.min == 0
    assert "envoy_cluster_upstream_rq_total" in scaler.wake_query, (
        "with no pod there is no pod metric: only the gateway sees who calls"
    )
    assert 'envoy_cluster_name=~"httproute/search/sentiment/rule/1"' in scaler.wake_query
    assert "vllm" not in scaler.wake_query, "a metric of the pod is gone with the pod"


def test_the_probers_own_requests_wake_nobody() -> None:
    zero = {"max": 2, "scale_to_zero": True}
    query = the_scaler(access="permissive", scaling=zero).wake_query
    assert "rule/0" not in query, "the prober's rule is the first: it would keep the model awake"
    assert "sentiment/.*" not in query, "and so would every rule together"


def test_a_signal_that_is_missing_counts_as_nothing() -> None:
    zero = {"max": 2, "scale_to_zero": True}
    query = the_scaler(access="permissive", scaling=zero).wake_query
    assert query.count("or vector(0)") == query.count("sum("), (
        "one absent series would make the whole sum absent, and the model deaf"
    )


def test_a_model_that_stays_warm_has_no_wake_signal() -> None:
    assert the_scaler(access="permissive").wake_query == ""


def test_without_keda_a_model_keeps_one_replica() -> None:
    zero = {"max": 2, "scale_to_zero": True}
    scaler = the_scaler(("keda",), access="permissive", scaling=zero)
    assert (scaler.min, scaler.wake_query) == (1, ""), "a HorizontalPodAutoscaler knows no zero"


def test_a_window_keeps_its_words() -> None:
    scaler = the_scaler(scaling={"min": 1, "max": 5, "schedules": [{**WINDOW, "replicas": 4}]})
    (window,) = scaler.schedules
    assert (window.start, window.end) == ("0 8 * * *", "0 20 * * *")
    assert (window.timezone, window.replicas) == ("Asia/Seoul", 4)
    assert scaler.min == 1, "outside of the window the spec's min holds"


def test_a_window_counts_the_replicas_of_the_base() -> None:
    scaling = {"min": 1, "max": 5, "schedules": [{**WINDOW, "replicas": 4}]}
    model = a_model(scaling=scaling, capacity={"spot": True, "on_demand_base": 2})
    base, spot = the_server(model).tracks
    assert base.scaler.schedules == ()
    assert [w.replicas for w in spot.scaler.schedules] == [2], "two of the four are the base"


def test_without_keda_the_highest_window_holds_all_day() -> None:
    windows = [{**WINDOW, "replicas": 3}, {**WINDOW, "replicas": 4}]
    scaler = the_scaler(("keda",), scaling={"min": 1, "max": 5, "schedules": windows})
    assert (scaler.min, scaler.schedules) == (4, ()), "too many replicas are better than too few"


# -- versions --------------------------------------------------------------------------------


@given(
    bounds=some_replicas,
    steps=st.lists(st.integers(0, 99), max_size=5, unique=True).map(lambda s: [*sorted(s), 100]),
    data=st.data(),
)
def test_a_canary_has_replicas_for_its_share(
    bounds: list[int], steps: list[int], data: st.DataObject
) -> None:
    least, most = bounds
    step = data.draw(st.integers(0, len(steps) - 1))
    server = with_candidate(
        strategy="canary", steps=steps, step=step, scaling={"min": least, "max": most}
    )
    stable, candidate = server.tracks
    share = steps[step]
    weights = {b.role: b.weight for b in server.access.backends}
    assert weights == {"candidate": share, "stable": 100 - share}
    assert sum(weights.values()) == 100, "weights that do not sum to 100 split otherwise"
    assert candidate.scaler.min >= 1, "a candidate without a pod answers 503 to its share"
    assert candidate.scaler.min * 100 >= least * share, "its share of requests finds its replicas"
    assert candidate.scaler.max * 100 >= most * share
    assert candidate.scaler.max <= most
    assert (stable.scaler.min, stable.scaler.max) == (least, most), (
        "the way back is one step, so the stable replicas stay"
    )


def test_the_last_step_gives_the_candidate_everything() -> None:
    server = with_candidate(strategy="canary", steps=[10, 50, 100], step=2)
    assert [(b.role, b.weight) for b in server.access.backends] == [
        ("stable", 0),
        ("candidate", 100),
    ], "a schedule ends at 100"


@pytest.mark.parametrize(("step", "live"), [(0, "stable"), (1, "candidate")])
def test_blue_green_switches_one_word(step: int, live: str) -> None:
    server = with_candidate(strategy="blue_green", step=step)
    assert server.live_role == live
    assert [(b.service, b.role, b.weight) for b in server.access.backends] == [
        ("sentiment", live, 100)
    ], "the model's own Service moves, so that callers inside move too"
    blue, green = (t.scaler for t in server.tracks)
    assert (blue.min, blue.max) == (green.min, green.max), "each colour can carry all requests"


def test_blue_green_works_without_a_gateway() -> None:
    server = the_server(a_model(rollout=a_rollout("blue_green", step=1)))
    assert server.live_role == "candidate", "a private model switches by its Service"


def test_a_shadow_gets_copies_and_answers_nobody() -> None:
    server = with_candidate(strategy="shadow", mirror_percent=20)
    assert [(b.role, b.weight) for b in server.access.backends] == [("stable", 100)]
    assert server.access.mirror_service == "sentiment-candidate"
    assert server.access.mirror_percent == 20
    assert server.live_role == "stable"


OF_THE_TEAM: Final[dict[str, tuple[str, ...]]] = {
    "bentoml": ("--backlog=7",),
    "mlserver": (),
    "sglang": ("--random-seed=7",),
    "text-embeddings-inference": ("--json-output",),
    "torchserve": (),
    "triton": ("--id=own",),
}
"""Arguments that a spec may give a runtime; of others `--seed=7`."""


@pytest.mark.parametrize("other", sorted({*RUNTIMES, OWN_IMAGE} - {"triton"}))
def test_a_candidate_answers_where_its_own_runtime_does(other: str) -> None:
    runtime, theirs = RUNTIMES.get(other, CUSTOM), RUNTIMES["triton"]
    own = OF_THE_TEAM.get(other, ("--seed=7",))
    rollout = a_rollout("canary", candidate={"image": other, "args": list(own)})
    model = a_model(image="triton", args=["--id=own"], access="permissive", rollout=rollout)
    stable, candidate = the_server(model).tracks
    assert (stable.listen.port, candidate.listen.port) == (theirs.port, runtime.port)
    assert candidate.listen.ready_path == runtime.ready_path, "or it would never be ready"
    assert candidate.listen.metrics_port == runtime.metrics_port, "or nobody would read it"
    assert candidate.drain.shutdown_seconds == runtime.shutdown_seconds
    assert stable.container.args[-1] == "--id=own"
    assert not own or candidate.container.args[-1:] == own
    assert "--id=own" not in candidate.container.args, "they are another program's"


def test_a_candidate_of_the_same_runtime_keeps_what_it_does_not_say() -> None:
    rollout = a_rollout("blue_green", candidate={"env": {"SEED": "7"}})
    model = a_model(args=["--seed", "7"], env={"A": "b"}, rollout=rollout)
    stable, candidate = the_server(model).tracks
    assert candidate.container.args == stable.container.args
    assert (stable.container.env["A"], candidate.container.env["SEED"]) == ("b", "7")
    assert "A" not in candidate.container.env, "what it says replaces the whole"


def test_a_candidate_that_only_changes_the_image_keeps_the_model() -> None:
    rollout = {"strategy": "blue_green", "candidate": {"image": OWN_IMAGE}}
    old, new = the_server(a_model(rollout=rollout)).tracks
    assert new.container.image == OWN_IMAGE
    assert old.container.image == RUNTIMES["vllm"].image
    assert new.weights.address == old.weights.address, "what is left out stays the same"


def test_the_names_of_a_models_deployments_are_its_own() -> None:
    model = a_model(
        access="permissive",
        scaling={"max": 4},
        capacity={"spot": True},
        rollout=a_rollout("canary"),
    )
    names = [track.name for track in the_server(model).tracks]
    assert names == ["sentiment", "sentiment-spot", "sentiment-candidate"]


# -- image, arguments, place -----------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(RUNTIMES))
def test_a_runtime_is_its_pinned_image_with_its_arguments(name: str) -> None:
    more = OF_THE_TEAM.get(name, ("--seed=7",))
    track = the_track(a_model(image=name, args=list(more)))
    assert track.container.image == RUNTIMES[name].image
    assert "@sha256:" in track.container.image, "a tag can be moved under a running rollout"
    assert not more or track.container.args[-1:] == more, "the team's arguments come last and win"


def test_an_image_of_ones_own_gets_the_open_contract() -> None:
    server = the_server(a_model(image=OWN_IMAGE))
    assert server.tracks[0].container.image == OWN_IMAGE
    assert (server.tracks[0].listen.port, server.tracks[0].listen.ready_path) == (
        CUSTOM.port,
        CUSTOM.ready_path,
    )


def test_vllm_is_told_to_finish_what_it_answers() -> None:
    server = the_server(a_model())
    args = server.tracks[0].container.args
    told = args[args.index("--shutdown-timeout") + 1]
    assert int(told) == server.tracks[0].drain.shutdown_seconds, (
        "its default of 0 aborts requests in flight, whatever grace the pod has"
    )


@pytest.mark.parametrize("machine", ["gpu.l4.1", "cpu.4"])
def test_a_pod_stands_on_its_machine_type_and_gets_the_row(machine: str) -> None:
    placement = the_track(a_model(machine_type=machine, image="mlserver")).placement
    row = MACHINES[machine]
    assert placement.node_selector[LABEL_MACHINE] == machine
    assert (placement.gpus, placement.cpu) == (row.gpus, row.cpu)
    tolerated = [(t.key, t.value) for t in placement.tolerations]
    both = [(LABEL_MACHINE, machine), (row.kind.taint[0], "")]
    assert tolerated == (both if row.gpus else []), (
        "GPU nodes carry the vendor's taint, with whatever value, those of before ours"
    )


# -- files -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wish", "size", "mode"),
    [
        ("auto", CACHE_FROM_BYTES, "cache"),
        ("auto", CACHE_FROM_BYTES - 1, "download"),
        ("always", 1, "cache"),
        ("never", 18 * GIB, "download"),
    ],
)
def test_the_cache_follows_the_word_or_the_size(wish: str, size: int, mode: str) -> None:
    model = a_model(cache=wish)
    files = the_track(model, facts={model.spec.model: size}).weights
    assert files.mode == mode
    assert (files.claim == "models-gpu-l4-1") == (mode == "cache"), "a claim only where it is used"


def test_a_pod_that_downloads_has_the_disk_for_it() -> None:
    model = a_model(cache="never")
    held = the_track(model, facts={model.spec.model: 10 * GIB}).placement.ephemeral_gib
    assert held >= 11 + 8, "a pod over its ephemeral storage is evicted in the middle of the pull"


@pytest.mark.parametrize("machine", sorted(MACHINES))
def test_an_unknown_size_is_bounded_by_the_machine(machine: str) -> None:
    model = a_model(machine_type=machine, image="mlserver")
    specs = a_tree(model, facts={address("search", "other"): 1})
    what = version(specs, model.spec, None)
    assert what.bytes > 0, "no clock may take an unknown model for an empty one"
    assert fits_memory(MACHINES[machine], what) == "", "nobody is refused for not knowing"
