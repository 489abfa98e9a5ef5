"""`isoserve doctor` on real clusters: what it finds there, and one thing broken after the other."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import pytest

from components.kube import Object
from tests.engine.world import REGIONS, World

pytestmark = pytest.mark.engine


def examined(world: World, region: str) -> tuple[set[str], dict[str, Any]]:
    """The checks that find something, and the whole answer."""
    done = world.run("isoserve", "doctor", "-r", region, "--json", env=world.engine_env())
    told: dict[str, Any] = json.loads(done.stdout)
    assert (done.returncode == 0) == (not told["findings"]), done.stderr
    return {one["check"] for one in told["findings"]}, told


@pytest.mark.parametrize("region", REGIONS)
def test_look(world: World, region: str) -> None:
    _, told = examined(world, region)
    print(json.dumps(told, indent=1))
