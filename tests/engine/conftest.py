"""What files of engine tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def image_storage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where our own images are built: whoever builds after another begins from its layers.

    One for all processes of a run: pytest gives each a folder in the run's own.
    """
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "buildah"
    folder.mkdir(exist_ok=True)
    return folder
