"""A killed test run leaves no region behind: nobody but its watcher can end it then."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.engine.real_region import REGION, eventually
from tests.engine.remains import left_of, names_of
from tests.engine.world import World
from tests.tracked import ROOT

pytestmark = pytest.mark.engine

_RUN: Final = """
import sys, time
from pathlib import Path
from tests.engine.real_region import real_region
with real_region(Path(sys.argv[1]), ("machine-1",)):
    print("up", flush=True)
    time.sleep(600)
"""


def test_a_killed_run_leaves_no_region(tmp_path: Path) -> None:
    world = World(tmp_path / "tree")
    with subprocess.Popen(
        [sys.executable, "-c", _RUN, str(world.root)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as run:
        assert run.stdout is not None
        assert run.stdout.readline() == "up\n"
        network = world.network(REGION)
        names = names_of(network)
        assert any(left_of(network, names, world).values()), "or nothing would be found left"
        run.send_signal(signal.SIGKILL)

    def gone() -> bool | None:
        return not world.root.exists() or None

    eventually(gone, "the run's tree is gone", seconds=180)
    assert not any(left_of(network, names, world).values()), "and the region before it"
