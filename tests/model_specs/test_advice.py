"""What is legal and may surprise a team is told at the spec's own line."""

from __future__ import annotations

from typing import Any

import pytest

from model_specs.advice import advice, sleepers
from model_specs.load import Model
from model_specs.runtimes import CUSTOM, RUNTIMES
from tests.examples import a_model

OWN = f"registry.acme.dev/ml/tei@sha256:{'e' * 64}"
PROBED = {"request": {"path": "/embed", "body": {"inputs": "ping"}}}


def told(model: Model) -> list[tuple[str, str, str]]:
    return [(one.path, one.code, one.message) for one in advice([model])]


def test_an_image_of_ones_own_is_told_its_whole_contract() -> None:
    ((path, code, message),) = told(a_model(image=OWN, probe=PROBED))
    assert (path, code) == ("image", "W403")
    for word in (
        CUSTOM.live_path,
        CUSTOM.ready_path,
        f"port {CUSTOM.port}",
        CUSTOM.metrics_path,
        CUSTOM.queue_metric,
        CUSTOM.running_metric,
        "uid 10001 and gid 10001",
        "read-only root",
        "/tmp",
        "/models/current",
        f"within {CUSTOM.shutdown_seconds} s of SIGTERM",
        "its own entrypoint",
    ):
        assert word in message, f"{word}: the image is held to it and nobody said so"


def test_a_candidates_image_is_told_too() -> None:
    rollout = {"strategy": "blue_green", "candidate": {"image": OWN}}
    ((path, code, _),) = told(a_model(rollout=rollout, probe=PROBED))
    assert (path, code) == ("rollout.candidate.image", "W403")


def test_a_candidates_image_is_asked_where_the_stable_one_is() -> None:
    vllm = RUNTIMES["vllm"]
    rollout = {"strategy": "canary", "candidate": {"image": OWN}, "steps": [10, 100], "step": 0}
    ((_, _, message),) = told(
        a_model(image="vllm", access="permissive", rollout=rollout, probe=PROBED)
    )
    for word in (
        f"port {vllm.port}",
        vllm.live_path,
        vllm.queue_metric,
        f"within {vllm.shutdown_seconds} s",
    ):
        assert word in message, f"{word}: one Service and one probe ask both"
    assert f"uid {CUSTOM.user}" in message, "but it runs as an image of one's own"


def test_a_jobs_image_is_held_to_no_port() -> None:
    ((_, code, message),) = told(a_model(image=OWN, batch={"command": ["index"]}))
    assert code == "W403"
    assert "port" not in message, "a job answers nobody"


@pytest.mark.parametrize("image", sorted(RUNTIMES))
def test_a_model_without_an_example_request_is_told_so(image: str) -> None:
    ((path, code, message),) = told(a_model(image=image))
    assert (path, code) == ("probe", "W404")
    assert f"only GET {RUNTIMES[image].probe_path} is asked" in message
    assert "nobody is paged" in message


def test_a_probed_model_of_the_catalogue_surprises_nobody() -> None:
    assert told(a_model(probe=PROBED)) == []


ASLEEP: dict[str, Any] = {"scale_to_zero": True}


@pytest.mark.parametrize(
    ("fields", "paths"),
    [
        ({"scaling": ASLEEP}, ["scaling.scale_to_zero"]),
        ({"regions": {"us-east-1": {"scaling": ASLEEP}}},
         ["regions.us-east-1.scaling.scale_to_zero"]),
        ({"regions": ["seoul-dc1", {"us-east-1": {"scaling": ASLEEP}}]},
         ["regions[1].us-east-1.scaling.scale_to_zero"]),
        ({"scaling": {"max": 2}, "regions": ["us-east-1"]}, []),
    ],
    ids=["everywhere", "in a region of a map", "in a region of a list", "nowhere"],
)  # fmt: skip
def test_a_model_that_its_callers_do_not_wake_is_told_so(
    fields: dict[str, Any], paths: list[str]
) -> None:
    found = list(sleepers([a_model(access="permissive", probe=PROBED, **fields)]))
    assert [(one.path, one.code) for one in found] == [(path, "W408") for path in paths]
