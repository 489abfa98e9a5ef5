"""What the real engine does where the API server refuses an object of one project.

Two projects on an API server of their own, registered as `up` registers a region's Kubernetes part;
the region has no KEDA, and its pods are simulated.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any, Final

import pytest

from components.kube import Object
from regions.sandbox.nodes import reconcile
from tests.engine.lone_server import lone_server
from tests.engine.test_transitions import REGION, group
from tests.engine.world import World

pytestmark = pytest.mark.engine

PROGRAM: Final = '''
"""Registers two projects, of which the environment says what they are like this time."""

import json
import os
from dataclasses import replace
from pathlib import Path

from components.engine import register
from components.parts import parts
from components.rollout_gate import RolloutGate, stop_if_incomplete
from stacks.program import cluster
from tests.engine.test_transitions import PROFILE
from tests.examples import a_model, planned

told = json.loads(os.environ["TOLD"])
small = {"cache": "never", "access": "permissive", "env": {"SEED": told["seed"]}}
models = [a_model(project, name, **small) for project, name in told["models"]]
plan = planned(*models, profile=PROFILE)
here = replace(plan.cluster, kubeconfig=told["kubeconfig"], context=told["context"])
plan = replace(plan, cluster=here)
rendered = list(parts(plan))
for part in rendered:
    for made in part.objects if part.model in told["refused"] else ():
        if made["kind"] == "NetworkPolicy":
            made["spec"]["ingress"][0]["ports"][0]["port"] = 70_000  # no such port
made = register(rendered, plan, cluster(plan.cluster, Path()), told["kubeconfig"], {})
gate = RolloutGate(rendered, plan, told["kubeconfig"], made.resources, made.faults, made.taken)
if told["careful"]:
    stop_if_incomplete(gate)
'''
TOOLS: Final = """
from regions.sandbox import toolchain
toolchain.prepare(print, own_clusters=True)
"""
"""Makes the engine and its plugins, which no other test may have made before."""
ALL: Final = (("chat", "helper"), ("search", "ranker"), ("search", "sentiment"))
FEWER: Final = ALL[:1] + ALL[2:]


@dataclass(frozen=True)
class Stack:
    """The stack of that program."""

    world: World

    @property
    def folder(self) -> Path:
        """Where its program stands."""
        return self.world.root / "refused"

    def up(
        self,
        seed: str,
        models: tuple[tuple[str, str], ...],
        *,
        refused: tuple[str, ...] = (),
        careful: bool = True,
        flags: tuple[str, ...] = (),
    ) -> CompletedProcess[str]:
        """`pulumi up`, with the policies of the models `refused` as the API server takes none."""
        kubeconfig = str(self.world.root / ".isoserve" / REGION / "kubeconfig")
        told = {"careful": careful, "context": REGION, "kubeconfig": kubeconfig, "models": models,
                "refused": refused, "seed": seed}  # fmt: skip
        return self.pulumi("up", "--yes", "--skip-preview", "-s", "two", *flags, told=told)

    def pulumi(self, *words: str, told: dict[str, Any] | None = None) -> CompletedProcess[str]:
        """Plain `pulumi` in the program's folder, with a state of its own."""
        root, tools = self.world.root, self.world.root / ".isoserve" / "bin"
        env = {
            "PATH": f"{tools}:{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PULUMI_BACKEND_URL": f"file://{self.folder}/state",
            "PULUMI_CONFIG_PASSPHRASE": "",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
            "PULUMI_HOME": f"{self.folder}/home",
            "PULUMI_SKIP_UPDATE_CHECK": "1",
            "PYTHONPATH": str(root),
            "TOLD": json.dumps(told),
        }
        return self.world.run("pulumi", "-C", str(self.folder), *words, "--non-interactive",
                              env=env)  # fmt: skip

    def deployments(self) -> dict[str, str]:
        """The seed that each model's Deployment has, by the model."""
        found: dict[str, str] = {}
        for project in ("chat", "search"):
            path = f"/apis/apps/v1/namespaces/{project}/deployments"
            for made in (self.world.cluster(REGION).get(path) or {})["items"]:
                (container,) = made["spec"]["template"]["spec"]["containers"]
                env = {row["name"]: row.get("value", "") for row in container.get("env", ())}
                if "SEED" in env:
                    found[f"{project}/{made['metadata']['name']}"] = env["SEED"]
        return found

    def routes(self) -> set[str]:
        """The models that have a route."""
        path = "/apis/gateway.networking.k8s.io/v1/httproutes?labelSelector=isoserve.dev%2Fmodel"
        items: list[Object] = (self.world.cluster(REGION).get(path) or {})["items"]
        return {f"{one['metadata']['namespace']}/{one['metadata']['name']}" for one in items}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Both projects serve."""
    with lone_server(tmp_path_factory.mktemp("refused") / "tree", REGION) as world:
        tools = world.run(sys.executable, "-c", TOOLS)
        assert tools.returncode == 0, tools.stderr[-3000:]
        reconcile(world.cluster(REGION), [group("on_demand", 4)], {}, None)
        made = Stack(world)
        for folder in (made.folder, made.folder / "home", made.folder / "state"):
            folder.mkdir()
        (made.folder / "__main__.py").write_text(PROGRAM)
        (made.folder / "Pulumi.yaml").write_text("name: refused\nruntime: python\n")
        begun = made.pulumi("stack", "init", "two")
        assert begun.returncode == 0, begun.stderr
        must(made.up("1", ALL))
        yield made


def must(done: CompletedProcess[str]) -> None:
    """It ended well."""
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]


def test_told_to_go_on_it_holds_up_what_comes_after_the_object_alone_and_deletes_nothing(
    stack: Stack,
) -> None:
    done = stack.up("2", FEWER, refused=("chat/helper",), flags=("--continue-on-error",))
    assert done.returncode, "an object was refused"
    assert "70000" in done.stdout, "the API server says why"
    assert "nothing was deleted" in done.stdout
    assert stack.deployments() == {
        "chat/helper": "1",
        "search/ranker": "1",
        "search/sentiment": "2",
    }, "the other project is what it shall be, but for what was to go"
    assert stack.routes() == {"chat/helper", "search/ranker", "search/sentiment"}
    must(stack.up("2", FEWER))
    assert stack.deployments() == {"chat/helper": "2", "search/sentiment": "2"}
    assert stack.routes() == {"chat/helper", "search/sentiment"}


def test_a_program_that_ends_well_then_would_have_what_was_to_go_deleted(stack: Stack) -> None:
    must(stack.up("3", ALL))
    flags = ("--continue-on-error",)
    done = stack.up("4", FEWER, refused=("chat/helper",), careful=False, flags=flags)
    assert done.returncode, "an object was refused"
    assert "search/ranker" not in stack.routes(), "or the program's end would change nothing"
