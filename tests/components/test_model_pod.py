"""The pod around a model: how its files come in, what it may use, what it is told."""

from __future__ import annotations

from typing import Any

import pytest

from components.kube import Object
from components.model_pod import container, pod, resources
from model_specs.names import MODEL_PATH
from regions.model_plan import SecretPlan, WeightsPlan
from tests.builders import DIGEST, a_container, a_placement, a_track, a_workload

CACHED = a_track().weights
PULLED = WeightsPlan(
    mode="download",
    address=CACHED.address,
    digest=DIGEST,
    bytes=CACHED.bytes,
    fetch_mib_per_second=100,
    claim="",
    pinned=False,
)


def a_pod(weights: WeightsPlan = CACHED, **work: Any) -> Object:
    env = work.pop("env", {})
    plan, own, placement = a_workload(**work), a_container(env=env), a_placement()
    return pod(plan, own, placement, weights, container(plan, own, placement, weights))


def volume(name: str, found: Object) -> Object:
    (match,) = (v for v in found["volumes"] if v["name"] == name)
    return {key: value for key, value in match.items() if key != "name"}


def mount(path: str, one: Object) -> Object:
    (match,) = (m for m in one["volumeMounts"] if m["mountPath"] == path)
    found: Object = match
    return found


@pytest.mark.parametrize("weights", [CACHED, PULLED], ids=lambda w: w.mode)
def test_the_server_sees_its_own_version_and_cannot_change_it(weights: WeightsPlan) -> None:
    seen = mount(MODEL_PATH, a_pod(weights)["containers"][0])
    assert seen["subPath"] == DIGEST, "a neighbour's version in the same volume stays unseen"
    assert seen["readOnly"] is True, "what was verified stays as it was"


def test_a_cached_model_comes_through_the_projects_claim() -> None:
    assert volume("models", a_pod()) == {
        "persistentVolumeClaim": {"claimName": "models-gpu-l4-1", "readOnly": True}
    }, "a tenant never has a hostPath"


def test_the_pod_waits_for_the_digest_before_the_server_starts() -> None:
    (first,) = a_pod()["initContainers"]
    assert first["args"][:3] == ["wait", "--digest", DIGEST], (
        "a subPath that is missing at start is made empty, and the server would find nothing"
    )
    assert all(m["readOnly"] for m in first["volumeMounts"] if m["name"] == "models")


def test_without_a_cache_the_pod_downloads_for_itself() -> None:
    found = a_pod(PULLED)
    assert set(volume("models", found)) == {"emptyDir"}
    (first,) = found["initContainers"]
    assert first["args"][:3] == ["pull", "--address", PULLED.address]
    (written,) = (m for m in first["volumeMounts"] if m["name"] == "models")
    assert "readOnly" not in written, "somebody must write the files"


def test_every_scratch_volume_is_bounded() -> None:
    for found in (a_pod(), a_pod(PULLED)):
        for row in found["volumes"]:
            if "emptyDir" in row:
                assert row["emptyDir"]["sizeLimit"], "a full disk evicts the neighbours"


def test_shared_memory_is_large_enough_for_tensor_parallelism() -> None:
    shared = volume("shared-memory", a_pod())["emptyDir"]
    assert shared == {"medium": "Memory", "sizeLimit": "8Gi"}, "64 MiB, the default, is too small"
    assert mount("/dev/shm", a_pod()["containers"][0])["name"] == "shared-memory"


def test_a_model_never_comes_from_a_hub_at_run_time() -> None:
    env = {e["name"]: e["value"] for e in a_pod()["containers"][0]["env"]}
    assert env["HF_HUB_OFFLINE"] == "1"
    assert env["HOME"] == "/tmp", "the root file system is read-only"
    assert env["ISOSERVE_MODEL_DIR"] == MODEL_PATH


def test_the_teams_environment_is_there_and_the_platforms_wins() -> None:
    env = a_pod(env={"HF_HUB_OFFLINE": "0", "LOG_LEVEL": "debug"})["containers"][0]["env"]
    names = [e["name"] for e in env]
    assert names == sorted(set(names)), "a name given twice depends on the order"
    values = {e["name"]: e["value"] for e in env}
    assert values["LOG_LEVEL"] == "debug"
    assert values["HF_HUB_OFFLINE"] == "1", "what is unpinned never comes in"


def test_secrets_are_mounted_as_files_for_reading() -> None:
    secret = SecretPlan(name="store", mount="/secrets/store")
    found = a_pod(secrets=(secret,))
    assert volume("secret-store", found) == {"secret": {"secretName": "store"}}
    seen = mount("/secrets/store", found["containers"][0])
    assert seen["readOnly"] is True
    (first,) = found["initContainers"]
    assert all(m["name"] != "secret-store" for m in first["volumeMounts"]), (
        "the download needs no secret of the team"
    )


@pytest.mark.parametrize("gpus", [0, 1, 8])
def test_a_pod_asks_for_its_gpus_and_no_zero(gpus: int) -> None:
    sizes = resources(a_placement(gpus=gpus))
    assert sizes["limits"] == sizes["requests"], "extended resources cannot be overcommitted"
    assert sizes["limits"].get("nvidia.com/gpu", "0") == str(gpus)
    assert ("nvidia.com/gpu" in sizes["limits"]) == bool(gpus)


def test_without_priority_classes_none_is_named() -> None:
    assert "priorityClassName" not in a_pod(priority_class=""), "an unknown class is refused"
    assert a_pod()["priorityClassName"] == "isoserve-standard"


def test_only_the_init_container_knows_the_registry() -> None:
    found = a_pod(registry_endpoint="http://store:9000")
    (first,) = found["initContainers"]
    env = {e["name"]: e["value"] for e in first["env"]}
    assert env["ISOSERVE_REGISTRY"] == "s3://isoserve-models"
    assert env["ISOSERVE_REGISTRY_ENDPOINT"] == "http://store:9000"
    server = {e["name"] for e in found["containers"][0]["env"]}
    assert not server & set(env), "a server that cannot find the registry cannot read it"


def test_an_endpoint_of_aws_is_not_named() -> None:
    (first,) = a_pod(registry_endpoint="")["initContainers"]
    assert "ISOSERVE_REGISTRY_ENDPOINT" not in {e["name"] for e in first["env"]}


def test_a_pod_that_downloads_reads_an_own_store_by_keys_in_files() -> None:
    found = a_pod(PULLED, registry_secret="store-keys")
    assert volume("registry-credentials", found) == {"secret": {"secretName": "store-keys"}}
    (first,) = found["initContainers"]
    env = {e["name"]: e["value"] for e in first["env"]}
    assert mount(env["ISOSERVE_REGISTRY_CREDENTIALS"], first)["name"] == "registry-credentials"
    names = {m["name"] for m in found["containers"][0]["volumeMounts"]}
    assert "registry-credentials" not in names, "the model's own code reads no other model"


def test_a_pod_that_waits_for_its_node_needs_no_keys() -> None:
    found = a_pod(registry_secret="store-keys")
    assert "store-keys" not in str(found), "what is not there cannot leak"


def test_services_of_the_namespace_do_not_leak_into_the_environment() -> None:
    assert a_pod()["enableServiceLinks"] is False, (
        "a Service called vllm would set VLLM_PORT, which vLLM reads as its own"
    )
