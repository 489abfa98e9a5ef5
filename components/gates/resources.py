"""The acts of `up` between its objects as Pulumi resources (see components.gates.acts)."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, TypeVar

import pulumi
from pulumi import dynamic

from components.gates.acts import (
    HANDOVER,
    POD_DRAIN,
    ROUTE_DRAIN,
    SHIFT,
    SPOT,
    TRAFFIC,
    Asked,
    Gate,
    awaited,
    gives_back,
    shifts,
    takes,
    unasked,
)
from components.gates.claims import CLAIM, is_ours, taken, unclaimed
from components.gates.cluster_grants import look_for_grants
from components.gates.drains import Pods, await_end
from components.gates.extra_objects import Found
from components.gates.extra_objects import look as look_for_extra
from components.gates.foreign_fields import FOREIGN, is_as_asked, lasting, look, take_back
from components.gates.handover import Handover, give_back, take
from components.gates.traffic_shift import shift
from components.kube_client import ApiError, KubeClient
from components.rollout_gate import GateError, say, wait
from components.synthetic_probe.answers import Read, asked, unproven

_BLIND_SECONDS: Final = 60.0
"""An API server that restarts is back by then."""
_AGAIN_SECONDS: Final = 1.0
_UNPROVEN: Final = (
    "users are not led to it: mend what it answers or probe.request, or lower rollout.right_answers"
)
Props = dict[str, Any]
T = TypeVar("T")
_UNTOUCHED: Final[Props] = {"foreign": [], "stays": [], "taken": 0}
"""What _ForeignProvider outputs before it has found anything."""


class ActError(Exception):
    """What could not be done to live objects, and why."""


def _asked(props: Props) -> Props:
    """What a gate was asked; empty where there was none."""
    found: Props = json.loads(props["asked"]) if "asked" in props else {}
    return found


def _await_answers(olds: Props, news: Props, read: Read) -> None:
    """Wait until the candidates have answered rightly. Raises GateError, or ApiError."""
    wanted, are_new = unasked(_asked(olds), _asked(news))
    if not wanted:
        return
    before = asked(wanted, read) if are_new else {}
    deadline = time.monotonic() + max(one.timeout_seconds for one in wanted)
    while faults := unproven(wanted, read, before):
        if time.monotonic() >= deadline:
            reasons = [*faults, _UNPROVEN]
            raise GateError("\n".join(reasons), reasons)
        time.sleep(_AGAIN_SECONDS)


def _borne(props: Props, act: Callable[[KubeClient], T]) -> T:
    """What `act` returns, tried again while the API server is away. Raises ApiError after that."""
    deadline = time.monotonic() + _BLIND_SECONDS
    while True:
        try:
            return act(KubeClient(props["kubeconfig"], props["context"]))
        except ApiError:
            if time.monotonic() >= deadline:
                raise
            time.sleep(_AGAIN_SECONDS)


def _done(props: Props, act: Callable[[KubeClient], None], failed: str) -> None:
    """Do it; `failed` says what has not been done where the API server refuses or stays away.
    Raises ActError then."""
    try:
        _borne(props, act)
    except ApiError as error:
        why = f"the API server refuses or is away: {error}"
        raise ActError(f"{failed}: {why}; run `up` again") from None


class _GateProvider(dynamic.ResourceProvider):
    """Acts when it is asked something else than last time, and outputs why it failed as `fault`.

    What failed counts as never asked: the next `up` asks it again. The region's own raises instead.
    """

    def _act(self, olds: Props, news: Props) -> Props:
        """What has come of it, to be output beside `news`: nothing, unless it says otherwise.
        Raises GateError, ApiError or ActError."""
        return {}

    def _untouched(self, olds: Props) -> Props:
        """The same where it failed: what the last `up` or refresh has left."""
        return {}

    def _outs(self, olds: Props, news: Props) -> Props:
        try:
            return {**news, **self._act(olds, news)}
        except (GateError, ApiError, ActError) as error:
            if not news["model"]:  # everything else comes after what is the region's own
                sys.tracebacklimit = 0  # the host prints format_exc(): people need the message only
                raise
            reasons = error.reasons if isinstance(error, GateError) else (str(error),)
            say(f"{news['model']} stays as it is, all else goes on: {'; '.join(reasons)}")
            before = {"asked": olds["asked"]} if "asked" in olds else {}
            kept = {key: value for key, value in news.items() if key != "asked"}
            return {**kept, **before, **self._untouched(olds), "fault": "\n".join(reasons)}

    def _looked(self, props: Props) -> Props:
        """What a refresh finds, beside `props`: nothing, unless it says otherwise. Raises
        ActError."""
        return {}

    def create(self, props: Props) -> dynamic.CreateResult:
        return dynamic.CreateResult(id_=props["kind"], outs=self._outs({}, props))

    def update(self, _id: str, _olds: Props, _news: Props) -> dynamic.UpdateResult:
        return dynamic.UpdateResult(outs=self._outs(_olds, _news))

    def diff(self, _id: str, _olds: Props, _news: Props) -> dynamic.DiffResult:
        failed = bool(_olds.get("fault"))
        return dynamic.DiffResult(changes=failed or _asked(_olds) != _asked(_news))

    def read(self, id_: str, props: Props) -> dynamic.ReadResult:
        try:
            return dynamic.ReadResult(id_, {**props, **self._looked(props)})
        except ActError:  # what is not known must not pass for what is as planned
            sys.tracebacklimit = 0
            raise


class _WaitProvider(_GateProvider):
    """Waits for the pods that `acts` names. Never rename: states hold it by its name."""

    def _act(self, olds: Props, news: Props) -> Props:
        wanted = awaited(news["kind"], _asked(olds), _asked(news))
        if not wanted:
            return {}
        client = KubeClient(news["kubeconfig"], news["context"])
        wait(wanted, client.listed, time.monotonic, time.sleep, say, ())
        if news["kind"] == TRAFFIC:
            _await_answers(olds, news, client.text)
        return {}


class _ShiftProvider(_WaitProvider):
    """Leads users away from a candidate, once the pods serve that they are led to. Never rename:
    states hold it by its name."""

    def _act(self, olds: Props, news: Props) -> Props:
        what = shifts(_asked(olds), _asked(news))
        if what is not None:
            super()._act(olds, news)
            failed = f"users could not be led away from the candidate of {what.model}"
            _done(news, lambda client: shift(client, what, time.sleep), failed)
        return {}


class _HandoverProvider(_GateProvider):
    """Takes replicas over where they become fixed. Never rename: states hold it by its name."""

    def _act(self, olds: Props, news: Props) -> Props:
        before, now = _asked(olds), _asked(news)
        if takes(before, now):
            self._keep_at(news, partial(take, sleep=time.sleep), Handover(**now))
        elif gives_back(before, now):
            self._keep_at(news, give_back, Handover(**before))
        return {}

    @staticmethod
    def _keep_at(props: Props, act: Callable[[KubeClient, Handover], None], what: Handover) -> None:
        where = f"the replicas of Deployment {what.namespace}/{what.deployment} could not be taken"
        _done(props, lambda client: act(client, what), f"{where} over from its autoscaler")


class _ClaimProvider(_GateProvider):
    """Looks for others' objects under names of ours, and at a refresh for objects under none.
    Never rename: states hold it by its name."""

    def _act(self, olds: Props, news: Props) -> Props:
        before, now = _asked(olds), _asked(news)
        names = unclaimed(before, now)
        found = _borne(news, lambda client: list(taken(names, now["region"], client.get)))
        if found:
            raise GateError("\n".join(found), found)
        if not olds.get("extra"):
            return {"extra": []}
        # What this `up` makes and what it will delete has a name; what was found may be gone.
        both = {**now, "names": [*before.get("names", ()), *now["names"]]}
        return {"extra": self._extra(news, both)}

    def _untouched(self, olds: Props) -> Props:
        return {"extra": olds.get("extra", [])}

    @staticmethod
    def _extra(props: Props, asked: Asked) -> list[str]:
        """Say which objects no plan has, and what could not be looked at. Raises ActError."""
        found: list[Found] = []
        ours = partial(is_ours, region=asked["region"])
        unknown = "it is not known which objects in our namespaces no plan has"

        def look_at(client: KubeClient) -> None:
            found[:] = [look_for_extra(client, asked, ours), look_for_grants(client, asked)]

        _done(props, look_at, unknown)
        extra = [line for one in found for line in one.extra]
        for line in extra:
            say(line)
        for line in (line for one in found for line in one.unseen):
            say(f"not looked at: {line}")
        return extra

    def diff(self, _id: str, _olds: Props, _news: Props) -> dynamic.DiffResult:
        changes = super().diff(_id, _olds, _news).changes
        return dynamic.DiffResult(changes=changes or bool(_olds.get("extra")))

    def _looked(self, props: Props) -> Props:
        before = _asked(props)
        return {"extra": self._extra(props, before) if before else []}


class _ForeignProvider(_GateProvider):
    """Finds at a refresh what others have set, and takes it back at the `up` after it. Never
    rename: states hold it by its name.

    It outputs how often it has taken something back as `taken`, for the RolloutGate after it, and
    what the API server itself adds as `stays`.
    """

    def _act(self, olds: Props, news: Props) -> Props:
        before = self._untouched(olds)
        if not before["foreign"]:
            return before
        failed = "what others have set in our objects could not be taken back"
        asked, stays = _asked(news), before["stays"]
        _done(news, lambda client: take_back(client, asked, stays), failed)
        lasts: list[str] = []
        unknown = "it is not known what lasts of what others have set in our objects"
        _done(news, lambda client: lasts.extend(lasting(client, asked)), unknown)
        return {"foreign": [], "stays": lasts, "taken": before["taken"] + 1}

    def _untouched(self, olds: Props) -> Props:
        return {key: olds.get(key, none) for key, none in _UNTOUCHED.items()}

    def diff(self, _id: str, _olds: Props, _news: Props) -> dynamic.DiffResult:
        as_before = is_as_asked(_asked(_olds), _asked(_news))
        return dynamic.DiffResult(changes=bool(_olds.get("foreign")) or not as_before)

    def _looked(self, props: Props) -> Props:
        found: list[str] = []
        unknown = "it is not known what others have set in our objects"
        asked, stays = _asked(props), props.get("stays", [])
        _done(props, lambda client: found.extend(look(client, asked, stays)), unknown)
        for line in found:
            say(f"{line}; `pulumi up --refresh` takes it back")
        return {"foreign": found}


_SETTLED = [0.0]
"""When the proxies have followed the routes that this `up` has deleted, by the monotonic clock."""


class _DrainProvider(_GateProvider):
    """Waits when it is deleted. Never rename: states hold it by its name."""

    def delete(self, _id: str, _props: Props) -> None:
        asked = _asked(_props)
        if _props["kind"] == ROUTE_DRAIN:
            # The engine ends all deletions that may run side by side before it begins others
            # (deployment_executor.go of v3.200.0): all routes are gone at the first of these waits.
            _SETTLED[0] = _SETTLED[0] or time.monotonic() + asked["settle_seconds"]
            time.sleep(max(_SETTLED[0] - time.monotonic(), 0))
            return
        try:
            client = KubeClient(_props["kubeconfig"], _props["context"])
        except ApiError as error:
            say(f"pods have not been seen to end: {error}")
        else:
            await_end(Pods(**asked), client.listed, time.monotonic, time.sleep, say)


_PROVIDERS: Final[dict[str, type[dynamic.ResourceProvider]]] = {
    CLAIM: _ClaimProvider,
    FOREIGN: _ForeignProvider,
    HANDOVER: _HandoverProvider,
    POD_DRAIN: _DrainProvider,
    ROUTE_DRAIN: _DrainProvider,
    SHIFT: _ShiftProvider,
    SPOT: _WaitProvider,
    TRAFFIC: _WaitProvider,
}


def gate_resource(
    gate: Gate,
    cluster: tuple[str, str],
    parent: pulumi.Resource | None,
    depends_on: Sequence[pulumi.Resource],
) -> GateResource:
    """The gate as a resource; `cluster` is the kubeconfig's path and the context in it."""
    kubeconfig, context = cluster
    props = {
        "asked": json.dumps(gate.asked, sort_keys=True),
        "context": context,
        "fault": "",
        "kind": gate.kind,
        "kubeconfig": kubeconfig,
        "model": gate.model,
        "taken": 0,
    }
    options = pulumi.ResourceOptions(parent=parent, depends_on=list(depends_on))
    return GateResource(_PROVIDERS[gate.kind](), f"{gate.name}/{gate.kind}", props, options)


class GateResource(dynamic.Resource):
    """One gate of whatever kind. `fault` says why it failed; empty or None where it passed. `taken`
    says how often it has taken back what others had set; 0 or None of other kinds."""

    fault: pulumi.Output[str | None]
    taken: pulumi.Output[float | None]
