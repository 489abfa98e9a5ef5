"""One sandbox for all engine tests: it is brought up once, changed by each test, and taken down."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.engine.world import World, copy_tree


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Both regions, up."""
    made = copy_tree(tmp_path_factory.mktemp("isoserve") / "tree")
    try:
        made.up()
        yield made
    finally:
        made.sandbox("down")
