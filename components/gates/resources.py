"""The acts of `up` between its objects as Pulumi resources (see components.gates.acts)."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

import pulumi
from pulumi import dynamic

from components.gates.acts import (
    HANDOVER,
    POD_DRAIN,
    ROUTE_DRAIN,
    SHIFT,
    SPOT,
    TRAFFIC,
    Gate,
    awaited,
    gives_back,
    shifts,
    takes,
    unasked,
)
from components.gates.drains import Pods, await_end
from components.gates.handover import MANAGER, Handover, give_back, take
from components.gates.traffic_shift import shift
from components.kube import Object
from components.live_objects import ListError, lister_of
from components.rollout_gate import GateError, say, wait
from components.synthetic_probe.answers import UnreadableError, asked, reader_of, unproven

_BLIND_SECONDS: Final = 60.0
"""An API server that restarts is back by then."""
_AGAIN_SECONDS: Final = 1.0
_REQUEST_SECONDS: Final = 30
_ABSENT, _CONFLICT = 404, 409
_UNPROVEN: Final = (
    "users are not led to it: mend what it answers or probe.request, or lower rollout.right_answers"
)
Props = dict[str, Any]


class ActError(Exception):
    """What could not be done to live objects, and why."""


class _Refused(Exception):
    """The API server answered with an error."""


class Api:
    """An API server as components.gates.handover asks it."""

    def __init__(self, kubeconfig: str, context: str) -> None:
        from kubernetes import config

        self._client = config.new_client_from_config(config_file=kubeconfig, context=context)

    def get(self, path: str) -> Object | None:
        """What stands at the path; None where nothing does."""
        return self._send("GET", path, None, {})

    def patch(self, path: str, body: Object) -> Object | None:
        """What stands there after the merge patch; None where that met nothing or a newer one."""
        kind = {"Content-Type": "application/merge-patch+json"}
        return self._send("PATCH", f"{path}?fieldManager={MANAGER}", body, kind)

    def _send(
        self, method: str, path: str, body: Object | None, headers: dict[str, str]
    ) -> Object | None:
        wanted = {"Accept": "application/json", **headers}
        request = self._client.param_serialize(
            method, path, header_params=wanted, body=body, auth_settings=["BearerToken"]
        )
        answer = self._client.call_api(*request, _request_timeout=_REQUEST_SECONDS)
        data = answer.read()
        if answer.status in (_ABSENT, _CONFLICT):
            return None
        told: Object = json.loads(data) if data else {}
        if answer.status >= 300:
            raise _Refused(f"{method} {path}: {told.get('message') or answer.reason}")
        return told


def _asked(props: Props) -> Props:
    """What a gate was asked; empty where there was none."""
    found: Props = json.loads(props["asked"]) if "asked" in props else {}
    return found


def _await_answers(olds: Props, news: Props) -> None:
    """Wait until the candidates have answered rightly. Raises GateError, or UnreadableError."""
    wanted, are_new = unasked(_asked(olds), _asked(news))
    if not wanted:
        return
    read = reader_of(news["kubeconfig"], news["context"])
    before = asked(wanted, read) if are_new else {}
    deadline = time.monotonic() + max(one.timeout_seconds for one in wanted)
    while faults := unproven(wanted, read, before):
        if time.monotonic() >= deadline:
            raise GateError("\n".join([*faults, _UNPROVEN]))
        time.sleep(_AGAIN_SECONDS)


class _WaitProvider(dynamic.ResourceProvider):
    """Waits for the pods that `acts` names. Never rename: states hold it by its name."""

    def _pass(self, olds: Props, news: Props) -> None:
        wanted = awaited(news["kind"], _asked(olds), _asked(news))
        if not wanted:
            return
        try:
            lister = lister_of(news["kubeconfig"], news["context"])
            wait(wanted, lister, time.monotonic, time.sleep, say)
            if news["kind"] == TRAFFIC:
                _await_answers(olds, news)
        except (GateError, ListError, UnreadableError):
            sys.tracebacklimit = 0  # the host prints format_exc(): people need the message only
            raise

    def create(self, props: Props) -> dynamic.CreateResult:
        self._pass({}, props)
        return dynamic.CreateResult(id_=props["kind"], outs=props)

    def update(self, _id: str, _olds: Props, _news: Props) -> dynamic.UpdateResult:
        self._pass(_olds, _news)
        return dynamic.UpdateResult(outs=_news)

    def diff(self, _id: str, _olds: Props, _news: Props) -> dynamic.DiffResult:
        return dynamic.DiffResult(changes=_asked(_olds) != _asked(_news))


def _keep_at(props: Props, act: Callable[[Api], None], failed: str) -> None:
    """Do it again while the API server refuses or is away; `failed` says what has not been done."""
    from kubernetes.client import ApiException
    from urllib3.exceptions import HTTPError

    deadline = time.monotonic() + _BLIND_SECONDS
    while True:
        try:
            return act(Api(props["kubeconfig"], props["context"]))
        except (_Refused, ApiException, HTTPError) as error:
            if time.monotonic() >= deadline:
                sys.tracebacklimit = 0
                why = str(error) if isinstance(error, _Refused) else "it does not answer"
                raise ActError(
                    f"{failed}: the API server refuses or is away ({why}); run `up` again"
                ) from None
            time.sleep(_AGAIN_SECONDS)


class _ShiftProvider(_WaitProvider):
    """Leads users away from a candidate, once the pods serve that they are led to. Never rename:
    states hold it by its name."""

    def _pass(self, olds: Props, news: Props) -> None:
        what = shifts(_asked(olds), _asked(news))
        if what is not None:
            super()._pass(olds, news)
            failed = f"users could not be led away from the candidate of {what.model}"
            _keep_at(news, lambda api: shift(api, what, time.sleep), failed)


class _HandoverProvider(dynamic.ResourceProvider):
    """Takes replicas over where they become fixed. Never rename: states hold it by its name."""

    def _act(self, olds: Props, news: Props) -> None:
        before, now = _asked(olds), _asked(news)
        if takes(before, now):
            self._keep_at(news, partial(take, sleep=time.sleep), Handover(**now))
        elif gives_back(before, now):
            self._keep_at(news, give_back, Handover(**before))

    @staticmethod
    def _keep_at(props: Props, act: Callable[[Api, Handover], None], what: Handover) -> None:
        where = f"the replicas of Deployment {what.namespace}/{what.deployment} could not be taken"
        _keep_at(props, lambda api: act(api, what), f"{where} over from its autoscaler")

    def create(self, props: Props) -> dynamic.CreateResult:
        self._act({}, props)
        return dynamic.CreateResult(id_=props["kind"], outs=props)

    def update(self, _id: str, _olds: Props, _news: Props) -> dynamic.UpdateResult:
        self._act(_olds, _news)
        return dynamic.UpdateResult(outs=_news)

    def diff(self, _id: str, _olds: Props, _news: Props) -> dynamic.DiffResult:
        return dynamic.DiffResult(changes=_asked(_olds) != _asked(_news))


_SETTLED = [0.0]
"""When the proxies have followed the routes that this `up` has deleted, by the monotonic clock."""


class _DrainProvider(dynamic.ResourceProvider):
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
            lister = lister_of(_props["kubeconfig"], _props["context"])
        except ListError as error:
            say(f"pods have not been seen to end: {error}")
        else:
            await_end(Pods(**asked), lister, time.monotonic, time.sleep, say)

    def update(self, _id: str, _olds: Props, _news: Props) -> dynamic.UpdateResult:
        return dynamic.UpdateResult(outs=_news)

    def create(self, props: Props) -> dynamic.CreateResult:
        return dynamic.CreateResult(id_=props["kind"], outs=props)

    def diff(self, _id: str, _olds: Props, _news: Props) -> dynamic.DiffResult:
        return dynamic.DiffResult(changes=_asked(_olds) != _asked(_news))


_PROVIDERS: Final[dict[str, type[dynamic.ResourceProvider]]] = {
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
    parent: pulumi.Resource,
    depends_on: Sequence[pulumi.Resource],
) -> pulumi.Resource:
    """The gate as a resource; `cluster` is the kubeconfig's path and the context in it."""
    kubeconfig, context = cluster
    props = {
        "asked": json.dumps(gate.asked, sort_keys=True),
        "context": context,
        "kind": gate.kind,
        "kubeconfig": kubeconfig,
    }
    options = pulumi.ResourceOptions(parent=parent, depends_on=list(depends_on))
    return _Gate(_PROVIDERS[gate.kind](), f"{gate.name}/{gate.kind}", props, options)


class _Gate(dynamic.Resource):
    """One gate of whatever kind."""
