"""Machines of node groups come and go the same way, whatever is killed meanwhile."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest

from regions.sandbox.errors import SandboxError
from regions.sandbox.kube import Cluster, Object, Refused
from regions.sandbox.node import groups, machine
from regions.sandbox.node.machine import Machine
from regions.sandbox.node.network import Network

NETWORK = Network(7)
TAINT = {"key": "team", "value": "a", "effect": "NoSchedule"}


class KilledError(Exception):
    """The process ends here."""


@dataclass
class World:
    """An API server and a host; it is killed at the step number `killed_at`, counted from 0."""

    region: str = "sandbox-aws"
    url: str = "https://198.18.7.2:6443"
    nodes: dict[str, Object] = field(default_factory=dict)
    pods: list[Object] = field(default_factory=list)
    running: dict[str, int] = field(default_factory=dict)
    evictions: list[str] = field(default_factory=list)
    budget_allows: bool = True
    killed_at: int | None = None
    steps: int = 0

    def step(self) -> None:
        if self.steps == self.killed_at:
            self.steps += 1
            raise KilledError
        self.steps += 1

    def get(self, path: str) -> Object | None:
        if path.startswith("/api/v1/pods"):
            return {"items": list(self.pods)}
        return self.nodes.get(path.rpartition("/")[2])

    def send(self, method: str, path: str, body: Object, _content_type: str) -> Object:
        self.step()
        if path.endswith("/eviction"):
            self.evictions.append(body["metadata"]["name"])
            if not self.budget_allows:
                raise Refused(429, "the disruption budget says no")
            self.pods = [
                one for one in self.pods if one["metadata"]["name"] != body["metadata"]["name"]
            ]
        else:
            node = self.nodes[path.rpartition("/")[2]]
            node["spec"].update(body["spec"])
            labels = {**node["metadata"]["labels"], **body.get("metadata", {}).get("labels", {})}
            kept = {name: text for name, text in labels.items() if text is not None}
            node["metadata"]["labels"] = kept
        return {}

    def delete(self, path: str) -> None:
        self.step()
        self.nodes.pop(path.rpartition("/")[2], None)

    def start(self, one: Machine, *_: Any) -> bool:
        if one.name in self.running:
            return False
        self.step()
        self.running[one.name] = one.index
        taints = [dict(taint) for taint in one.taints]
        metadata = {"name": one.name, "labels": dict(one.labels), "resourceVersion": "1"}
        self.nodes.setdefault(one.name, {"metadata": metadata, "spec": {"taints": taints}})
        return True

    def remove(self, one: Machine, *_: Any) -> None:
        self.step()
        self.running.pop(one.name, None)
        self.step()

    def is_running(self, _region: str, index: int) -> bool:
        return index in self.running.values()

    def round(self, wanted: Iterable[Machine]) -> None:
        groups.keep(cast(Cluster, self), NETWORK, wanted)

    def records(self) -> list[str]:
        return sorted(groups._records(self.region))


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    made = World()
    monkeypatch.setattr(groups, "region_home", lambda region: tmp_path / region)
    monkeypatch.setattr(groups, "certificates_of", lambda region: tmp_path / region / "certs")
    for name in ("start", "remove", "is_running"):
        monkeypatch.setattr(machine, name, getattr(made, name))
    return made


def a_machine(number: int = 0, **fields: Any) -> Machine:
    return Machine(region="sandbox-aws", index=0, name=f"cpu-{number:02d}", **fields)


def a_pod(name: str, kind: str = "ReplicaSet") -> Object:
    owners = [{"kind": kind, "name": "owner"}]
    return {"metadata": {"name": name, "namespace": "search", "ownerReferences": owners}}


def test_a_machine_keeps_its_number_and_a_number_that_is_free_is_used_again(world: World) -> None:
    world.round([a_machine(0), a_machine(1)])
    assert world.running == {"cpu-00": 101, "cpu-01": 102}, "below are the standing machines"
    world.round([a_machine(1)])
    world.round([a_machine(1), a_machine(2)])
    assert world.running == {"cpu-01": 102, "cpu-02": 101}


def test_a_machine_that_died_is_started_by_its_old_number(world: World) -> None:
    world.round([a_machine(0), a_machine(1)])
    world.running.clear()
    world.round([a_machine(1), a_machine(0)])
    assert world.running == {"cpu-00": 101, "cpu-01": 102}, "its disk and certificate are of that"


def test_too_many_machines_are_refused_with_what_to_do() -> None:
    taken = [groups.Record(index=index, labels={}, taints=()) for index in groups.INDICES]
    assert groups.free_index(taken[1:]) == groups.INDICES[0]
    with pytest.raises(SandboxError, match=r"144 machines .* shrink one of the groups"):
        groups.free_index(taken)


def test_what_a_group_says_anew_reaches_its_living_node_and_strangers_marks_stay(
    world: World,
) -> None:
    world.round([a_machine(labels={"old": "1", "same": "1"}, taints=[TAINT])])
    node = world.nodes["cpu-00"]
    strangers = {"key": "node.kubernetes.io/disk-pressure", "effect": "NoSchedule"}
    node["spec"]["taints"].append(strangers)
    node["metadata"]["labels"]["theirs"] = "1"
    changed = {**TAINT, "value": "b"}
    world.round([a_machine(labels={"same": "1", "new": "2"}, taints=[changed])])
    assert node["metadata"]["labels"] == {"same": "1", "new": "2", "theirs": "1"}
    assert node["spec"]["taints"] == [strangers, changed]
    steps = world.steps
    world.round([a_machine(labels={"same": "1", "new": "2"}, taints=[changed])])
    assert world.steps == steps, "nothing is said twice"


def test_a_machine_that_is_not_wanted_waits_for_its_pods(world: World) -> None:
    world.round([a_machine()])
    world.pods, world.budget_allows = [a_pod("server"), a_pod("agent", "DaemonSet")], False
    world.round([])
    assert world.nodes["cpu-00"]["spec"]["unschedulable"], "no new pod comes"
    assert world.running, "its pod may not go yet"
    world.round([a_machine()])
    assert world.running, "one that leaves goes to the end: its group gets another one after it"
    world.budget_allows = True
    world.round([])
    world.round([])
    assert (world.running, world.nodes, world.records()) == ({}, {}, [])
    assert set(world.evictions) == {"server"}, "a DaemonSet's pod ends with its node"


def test_a_pod_that_never_goes_holds_a_machine_for_as_long_as_eks_waits(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.round([a_machine()])
    world.pods, world.budget_allows = [a_pod("server")], False
    monkeypatch.setattr(time, "time", lambda: 1000.0)
    world.round([])
    monkeypatch.setattr(time, "time", lambda: 1000.0 + groups.DRAIN_SECONDS)
    world.round([])
    assert not world.running, "EKS ends it all the same"


def test_a_dead_machine_leaves_at_once(world: World) -> None:
    world.round([a_machine()])
    world.pods, world.running = [a_pod("server")], {}
    world.round([])
    assert (world.nodes, world.evictions) == ({}, []), "nobody is there to end its pods"


def test_a_kill_at_any_step_changes_nothing_in_the_end(world: World) -> None:
    for step in itertools.count():
        world.killed_at, world.steps = step, 0
        for size in (2, 1, 0):
            wanted = [a_machine(number, taints=[TAINT]) for number in range(size)]
            world.pods = [a_pod("server")]
            for _ in range(4):
                try:
                    world.round(wanted)
                except KilledError:
                    continue
            names = [one.name for one in wanted]
            assert sorted(world.running) == sorted(world.nodes) == world.records() == names, step
        if world.steps <= step:
            return
