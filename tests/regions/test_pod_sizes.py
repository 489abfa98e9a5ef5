"""A spec says how large /tmp and /dev/shm are, and the plan counts both where they are taken."""

from __future__ import annotations

from typing import Any

import pytest

from components.kube import Object
from model_specs.errors import SpecErrors
from regions.machines import MACHINES
from regions.resolve import resolve
from tests.builders import DIGEST
from tests.examples import (
    GIB,
    a_model,
    a_profile,
    a_tree,
    address,
    an_offer,
    of_kind,
    planned,
    rendered,
    template,
)

JOB = {"batch": {"command": ["index"]}}
OWN_IMAGE = f"registry.example.com/team/server@sha256:{DIGEST}"


def the_pod(kind: str, **fields: Any) -> Object:
    made = next(
        one
        for one in of_kind(kind, rendered(planned(a_model(**fields))))
        if one["metadata"]["name"].startswith("sentiment")
    )
    pod: Object = template(made)["spec"]
    return pod


def volume(name: str, pod: Object) -> Object:
    (found,) = (row["emptyDir"] for row in pod["volumes"] if row["name"] == name)
    made: Object = found
    return made


@pytest.mark.parametrize(("kind", "more"), [("Deployment", {}), ("Job", JOB)], ids=str)
def test_a_spec_says_the_sizes_of_servers_and_jobs(kind: str, more: dict[str, Any]) -> None:
    pod = the_pod(kind, tmp_gib=20, shared_memory_gib=12, **more)
    assert volume("tmp", pod) == {"sizeLimit": "20Gi"}
    assert volume("shared-memory", pod) == {"medium": "Memory", "sizeLimit": "12Gi"}


def test_tmp_is_asked_of_the_nodes_disk_and_shared_memory_of_no_more_memory() -> None:
    plain, large = the_pod("Deployment"), the_pod("Deployment", tmp_gib=20, shared_memory_gib=12)
    own, more = (pod["containers"][0]["resources"] for pod in (plain, large))
    assert own["limits"]["ephemeral-storage"] == "8Gi"
    assert more["limits"]["ephemeral-storage"] == "24Gi", "above it the kubelet evicts the pod"
    assert more["requests"] == more["limits"], "the scheduler keeps the room free"
    assert more["limits"]["memory"] == own["limits"]["memory"], (
        "what is written to /dev/shm counts as the container's memory, which is the machine type's"
    )


def test_what_a_spec_does_not_say_stays_as_it_was() -> None:
    pod = the_pod("Deployment")
    assert volume("tmp", pod) == {"sizeLimit": "4Gi"}
    assert volume("shared-memory", pod) == {"medium": "Memory", "sizeLimit": "8Gi"}


@pytest.mark.parametrize("machine", sorted(MACHINES))
def test_shared_memory_is_half_of_the_pods_memory_at_most(machine: str) -> None:
    most = MACHINES[machine].memory_gib // 2
    tree = a_tree(a_model(machine_type=machine, image=OWN_IMAGE, shared_memory_gib=most + 1))
    with pytest.raises(SpecErrors) as refused:
        resolve(tree, a_profile(), "test-region")
    (error,) = refused.value.errors
    assert (error.path, error.code) == ("shared_memory_gib", "E334")
    assert f"write {most} or less" in error.message


def test_a_model_in_memory_has_what_shared_memory_leaves() -> None:
    fields = {"machine_type": "cpu.4", "image": "mlserver"}
    facts = {address("search", "sentiment"): 5 * GIB}
    assert planned(a_model(**fields), facts=facts).gaps == ()
    (gap,) = planned(a_model(shared_memory_gib=4, **fields), facts=facts).gaps
    assert (gap.path, gap.code) == ("model", "E334")
    assert "holds 4.0 GiB of memory beside the 4 of /dev/shm" in gap.reason


def test_a_tmp_that_no_node_has_the_disk_for_is_refused() -> None:
    offer = an_offer(9, cache_disk_gib=20, replicas_per_node=2)
    tree = a_tree(a_model(image=OWN_IMAGE, cache="never", tmp_gib=60), facts={"": 1})
    with pytest.raises(SpecErrors) as refused:
        resolve(tree, a_profile(machines={"gpu.l4.1": offer}), "test-region")
    (error,) = refused.value.errors
    assert (error.path, error.code) == ("machines.gpu.l4.1.cache_disk_gib", "E381")
    assert "would be Pending for ever" in error.message
    assert "lower tmp_gib" in error.message
