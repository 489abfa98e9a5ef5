"""The sandbox that all tests of this folder share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import pytest

from tests.engine.site import MODEL, REGION
from tests.engine.world import World, brought_up, copy_tree

MOST_PER_MINUTE: Final = 1_000_000
"""A spec's highest: the gateway refuses what is over it, and the load is 40 a second."""


@pytest.fixture(scope="package")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The region, up; its model may be asked as often as the load asks it."""
    made = copy_tree(tmp_path_factory.mktemp("site") / "tree")
    made.edit_spec(MODEL, requests_per_minute=MOST_PER_MINUTE)
    yield from brought_up(made, (REGION,))
