"""A copy of this tree with a sandbox of its own: what the engine tests work on."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml

from components.kube import Object
from regions.sandbox.kube import Cluster, connect
from regions.sandbox.node.network import Network, claimed
from tests.engine.watcher import watch
from tests.tracked import ROOT, copy_tracked

REGIONS: Final = ("sandbox-aws", "sandbox-onprem")
_KEPT: Final = ("bin", "images", "layers", "servers", "venv")
_PLURALS: Final = {"BackendTrafficPolicy": "backendtrafficpolicies", "Ingress": "ingresses",
    "GatewayClass": "gatewayclasses", "NetworkPolicy": "networkpolicies",
    "PriorityClass": "priorityclasses", "Prometheus": "prometheuses",
    "SecurityPolicy": "securitypolicies",
    "ValidatingAdmissionPolicy": "validatingadmissionpolicies"}  # fmt: skip
_LIMIT_SECONDS: Final = 1200


def path_of(made: Object) -> str:
    """Where the API server keeps an object."""
    group, metadata = made["apiVersion"], made["metadata"]
    plural = _PLURALS.get(made["kind"], made["kind"].lower() + "s")
    base = f"/apis/{group}" if "/" in group else f"/api/{group}"
    space = f"/namespaces/{metadata['namespace']}" if "namespace" in metadata else ""
    return f"{base}{space}/{plural}/{metadata['name']}"


def body(version: str, kind: str, name: str, namespace: str = "", **more: Any) -> Object:
    """A Kubernetes object."""
    space = {"namespace": namespace} if namespace else {}
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name, **space}, **more}


@contextmanager
def added(cluster: Cluster, made: Object) -> Iterator[None]:
    """An object that is there for a while."""
    path = path_of(made)
    cluster.apply(path, made)
    try:
        yield
    finally:
        assert cluster.session.delete(f"{cluster.url}{path}", timeout=30).ok


@dataclass(frozen=True, slots=True)
class World:
    """The copied tree at `root`; every command runs in it."""

    root: Path

    def run(
        self, *argv: str, env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in the tree and keep what it prints."""
        return subprocess.run(
            argv,
            cwd=self.root,
            env={**os.environ, **(env or {})},
            capture_output=True,
            text=True,
            timeout=_LIMIT_SECONDS,
            check=False,
        )

    def forget(self) -> None:
        """Free the disk of a sandbox that has ended: the images of its machines are gigabytes."""
        shutil.rmtree(self.root / ".isoserve", ignore_errors=True)

    def sandbox(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """`python -m regions.sandbox ...`."""
        return self.run(sys.executable, "-m", "regions.sandbox", *arguments)

    def up(self, *arguments: str) -> str:
        """Bring the sandbox up; what it printed."""
        done = self.sandbox("up", *arguments)
        assert done.returncode == 0, f"`up` failed:\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
        return done.stdout

    @cache  # noqa: B019  # a run has few worlds, and the same one is asked a hundred times
    def engine_env(self) -> dict[str, str]:
        """What plain `pulumi` needs, as `env` prints it."""
        lines = self.sandbox("env").stdout.splitlines()
        pairs = (line.removeprefix("export ").split("=", 1) for line in lines)
        return {name: value.strip("'") for name, value in pairs}

    def pulumi(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Plain `pulumi` against the sandbox's backend."""
        env = self.engine_env()
        program = shutil.which("pulumi", path=env["PATH"])
        assert program, "the toolchain has a pulumi"
        return self.run(program, *arguments, "--non-interactive", env=env)

    def apply(self, region: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """`pulumi up` of one region, without what the sandbox's own `up` does around it."""
        return self.pulumi("up", "--yes", "--skip-preview", "-s", region, *arguments)

    def must_apply(self, region: str, *arguments: str) -> None:
        """The same, which must end well."""
        done = self.apply(region, *arguments)
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]

    def steps(self, region: str, *arguments: str) -> dict[str, str]:
        """What `pulumi preview` would do: operation by URN, `same` and `read` left out."""
        done = self.pulumi("preview", "--json", "-s", region, *arguments)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        steps = json.loads(done.stdout)["steps"]
        return {s["urn"]: s["op"] for s in steps if s["op"] not in ("same", "read", "refresh")}

    def cluster(self, region: str) -> Cluster:
        """The region's API server."""
        return connect(region, self.root / ".isoserve" / region / "kubeconfig")

    def network(self, region: str) -> Network:
        """The names and addresses of a region that is up."""
        found = claimed(self.root / ".isoserve" / region)
        assert found is not None, f"{region} is up"
        return found

    def status(self) -> list[dict[str, Any]]:
        """The table of `up`, as data."""
        rows: list[dict[str, Any]] = json.loads(self.sandbox("status", "--json").stdout)
        return rows

    def spec(self, model: str) -> Path:
        """The file of a model."""
        return self.root / "model_specs" / f"{model}.yaml"

    def edit_spec(self, model: str, /, **fields: Any) -> None:
        """Write a spec with some of its fields changed."""
        values = yaml.safe_load(self.spec(model).read_text())
        self.spec(model).write_text(yaml.safe_dump({**values, **fields}))

    def processes(self) -> list[str]:
        """Command lines of every process that was started from this tree or mounts of it."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                try:
                    line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                    # What runs in a pod is named by paths of its own.
                    mounts = (entry / "mountinfo").read_text()
                except OSError:  # it has ended
                    continue
                if str(self.root) in line or str(self.root) in mounts:
                    found.append(line)
        return found

    def server_processes(self, region: str) -> list[int]:
        """The processes of search/ranker's server, by this machine's ids."""
        selector = "labelSelector=isoserve.dev/model%3Dranker"
        pods = self.cluster(region).get(f"/api/v1/namespaces/search/pods?{selector}")
        assert pods is not None
        marks = [f"pod{pod['metadata']['uid']}" for pod in pods["items"]]
        found = []
        for entry in (one for one in Path("/proc").iterdir() if one.name.isdigit()):
            try:
                told = (entry / "cgroup").read_text()
                line = (entry / "cmdline").read_text()
            except OSError:  # it has ended
                continue
            if "mlserver" in line and any(mark in told for mark in marks):
                found.append(int(entry.name))
        return found

    def stopped_up(self, when: Callable[[str], object], number: signal.Signals) -> int:
        """Start `up`, send it a signal once `when` says so of a line of it; its exit code."""
        with subprocess.Popen(
            [sys.executable, "-m", "regions.sandbox", "up"],
            cwd=self.root,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            assert process.stdout is not None
            deadline, told = time.monotonic() + _LIMIT_SECONDS, []
            for line in process.stdout:
                told.append(line)
                if when(line) or time.monotonic() > deadline:
                    break
            assert process.poll() is None, f"it has ended before:\n{''.join(told[-20:])}"
            process.send_signal(number)
            # Not until its output ends: what a killed one leaves running may hold that.
            return process.wait(_LIMIT_SECONDS)


@dataclass(frozen=True, slots=True)
class Begun:
    """A `pulumi` that runs, and what it has printed so far."""

    process: subprocess.Popen[bytes]
    output: Path

    def told(self) -> str:
        """Everything so far."""
        return self.output.read_text(errors="replace")

    def ended(self) -> bool:
        """Whether it runs no more."""
        return self.process.poll() is not None

    def wait(self) -> int:
        """Its exit code."""
        return self.process.wait(_LIMIT_SECONDS)


@contextmanager
def begun(world: World, region: str, *arguments: str) -> Iterator[Begun]:
    """Plain `pulumi` of a region, looked at while it runs; ended with its children at the end."""
    env = {**os.environ, **world.engine_env()}
    program = shutil.which("pulumi", path=env["PATH"])
    assert program, "the toolchain has a pulumi"
    words = [program, *arguments, "--non-interactive", "-s", region]
    output = world.root / ".isoserve" / "begun.log"
    with output.open("wb") as file:
        process = subprocess.Popen(
            words, cwd=world.root, env=env, stdout=file, stderr=file, start_new_session=True
        )
        try:
            yield Begun(process, output)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def copy_tree(root: Path) -> World:
    """Copy what git would commit; built programs, packages and images are shared by links.

    Its sandbox ends with this process at the latest.
    """
    watch(root)
    copy_tracked(root)
    (root / ".isoserve").mkdir()
    for name in _KEPT:
        (ROOT / ".isoserve" / name).mkdir(parents=True, exist_ok=True)
        (root / ".isoserve" / name).symlink_to(ROOT / ".isoserve" / name)
    return World(root)


def brought_up(made: World, regions: Iterable[str]) -> Iterator[World]:
    """The sandbox of the tree, up; nothing of it stays."""
    try:
        made.up(*(word for region in regions for word in ("--region", region)))
        yield made
    finally:
        done = made.sandbox("down")
        if done.returncode == 0:
            made.forget()
