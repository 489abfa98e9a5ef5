"""An image runs in a region whose profile lists its registry, and nowhere else."""

from __future__ import annotations

from typing import Final

import pytest

from model_specs.errors import SpecErrors
from regions.resolve import resolve
from tests.examples import a_model, a_profile, a_tree

_REGION: Final = "sandbox-aws"
_OWN: Final = f"registry.example.com/own/server@sha256:{'a' * 64}"
_STRANGE: Final = f"evil.example.com/own/server@sha256:{'a' * 64}"


def test_an_image_of_a_listed_registry_runs() -> None:
    plan = resolve(a_tree(a_model(image=_OWN)), a_profile(_REGION), _REGION)
    assert plan.gaps == ()


def test_an_image_of_another_registry_is_a_gap_that_says_which_may_be_taken() -> None:
    plan = resolve(a_tree(a_model(image=_STRANGE)), a_profile(_REGION), _REGION)
    (gap,) = plan.gaps
    assert (gap.path, gap.code) == ("image", "E333")
    assert "registry.example.com, got 'evil.example.com'" in gap.reason
    assert plan.servers == (), "nothing runs of it"


def test_a_spec_that_names_the_region_is_refused() -> None:
    tree = a_tree(a_model(image=_STRANGE, regions=[_REGION]))
    with pytest.raises(SpecErrors, match="E333"):
        resolve(tree, a_profile(_REGION), _REGION)


def test_a_candidates_image_is_looked_at_too() -> None:
    rollout = {"strategy": "blue_green", "candidate": {"image": _STRANGE}}
    plan = resolve(a_tree(a_model(rollout=rollout)), a_profile(_REGION), _REGION)
    assert [gap.path for gap in plan.gaps] == ["rollout.candidate"]
