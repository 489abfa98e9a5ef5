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

from components.gates.acts import HANDOVER, SPOT, TRAFFIC, Gate, awaited, gives_back, takes, unasked
from components.gates.claims import CLAIM, taken, unclaimed
from components.gates.handover import Handover, give_back, take
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


class HandoverError(Exception):
    """An autoscaler could not be stopped, or replicas not be set, and why."""


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


class _GateProvider(dynamic.ResourceProvider):
    """Acts when it is asked something else than last time, and outputs why it failed as `fault`.

    What failed counts as never asked: the next `up` asks it again. The region's own raises instead.
    """

    def _act(self, olds: Props, news: Props) -> None:
        raise NotImplementedError

    def _outs(self, olds: Props, news: Props) -> Props:
        try:
            self._act(olds, news)
        except (GateError, ApiError, HandoverError) as error:
            if not news["model"]:  # everything else comes after what is the region's own
                sys.tracebacklimit = 0  # the host prints format_exc(): people need the message only
                raise
            reasons = error.reasons if isinstance(error, GateError) else (str(error),)
            say(f"{news['model']} stays as it is, all else goes on: {'; '.join(reasons)}")
            before = {"asked": olds["asked"]} if "asked" in olds else {}
            kept = {key: value for key, value in news.items() if key != "asked"}
            return {**kept, **before, "fault": "\n".join(reasons)}
        return news

    def create(self, props: Props) -> dynamic.CreateResult:
        return dynamic.CreateResult(id_=props["kind"], outs=self._outs({}, props))

    def update(self, _id: str, _olds: Props, _news: Props) -> dynamic.UpdateResult:
        return dynamic.UpdateResult(outs=self._outs(_olds, _news))

    def diff(self, _id: str, _olds: Props, _news: Props) -> dynamic.DiffResult:
        failed = bool(_olds.get("fault"))
        return dynamic.DiffResult(changes=failed or _asked(_olds) != _asked(_news))


class _WaitProvider(_GateProvider):
    """Waits for the pods that `acts` names. Never rename: states hold it by its name."""

    def _act(self, olds: Props, news: Props) -> None:
        wanted = awaited(news["kind"], _asked(olds), _asked(news))
        if not wanted:
            return
        client = KubeClient(news["kubeconfig"], news["context"])
        wait(wanted, client.listed, time.monotonic, time.sleep, say, ())
        if news["kind"] == TRAFFIC:
            _await_answers(olds, news, client.text)


class _HandoverProvider(_GateProvider):
    """Takes replicas over where they become fixed. Never rename: states hold it by its name."""

    def _act(self, olds: Props, news: Props) -> None:
        before, now = _asked(olds), _asked(news)
        if takes(before, now):
            self._keep_at(news, partial(take, sleep=time.sleep), Handover(**now))
        elif gives_back(before, now):
            self._keep_at(news, give_back, Handover(**before))

    def _keep_at(
        self, props: Props, act: Callable[[KubeClient, Handover], None], what: Handover
    ) -> None:
        try:
            _borne(props, lambda client: act(client, what))
        except ApiError as error:
            raise HandoverError(
                f"the replicas of Deployment {what.namespace}/{what.deployment} could not be taken "
                f"over from its autoscaler: the API server refuses or is away: {error}; run `up` "
                "again"
            ) from None


class _ClaimProvider(_GateProvider):
    """Looks for others' objects under names of ours. Never rename: states hold it by its name."""

    def _act(self, olds: Props, news: Props) -> None:
        before, now = _asked(olds), _asked(news)
        names = unclaimed(before, now)
        found = _borne(news, lambda client: list(taken(names, now["region"], client.get)))
        if found:
            raise GateError("\n".join(found), found)


_PROVIDERS: Final[dict[str, type[dynamic.ResourceProvider]]] = {
    CLAIM: _ClaimProvider,
    HANDOVER: _HandoverProvider,
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
    }
    options = pulumi.ResourceOptions(parent=parent, depends_on=list(depends_on))
    return GateResource(_PROVIDERS[gate.kind](), f"{gate.name}/{gate.kind}", props, options)


class GateResource(dynamic.Resource):
    """One gate of whatever kind. `fault` says why it failed; empty or None where it passed."""

    fault: pulumi.Output[str | None]
