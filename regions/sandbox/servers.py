"""The virtual environment that the example's model is trained with, apart from the project's own.

MLServer and scikit-learn at fixed versions: the example's images hold the same.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from regions.sandbox.errors import SandboxError
from regions.sandbox.layout import LOG, SERVERS, TOOLCHAIN, write_atomically
from regions.sandbox.toolchain import Say

PINS: Final = TOOLCHAIN / "servers" / "requirements.txt"
PYTHON: Final = SERVERS / "bin" / "python"
_TIMEOUT_SECONDS: Final = 900


def is_current() -> bool:
    """Whether the environment is there, whole, and made from these very pins."""
    stamp = _stamp()
    return PYTHON.exists() and stamp.exists() and stamp.read_text().strip() == _wanted()


def ensure(say: Say) -> bool:
    """Make the environment when it is missing or its pins have changed; whether it is new.

    Raises SandboxError with what to do when the packages are not to be had.
    """
    if is_current():
        return False
    started = time.monotonic()
    say("installing the model servers' packages (about 1 min)")
    # In its own place, since its programs hold their path. The stamp comes last: what a kill leaves
    # has none and is made anew.
    shutil.rmtree(SERVERS, ignore_errors=True)
    _run([sys.executable, "-m", "venv", str(SERVERS)])
    quiet = ("--quiet", "--disable-pip-version-check", "--no-input")
    _run(
        [
            str(PYTHON),
            "-m",
            "pip",
            "install",
            *quiet,
            "--no-deps",
            "--require-hashes",
            "-r",
            str(PINS),
        ]
    )
    write_atomically(_stamp(), _wanted())
    say(f"installed the model servers' packages in {time.monotonic() - started:.0f} s")
    return True


def _stamp() -> Path:
    return SERVERS / ".pins"


def _wanted() -> str:
    # Another Python has another library folder: such an environment would be empty.
    return hashlib.sha256(PINS.read_bytes() + sys.version.encode()).hexdigest()


def _run(argv: Sequence[str]) -> None:
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=_TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired:
        told = f"no end after {_TIMEOUT_SECONDS} s"
    else:
        told = done.stderr.strip()
        if done.returncode == 0:
            return
    LOG.mkdir(parents=True, exist_ok=True)
    log = LOG / "servers.log"
    log.write_text(f"{' '.join(argv)}\n{told}\n")
    last = "\n".join(told.splitlines()[-4:])
    raise SandboxError(
        f"the model servers' packages could not be installed into {SERVERS}; all of it: {log}\n"
        f"{last}\nSee to it that pip reaches a package index, and run this again"
    )
