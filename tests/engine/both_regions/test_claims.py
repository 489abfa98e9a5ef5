"""What stands in the cluster under a name of ours, and is not ours, is never changed.

In sandbox-onprem, on the real API server: a namespace with a workload in it that another team made,
and a Service by hand in a namespace of ours.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

import pytest
import yaml

from components.kube import Object
from regions.sandbox.kube import Cluster
from tests.engine.world import World

pytestmark = pytest.mark.engine

REGION: Final = "sandbox-onprem"
SPACES: Final = "/api/v1/namespaces"
FOREIGN: Final = "billing"
MODEL: Final = "vision/tagger"
MINE: Final = f"{SPACES}/{FOREIGN}"
WORKLOADS: Final = f"/apis/apps/v1/namespaces/{FOREIGN}/deployments"
SERVICES: Final = f"{SPACES}/vision/services"


@pytest.fixture
def world(world: World) -> Iterator[World]:
    """The specs as they were and nothing of another's, afterwards."""
    cluster = world.cluster(REGION)
    try:
        yield world
    finally:
        for name in (f"{FOREIGN}/scorer", f"{FOREIGN}/project", "vision/second"):
            world.spec(name).unlink(missing_ok=True)
        world.must_apply(REGION)
        for path in (MINE, f"{SERVICES}/second"):
            if cluster.get(path) is not None:
                cluster.delete(path)


def write(cluster: Cluster, path: str, made: Object) -> None:
    """What another team does with kubectl."""
    answer = cluster.session.post(
        f"{cluster.url}{path}?fieldManager=kubectl", data=json.dumps(made), timeout=30
    )
    assert answer.ok, answer.text


def foreign_workload() -> Object:
    """A Deployment that asks for no pod: nothing but its fields counts here."""
    labels = {"app": "ledger"}
    image = f"registry.example.com/ledger@sha256:{'0' * 64}"
    template = {
        "metadata": {"labels": labels},
        "spec": {"containers": [{"name": "ledger", "image": image}]},
    }
    spec = {"replicas": 0, "selector": {"matchLabels": labels}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "scorer"},
            "spec": spec}  # fmt: skip


def up(world: World) -> tuple[int, str]:
    """`pulumi up`: its exit code and what it said."""
    done = world.apply(REGION)
    return done.returncode, done.stdout + done.stderr


def by_others(found: Object | None) -> tuple[Any, ...]:
    """What people see of an object: who wrote to it, labels, annotations and spec.

    Not the revision, with which the controller marks a Deployment a moment after it is made.
    """
    assert found is not None
    metadata = found["metadata"]
    writers = {entry["manager"] for entry in metadata["managedFields"]}
    notes = {**metadata.get("annotations", {})}
    notes.pop("deployment.kubernetes.io/revision", None)
    return writers, metadata.get("labels"), notes, found.get("spec")


def copy_of(world: World, project: str, model: str) -> None:
    """Write a spec like MODEL's stable version for another model, with its project."""
    values = yaml.safe_load(world.spec(MODEL).read_text())
    digest = values["model"].partition(":")[2]
    kept = {key: values[key] for key in ("machine_type", "image")}
    spec = {**kept, "model": f"{project}/{model}:{digest}"}
    world.spec(f"{project}/{model}").parent.mkdir(exist_ok=True)
    world.spec(f"{project}/{model}").write_text(yaml.safe_dump(spec))
    known = world.spec(f"{project}/project")
    if not known.exists():
        known.write_text(world.spec("vision/project").read_text())


def test_a_namespace_of_others_is_refused_by_name_and_taken_over_when_it_is_given(
    world: World,
) -> None:
    cluster = world.cluster(REGION)
    write(cluster, SPACES, {"metadata": {"name": FOREIGN, "labels": {"team": "billing"}}})
    write(cluster, WORKLOADS, foreign_workload())
    before = [by_others(cluster.get(path)) for path in (MINE, f"{WORKLOADS}/scorer")]
    copy_of(world, FOREIGN, "scorer")
    world.edit_spec("vision/tagger", env={"CHANGED": "yes"})
    try:
        code, told = up(world)
        assert code != 0
        assert f"Namespace {FOREIGN} stands there already, made by somebody else" in told
        assert f"Deployment {FOREIGN}/scorer stands there already" in told
        assert f"isoserve.dev/region: {REGION} to have it taken over" in told
        assert "Traceback" not in told
        after = [by_others(cluster.get(path)) for path in (MINE, f"{WORKLOADS}/scorer")]
        assert [row[1:] for row in after] == [row[1:] for row in before], "nothing is changed in it"
        assert not any("isoserve" in row[0] for row in after), "and we wrote to nothing"
        changed = json.dumps(cluster.get("/apis/apps/v1/namespaces/vision/deployments/tagger"))
        assert '"CHANGED"' in changed, "and the other projects went through"

        cluster.delete(f"{WORKLOADS}/scorer")
        give = {"metadata": {"annotations": {"isoserve.dev/region": REGION}}}
        answer = cluster.session.patch(
            f"{cluster.url}{MINE}",
            data=json.dumps(give),
            headers={"Content-Type": "application/merge-patch+json"},
            timeout=30,
        )
        assert answer.ok, answer.text
        code, told = up(world)
        assert code == 0, told[-3000:]
        assert cluster.get(f"{WORKLOADS}/scorer") is not None, "it was given to us by a person"
    finally:
        values = yaml.safe_load(world.spec(MODEL).read_text())
        world.spec(MODEL).write_text(yaml.safe_dump({k: values[k] for k in values if k != "env"}))


def test_an_object_by_hand_in_a_namespace_of_ours_is_refused_by_name(world: World) -> None:
    cluster = world.cluster(REGION)
    spec = {"ports": [{"port": 80}], "selector": {"app": "by-hand"}}
    write(cluster, SERVICES, {"metadata": {"name": "second"}, "spec": spec})
    before = cluster.get(f"{SERVICES}/second")
    copy_of(world, "vision", "second")
    code, told = up(world)
    assert code != 0
    assert "Service vision/second stands there already, made by somebody else" in told
    assert "project vision:" in told
    assert cluster.get(f"{SERVICES}/second") == before
    cluster.delete(f"{SERVICES}/second")
    code, told = up(world)
    assert code == 0, told[-3000:]
