"""Bringing the sandbox up, step by step and again after any interruption, and taking it down."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, TypeVar

from regions.sandbox import (
    clusters,
    control_plane,
    crds,
    engine,
    nodes,
    object_store,
    probes,
    processes,
    real_machines,
    servers,
    toolchain,
)
from regions.sandbox.console import INTERRUPTED, Step, line, step
from regions.sandbox.errors import SandboxError
from regions.sandbox.events import Progress
from regions.sandbox.example import data_keys, registry_secret
from regions.sandbox.example import publish as example
from regions.sandbox.kube import Cluster
from regions.sandbox.layout import (
    HOME,
    LOCK_FILE,
    PORTS_FILE,
    REGIONS,
    RUN,
    STACKS,
    STATE,
    region_home,
)
from regions.sandbox.node import gateway, packages, prometheus
from regions.sandbox.node.network import Network, network_of
from regions.sandbox.node.region import begun
from regions.sandbox.ports import choose_ports
from regions.sandbox.toolchain import Toolchain

_PROBES_TIMEOUT_SECONDS: Final = 300.0
T = TypeVar("T")
Kubeconfigs = Mapping[str, tuple[Path, str | None]]


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Be the only `up` or `down` of this sandbox; the kernel frees the lock of a killed one.

    Raises SandboxError naming the holder otherwise.
    """
    try:
        HOME.mkdir(exist_ok=True)
        stream = LOCK_FILE.open("a+")
    except OSError as reason:
        raise SandboxError(
            f"{HOME} is not to be written ({reason.strerror}): work as the user whose it is"
        ) from reason
    with stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as reason:
            stream.seek(0)
            holder = stream.read().strip() or "unknown"
            raise SandboxError(
                f"another `python -m regions.sandbox` works here: process {holder}. Wait until it "
                "is done, or end it, and run this again"
            ) from reason
        stream.truncate(0)
        stream.write(str(os.getpid()))
        stream.flush()
        yield


def up(regions: Sequence[str], kubeconfigs: Kubeconfigs) -> dict[str, Progress]:
    """Bring the regions up, or complete what an interrupted run has begun; counts per region.

    Raises SandboxError at the first step that fails; what runs by then stays for the next try.
    """
    for stack in STACKS:
        if engine.end_orphans(stack):
            line(stack, "engine", "ended what an interrupted run had left")
    choose_ports(anything_runs=processes.any_running())
    adopted = {region for region in regions if region in kubeconfigs or clusters.is_adopted(region)}
    for region in adopted:
        if begun(region):
            raise SandboxError(
                f"region {region} has real machines; take it down first (`make down`)"
            )
    has_machines = not adopted >= set(regions)
    if has_machines:
        packages.require()
    with step("sandbox", "toolchain") as running:
        tools = toolchain.prepare(running.say, own_clusters=not has_machines)
        servers.ensure(running.say)
        if has_machines:
            toolchain.prepare_node(running.say)
        running.note = f"pulumi {tools.pulumi}"
    running_clusters = _prepare_worlds(regions, kubeconfigs, adopted)
    counts = _bring_stacks_up(tools, running_clusters)
    _parallel(lambda region: _look_whether_it_serves(running_clusters[region]), regions)
    return counts


def _prepare_worlds(
    regions: Sequence[str], kubeconfigs: Kubeconfigs, adopted: set[str]
) -> dict[str, Cluster]:
    def world(region: str) -> Cluster:
        if region not in adopted:
            return real_machines.start(region)
        cluster = _adopted(region, kubeconfigs)
        _furnish(cluster)
        return cluster

    with _workers(2) as pool:
        # Neither needs the other, and each is mostly waiting.
        store = pool.submit(_start_object_store)
        if toolchain.has_go():
            with step("sandbox", "crds") as running:
                running.note = crds.prefetch()
        store.result()
    return _parallel(world, regions)


def _start_object_store() -> None:
    with step("sandbox", "object store") as running:
        if object_store.start():
            running.note = "started"
            for region in (one for one in REGIONS if engine.stack_file(one).exists()):
                region_home(region).mkdir(parents=True, exist_ok=True)
                engine.refresh_mark(region).touch()
        else:
            running.note = "runs"


def _adopted(region: str, kubeconfigs: Kubeconfigs) -> Cluster:
    with step(region, "control plane") as running:
        if region in kubeconfigs:
            cluster = clusters.adopt(region, *kubeconfigs[region])
        else:
            cluster = clusters.readopt(region)
        running.note = cluster.url
        return cluster


def _furnish(cluster: Cluster) -> None:
    """Give an existing cluster definitions and simulated nodes, where Go can make both."""
    with step(cluster.region, "crds") as running:
        if toolchain.has_go():
            running.note = crds.install(cluster)
        else:
            crds.require_present(cluster)
    if toolchain.has_go():
        with step(cluster.region, "nodes") as running:
            control_plane.start_simulation(cluster.region)
            running.note = nodes.stand_up(cluster)
            nodes.start_joining(cluster.region)


def _bring_stacks_up(tools: Toolchain, regions: Mapping[str, Cluster]) -> dict[str, Progress]:
    """`pulumi up` of all regions, and beside it what people would do while it waits for pods."""
    given_up = threading.Event()

    def publish() -> None:
        home, *others = regions
        with step("sandbox", "example model") as running:
            example.publish(home, others, running.say, given_up)

    def hand_keys_out(cluster: Cluster) -> None:
        with step(cluster.region, "registry keys") as running:
            registry_secret.apply(cluster, running.say, given_up)
            data_keys.apply(cluster, running.say, given_up)
            if network_of(cluster.region):
                gateway.hand_out_certificate(cluster, given_up)

    with _workers() as pool:
        beside = [pool.submit(publish)]
        beside += [pool.submit(hand_keys_out, cluster) for cluster in regions.values()]
        stacks = pool.submit(
            _parallel, lambda region: _bring_stack_up(tools, regions[region]), list(regions)
        )
        stacks.add_done_callback(lambda _: given_up.set())
    # What failed beside them may be why a stack failed, so it is told first.
    _raise_all([*beside, stacks])
    return stacks.result()


def _bring_stack_up(tools: Toolchain, cluster: Cluster) -> Progress:
    region = cluster.region
    if network := network_of(region):
        _bring_addons_up(tools, cluster, network)
    mark = engine.refresh_mark(region)
    running = Step(region, "up")
    progress = engine.up(tools, region, running.say, refresh=mark.exists())
    mark.unlink(missing_ok=True)
    running.say(progress.summary())
    for told in progress.told:
        running.say(told)
    return progress


def _bring_addons_up(tools: Toolchain, cluster: Cluster, network: Network) -> None:
    """The stack REGION.addons, which comes first: the region's has objects of its definitions."""
    with step(cluster.region, "add-ons") as running:
        running.note = gateway.install(tools, cluster, network, running.say)


def _look_whether_it_serves(cluster: Cluster) -> None:
    with step(cluster.region, "probes") as running:
        running.note = probes.await_right_answers(cluster, _PROBES_TIMEOUT_SECONDS)
    if clusters.is_adopted(cluster.region):
        return  # it has a Prometheus of its own, or none
    with step(cluster.region, "prometheus") as running:
        try:
            running.note = prometheus.await_ready(cluster)
        except SandboxError as reason:
            # It watches; nothing that is served leans on it.
            running.note = f"none: {reason}"


@contextlib.contextmanager
def _workers(number: int | None = None) -> Iterator[ThreadPoolExecutor]:
    """Threads that have ended when this ends, also where it is interrupted: they hold the lock."""
    pool = ThreadPoolExecutor(number)
    try:
        yield pool
        pool.shutdown()
    finally:
        pool.shutdown(cancel_futures=True)


def _parallel(work: Callable[[str], T], regions: Sequence[str]) -> dict[str, T]:
    with _workers(max(1, len(regions))) as pool:
        running = {region: pool.submit(work, region) for region in regions}
    _raise_all(running.values())
    return {region: one.result() for region, one in running.items()}


def _raise_all(ended: Iterable[Future[Any]]) -> None:
    """Let every failure have its say before the first one ends the run."""
    errors = [error for one in ended if (error := one.exception()) is not None]
    for error in errors:
        if not isinstance(error, SandboxError):
            raise error
    if errors:
        raise SandboxError("\n".join(map(str, errors)))


def down() -> None:
    """End every process of the sandbox and forget its world; programs, venv, images and logs stay.

    Raises SandboxError with what does not end; then all else has ended, and the files are kept.

    The state goes with the world: protected buckets make `pulumi destroy` refuse, and what they
    were in is gone.
    """
    with step("sandbox", "engine") as running:
        ended = sum(map(engine.end_orphans, STACKS))
        running.note = f"{ended} processes of interrupted runs ended"
    with step("sandbox", "nodes") as running:
        running.note = f"{sum(nodes.stop_joining(region) for region in REGIONS)} ended"
    stuck = []
    with step("sandbox", "machines") as running:
        ended = 0
        for region in REGIONS:
            try:
                ended += real_machines.stop(region)
            except SandboxError as reason:
                stuck.append(str(reason))
        running.note = f"{ended} regions ended"
    with step("sandbox", "control planes") as running, ThreadPoolExecutor() as pool:
        running.note = f"{sum(pool.map(control_plane.stop, REGIONS))} processes ended"
    with step("sandbox", "object store") as running:
        running.note = "ended" if object_store.stop() else "none ran"
    if stuck:
        raise SandboxError("\n".join(stuck))
    for folder in (RUN, STATE, HOME / "aws", *map(region_home, REGIONS)):
        shutil.rmtree(folder, ignore_errors=True)
    PORTS_FILE.unlink(missing_ok=True)


def was_begun() -> bool:
    """Whether an earlier run has left anything that `down` would forget, running or not."""
    return processes.any_running() or any(region_home(region).exists() for region in REGIONS)


def end_interrupted() -> None:
    """Take down what an interrupted run has started, as `down` does."""
    INTERRUPTED.clear()
    down()


def interrupt() -> None:
    """End the engines of this run, and let no step begin, so that the threads come back."""
    INTERRUPTED.set()
    for stack in STACKS:
        engine.end_own(stack)
