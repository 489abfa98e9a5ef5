"""Disks of real machines: one that fills, and one that comes back with its lost machine.

What the project renders for sandbox-onprem is applied as it is. Each machine has a disk of its own,
which the test fills up to where it matters with a file that costs nothing.
"""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Any, Final

import pytest

from components.kube import Object
from components.kube_client import KubeClient
from components.readiness import Target
from components.trouble import troubles
from regions.sandbox.node.disk import devices_of
from tests.engine.real_example import (
    asked,
    metrics,
    ready_agents,
    ready_ranker,
)
from tests.engine.real_region import (
    RealRegion,
    eventually,
    namespace,
    programs_of,
    python_pod,
)
from tests.engine.served_regions import FREE_PERCENT, MACHINES
from tests.engine.site import has_condition

pytestmark = pytest.mark.engine

VERSION_BYTES: Final = 224 << 20
"""More than what lies between FREE_PERCENT and where the kubelet evicts: such a model decides."""
KUBELET_LOOKS_SECONDS: Final = 25
"""Two of the kubelet's looks at its disks, one each 10 s, and its report."""
GREEDY_PERCENT: Final = 12
"""What the greedy pod leaves free."""
GREEDY: Final = "/apis/apps/v1/namespaces/greedy/deployments/greedy"
_CACHE: Final = "/api/v1/namespaces/isoserve-cache"
_PUSH: Final = """
import json, tempfile
from pathlib import Path
from components.model_registry import keys
from components.model_registry.account import Account
from components.model_registry.push import PARTS_AT_ONCE, Push
from components.model_registry.sessions import connect
from components.model_registry.threads import threads
from components.model_registry.uploads import Uploads
from regions.sandbox import object_store, ports
from regions.sandbox.layout import AWS
from regions.sandbox.plans import plan_of
account = Account(region=object_store.AWS_REGION, profile=object_store.PROFILE,
    config_file=str(AWS / "config"), credentials_file=str(AWS / "credentials"))
bucket = plan_of("{region}").registry.bucket
registry = connect(bucket, ports.object_store_url(), account)
made = {{}}
for label in ("v1", "v2"):
    with tempfile.TemporaryDirectory() as folder, threads(PARTS_AT_ONCE) as senders:
        with open(folder + "/weights.bin", "wb") as stream:
            stream.write(label.encode())
            stream.truncate(%d)
        uploads = Uploads(registry.client, bucket, senders)
        address = keys.address("search/large:" + label)
        push = Push(registry.store, uploads, address, lambda *_: None)
        files = [("weights.bin", Path(folder) / "weights.bin")]
        made[label] = push.run(files, {{}}).digest
print(json.dumps(made))
"""
_GREEDY: Final = """
import os, signal
disk = os.statvfs("/data")
surplus = disk.f_bavail - disk.f_blocks * %d // 100
with open("/data/file", "wb") as file:
    os.posix_fallocate(file.fileno(), 0, surplus * disk.f_frsize)
signal.pause()
"""


@pytest.fixture(scope="module")
def versions(region: RealRegion) -> dict[str, str]:
    """Two versions of a large model in the registry: the digest of each by its label."""
    made: dict[str, str] = json.loads(region.run_program(_PUSH % VERSION_BYTES).splitlines()[-1])
    return made


@pytest.fixture(scope="module")
def machine(region: RealRegion) -> str:
    """Where the model server stands at first."""
    name: str = ready_ranker(region)["spec"]["nodeName"]
    return name


def test_the_agent_makes_room_before_the_kubelet_sees_any_pressure(
    region: RealRegion, versions: dict[str, str], machine: str
) -> None:
    at_first, server = pressure(region, machine), ready_ranker(region)
    assert at_first["status"] == "False"
    bring_second(region, machine, versions, FREE_PERCENT)
    there = [label for label, digest in versions.items() if holds(region, machine, digest)]
    assert there == ["v2"], "nobody asks for the first one, so it made room"
    looks = time.monotonic() + KUBELET_LOOKS_SECONDS
    while time.monotonic() < looks:
        assert pressure(region, machine) == at_first, "the kubelet has never seen pressure"
        time.sleep(1)
    assert server["metadata"]["uid"] == ready_ranker(region)["metadata"]["uid"]
    assert asked(region)["model_name"] == "ranker", "it served on"


def test_the_pod_that_fills_the_disk_is_evicted_and_no_model_server(
    region: RealRegion, machine: str
) -> None:
    server = ready_ranker(region)
    region.make("namespaces", namespace("greedy"))
    region.make("deployments", greedy(machine))
    try:
        eventually(
            lambda: pressure(region, machine)["status"] == "True" or None,
            "the kubelet sees pressure",
            seconds=60,
        )
        eventually(lambda: evicted(region), "the gate names the evicted pod and why", seconds=60)
    finally:
        region.cluster.delete(GREEDY)
    assert server["metadata"]["uid"] == ready_ranker(region)["metadata"]["uid"], "it ranks higher"
    assert asked(region)["model_name"] == "ranker", "it served on"


def test_a_lost_machine_gives_its_model_away_and_comes_back_with_its_disk(
    region: RealRegion, machine: str
) -> None:
    (image,) = region.home.glob(f"machines/{machine}/disk-*.ext4")
    assert len(devices_of(image)) == 1
    assert str(region.home) not in Path("/proc/mounts").read_text(), "the host has no such mount"
    before = ready_ranker(region)
    where = f"/api/v1/namespaces/search/pods/{before['metadata']['name']}"
    assert before["spec"]["nodeName"] == machine
    (first,) = programs_of(region, MACHINES.index(machine) + 1, "init.py")
    os.kill(first, signal.SIGKILL)
    eventually(lambda: not devices_of(image) or None, "the kernel lets go of the disk", seconds=20)
    eventually(
        lambda: None if has_condition(node(region, machine), "Ready") else True,
        "the controllers miss the machine",
        seconds=120,
    )
    after = ready_ranker(region)
    assert after["spec"]["nodeName"] != machine, "another machine serves it"
    assert asked(region)["model_name"] == "ranker"
    region.start()
    assert has_condition(node(region, machine), "Ready")
    eventually(lambda: region.cluster.get(where) is None or None, "the old pod is gone", seconds=60)
    assert fetched_bytes(region, machine) == 0, "its versions are on its disk still"
    assert after["metadata"]["uid"] == ready_ranker(region)["metadata"]["uid"], "nothing moves back"


def test_without_that_room_the_same_model_brings_pressure(
    region: RealRegion, versions: dict[str, str], machine: str
) -> None:
    assert pressure(region, machine)["status"] == "False"
    other_way = dict(zip(("v1", "v2"), reversed(versions.values()), strict=True))
    bring_second(region, machine, other_way, free_percent=0)
    eventually(
        lambda: pressure(region, machine)["status"] == "True" or None,
        "the kubelet sees pressure",
        seconds=60,
    )
    assert all(holds(region, machine, digest) for digest in versions.values()), "both had room"


def bring_second(
    region: RealRegion, machine: str, versions: dict[str, str], free_percent: int
) -> None:
    """Have the agent hold the first version and then, on a disk with little room, the second."""
    first, second = versions["v1"], versions["v2"]
    list_alone(region, machine, "v1", first, free_percent)
    eventually(lambda: holds(region, machine, first) or None, "the first is there", seconds=90)
    disk = of_machine(region, machine)
    size = os.statvfs(disk)
    kept = size.f_blocks * size.f_frsize * FREE_PERCENT // 100 + VERSION_BYTES // 6
    with (disk / "filler").open("ab") as file:
        surplus = size.f_bavail * size.f_frsize - kept
        os.posix_fallocate(file.fileno(), 0, file.tell() + surplus)
    list_alone(region, machine, "v2", second, free_percent)
    eventually(lambda: holds(region, machine, second) or None, "the second is there", seconds=90)


def list_alone(
    region: RealRegion, machine: str, label: str, digest: str, free_percent: int
) -> None:
    """List this version of the large model and none other, beside what the plan lists.

    The machine's agent is replaced: it reads what is listed at its start, else within a minute.
    """
    (config,) = listed(region, "configmaps")
    told = json.loads(config["data"]["models.json"])
    row = {
        "address": f"search/large:{label}@{digest}",
        "bytes": VERSION_BYTES,
        "digest": digest.removeprefix("sha256:"),
        "pinned": True,
        "project": "search",
    }
    models = [one for one in told["models"] if "search/large:" not in one["address"]]
    told |= {"disk_free_percent": free_percent, "models": [*models, row]}
    change = {"data": {"models.json": json.dumps(told)}}
    name = config["metadata"]["name"]
    region.cluster.send(
        "PATCH", f"{_CACHE}/configmaps/{name}", change, "application/merge-patch+json"
    )
    agent = agent_of(region, machine)
    region.cluster.delete(f"{_CACHE}/pods/{agent['metadata']['name']}")


def listed(region: RealRegion, plural: str) -> list[Object]:
    """What of the cache is of the machine type."""
    query = "labelSelector=isoserve.dev%2Fmachine-type%3Dcpu.4"
    found = region.cluster.get(f"{_CACHE}/{plural}?{query}")
    assert found is not None
    items: list[Object] = found["items"]
    return items


def agent_of(region: RealRegion, machine: str) -> Object:
    """The machine's agent, once all are ready."""
    (agent,) = (one for one in ready_agents(region) if one["spec"]["nodeName"] == machine)
    return agent


def fetched_bytes(region: RealRegion, machine: str) -> float:
    """What the machine's agent has read since its start, from the registry and from its peers."""
    lines: list[str] = metrics(region, agent_of(region, machine), 9091)
    kinds = ("isoserve_cache_fetched_bytes_total{", "isoserve_cache_peer_bytes_total{")
    return sum(float(one.rpartition(" ")[2]) for one in lines if one.startswith(kinds))


def holds(region: RealRegion, machine: str, digest: str) -> bool:
    """Whether the version is on the machine's disk, where pods see it."""
    folder = digest.removeprefix("sha256:")
    return (of_machine(region, machine) / "isoserve" / "search" / folder).is_dir()


def of_machine(region: RealRegion, machine: str) -> Path:
    """The machine's /var/lib, by the mount namespace of its process 1."""
    (first,) = programs_of(region, MACHINES.index(machine) + 1, "init.py")
    return Path("/proc", str(first), "root", "var", "lib")


def node(region: RealRegion, machine: str) -> Object:
    found = region.cluster.get(f"/api/v1/nodes/{machine}")
    assert found is not None
    return found


def pressure(region: RealRegion, machine: str) -> dict[str, Any]:
    """Whether the kubelet sees pressure on its disk, and since when that is so."""
    rows = node(region, machine)["status"]["conditions"]
    (row,) = (one for one in rows if one["type"] == "DiskPressure")
    return {name: row[name] for name in ("status", "lastTransitionTime")}


def greedy(machine: str) -> Object:
    """A Deployment of a tenant whose pod fills the machine's disk by its emptyDir."""
    container = {
        "resources": {"limits": {"memory": "64Mi"}},  # no CPU: the model has what is left
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
    }
    pod = python_pod(
        "greedy",
        "greedy",
        _GREEDY % GREEDY_PERCENT,
        container=container,
        nodeSelector={"kubernetes.io/hostname": machine},
        restartPolicy="Always",
        volumes=[{"name": "data", "emptyDir": {}}],
    )
    labels = pod["metadata"]["labels"]
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"namespace": "greedy", "name": "greedy"},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod["spec"]},
        },
    }


def evicted(region: RealRegion) -> str | None:
    """What the gate has to tell of the greedy pod, once it is evicted.

    The pod that takes its place may be Evicted too, without a start: the kubelet lets none in then.
    """
    client = KubeClient(str(region.home / "kubeconfig"), region.name)
    live = region.cluster.get(GREEDY)
    assert live is not None
    target = Target("Deployment", "greedy", "greedy", 1, 60, "greedy", "", 0)
    found = troubles(target, live, client.listed("Pod", "greedy"))
    reason = ": Evicted: The node was low on resource: ephemeral-storage"
    return next((one.why for one in found if reason in one.why), None)
