"""The sandbox that all tests of this folder share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.engine.world import REGIONS, World, brought_up, copy_tree


@pytest.fixture(scope="package")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Both regions, up."""
    yield from brought_up(copy_tree(tmp_path_factory.mktemp("up") / "tree"), REGIONS)
