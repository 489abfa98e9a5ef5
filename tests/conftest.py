"""How property tests run: the same examples every time, and no clock decides."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile(
    "isoserve",
    database=None,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("isoserve")
