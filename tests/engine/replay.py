"""Goes from one plan to another on a real API server, act by act, and reads what is live.

API server, controllers and scheduler are real; pods are simulated by kwok, which says that they are
ready. What the engine does by server-side apply is done the same way here, and what gates do is
done by their own code; only candidates are not asked for answers, for nothing answers here.
"""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

from components.gates.acts import HANDOVER, POD_DRAIN, SHIFT, gives_back, shifts, takes
from components.gates.drains import Pods, await_end
from components.gates.handover import Handover, give_back, take
from components.gates.traffic_shift import shift
from components.kube import Object
from components.kube_client import KubeClient
from components.model_network import LABEL_VERSION
from components.order import Row, Step
from components.ownership import left_alone, targeted
from components.parts import parts
from components.readiness import Target, is_ready
from regions.plan import RegionPlan
from regions.sandbox.kube import Cluster
from stacks.reviewing.moments import (
    SHOWN,
    Act,
    Moment,
    Side,
    acts_between,
    asked,
    objects_at,
    side_of,
)
from stacks.reviewing.transitions import Users, version_of
from tests.engine.site import LIMIT_SECONDS, until
from tests.engine.world import World, path_of

_POLL_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True)
class Change:
    """A model's way from one plan to another."""

    model: str
    old: Side
    new: Side
    scaled: frozenset[tuple[str, str]]
    """The Deployments whose replicas an autoscaler has in the new plan."""


def change(model: str, old: RegionPlan, new: RegionPlan, rows: Sequence[Row]) -> Change:
    """Both plans in the order of `rows`."""
    before, after = list(parts(old)), list(parts(new))
    return Change(
        model=model,
        old=side_of(old, before, model, rows),
        new=side_of(new, after, model, rows),
        scaled=targeted(made for part in after for made in part.objects),
    )


@dataclass(frozen=True, slots=True)
class Served:
    """What users meet at a moment, as the live objects and pods have it."""

    shares: dict[str, int]
    ways_in: set[tuple[str, bool, bool]]
    is_open: bool
    pods: int
    """Those that are ready, that a Service chooses for users, and whose port is let in to."""
    versions: frozenset[str]
    """Of these pods."""


@dataclass
class Replay:
    """One change on its way on a server."""

    cluster: Cluster
    api: KubeClient
    what: Change
    done: frozenset[str] = frozenset()
    differs: list[str] = field(default_factory=list)
    """What was not as computed."""

    def begin(self) -> None:
        """Apply the old plan whole, and wait until it serves."""
        first = replace(self.what, new=self.what.old, scaled=frozenset())
        start = Replay(self.cluster, self.api, first)
        for step in first.old.steps.values():
            if step.made is not None:
                start._apply(step.made, exists=False)
        for step in first.old.steps.values():
            if step.kind == "Deployment":
                ready = partial(start.is_rolled, step)
                until(f"{step.key} serves", ready, every_seconds=_POLL_SECONDS)

    def prepare(self) -> None:
        """Apply what changes and decides nothing about who is answered by what."""
        for key, step in self.what.new.steps.items():
            was = self.what.old.steps.get(key)
            changes = was is None or was.made != step.made
            if step.made is not None and step.kind not in SHOWN and changes:
                self._apply(step.made, exists=was is not None)

    def do(self, act: Act) -> None:
        """One act of the change."""
        key = act.id.removeprefix("-")
        if act.id.startswith("-"):
            self._remove(self.what.old.steps[key])
        elif (step := self.what.new.steps.get(key)) is not None:
            if step.made is not None:
                self._apply(step.made, exists=key in self.what.old.steps)
            else:
                self._pass(step)
        self.done |= {act.id}

    def _apply(self, made: Object, *, exists: bool) -> None:
        """As the engine does: what somebody else sets, it leaves as it is."""
        path = path_of(made)
        if exists and left_alone(made, self.what.scaled) == ["spec.replicas"]:
            live = self.cluster.get(path)
            assert live is not None, path
            made = {**made, "spec": {**made["spec"], "replicas": live["spec"]["replicas"]}}
        address = f"{path}?fieldManager=isoserve&force=false&fieldValidation=Strict"
        self.cluster.send("PATCH", address, made, "application/apply-patch+yaml")

    def _remove(self, step: Step) -> None:
        if step.made is not None:
            # As the provider does (provider/pkg/metadata/overrides.go of v4.25.0); without it the
            # API server leaves a Job's pods to themselves.
            self.cluster.delete(f"{path_of(step.made)}?propagationPolicy=Foreground")
        elif step.kind == POD_DRAIN:
            what = Pods(**asked(self.what.old, step.key))
            await_end(what, self.api.listed, time.monotonic, time.sleep, self.differs.append)

    def _pass(self, step: Step) -> None:
        olds, news = asked(self.what.old, step.key), asked(self.what.new, step.key)
        if step.kind == HANDOVER and takes(olds, news):
            take(self.api, Handover(**news), time.sleep)
        elif step.kind == HANDOVER and gives_back(olds, news):
            give_back(self.api, Handover(**olds))
        elif step.kind == SHIFT and (what := shifts(olds, news)) is not None:
            shift(self.api, what, lambda _: None)  # no proxy has to follow here

    def may_come(self, act: Act) -> bool:
        """Whether somebody does it, or it has come about by itself."""
        key = act.id.removeprefix("pods of ")
        return key == act.id or self.is_rolled(self.what.new.steps[key])

    def is_rolled(self, step: Step) -> bool:
        """Whether the Deployment's newest pods are ready, and no others are there."""
        assert step.made is not None
        live = self.cluster.get(path_of(step.made))
        head, spec = step.made["metadata"], step.made["spec"]
        own = (head["namespace"], head["name"])
        target = Target(
            kind="Deployment",
            namespace=own[0],
            name=own[1],
            least=self.what.new.scaled.get(own, spec.get("replicas", 1)),
            timeout_seconds=LIMIT_SECONDS,
            project="",
            may_lack="",
            fallback_seconds=0,
        )
        return live is not None and is_ready(target, live)

    def served(self) -> Served:
        """What users meet now."""
        live, users = Moment(self.done, self._live()), self._users()
        shares = users.backends(live)
        pods = [pod for pod in map(_as_template, self._pods()) if _role(pod) in shares]
        reached = [pod for pod in pods if users.is_reached(live, pod)]
        return Served(
            shares=shares,
            ways_in=users.entrances(live),
            is_open=users.is_open(live),
            pods=len(reached),
            versions=frozenset(map(version_of, reached)),
        )

    def against(self, done: frozenset[str]) -> list[str]:
        """What users meet now and is not what is computed once these acts are done."""
        told, users = Moment(done, objects_at(self.what.old, self.what.new, done)), self._users()
        seen, least, may = self.served(), users.capacity(told), frozenset(users.versions(told))
        rows = (
            ("shares", users.backends(told), seen.shares, users.backends(told) == seen.shares),
            ("ways in", users.entrances(told), seen.ways_in, users.entrances(told) == seen.ways_in),
            ("open", users.is_open(told), seen.is_open, users.is_open(told) == seen.is_open),
            ("serving", f">= {least}", seen.pods, seen.pods >= least),
            ("versions", may, seen.versions, seen.versions <= may),
        )
        return [
            f"{self.what.model}: {name}: computed {computed}, live {live}"
            for name, computed, live, agree in rows
            if not agree
        ]

    def _users(self) -> Users:
        return Users(self.what.model, self.what.old, self.what.new)

    def _live(self) -> dict[str, Object]:
        """What the API server has of the objects of either plan that decide who is answered."""
        found: dict[str, Object] = {}
        for key, step in (*self.what.old.steps.items(), *self.what.new.steps.items()):
            if step.made is not None and step.kind in SHOWN and key not in found:
                live = self.cluster.get(path_of(step.made))
                if live is not None and "deletionTimestamp" not in live["metadata"]:
                    found[key] = live
        return found

    def _pods(self) -> list[Object]:
        """The model's own that are ready and not about to end."""
        namespace, name = self.what.model.split("/")
        path = f"/api/v1/namespaces/{namespace}/pods?labelSelector=isoserve.dev%2Fmodel%3D{name}"
        found = self.cluster.get(path)
        assert found is not None
        return [pod for pod in found["items"] if _is_ready(pod)]


def _is_ready(pod: Object) -> bool:
    states = {one["type"]: one["status"] for one in pod["status"].get("conditions", ())}
    return states.get("Ready") == "True" and "deletionTimestamp" not in pod["metadata"]


def _as_template(pod: Object) -> Object:
    """A pod as a workload has it."""
    return {"spec": {"template": {"metadata": pod["metadata"], "spec": pod["spec"]}}}


def _role(pod: Object) -> str:
    return str(pod["spec"]["template"]["metadata"]["labels"].get(LABEL_VERSION, ""))


def begun(world: World, region: str, what: Change) -> Replay:
    """The change on a server of its own connection, with the old plan applied."""
    api = KubeClient(str(world.root / ".isoserve" / region / "kubeconfig"), region)
    made = Replay(world.cluster(region), api, what)
    made.begin()
    return made


def walked(replay: Replay, dice: random.Random) -> Replay:
    """Do all acts in one of the orders that the proof allows, and look after each."""
    acts = acts_between(replay.what.old, replay.what.new)
    replay.differs += replay.against(replay.done)
    replay.prepare()
    while len(replay.done) < len(acts):
        act = _next(replay, acts, dice)
        replay.do(act)
        replay.differs += (f"after {act.label}: {one}" for one in replay.against(replay.done))
    return replay


def _next(replay: Replay, acts: list[Act], dice: random.Random) -> Act:
    """Any that may come now; what comes about by itself is waited for where nothing else may."""
    free = [act for act in acts if act.id not in replay.done and act.after <= replay.done]
    dice.shuffle(free)
    found: list[Act] = []

    def look() -> bool:
        found[:] = [act for act in free if replay.may_come(act)]
        return bool(found)

    what = f"{replay.what.model}: {[act.label for act in free]}"
    until(what, look, every_seconds=_POLL_SECONDS)
    return found[0]
