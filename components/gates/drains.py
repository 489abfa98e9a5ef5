"""What `up` waits for while it deletes: proxies that follow a route, and pods that end.

The provider does not wait for what it deletes (`pulumi.com/skipAwait`). Without these waits a
Service would go while the gateway still sends to it, and a pod's NetworkPolicies while it still
answers its last requests.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from components.kube import Object
from components.kube_client import ApiError, Lister
from model_specs.names import LABEL_ROLE, LABEL_TRACK

_PERIOD_SECONDS: Final = 1.0
_SLACK_SECONDS: Final = 60.0
"""Beyond the grace: the garbage collector comes to the pods of a Deployment that is deleted, and
the kubelet tells that a pod has ended."""
_ENDED: Final = frozenset({"Failed", "Succeeded"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Pods:
    """The server pods of one model, and how long each may take to end."""

    namespace: str
    labels: dict[str, str]
    grace_seconds: int


def leaving(what: Pods, pods: Iterable[Object], deployments: Iterable[Object]) -> Iterator[str]:
    """The names of pods that end, or shall: their Deployment is gone."""
    kept = {
        one["metadata"]["labels"].get(LABEL_TRACK)
        for one in deployments
        if _is_of(what, one) and "deletionTimestamp" not in one["metadata"]
    }
    for pod in pods:
        head = pod["metadata"]
        if not _is_of(what, pod) or pod.get("status", {}).get("phase") in _ENDED:
            continue
        if "deletionTimestamp" in head or head["labels"].get(LABEL_TRACK) not in kept:
            yield str(head["name"])


def _is_of(what: Pods, made: Object) -> bool:
    labels = made["metadata"].get("labels") or {}
    return bool(what.labels.items() <= labels.items()) and labels.get(LABEL_ROLE) == "model-server"


def await_end(
    what: Pods,
    lister: Lister,
    clock: Callable[[], float],
    sleep: Callable[[float], None],
    say: Callable[[str], None],
) -> None:
    """Return when no pod is leaving, or when each has had its grace: a node that is lost tells of
    no end, and must hold up nobody. Then `say` names what is left.
    """
    deadline = clock() + what.grace_seconds + _SLACK_SECONDS
    while True:
        try:
            deployments = lister("Deployment", what.namespace)
            left = sorted(leaving(what, lister("Pod", what.namespace), deployments))
        except ApiError as error:
            left = [f"the API server does not tell: {error}"]
        if not left:
            return
        if clock() >= deadline:
            say(f"pods in {what.namespace} have not ended, it goes on without: {', '.join(left)}")
            return
        sleep(_PERIOD_SECONDS)
