"""The sandbox that all tests of this folder share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.engine.site import REGION
from tests.engine.world import World, brought_up, copy_tree


@pytest.fixture(scope="package")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The region, up."""
    yield from brought_up(copy_tree(tmp_path_factory.mktemp("site") / "tree"), (REGION,))
