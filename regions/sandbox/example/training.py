"""The trained example model, as the folder that is pushed: `.isoserve/example/ranker`."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path
from typing import Final

from regions.sandbox import servers
from regions.sandbox.errors import SandboxError
from regions.sandbox.layout import HOME, write_atomically
from regions.sandbox.toolchain import Say

FOLDER: Final = HOME / "example"
_SOURCES: Final = Path(__file__).parent
_TIMEOUT_SECONDS: Final = 300


def ensure(say: Say) -> Path:
    """The model's folder; trained when it is not there, or when what it comes from has changed.

    Raises SandboxError with the end of what the training said when it fails.
    """
    model, stamp = FOLDER / "ranker", FOLDER / "ranker.stamp"
    wanted = _sources()
    if model.is_dir() and stamp.exists() and stamp.read_text() == wanted:
        return model
    say("training search/ranker")
    partial = FOLDER / ".partial-ranker"
    for folder in (partial, model):
        shutil.rmtree(folder, ignore_errors=True)
    train(partial)
    partial.replace(model)
    write_atomically(stamp, wanted)  # last: what a kill leaves has none and is trained anew
    return model


def train(folder: Path) -> None:
    """Train into a new folder, on the model servers' packages.

    Raises SandboxError with the end of what the training said when it fails.
    """
    # -I: what is on a person's PYTHONPATH could make another model of it.
    argv = [str(servers.PYTHON), "-I", str(_SOURCES / "train.py"), str(folder)]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=_TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired:
        why = f"no end after {_TIMEOUT_SECONDS} s"
    except FileNotFoundError:
        why = f"there is no {servers.PYTHON}; `python -m regions.sandbox build` makes it"
    else:
        if done.returncode == 0:
            return
        # A negative one is of a signal, of which a program says nothing itself.
        last = "\n".join(done.stderr.splitlines()[-4:])
        why = f"it ended with {done.returncode}: {last}"
    raise SandboxError(f"the example model could not be trained: {why}")


def _sources() -> str:
    """What the model comes from, as one hash: the program, its texts, the packages."""
    digest = hashlib.sha256(servers.PINS.read_bytes())
    texts = sorted(path for path in (_SOURCES / "model").rglob("*") if path.is_file())
    for path in (_SOURCES / "train.py", *texts):
        digest.update(f"{path.name} {path.stat().st_size}\n".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()
