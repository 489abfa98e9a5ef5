"""`python -m regions.sandbox.promtool`: has the judge of Prometheus' rules at hand for tests."""

from __future__ import annotations

import sys
from pathlib import Path

from regions.sandbox import lifecycle, toolchain
from regions.sandbox.console import line
from regions.sandbox.errors import SandboxError


def ensure() -> Path:
    """The program, built where it is missing.

    Raises SandboxError with what to do where it is not to be had.
    """
    if found := toolchain.find_promtool():
        return found
    # Two commands that build the same programs at once would write over each other.
    with lifecycle.alone():
        return toolchain.prepare_promtool(lambda told: line("sandbox", "promtool", told))


if __name__ == "__main__":
    try:
        line("sandbox", "promtool", str(ensure()))
    except SandboxError as reason:
        sys.exit(f"sandbox: {reason}")
