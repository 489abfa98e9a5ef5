"""The rules on the real engine: they stop a bad change at preview and at `up`, and nothing good."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any, Final

import pytest

from tests.engine.world import REGIONS, World, added, body

pytestmark = pytest.mark.engine

SCRIPTS: Final = ".github/scripts"
POD: Final = "components/model_pod.py"
UNPINNED: Final = ('"image": own.image,', '"image": own.image.replace("@sha256:", ":"),')
SERVER: Final = "components/model_server.py"
NO_WALL: Final = ("        wall(plan.workload, server_ports(plan), callers),\n", "")
REGISTRY: Final = "components/model_registry/engine.py"
RENAMED: Final = ('s3.Bucket("models"', 's3.Bucket("renamed"')


def script(world: World, name: str, *arguments: str) -> CompletedProcess[str]:
    """One of the scripts that the workflows call."""
    return world.run(f"{SCRIPTS}/{name}.sh", *arguments, env=world.engine_env())


@contextmanager
def changed(world: World, path: str, old: str, new: str) -> Iterator[None]:
    """A change of the program, taken back at the end."""
    file = world.root / path
    text = file.read_text()
    assert old in text, f"{path} no longer holds {old!r}: correct the test"
    file.write_text(text.replace(old, new))
    try:
        yield
    finally:
        file.write_text(text)


def preview(world: World, region: str) -> tuple[int, list[dict[str, Any]]]:
    """What the preview of the workflows says: its exit code and its events."""
    events = world.root / "events" / f"{region}.json"
    done = script(world, "preview", region, str(events))
    return done.returncode, [json.loads(line) for line in events.read_text().splitlines()]


def violations(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [event["policyEvent"] for event in events if "policyEvent" in event]


def seen(events: list[dict[str, Any]]) -> int:
    """How many resources the rules were shown."""
    return sum("policyAnalyzeSummaryEvent" in event for event in events)


@pytest.mark.parametrize("region", REGIONS)
def test_a_good_tree_passes_without_a_word(world: World, region: str) -> None:
    code, events = preview(world, region)
    assert code == 0, "nothing is wrong with the examples"
    assert violations(events) == [], "no advice either: advice that is always there is not read"
    assert seen(events) > 150, "the rules were shown everything"


def test_jobs_that_stand_do_not_stop_a_change_of_what_new_ones_are_made_of(world: World) -> None:
    """As after every release of isoserve, whose image of the cache agent fetches a job's model."""
    profile = world.root / "regions" / "sandbox-onprem.yaml"
    (image,) = re.findall(r"^agent_image: (\S+)$", profile.read_text(), re.MULTILINE)
    other = f"{image.partition('@')[0]}@sha256:{'1' * 64}"
    with changed(world, "regions/sandbox-onprem.yaml", image, other):
        code, events = preview(world, "sandbox-onprem")
        refreshed = script(world, "drift", "sandbox-onprem")
    assert (code, violations(events)) == (0, [])
    assert refreshed.returncode != 0, "the agents are to change"
    assert "mandatory" not in refreshed.stdout + refreshed.stderr, "and nothing breaks a rule"


def test_a_region_that_does_not_exist_yet_can_be_judged(world: World) -> None:
    profile = world.root / "regions" / "sandbox-new.yaml"
    text = (world.root / "regions" / "sandbox-aws.yaml").read_text()
    profile.write_text(text.replace("isoserve-models-sandbox-aws", "isoserve-models-sandbox-new"))
    try:
        assert world.pulumi("stack", "init", "sandbox-new", "--no-select").returncode == 0
        code, events = preview(world, "sandbox-new")
    finally:
        world.pulumi("stack", "rm", "sandbox-new", "--yes", "--force")
        profile.unlink()
        (world.root / "stacks" / "Pulumi.sandbox-new.yaml").unlink(missing_ok=True)
    assert code == 0, f"a first preview knows least: {violations(events)[:2]}"
    assert violations(events) == []
    assert seen(events) > 150


def test_a_bad_change_is_stopped_at_preview_with_the_line_of_the_spec(world: World) -> None:
    with changed(world, POD, *UNPINNED):
        code, events = preview(world, "sandbox-aws")
    said = [event["message"] for event in violations(events)]
    assert code != 0, "the preview must fail"
    assert {event["enforcementLevel"] for event in violations(events)} == {"mandatory"}
    # Not each model's: the region's own guard refuses the first objects, which ends the preview.
    assert re.search(r"model_specs/\S+\.yaml:3:1  image  P02  image-digest: ", "".join(said))


def test_a_bad_change_is_stopped_at_up_before_it_is_made(world: World) -> None:
    path = "/apis/apps/v1/namespaces/search/deployments/embedder"
    before = world.cluster("sandbox-aws").get(path)
    with changed(world, POD, *UNPINNED):
        done = world.pulumi(
            "up", "--yes", "--skip-preview", "-s", "sandbox-aws", "--policy-pack", "policies"
        )
    assert done.returncode != 0
    assert "P02  image-digest" in done.stdout + done.stderr
    after = world.cluster("sandbox-aws").get(path)
    assert before is not None
    assert after is not None
    assert after["spec"] == before["spec"], "rules speak before a resource is touched"


def test_what_only_shows_in_the_whole_is_stopped_at_preview(world: World) -> None:
    with changed(world, SERVER, *NO_WALL):
        code, events = preview(world, "sandbox-onprem")
    assert code != 0, "a model without its wall is open to its whole project"
    assert {event["policyName"] for event in violations(events)} >= {"region"}


def test_a_good_tree_goes_up_under_the_rules_and_its_gate(world: World) -> None:
    commit(world)
    done = script(world, "deploy", "sandbox-onprem", "events/sandbox-onprem.json")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "PASS" in done.stdout


def everything() -> dict[str, Any]:
    """Gives all accounts of a project the right to read the whole cluster."""
    group = "rbac.authorization.k8s.io"
    role = {"apiGroup": group, "kind": "ClusterRole", "name": "view"}
    who = [{"apiGroup": group, "kind": "Group", "name": "system:serviceaccounts:chat"}]
    return body(f"{group}/v1", "ClusterRoleBinding", "everything", roleRef=role, subjects=who)


def test_drift_is_told_and_no_drift_is_silent(world: World) -> None:
    untouched = script(world, "drift", "sandbox-aws")
    assert untouched.returncode == 0, untouched.stdout[-6000:] + untouched.stderr[-2000:]
    cluster = world.cluster("sandbox-aws")
    answer = cluster.session.patch(
        f"{cluster.url}/apis/policy/v1/namespaces/chat/poddisruptionbudgets/helper",
        json={"spec": {"maxUnavailable": 2}},
        headers={"Content-Type": "application/merge-patch+json"},
        timeout=30,
    )
    assert answer.ok, answer.text
    guard = f"{cluster.url}/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies"
    never = [{"expression": "false", "name": "never"}]
    answer = cluster.session.patch(
        f"{guard}/isoserve-rbac-least?fieldManager=kubectl-edit",
        json={"spec": {"matchConditions": never}},
        headers={"Content-Type": "application/merge-patch+json"},
        timeout=30,
    )
    assert answer.ok, "no policy judges policies"
    assert cluster.session.delete(f"{guard}/isoserve-pdb-sane", timeout=30).ok
    with added(cluster, everything()):
        done = script(world, "drift", "sandbox-aws")
    assert done.returncode != 0, "a hand edit is not what the tree says"
    told = done.stdout + done.stderr
    assert "chat/helper" in told
    policy = "ValidatingAdmissionPolicy isoserve-rbac-least: spec.matchConditions"
    assert f"{policy} was set by kubectl-edit" in told, "a policy that never matches is none"
    assert "isoserve-pdb-sane" in told
    assert "ClusterRoleBinding everything is in no plan" in told, "pods of chat may read all"
    world.must_apply("sandbox-aws", "--refresh")
    assert script(world, "drift", "sandbox-aws").returncode == 0, "`up --refresh` takes it back"
    policies = {one["metadata"]["name"]: one for one in cluster.session.get(guard).json()["items"]}
    conditions = policies["isoserve-rbac-least"]["spec"]["matchConditions"]
    assert [one["name"] for one in conditions] == ["changed"], "ours, and no other"
    assert "isoserve-pdb-sane" in policies


def commit(world: World) -> None:
    """The review compares with a git revision."""
    author = ("-c", "user.name=a", "-c", "user.email=a@example.com")
    for words in (("init", "-q"), ("add", "-A"), (*author, "commit", "-qm", "base")):
        done = world.run("git", *words)
        assert done.returncode == 0 or "nothing to commit" in done.stdout, done.stderr


def bucket_of(world: World, region: str) -> str:
    """URN of the region's registry bucket."""
    exported = json.loads(world.pulumi("stack", "export", "-s", region).stdout)
    (urn,) = [
        row["urn"]
        for row in exported["deployment"]["resources"]
        if row["type"] == "aws:s3/bucket:Bucket"
    ]
    return str(urn)


def test_the_gate_refuses_to_delete_the_registry(world: World) -> None:
    region = "sandbox-onprem"
    commit(world)
    urn = bucket_of(world, region)
    # Protection alone would stop it; somebody took that away first.
    assert world.pulumi("state", "unprotect", urn, "-s", region, "--yes").returncode == 0
    try:
        with changed(world, REGISTRY, *RENAMED):
            code, said = preview(world, region)
        assert (code, violations(said)) == (0, []), "rules never see what is deleted"
        events = world.root / "events" / f"{region}.json"
        done = world.run(
            "isoserve", "review", "--region", region, "--preview", str(events),
            env=world.engine_env(),
        )  # fmt: skip
    finally:
        world.up("--region", region)
    assert done.returncode == 1, done.stdout[:2000]
    assert "BLOCKED" in done.stdout
    assert "bucket" in done.stdout.lower(), "a person must see what would have gone"


def test_a_preview_that_failed_is_a_row(world: World) -> None:
    commit(world)
    events = Path("events") / "sandbox-aws.json"
    (world.root / events).parent.mkdir(exist_ok=True)
    (world.root / events).write_text("")
    done = world.run(
        "isoserve", "review", "--region", "sandbox-aws", "--preview", str(events),
        env=world.engine_env(),
    )  # fmt: skip
    assert done.returncode == 1
    assert "sandbox-aws" in done.stdout
    assert "BLOCKED" in done.stdout
