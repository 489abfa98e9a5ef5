"""Two sandboxes for all engine tests: one that each test leaves as it was, one that takes harm."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engine.guarded_server import Server, guarded_server
from tests.engine.world import World, copy_tree


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Both regions, up."""
    yield from _up(tmp_path_factory.mktemp("isoserve") / "tree")


@pytest.fixture(scope="session")
def harmed_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Both regions, up, for tests of faults: caches and autoscalers remember them for an hour."""
    yield from _up(tmp_path_factory.mktemp("harmed") / "tree")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One region's API server with everything applied and the guard in force."""
    yield from guarded_server(tmp_path_factory.mktemp("guard") / "tree")


def _up(root: Path) -> Iterator[World]:
    made = copy_tree(root)
    try:
        made.up()
        yield made
    finally:
        made.sandbox("down")
