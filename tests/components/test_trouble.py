"""Where a workload does not serve, the pod and the reason are named."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from components.kube import Object
from components.readiness import Target
from components.trouble import Trouble, troubles

SERVER = Target("Deployment", "search", "sentiment", 2, 600, "search", "", 0)
AGENT = Target("DaemonSet", "isoserve-cache", "cache-gpu-l4-1", 1, 600, "", "", 0)


def told(target: Target, pods: Iterable[Object], *conditions: Object) -> list[Trouble]:
    return list(troubles(target, {"status": {"conditions": conditions}}, pods))


def a_pod(owner: str = "sentiment-7d9f", name: str = "pod-1", **status: Any) -> Object:
    owners = [{"kind": "ReplicaSet", "name": owner}]
    return {"metadata": {"name": name, "ownerReferences": owners}, "status": status}


def waiting(reason: str, message: str = "", container: str = "model-server") -> Object:
    state = {"waiting": {"message": message, "reason": reason}}
    return {"name": container, "state": state}


@pytest.mark.parametrize(
    "reason", ["CrashLoopBackOff", "ErrImagePull", "ImagePullBackOff", "CreateContainerConfigError"]
)
def test_a_broken_container_is_named_with_its_pod_and_message(reason: str) -> None:
    pod = a_pod(containerStatuses=[waiting(reason, "no such digest")])
    (found,) = told(SERVER, [pod])
    assert found.why == f"pod pod-1: container model-server {reason}: no such digest"
    assert found.is_broken, "no waiting mends it"


def test_a_crash_is_told_from_the_next_one_and_a_refused_pull_is_not() -> None:
    def attempt(reason: str, restarts: int) -> str:
        row = waiting(reason) | {"restartCount": restarts}
        (found,) = told(SERVER, [a_pod(containerStatuses=[row])])
        return found.attempt

    assert attempt("CrashLoopBackOff", 3) == attempt("CrashLoopBackOff", 3) != ""
    assert attempt("CrashLoopBackOff", 3) != attempt("CrashLoopBackOff", 4)
    assert attempt("ImagePullBackOff", 0) == "", "nothing in a pod tells one pull from the next"


def test_the_troubles_of_all_pods_and_of_the_workload_are_told() -> None:
    pods = [a_pod(name=f"pod-{n}", containerStatuses=[waiting("CrashLoopBackOff")]) for n in (1, 2)]
    refused = {"reason": "FailedCreate", "status": "True", "type": "ReplicaFailure"}
    words = [found.why.split(":")[0] for found in told(SERVER, pods, refused)]
    assert words == ["pod pod-1", "pod pod-2", "FailedCreate"]


def test_a_program_that_ended_is_quoted_rather_than_that_it_ended() -> None:
    said = "the node's cache agent cannot hold it: its content is corrupt"
    row = waiting("CrashLoopBackOff", "back-off 20s restarting failed container")
    row["lastState"] = {"terminated": {"exitCode": 1, "message": f"{said}\n"}}
    (found,) = told(SERVER, [a_pod(containerStatuses=[row])])
    assert found.why.endswith(f"CrashLoopBackOff: {said}"), "who is paged needs the cause"


def test_a_container_that_the_kernel_killed_is_told_with_its_memory_limit() -> None:
    row = waiting("CrashLoopBackOff", "back-off 20s restarting failed container")
    row["lastState"] = {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}
    pod = a_pod(containerStatuses=[row])
    limits = {"resources": {"limits": {"memory": "8Gi"}}}
    pod["spec"] = {"containers": [{"name": row["name"], **limits}]}
    (found,) = told(SERVER, [pod])
    assert "OOMKilled: it went over its memory limit of 8Gi" in found.why
    assert "choose a machine_type with more memory" in found.why, "and what to do"


def test_a_program_that_said_nothing_is_told_by_its_exit_code() -> None:
    row = waiting("CrashLoopBackOff", "back-off 20s restarting failed container")
    row["lastState"] = {"terminated": {"exitCode": 2, "reason": "Error"}}
    (found,) = told(SERVER, [a_pod(containerStatuses=[row])])
    assert found.why.endswith("CrashLoopBackOff: it ended with exit code 2")


def test_a_refused_pull_is_told_whatever_ended_there_before() -> None:
    row = waiting("ImagePullBackOff", "401 Unauthorized")
    row["lastState"] = {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}
    (found,) = told(SERVER, [a_pod(containerStatuses=[row])])
    assert found.why.endswith("ImagePullBackOff: 401 Unauthorized"), "its memory is not why"


def test_an_evicted_pod_is_told_but_another_takes_its_place() -> None:
    message = "The node was low on resource: ephemeral-storage."
    (found,) = told(SERVER, [a_pod(phase="Failed", reason="Evicted", message=message)])
    assert found.why == f"pod pod-1: Evicted: {message}"
    assert not found.is_broken, "the controller has made another one"


def test_an_init_container_is_looked_at_first() -> None:
    states: dict[str, Any] = {
        "containerStatuses": [waiting("PodInitializing")],
        "initContainerStatuses": [waiting("CrashLoopBackOff", container="model")],
    }
    (found,) = told(SERVER, [a_pod(**states)])
    assert "container model CrashLoopBackOff" in found.why
    assert found.is_broken


def test_a_container_that_is_only_starting_is_no_trouble() -> None:
    pod = a_pod(containerStatuses=[waiting("ContainerCreating")])
    assert told(SERVER, [pod]) == []


def test_a_pod_that_no_node_takes_is_told_but_may_yet_find_one() -> None:
    message = "0/3 nodes are available: 3 Insufficient nvidia.com/gpu"
    unplaced = {"message": message, "reason": "Unschedulable", "status": "False"}
    pod = a_pod(conditions=[{**unplaced, "type": "PodScheduled"}])
    (found,) = told(SERVER, [pod])
    assert found.why == f"pod pod-1: Unschedulable: {message}"
    assert not found.is_broken, "the cluster autoscaler may be bringing a node"


def test_a_quota_that_refuses_pods_is_told_by_the_deployment() -> None:
    refused = {
        "message": "exceeded quota: project",
        "reason": "FailedCreate",
        "status": "True",
        "type": "ReplicaFailure",
    }
    (found,) = told(SERVER, [], refused)
    assert found.why == "FailedCreate: exceeded quota: project", "there is no pod that could tell"
    assert found.is_broken
    assert found.attempt == "", "the controller tries again without a new moment"


def test_a_deployment_past_its_deadline_has_given_up() -> None:
    late = {
        "lastTransitionTime": "2026-01-02T03:04:05Z",
        "message": "ReplicaSet has timed out progressing.",
        "reason": "ProgressDeadlineExceeded",
        "status": "False",
        "type": "Progressing",
    }
    (found,) = told(SERVER, [], late)
    assert found.why.startswith("ProgressDeadlineExceeded: ")
    assert found.is_broken
    (later,) = told(SERVER, [], late | {"lastTransitionTime": "2026-01-02T03:14:05Z"})
    assert found.attempt != later.attempt, "it may have given up on an earlier template"


@pytest.mark.parametrize(
    "condition",
    [
        {"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"},
        {"type": "ReplicaFailure", "status": "False", "reason": "FailedCreate"},
        {"type": "Available", "status": "False", "reason": "MinimumReplicasUnavailable"},
    ],
)
def test_a_healthy_condition_is_no_trouble(condition: dict[str, str]) -> None:
    assert told(SERVER, [], condition) == []


@pytest.mark.parametrize("owner", ["sentiment-candidate-7d9f", "other-7d9f", "sentimental"])
def test_the_trouble_of_another_workloads_pod_is_not_ours(owner: str) -> None:
    pod = a_pod(owner=owner, containerStatuses=[waiting("CrashLoopBackOff")])
    assert told(SERVER, [pod]) == []


def test_a_pod_of_a_daemonset_is_its_own() -> None:
    pod = a_pod(owner=AGENT.name, containerStatuses=[waiting("CrashLoopBackOff")])
    (found,) = told(AGENT, [pod])
    assert found.is_broken
