"""How tests run: property tests with the same examples, engine tests by the regions they share."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadScopeScheduling

settings.register_profile(
    "isoserve",
    database=None,
    deadline=None,  # no clock decides
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("isoserve")


class ByRegions(LoadScopeScheduling):  # type: ignore[misc]  # pytest-xdist has no types
    """Tests that share regions run one after the other in one process: a file's, or a folder's.

    Folders come before files, so that what takes longest begins first.
    """

    def _split_scope(self, nodeid: str) -> str:
        file = PurePosixPath(nodeid.split("::")[0])
        return str(file.parent if file.parent.name.endswith("_regions") else file)


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> ByRegions | None:
    """pytest-xdist asks this once; None leaves it to what its `--dist` says."""
    return ByRegions(config, log) if config.getoption("dist") == "loadscope" else None
