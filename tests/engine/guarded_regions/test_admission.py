"""The admission guard on a real API server: a hand edit is refused, what we render is not."""

from __future__ import annotations

from typing import Final

import pytest
import requests

from components.kube import Object
from tests.engine.guarded_server import DRY_RUN, OBJECTS, POLICY, Server, from_before
from tests.engine.hand_edits import BAD, HARMLESS, MADE, UNPINNED, Edit
from tests.engine.site import until
from tests.engine.world import path_of
from tests.examples import Identity, identity, of_kind
from tests.model_specs import schedules

pytestmark = pytest.mark.engine

CURE: Final = "change the spec, not the cluster"
DRY_DELETE: Final[Object] = {"apiVersion": "v1", "dryRun": ["All"], "kind": "DeleteOptions"}
"""Where a deletion has a body, the API server does not look at its query."""


def test_nothing_that_is_rendered_is_refused(server: Server) -> None:
    assert len(OBJECTS) > 150, "all nouns are rendered"
    assert not server.said, "what follows from specs keeps every rule, and draws no warning"


def test_no_expression_is_of_the_wrong_type(server: Server) -> None:
    names = [identity(policy) for policy in of_kind(POLICY, OBJECTS.values())]

    def checks() -> list[Object | None]:
        return [server.live(name).get("status", {}).get("typeChecking") for name in names]

    until("the controller has checked every expression", lambda: None not in checks())
    wrong = [(name.name, found) for name, found in zip(names, checks(), strict=True) if found]
    assert not wrong, "an expression that fails refuses whatever it meets"


def test_controllers_still_make_the_pods(server: Server) -> None:
    names = [identity(made) for made in of_kind("Deployment", OBJECTS.values())]

    def without_pods() -> list[Identity]:
        return [n for n in names if not server.live(n).get("status", {}).get("replicas")]

    until("every Deployment has pods", lambda: not without_pods())
    events = server.cluster.get("/api/v1/events?fieldSelector=reason%3DFailedCreate")
    assert events is not None
    assert not events["items"], "a controller's pods are as good as the template they come from"


def test_a_cron_job_can_be_run_by_hand(server: Server) -> None:
    cron = server.live(Identity("CronJob", "search", "nightly-index"))
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "by-hand", "namespace": "search"},
        "spec": cron["spec"]["jobTemplate"]["spec"],
    }
    answer = server.create(job)
    assert answer.ok, f"`kubectl create job --from` is what one does in an incident: {answer.text}"


def scheduled(server: Server, schedule: str) -> requests.Response:
    cron = OBJECTS[Identity("CronJob", "search", "nightly-index")]
    metadata = {**cron["metadata"], "name": "scheduled"}
    spec = {**cron["spec"], "schedule": schedule}
    return server.create({**cron, "metadata": metadata, "spec": spec})


@pytest.mark.parametrize("schedule", schedules.TAKEN)
def test_a_schedule_that_a_spec_takes_is_taken(server: Server, schedule: str) -> None:
    answer = scheduled(server, schedule)
    assert answer.ok, f"or it fails half way through `pulumi up`: {answer.text}"


@pytest.mark.parametrize("schedule", schedules.REFUSED)
def test_a_schedule_that_a_spec_refuses_is_refused(server: Server, schedule: str) -> None:
    answer = scheduled(server, schedule)
    assert "spec.schedule" in answer.text, "no spec is refused that the API server would take"


@pytest.mark.parametrize("edit", BAD, ids=str)
def test_a_hand_edit_that_undoes_a_rule_is_refused(server: Server, edit: Edit) -> None:
    answer = server.attempt(edit)
    assert answer.status_code == 422, f"accepted, or refused by another: {answer.text[:500]}"
    message = answer.json()["message"]
    assert f"isoserve-{edit.rule}'" in message, "the person is told which rule"
    assert message.endswith(CURE), "and what to do instead"


@pytest.mark.parametrize("edit", [*HARMLESS, *MADE], ids=str)
def test_a_harmless_hand_edit_passes(server: Server, edit: Edit) -> None:
    answer = server.attempt(edit)
    assert answer.ok, f"an incident needs free hands: {answer.text[:500]}"


def test_scaling_by_hand_passes(server: Server) -> None:
    path = path_of(OBJECTS[Identity("Deployment", "search", "sentiment")])
    change = {"spec": {"replicas": 2}}
    answer = server.send("PATCH", f"{path}/scale?{DRY_RUN}", change, "merge-patch+json")
    assert answer.ok, f"autoscalers do the same: {answer.text}"


def a_pod(server: Server, model: str = "sentiment") -> Object:
    found = server.cluster.get(
        f"/api/v1/namespaces/search/pods?labelSelector=isoserve.dev/model%3D{model}"
    )
    assert found is not None
    return {"apiVersion": "v1", "kind": "Pod", **found["items"][0]}


def debugging(image: str) -> list[Object]:
    """What `kubectl debug --profile=restricted` sends."""
    its: Object = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    container = {"image": image, "name": "debugger", "securityContext": its}
    return [{"op": "add", "path": "/spec/ephemeralContainers", "value": [container]}]


def test_a_pod_takes_no_unpinned_image_however_it_comes(server: Server) -> None:
    pod = a_pod(server)
    path, form = path_of(pod), "json-patch+json"
    changed = [{"op": "replace", "path": "/spec/containers/0/image", "value": UNPINNED}]
    for where, patch in ((path, changed), (f"{path}/ephemeralcontainers", debugging(UNPINNED))):
        answer = server.send("PATCH", f"{where}?{DRY_RUN}", patch, form)
        assert "isoserve-image-digest" in answer.text, "what runs in a tenant's pod is pinned"
    pinned = pod["spec"]["containers"][0]["image"]
    where = f"{path}/ephemeralcontainers?{DRY_RUN}"
    answer = server.send("PATCH", where, debugging(pinned), form)
    assert answer.ok, f"debugging is no crime: {answer.text}"


def test_a_debugging_container_reads_a_models_files_and_writes_none(server: Server) -> None:
    pod = a_pod(server, "embedder")
    (container,) = (one["value"][0] for one in debugging(pod["spec"]["containers"][0]["image"]))
    where, form = f"{path_of(pod)}/ephemeralcontainers?{DRY_RUN}", "json-patch+json"
    for may, mount in ((False, {}), (True, {"readOnly": True})):
        its = {"mountPath": "/look", "name": "models", **mount}
        looking = {**container, "name": f"looks-{may}".lower(), "volumeMounts": [its]}
        patch = [{"op": "add", "path": "/spec/ephemeralContainers", "value": [looking]}]
        answer = server.send("PATCH", where, patch, form)
        assert answer.ok is may, answer.text
        assert may or "isoserve-weights-read-only" in answer.text


def test_what_was_there_before_the_guard_can_be_tidied_up(server: Server) -> None:
    path = f"{path_of(from_before())}?{DRY_RUN}"
    for change in ({"annotations": {"example.com/note": "seen"}}, {"finalizers": None}):
        answer = server.send("PATCH", path, {"metadata": change}, "merge-patch+json")
        assert answer.ok, f"a finalizer that stays blocks its namespace for good: {answer.text}"
    scaled = server.send("PATCH", path, {"spec": {"replicas": 1}}, "merge-patch+json")
    assert CURE in scaled.text, "it may go, but not grow"


def test_whatever_we_made_can_be_deleted(server: Server) -> None:
    for made in reversed(OBJECTS.values()):
        answer = server.send("DELETE", path_of(made), DRY_DELETE, "json")
        assert answer.ok, f"`pulumi destroy` deletes as a person does: {answer.text}"
