"""What `up` waits for while it deletes: proxies that follow a route, and pods that end.

The provider does not wait for what it deletes (`pulumi.com/skipAwait`). Without these waits a
Service would go while the gateway still sends to it, and a pod's NetworkPolicies and role while it
still answers its last requests, or works on as a job.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Final

from components.kube import Object
from components.kube_client import ApiError, Lister
from model_specs.names import LABEL_ROLE

_PERIOD_SECONDS: Final = 1.0
_SLACK_SECONDS: Final = 60.0
"""Beyond the grace: the garbage collector comes to the pods of a Deployment that is deleted, and
the kubelet tells that a pod has ended."""
_ENDED: Final = frozenset({"Failed", "Succeeded"})
_OVER: Final = frozenset({"Complete", "Failed"})
"""Conditions of a Job that makes no pod any more (Kubernetes API reference, JobStatus v1)."""
_MAKERS: Final = {"model-job": ("CronJob", "Job"), "model-server": ("Deployment",)}
"""What makes the pods of a role, whatever makes others first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pods:
    """The pods of one model, and how long each may take to end."""

    namespace: str
    labels: dict[str, str]
    grace_seconds: int


_Own = tuple[str, str]
"""Kind and name, within one namespace."""


def leaving(what: Pods, lister: Lister) -> Iterator[str]:
    """The names of pods that end, or shall: what makes them is gone, or about to go. And of Jobs
    that go and have not ended: one that was just made may have no pod yet, and gets one still.

    Raises ApiError.
    """
    # Jobs first: a pod that one gets in between is seen.
    jobs = [job for job in lister("Job", what.namespace) if _works(what, job)]
    found = [*jobs, *(pod for pod in lister("Pod", what.namespace) if _runs(what, pod))]
    kept: set[_Own] = set()
    for role in {one["metadata"]["labels"].get(LABEL_ROLE) for one in found}:
        for kind in _MAKERS.get(role, ()):
            makers = lister(kind, what.namespace)
            kept |= {(kind, str(one["metadata"]["name"])) for one in makers if _stays(one, kept)}
    for one in found:
        if not _stays(one, kept):
            yield str(one["metadata"]["name"])


def _is_own(what: Pods, made: Object) -> bool:
    labels = made["metadata"].get("labels") or {}
    return what.labels.items() <= labels.items() and labels.get(LABEL_ROLE) in _MAKERS


def _runs(what: Pods, pod: Object) -> bool:
    return _is_own(what, pod) and pod.get("status", {}).get("phase") not in _ENDED


def _works(what: Pods, job: Object) -> bool:
    conditions = job.get("status", {}).get("conditions") or ()
    ended = any(one["type"] in _OVER and one["status"] == "True" for one in conditions)
    return _is_own(what, job) and not ended


def _stays(made: Object, kept: Collection[_Own]) -> bool:
    """Whether nobody has deleted it, nor what makes it; what a person made by hand stays."""
    makers = {_maker(owner) for owner in made["metadata"].get("ownerReferences") or ()}
    return "deletionTimestamp" not in made["metadata"] and makers <= set(kept)


def _maker(owner: Object) -> _Own:
    """Whom an owner stands for: a ReplicaSet is named after its Deployment, and a hash."""
    kind, name = str(owner["kind"]), str(owner["name"])
    return ("Deployment", name.rpartition("-")[0]) if kind == "ReplicaSet" else (kind, name)


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
            left = sorted(leaving(what, lister))
        except ApiError as error:
            left = [f"the API server does not tell: {error}"]
        if not left:
            return
        if clock() >= deadline:
            say(f"pods in {what.namespace} have not ended, it goes on without: {', '.join(left)}")
            return
        sleep(_PERIOD_SECONDS)
