"""Tests of one region that serves the example on machines with small disks of their own."""

from typing import Final

MACHINES: Final = ("cpu-01", "cpu-02", "cpu-03")
DISK_GIB: Final = 12
FREE_PERCENT: Final = 16
"""What the agents leave free, barely more than the 15 % below which the kubelet evicts."""
