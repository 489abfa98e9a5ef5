"""`python -m regions.sandbox.judges`: has the third-party judges at hand that `make judge` asks.

Their Python packages are the Makefile's step, in a virtual environment of their own.
"""

from __future__ import annotations

import sys

from regions.sandbox import crds, lifecycle, promtool, toolchain
from regions.sandbox.console import line
from regions.sandbox.errors import SandboxError


def ensure() -> None:
    """Build or fetch what is missing; quick when nothing is.

    Raises SandboxError with what to do where something is not to be had.
    """
    if not toolchain.has_judges():
        # Two commands that build the same programs at once would write over each other.
        with lifecycle.alone():
            toolchain.prepare_judges(lambda told: line("sandbox", "judges", told))
    line("sandbox", "judges", f"{promtool.ensure()}, {crds.prefetch()}")


if __name__ == "__main__":
    try:
        ensure()
    except SandboxError as reason:
        sys.exit(f"sandbox: {reason}")
