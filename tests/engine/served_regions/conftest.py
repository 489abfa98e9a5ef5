"""The region that all tests of this folder share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engine.real_example import PROFILE, example
from tests.engine.real_region import RealRegion, real_region
from tests.engine.served_regions import DISK_GIB, FREE_PERCENT, MACHINES


@pytest.fixture(scope="package")
def region(tmp_path_factory: pytest.TempPathFactory, image_storage: Path) -> Iterator[RealRegion]:
    """Everything applied, the model in the registry, and keys where pods want them."""
    tree = tmp_path_factory.mktemp("served") / "tree"
    with real_region(tree, MACHINES, disk_gib=DISK_GIB) as made:
        profile = tree / PROFILE
        text = profile.read_text()
        assert "disk_free_percent: 0" in text
        profile.write_text(
            text.replace("disk_free_percent: 0", f"disk_free_percent: {FREE_PERCENT}")
        )
        with example(made, image_storage):
            yield made
