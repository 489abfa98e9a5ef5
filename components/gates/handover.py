"""Takes the replicas of a Deployment back from an autoscaler, and loses none.

`up` deletes an autoscaler last, when the Deployment has long been changed: until then it would go
on setting numbers of its own, and what it has set would stay its own, so that the change is a
conflict. So first, by the live objects alone: the autoscaler is stopped, the number is set, and
nobody owns the field any more. A killed hand-over is done again from the start.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Protocol

from components.kube import Object
from components.kube_client import MANAGER

_STOPPED: Final = "--stopped"
"""Added to the target of a HorizontalPodAutoscaler that shall do nothing: no such Deployment is."""
_PAUSED: Final = "autoscaling.keda.sh/paused-replicas"
"""KEDA sets so many replicas, then none (apis/keda/v1alpha1/scaledobject_types.go of 2.21)."""
_SETTLE_SECONDS: Final = 2.0
"""A round of an autoscaler that began before it was stopped has ended by then: one takes less than
a second, and reads the object when it begins."""
_HPAS: Final = "/apis/autoscaling/v2/namespaces/{}/horizontalpodautoscalers"
_SCALED: Final = "/apis/keda.sh/v1alpha1/namespaces/{}/scaledobjects"
_DEPLOYMENTS: Final = "/apis/apps/v1/namespaces/{}/deployments"


class Api(Protocol):
    """What is asked of an API server. Paths are of its REST API."""

    def get(self, path: str) -> Object | None:
        """An object, or a list of them; None where there is none."""

    def patch(self, path: str, body: Object) -> Object | None:
        """The object after a merge patch by MANAGER; None where it is gone, or has another
        `resourceVersion` than the patch says."""


@dataclass(frozen=True, slots=True)
class Handover:
    """One Deployment, and how many replicas it is to have."""

    namespace: str
    deployment: str
    replicas: int


def _autoscalers(api: Api, what: Handover, target: str) -> Iterator[tuple[str, Object]]:
    """Those of ours whose target is so named, with their paths."""
    for listed in (_HPAS, _SCALED):
        path = listed.format(what.namespace)
        for found in (api.get(path) or {}).get("items", ()):
            ours = found["metadata"]["name"] == what.deployment
            if ours and found["spec"]["scaleTargetRef"]["name"] == target:
                yield f"{path}/{what.deployment}", found


def _disown(api: Api, path: str, keep: Callable[[Object], Object | None]) -> None:
    """Rewrite who manages which field of a live object, again if somebody writes in between."""
    while (live := api.get(path)) is not None:
        before = live["metadata"]["managedFields"]
        after = [kept for kept in map(keep, json.loads(json.dumps(before))) if kept]
        version = live["metadata"]["resourceVersion"]
        body = {"metadata": {"managedFields": after, "resourceVersion": version}}
        if after == before or api.patch(path, body) is not None:
            return


def _not_ours(entry: Object) -> Object | None:
    return None if entry["manager"] == MANAGER else entry


def disown(api: Api, path: str) -> None:
    """Own nothing of a live object, or the engine could not set it again."""
    _disown(api, path, _not_ours)


def _without_replicas(entry: Object) -> Object:
    entry.get("fieldsV1", {}).get("f:spec", {}).pop("f:replicas", None)
    return entry


def _change(path: str, what: Handover, stop: bool) -> Object:
    """What stops an autoscaler, or lets it go on."""
    if path.startswith(_SCALED.partition("{")[0]):
        value = str(what.replicas) if stop else None
        return {"metadata": {"annotations": {_PAUSED: value}}}
    suffix = _STOPPED if stop else ""
    return {"spec": {"scaleTargetRef": {"name": f"{what.deployment}{suffix}"}}}


def take(api: Api, what: Handover, sleep: Callable[[float], None]) -> None:
    """Stop every autoscaler of the Deployment, set its replicas, and free the field.

    Nothing happens where there is no such Deployment yet: it begins with the right number.
    """
    path = f"{_DEPLOYMENTS.format(what.namespace)}/{what.deployment}"
    stopped = list(_autoscalers(api, what, what.deployment))
    for where, _ in stopped:
        api.patch(where, _change(where, what, True))
        disown(api, where)
    if stopped:
        sleep(_SETTLE_SECONDS)
    live = api.get(path)
    if live is None:
        return
    if live["spec"].get("replicas") != what.replicas:
        api.patch(f"{path}/scale", {"spec": {"replicas": what.replicas}})
    _disown(api, path, _without_replicas)


def give_back(api: Api, what: Handover) -> None:
    """Let autoscalers go on that were stopped and are wanted after all.

    One that `up` has deleted since is gone; one that it never came to delete is the one it keeps.
    """
    for stopped in (what.deployment, f"{what.deployment}{_STOPPED}"):
        for where, found in list(_autoscalers(api, what, stopped)):
            is_paused = _PAUSED in found["metadata"].get("annotations", {})
            if is_paused or stopped != what.deployment:
                api.patch(where, _change(where, what, False))
                disown(api, where)
