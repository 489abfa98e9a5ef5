"""RolloutGate: one resource a stack, which lets `up` end well only when every server serves.

It replaces the provider's wait for each object (measured 15 times slower) with one look at all of
them a second, and keeps its promise: a finished `up` serves, a failed one names project, pod and
reason. What stands on capacity that may go, spot nodes or what others leave, may be away: then it
is named, and `up` ends well.

It is one and not one a project: a failed resource makes the engine stop all that has not begun, and
the dynamic host runs four waits at a time. So the one gate waits project by project, and fails for
the gates before it too (see components.engine.register): nothing depends on it.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from functools import cache, partial
from typing import Any, Final

import pulumi
from pulumi import dynamic

from components.kube import Object
from components.kube_client import ApiError, KubeClient, Lister
from components.parts import Part
from components.readiness import (
    Target,
    digest,
    is_ready,
    targets,
)
from components.trouble import Seen, troubles, without_node
from regions.plan import RegionPlan

_PERIOD_SECONDS: Final = 1.0
_QUICK_SECONDS: Final = 5.0
"""Pods are looked at only when a workload takes longer than a quick start."""
_AWAY_SECONDS: Final = 30.0
"""How long no node takes a pod that may lack one until `up` goes on without it."""
_REFUSED_SECONDS: Final = 60.0
_SAY_SECONDS: Final = 10.0
_NO_FAULTS: Final = "[]"
_INCOMPLETE: Final = (
    "what is named above has failed, so nothing was deleted; mend it and run `up` again"
)
_FALLS_BACK: Final = "an on-demand node is added after {} s without a spot one"
_LACKS: Final = {
    ("preemptible", False): "preempted, or its pool is full",
    ("preemptible", True): f"preempted, or its pools are full; {_FALLS_BACK}",
    ("spot", False): "no spot capacity, and it waits for spot nodes alone",
    ("spot", True): f"no spot capacity and no free on-demand node; {_FALLS_BACK}",
}
"""What is said of a workload by what it may lack a node for (TrackPlan.interruption), and whether
it falls back to on-demand nodes."""


Fault = Sequence[str]
"""A model whose gate failed, and why, as JSON has pairs."""


class GateError(Exception):
    """What is not serving, each with its reason, by project; `reasons` are these alone."""

    def __init__(self, text: str, reasons: Sequence[str]) -> None:
        super().__init__(text)
        self.reasons = tuple(reasons)


class _Silence:
    """How long the API server has not answered, and how often that was said."""

    def __init__(self, clock: Callable[[], float], say: Callable[[str], None]) -> None:
        self._clock, self._say = clock, say
        self._since: float | None = None
        self._said = 0.0

    def over(self) -> None:
        """It has answered."""
        self._since = None

    def goes_on(self, error: ApiError) -> str:
        """Say it now and then; what to say of it, once nobody should go on asking.

        What was refused, such as a right that is not there, is asked for a minute: a server that
        has just started does not know everybody's rights yet.
        """
        now = self._clock()
        if self._since is None:
            self._since = self._said = now
        seconds = now - self._since
        if error.passes and now - self._said >= _SAY_SECONDS:
            self._said = now
            self._say(self.words(error))
        return f"the API server refuses: {error}" if self._is_final(error, seconds) else ""

    def words(self, error: ApiError) -> str:
        """For how long, and why."""
        seconds = self._clock() - (self._since or self._clock())
        return f"the API server does not answer since {seconds:.0f} s: {error}"

    @staticmethod
    def _is_final(error: ApiError, seconds: float) -> bool:
        return not error.passes and seconds >= _REFUSED_SECONDS


class _Wait:
    """One wait: what is still waited for, and what has failed, by project."""

    def __init__(
        self,
        wanted: Iterable[Target],
        lister: Lister,
        clock: Callable[[], float],
        say: Callable[[str], None],
        faults: Sequence[Fault],
    ) -> None:
        self._lister, self._clock, self._say = lister, clock, say
        self._failed: dict[str, list[str]] = {}
        for model, why in faults:
            lines = self._failed.setdefault(model.partition("/")[0], [])
            lines += (f"{model}: {line}" for line in why.splitlines())
        targets = list(wanted)
        self.pending = {one.id: one for one in targets if one.project not in self._failed}
        self._projects = sorted({target.project for target in targets})
        self._start = clock()
        self._seen = {id: Seen() for id in self.pending}
        self._away_since: dict[str, float] = {}
        self._silence = _Silence(clock, say)

    def look(self) -> None:
        """Look once at everything pending; the API server's silence is borne within the clock.

        Raises GateError when it refuses, or has not answered until every clock was over.
        """
        try:
            self._look()
        except ApiError as error:
            final = self._silence.goes_on(error)
            waited = self._clock() - self._start
            if waited >= max(target.timeout_seconds for target in self.pending.values()):
                final = final or self._silence.words(error)
            if final:
                rest = sorted(self.pending)
                last = final, f"not seen serving: {', '.join(rest)}"
                text = "\n".join([*self._lines(), *last])
                raise GateError(text, [*self._reasons(), *last]) from None
        else:
            self._silence.over()

    def end(self) -> None:
        """Raises GateError when something has failed."""
        if self._failed:
            raise GateError("\n".join(self._lines()), self._reasons())

    def _look(self) -> None:
        pods_in = cache(partial(self._lister, "Pod"))  # once a namespace and look
        failed: dict[str, list[str]] = {}
        for target, live in _look(self.pending.values(), self._lister):
            if live is not None and is_ready(target, live):
                del self.pending[target.id]
            elif self._clock() - self._start >= min(_QUICK_SECONDS, target.timeout_seconds):
                why = self._judge(target, live or {}, pods_in(target.namespace))
                if why:
                    failed.setdefault(target.project, []).append(f"{target.id}: {why}")
        for project, lines in failed.items():
            self._give_up(project, sorted(lines))

    def _judge(self, target: Target, live: Object, pods: list[Object]) -> str:
        """Why it has failed, if it has. What may lack a node and lacks one is no longer pending."""
        now = self._clock()
        found = list(troubles(target, live, pods))
        broken = self._seen[target.id].broken(found, now)
        is_late = now - self._start >= target.timeout_seconds
        away = without_node(target, pods) if target.may_lack else ""
        if not away:
            self._away_since.pop(target.id, None)
        elif not broken:
            since = self._away_since.setdefault(target.id, now)
            if is_late or now - since >= _AWAY_SECONDS:
                del self.pending[target.id]
                why = f"{_lack(target)}: {away}; it comes back by itself"
                self._say(f"{target.id} is not there, {why}")
            return ""
        if broken or is_late:
            return [*(one.why for one in broken or found), "its pods are not ready yet"][0]
        return ""

    def _give_up(self, project: str, lines: list[str]) -> None:
        """One project has failed: the rest of it is not waited for, the others are."""
        ids = {line.partition(": ")[0] for line in lines}
        left = [id for id, target in self.pending.items() if target.project == project]
        for id in left:
            del self.pending[id]
        more = len(set(left) - ids)
        rest = [f"{more} more were still starting"] if more else []
        self._failed[project] = [*lines, *rest]
        if self.pending:
            self._say(f"{_of(project)} has failed, the others are waited for: {lines[0]}")

    def _reasons(self) -> list[str]:
        return [line for lines in self._failed.values() for line in lines]

    def _lines(self) -> Iterator[str]:
        for project, lines in sorted(self._failed.items()):
            yield f"{_of(project)}:"
            yield from (f"  {line}" for line in lines)
        waiting = {target.project for target in self.pending.values()}
        served = [p for p in self._projects if p not in self._failed and p not in waiting]
        if self._failed and served:
            yield f"served: {', '.join(map(_of, served))}"


def _lack(target: Target) -> str:
    seconds = target.fallback_seconds
    return _LACKS[target.may_lack, seconds > 0].format(seconds)


def _of(project: str) -> str:
    return f"project {project}" if project else "the region's own"


def wait(
    wanted: Iterable[Target],
    lister: Lister,
    clock: Callable[[], float],
    sleep: Callable[[float], None],
    say: Callable[[str], None],
    faults: Sequence[Fault],
) -> None:
    """Return when all `wanted` are ready, or away for a reason that they may have.

    Raises GateError with each workload that is broken or out of time, and its pod's reason. What
    failed before this began has until it fails again: who runs `up` again has mended the cause.
    One project's failure ends the wait for that project alone, so that the rest of the region is
    seen to serve, or named too. A project that `faults` names has failed from the start. `say`
    tells what people should know before the end.
    """
    waiting = _Wait(wanted, lister, clock, say, faults)
    while waiting.pending:
        waiting.look()
        if waiting.pending:
            sleep(_PERIOD_SECONDS)
    waiting.end()


def _look(pending: Iterable[Target], lister: Lister) -> Iterator[tuple[Target, Object | None]]:
    """Each pending target with its live object, listed once per kind and namespace."""
    waiting = list(pending)
    for kind, namespace in sorted({(t.kind, t.namespace) for t in waiting}):
        found = {live["metadata"]["name"]: live for live in lister(kind, namespace)}
        for target in waiting:
            if (target.kind, target.namespace) == (kind, namespace):
                yield target, found.get(target.name)


def say(text: str) -> None:
    """The engine shows what a plugin prints as a message of the stack, while it still runs."""
    print(text, flush=True)


class _GateProvider(dynamic.ResourceProvider):
    """Runs the wait on creation, and whenever other pods are asked for than were seen, or something
    in them was taken back."""

    def _wait(self, props: dict[str, Any]) -> None:
        wanted = [Target(**row) for row in json.loads(props["targets"])]
        try:
            lister = KubeClient(props["kubeconfig"], props["context"]).listed
            wait(wanted, lister, time.monotonic, time.sleep, say, json.loads(props["faults"]))
        except (GateError, ApiError):
            sys.tracebacklimit = 0  # the host prints format_exc(): people need the message only
            raise

    def create(self, props: dict[str, Any]) -> dynamic.CreateResult:
        self._wait(props)
        return dynamic.CreateResult(id_="rollout", outs=props)

    def update(
        self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]
    ) -> dynamic.UpdateResult:
        self._wait(_news)
        return dynamic.UpdateResult(outs=_news)

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> dynamic.DiffResult:
        failed = _news["faults"] != _NO_FAULTS
        taken = _news["taken"] and _news["taken"] != _olds.get("taken", 0)
        others = _olds["digest"] != _news["digest"]
        return dynamic.DiffResult(changes=bool(failed or taken or others))


class RolloutGate(dynamic.Resource):
    """Comes last: it depends on everything else, `after`.

    `faults` is a JSON list of what gates before it failed with: each a Fault. `taken` says how
    often what others had set was taken back, which restarts pods of the same digest. `digest` stays
    unknown where it failed, or the engine passed it over since something before it did.
    """

    digest: pulumi.Output[str]

    def __init__(
        self,
        parts: list[Part],
        plan: RegionPlan,
        kubeconfig: str,
        after: pulumi.Input[Sequence[pulumi.Resource]],
        faults: pulumi.Input[str],
        taken: pulumi.Input[int],
    ) -> None:
        rows = [asdict(target) for target in targets(parts, plan)]
        seen = json.dumps([digest(parts), rows])
        props = {
            "context": plan.cluster.context,
            "digest": hashlib.sha256(seen.encode()).hexdigest(),
            "faults": faults,
            "kubeconfig": kubeconfig,
            "taken": taken,
            "targets": json.dumps(rows),
        }
        last = pulumi.ResourceOptions(depends_on=after)
        super().__init__(_GateProvider(), "rollout", props, last)


def stop_if_incomplete(gate: RolloutGate) -> None:
    """Fail the program once the gate has not passed.

    An engine that goes on after a failure (`--continue-on-error`) ends with deletions: of what a
    failed gate has held back, and of what was to go once everything else serves. After a program
    that failed it deletes nothing (deployment_executor.go of v3.200.0).
    """

    def judged(digest: str) -> None:
        if pulumi.contains_unknowns(digest) and not pulumi.runtime.is_dry_run():
            raise pulumi.RunError(_INCOMPLETE)

    gate.digest.apply(judged, run_with_unknowns=True)
