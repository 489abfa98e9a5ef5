"""The machines of a region's node groups: real ones that join and leave while the region runs.

What a machine joined as is kept in a record, which is written before anything of the machine is
made and removed after everything of it: a round that was killed is completed by the next one.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict

from regions.sandbox.errors import SandboxError
from regions.sandbox.kube import Cluster, Object, Refused
from regions.sandbox.layout import certificates_of, region_home, write_atomically
from regions.sandbox.node import machine
from regions.sandbox.node.certificates import authority
from regions.sandbox.node.machine import Machine
from regions.sandbox.node.network import Network

DRAIN_SECONDS: Final = 900.0
"""When a group shrinks, EKS evicts the pods of a node, and after 15 minutes ends it all the same
(its user guide, "Simplify node lifecycle with managed node groups", read 2026-11)."""
INDICES: Final = range(101, 245)
"""Machines that always stand have lower ones, and a network has no higher ones."""
_NODES: Final = "/api/v1/nodes"
_MERGE: Final = "application/merge-patch+json"


class Record(BaseModel):
    """What one machine joined as, by which number, and since when it leaves, if it does."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    index: int
    labels: dict[str, str]
    taints: tuple[dict[str, str], ...]
    leaving_since: float | None = None
    """In seconds since 1970: a drain goes on in the process of a later start."""


def keep(cluster: Cluster, network: Network, wanted: Iterable[Machine]) -> None:
    """Start the wanted machines that do not run, mark those that do, and lead the others out.

    One round, which waits for nothing. The wanted machines have no index: it is found here.
    Raises SandboxError at the first thing that is refused.
    """
    region = cluster.region
    machines = {one.name: one for one in wanted}
    for name, record in _records(region).items():
        if record.leaving_since is not None or name not in machines:
            _leave(cluster, network, name, record)
    records = _records(region)
    for name, one in machines.items():
        if name not in records:
            records[name] = _joining(one, free_index(records.values()))
            _write(region, name, records[name])
        if records[name].leaving_since is None:
            _stay(cluster, network, one, records[name])


def free_index(records: Iterable[Record]) -> int:
    """The lowest index that no machine of a group has. Raises SandboxError where all are taken."""
    taken = {record.index for record in records}
    for index in INDICES:
        if index not in taken:
            return index
    raise SandboxError(
        f"all {len(INDICES)} machines that node groups may have are there; shrink one of the groups"
    )


def marks(node: Object, before: Record, after: Record) -> Object:
    """The merge patch for a Node that joined as `before`; labels and taints of others stay."""
    gone = before.labels.keys() - after.labels.keys()
    ours = {(taint["key"], taint["effect"]) for taint in (*before.taints, *after.taints)}
    others = [
        taint
        for taint in node["spec"].get("taints") or ()
        if (taint["key"], taint["effect"]) not in ours
    ]
    return {
        "metadata": {
            # Refused where somebody has added a taint meanwhile.
            "resourceVersion": node["metadata"]["resourceVersion"],
            "labels": {**dict.fromkeys(gone), **after.labels},
        },
        "spec": {"taints": [*others, *after.taints]},
    }


def to_evict(pods: Iterable[Object]) -> list[Object]:
    """The pods that a drained node must not have: all but those of DaemonSets."""
    return [
        pod
        for pod in pods
        if all(owner["kind"] != "DaemonSet" for owner in pod["metadata"].get("ownerReferences", ()))
    ]


def _joining(one: Machine, index: int) -> Record:
    taints = tuple(dict(taint) for taint in one.taints)
    return Record(index=index, labels=dict(one.labels), taints=taints)


def _stay(cluster: Cluster, network: Network, one: Machine, known: Record) -> None:
    if not machine.is_running(one.region, known.index):
        signer = authority(certificates_of(one.region))
        machine.start(replace(one, index=known.index), network, signer, cluster.url)
    after = _joining(one, known.index)
    if after == known:
        return
    path = f"{_NODES}/{one.name}"
    # One that has not registered yet may do so as it was started.
    if node := cluster.get(path):
        cluster.send("PATCH", path, marks(node, known, after), _MERGE)
        _write(one.region, one.name, after)


def _leave(cluster: Cluster, network: Network, name: str, record: Record) -> None:
    region, path = cluster.region, f"{_NODES}/{name}"
    if record.leaving_since is None:
        record = record.model_copy(update={"leaving_since": time.time()})
        _write(region, name, record)
    since = record.leaving_since or 0.0
    if machine.is_running(region, record.index) and time.time() - since < DRAIN_SECONDS:
        _cordon(cluster, path)
        if _evict(cluster, name):
            return
    machine.remove(Machine(region=region, index=record.index, name=name), network)
    cluster.delete(path)
    _file(region, name).unlink(missing_ok=True)


def _cordon(cluster: Cluster, path: str) -> None:
    node = cluster.get(path)
    if node and not node["spec"].get("unschedulable"):
        cluster.send("PATCH", path, {"spec": {"unschedulable": True}}, _MERGE)


def _evict(cluster: Cluster, name: str) -> Sequence[Object]:
    """Ask the pods of a node to leave; those that are still there."""
    found = cluster.get(f"/api/v1/pods?fieldSelector=spec.nodeName%3D{name}") or {}
    left = to_evict(found.get("items", ()))
    for pod in left:
        metadata = pod["metadata"]
        if "deletionTimestamp" in metadata:
            continue
        head = {key: metadata[key] for key in ("name", "namespace")}
        path = f"/api/v1/namespaces/{head['namespace']}/pods/{head['name']}/eviction"
        wanted = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": head}
        # A disruption budget may let it go later, and it may have gone by itself.
        with contextlib.suppress(Refused):
            cluster.send("POST", path, wanted, "application/json")
    return left


def _file(region: str, name: str) -> Path:
    return region_home(region) / "group-machines" / f"{name}.json"


def _records(region: str) -> dict[str, Record]:
    paths = sorted(_file(region, "any").parent.glob("*.json"))
    return {path.stem: Record.model_validate_json(path.read_text()) for path in paths}


def _write(region: str, name: str, record: Record) -> None:
    write_atomically(_file(region, name), record.model_dump_json())
