"""Micro-batching is said once, and only to a server that the platform can tell it."""

from __future__ import annotations

from typing import Any, Final

import pytest

from model_specs.errors import SpecErrors
from model_specs.runtimes import RUNTIMES
from tests.examples import a_model, of_kind, planned, rendered, template

WISH: Final = {"max_size": 32, "max_wait_ms": 20}
OWN: Final = f"registry.example.com/ml/own@sha256:{'e' * 64}"
SIZE, WAIT = "MLSERVER_MODEL_MAX_BATCH_SIZE", "MLSERVER_MODEL_MAX_BATCH_TIME"


def environment(**spec: Any) -> dict[str, str]:
    (made,) = of_kind("Deployment", rendered(planned(a_model(**spec))))[:1]
    (main,) = template(made)["spec"]["containers"]
    return {one["name"]: one["value"] for one in main["env"]}


@pytest.mark.parametrize("spec", [{"image": "mlserver"}, {"image": OWN, "runtime": "mlserver"}])
def test_mlserver_is_told_by_its_variables_in_seconds(spec: dict[str, Any]) -> None:
    env = environment(**spec, batching=WISH)
    assert (env[SIZE], env[WAIT]) == ("32", "0.02")
    assert not {SIZE, WAIT} & set(environment(**spec)), "nobody has asked for it"


@pytest.mark.parametrize("name", sorted(set(RUNTIMES) - {"mlserver"}))
def test_a_runtime_that_is_not_told_by_variables_refuses_the_wish(name: str) -> None:
    with pytest.raises(SpecErrors) as caught:
        a_model(image=name, batching=WISH)
    (error,) = caught.value.errors
    assert (error.path, error.code) == ("batching", "E353")
    assert name in error.message, "people see which of two versions it is"


@pytest.mark.parametrize(
    ("spec", "place", "code"),
    [
        ({"image": OWN, "batching": WISH}, "batching", "E353"),
        ({"image": "mlserver", "batching": {"max_size": 1, "max_wait_ms": 5}},
         "batching.max_size", "E301"),
        ({"image": "mlserver", "batching": {"max_size": 8, "max_wait_ms": 0}},
         "batching.max_wait_ms", "E301"),
        ({"image": "mlserver", "batching": {"max_size": 8}}, "batching.max_wait_ms", "E203"),
        ({"image": "mlserver", "batching": WISH, "env": {SIZE: "8"}}, f"env.{SIZE}", "E353"),
        ({"batch": {"command": ["x"]}, "image": OWN, "batching": WISH}, "batching", "E353"),
    ],
)  # fmt: skip
def test_a_wish_that_cannot_be_met_is_refused_at_its_field(
    spec: dict[str, Any], place: str, code: str
) -> None:
    with pytest.raises(SpecErrors) as caught:
        a_model(**spec)
    assert [(one.path, one.code) for one in caught.value.errors] == [(place, code)]


def test_a_candidate_that_is_not_told_is_refused_too() -> None:
    rollout = {"strategy": "blue_green", "candidate": {"image": "triton"}}
    with pytest.raises(SpecErrors, match="triton"):
        a_model(image="mlserver", batching=WISH, rollout=rollout)
