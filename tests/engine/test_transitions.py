"""What the transition proof computes of a moment holds on the real API server, at every step.

Of the 500 random pull requests of tests/stacks/test_transitions.py, 20 are replayed, each in a
project of its own of one region with an API server of its own: see tests.engine.replay. After each
act users' shares, the ways in and the walls are what was computed, no other versions answer and no
fewer pods serve. The region has no KEDA, since nobody would act for it here: its autoscalers are
HorizontalPodAutoscalers, which the server's own controllers obey.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import pytest

from components.gates.acts import HANDOVER, SHIFT, SPOT, gives_back, shifts, takes
from components.kube import Object
from components.order import ROWS
from components.parts import parts
from regions.plan import RegionPlan
from regions.sandbox.nodes import reconcile
from stacks.reviewing.moments import acts_between, asked
from stacks.reviewing.transitions import transitions
from tests.engine.load import watching
from tests.engine.lone_server import lone_server
from tests.engine.replay import Change, Replay, Served, begun, change, walked
from tests.engine.site import name_of, until
from tests.engine.world import World, path_of
from tests.examples import a_model, a_profile, planned, template
from tests.stacks.test_transitions import NEXT, ROOM, every_batch, pull_requests

pytestmark = pytest.mark.engine

REGION: Final = "sandbox-aws"
PAIRS: Final = 20
SEED: Final = 8
"""One of which the pairs have gates do all that they can: a test below says so."""
AT_ONCE: Final = 10
PROFILE: Final = a_profile(
    without=("keda",), machines={k: ROOM[k] for k in ("gpu.l4.1", "cpu.4")}, tls_issuer=""
)
Fields = dict[str, Any]


def group(capacity: str, nodes: int) -> dict[str, Any]:
    """A node group as AWS describes it: room for eight replicas a node."""
    labels = {"isoserve.dev/capacity": capacity, "isoserve.dev/machine-type": "gpu.l4.1"}
    return {
        "nodegroupName": capacity.replace("_", "-"),
        "instanceTypes": ["p5.48xlarge"],
        "labels": labels,
        "scalingConfig": {"desiredSize": nodes},
    }


@pytest.fixture(scope="module")
def lone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """An API server with room for all pairs at once, and what the region's platform has there."""
    with lone_server(tmp_path_factory.mktemp("replay") / "tree", REGION) as made:
        cluster = made.cluster(REGION)
        reconcile(cluster, [group("on_demand", 30), group("spot", 15)], {}, None)
        for part in parts(planned(profile=PROFILE)):
            for one in part.objects if part.noun == "PlatformSpace" else ():
                cluster.apply(path_of(one), one)
        yield made


def in_project(project: str, fields: Fields) -> RegionPlan:
    """The plan of the model in a project of its own; there are no agents here, so no cache."""
    return planned(a_model(project=project, **moved({**fields, "cache": "never"}, project)),
                   profile=PROFILE)  # fmt: skip


def moved(value: Any, project: str) -> Any:
    """The same with addresses of the project's own models."""
    if isinstance(value, dict):
        return {key: moved(one, project) for key, one in value.items()}
    return value.replace("search/", f"{project}/") if isinstance(value, str) else value


def changes() -> list[Change]:
    """Twenty of the five hundred, of those that change anything."""
    real = [(before, after) for before, after in pull_requests() if before != after]
    found = []
    for number, pair in enumerate(random.Random(SEED).sample(real, PAIRS)):
        project = f"replay-{number}"
        old, new = (in_project(project, fields) for fields in pair)
        found.append(change(f"{project}/sentiment", old, new, ROWS))
    return found


def acts_of_gates(what: Change) -> set[str]:
    """What gates do on the way."""
    found = set()
    for key, step in what.new.steps.items():
        olds, news = asked(what.old, key), asked(what.new, key)
        if step.kind == HANDOVER and takes(olds, news) and olds:
            found.add("takes replicas")
        if step.kind == HANDOVER and gives_back(olds, news):
            found.add("gives replicas back")
        if step.kind == SHIFT and shifts(olds, news):
            found.add("leads users away")
        if step.kind == SPOT and news != olds:
            found.add("waits for spot pods")
    return found


def test_the_twenty_have_gates_do_all_that_they_can() -> None:
    done = set().union(*map(acts_of_gates, changes()))
    assert done == {
        "gives replicas back",
        "leads users away",
        "takes replicas",
        "waits for spot pods",
    }


def test_twenty_random_changes_are_what_the_proof_computes(lone: World) -> None:
    def replayed(number: int, what: Change) -> Replay:
        return walked(begun(lone, REGION, what), random.Random(number))

    with ThreadPoolExecutor(AT_ONCE) as pool:
        tasks = [pool.submit(replayed, *pair) for pair in enumerate(changes())]
        found = [task.result() for task in tasks]
    assert [replay.differs for replay in found] == [[]] * PAIRS
    stale = sum(bool(replay.against(frozenset())) for replay in found)
    assert stale > PAIRS / 4, "or the looks see nothing"


SIX: Final[Fields] = {"scaling": {"min": 6, "max": 6}}
HELD: Final[Fields] = {"capacity": {"spot": True, "on_demand_base": 2}}
FALLS: Final[Fields] = {"capacity": {**HELD["capacity"], "spot_fallback": "on_demand"}}


@pytest.mark.parametrize("turn", [(HELD, FALLS), (FALLS, HELD)], ids=["on", "off"])
def test_a_spot_fallback_is_turned_without_losing_a_pod(
    lone: World, turn: tuple[Fields, Fields]
) -> None:
    project = f"falls-{turn.index(FALLS)}"
    old, new = (in_project(project, {**SIX, **fields}) for fields in turn)
    replay = walked(begun(lone, REGION, change(f"{project}/sentiment", old, new, ROWS)),
                    random.Random(1))  # fmt: skip
    assert replay.differs == []
    assert replay.served().pods == 6


# -- what the proof warns of: without a row of the order, users meet it ---------------------------

SERVICE: Final = "pods that serve, then the Service to them"
AWAY: Final = "users away from a candidate, then its pods"


def swapped() -> Fields:
    """All users at the candidate."""
    rollout = {"strategy": "blue_green", "candidate": {"model": NEXT}, "step": 1}
    return {"rollout": rollout, **SIX}


def canary(step: int) -> Fields:
    """A candidate with 10 %, 50 % or all users, and pods for as many."""
    rollout = {"strategy": "canary", "candidate": {"model": NEXT}, "steps": [10, 50, 100]}
    return {"access": "permissive", "rollout": {**rollout, "step": step}, **SIX}


@dataclass(frozen=True)
class Warned:
    """A change whose order lacks a row, what the proof finds, and how that shows."""

    without: str
    before: Fields
    after: Fields
    finding: str
    shows: Callable[[Served, Served], bool]
    """Of what users met at first, and what they meet now."""


WARNED: Final = (
    Warned(
        without=SERVICE,
        before=SIX,
        after=swapped(),
        finding="nobody serves",
        shows=lambda first, now: first.pods == 6 and now.pods == 0,
    ),
    Warned(
        without=SERVICE,
        before=swapped(),
        after={**SIX, "model": NEXT},
        finding="old version again",
        shows=lambda first, now: now.pods > 0 and not first.versions & now.versions,
    ),
    Warned(
        without=AWAY,
        before=canary(2),
        after=canary(0),
        finding="fewer serve",
        shows=lambda first, now: first.pods == 6 and 0 < now.pods < 5,
    ),
)


@pytest.mark.parametrize("warned", WARNED, ids=[warned.finding for warned in WARNED])
def test_what_the_proof_warns_of_shows(lone: World, warned: Warned) -> None:
    project = f"warned-{WARNED.index(warned)}"
    model = f"{project}/sentiment"
    rows = [row for row in ROWS if row.name != warned.without]
    old, new = in_project(project, warned.before), in_project(project, warned.after)
    told = transitions(model, REGION, (old, list(parts(old))), (new, list(parts(new))), rows)
    finding = next(one for one in told if one.name == warned.finding)
    replay = begun(lone, REGION, change(model, old, new, rows))
    first = replay.served()
    for act in acts_between(replay.what.old, replay.what.new):
        if act.label in finding.order:
            until(act.label, partial(replay.may_come, act))
            replay.do(act)
    until(warned.finding, lambda: warned.shows(first, replay.served()))
    assert finding.order, "the order that leads there was taken, act by act"


# -- a job's pods end before what they run by ------------------------------------------------------

HOLD: Final = "isoserve.dev/test"
"""A pod that ends stays until this finalizer is taken from it, as one does that works on."""
ENOUGH_LOOKS: Final = 5


@dataclass(frozen=True)
class Run:
    """A job on its way out, whose pod neither starts nor ends by itself."""

    replay: Replay

    @property
    def space(self) -> str:
        """The project's part of the API."""
        return self.replay.what.model.partition("/")[0]

    def start(self) -> None:
        """A pod of it is there; a schedule's run is begun as `kubectl create job --from` does."""
        made = self.made()
        if made["kind"] == "CronJob":
            owner = {field: made[field] for field in ("apiVersion", "kind")}
            uid = self.get(path_of(made))["metadata"]["uid"]
            owner |= {"name": name_of(made), "uid": uid}
            head = {"name": "begun", "namespace": self.space, "ownerReferences": [owner]}
            job = {**made["spec"]["jobTemplate"], "apiVersion": "batch/v1", "kind": "Job"}
            path = f"/apis/batch/v1/namespaces/{self.space}/jobs"
            begun = {**job, "metadata": {**job["metadata"], **head}}
            self.replay.cluster.send("POST", path, begun, "application/json")
        until("its pod is there", self.pods)

    def made(self) -> Object:
        """The Job or CronJob, as the old plan renders it."""
        steps = self.replay.what.old.steps.values()
        (found,) = [s.made for s in steps if s.made is not None and s.kind in ("CronJob", "Job")]
        return found

    def get(self, path: str) -> Object:
        """What is at a path."""
        found = self.replay.cluster.get(path)
        assert found is not None, path
        return found

    def pods(self) -> list[Object]:
        """Its pods, those that end too."""
        query = "labelSelector=isoserve.dev%2Frole%3Dmodel-job"
        found: list[Object] = self.get(f"/api/v1/namespaces/{self.space}/pods?{query}")["items"]
        return found

    def lacks(self) -> set[str]:
        """What its pod needs and is gone, while the pod is there."""
        needed = [
            step.made
            for step in self.replay.what.old.steps.values()
            if step.made is not None
            and (step.kind == "NetworkPolicy" or (step.kind == "ServiceAccount" and step.model))
        ]
        gone = {made["kind"] for made in needed if self.replay.cluster.get(path_of(made)) is None}
        return gone if self.pods() else set()

    def release(self) -> None:
        """Let the pods end."""
        for pod in self.pods():
            path = f"/api/v1/namespaces/{self.space}/pods/{name_of(pod)}"
            patch = {"metadata": {"finalizers": None}}
            self.replay.cluster.send("PATCH", path, patch, "application/merge-patch+json")


def a_run(lone: World, project: str, batch: Fields) -> Run:
    """A job whose project is to be removed, with a pod that is at work."""
    fields = {"batch": {"command": ["score"], **batch}}
    old, new = in_project(project, fields), planned(profile=PROFILE)
    what = change(f"{project}/sentiment", old, new, ROWS)
    for step in what.old.steps.values():
        if step.made is not None and step.kind in ("CronJob", "Job"):
            head = template(step.made)["metadata"]
            head["finalizers"] = [HOLD]
            head["annotations"]["isoserve.dev/sandbox-fail"] = "Held"
    run = Run(begun(lone, REGION, what))
    run.start()
    return run


@every_batch
def test_a_job_s_pod_has_ended_before_what_it_runs_by_is_deleted(
    lone: World, batch: Fields
) -> None:
    run = a_run(lone, f"drained-{len(batch)}", batch)
    looks = list[None]()

    def look() -> set[str]:
        ending = [pod for pod in run.pods() if "deletionTimestamp" in pod["metadata"]]
        looks.extend([None] * bool(ending))
        lacking = run.lacks()
        if len(looks) >= ENOUGH_LOOKS:
            run.release()
        return lacking

    with watching(look) as seen:
        assert walked(run.replay, random.Random(1)).differs == []
    assert len(looks) >= ENOUGH_LOOKS, "its pod was seen to end"
    assert not set().union(*seen), "and had all it needs till then"
    assert run.pods() == []


@every_batch
def test_without_a_drain_it_would_work_on_without_them(
    lone: World, batch: Fields, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("components.order.GATES", {})
    run = a_run(lone, f"left-{len(batch)}", batch)
    walked(run.replay, random.Random(1))
    assert run.lacks() == {"NetworkPolicy", "ServiceAccount"}
    run.release()
