"""The end of a sandbox, and what an `up` that was stopped half-way leaves; the folder's last file,
since nothing stands after it."""

from __future__ import annotations

import re
import signal

import pytest

from regions.sandbox.node.network import claimed
from tests.engine.remains import left_of, names_of
from tests.engine.world import REGIONS, World

pytestmark = pytest.mark.engine


def test_interrupted_up_ends_what_it_has_started(world: World) -> None:
    take_down(world)
    begun = re.compile(r"object store +started").search
    assert world.stopped_up(begun, signal.SIGINT) == 130
    assert not world.processes(), "as if nobody had begun"


def take_down(world: World) -> None:
    """Take the world down, of which nothing stays."""
    networks = [claimed(world.root / ".isoserve" / region) for region in REGIONS]
    held = [(network, names_of(network)) for network in networks if network]
    assert len(held) == 2, "each region has a network of its own"
    assert any("mlserver" in line for line in world.processes()), "the models' servers are seen"
    assert world.sandbox("down").returncode == 0
    for network, names in held:
        left = left_of(network, names, world)
        assert not any(left.values()), f"a laptop is as it was: {left}"


def pending(world: World, region: str) -> list[str]:
    """The Helm releases of a region that are being installed."""
    labels = "owner%3Dhelm%2Cstatus%3Dpending-install"
    found = world.cluster(region).get(f"/api/v1/secrets?labelSelector={labels}")
    assert found is not None
    return [one["metadata"]["labels"]["name"] for one in found["items"]]


def test_killed_up_can_be_run_again_and_down_leaves_nothing(world: World) -> None:
    assert not world.processes(), "the test before has taken it down"

    def installs(line: str) -> bool:
        """Whether Helm is at work in a region, as its own records say."""
        return "add-ons" in line and any(pending(world, region) for region in REGIONS)

    for when in (installs, re.compile(r"up +[1-9][0-9]+ of [0-9]+ resources").search):
        assert world.stopped_up(when, signal.SIGKILL) == -signal.SIGKILL
    world.up()
    for region in REGIONS:
        assert world.steps(region) == {}, "the interrupted run was completed, not doubled"
    late = [r for r in world.status() if r["ready_replicas"] != r["desired_replicas"]]
    assert not late, "every model serves after the second try"
    take_down(world)
    locks = list((world.root / ".isoserve").glob("state/.pulumi/locks/**/*.json"))
    assert not locks, "`down` leaves no lock"
