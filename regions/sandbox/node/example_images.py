"""The images of the example: MLServer in the layout of its own image, and the scoring job.

MLServer's packages are those that the sandbox trains with, for the Python of the images. The layout
is that of SeldonIO/MLServer at a325e52, Dockerfile: the user 1000, and a working directory of
1000:0 and mode 776, which who is neither may not even look into.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import re
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from regions.sandbox import servers
from regions.sandbox.layout import LAYERS, ROOT
from regions.sandbox.node.images import EPOCH, PYTHON_IMAGE, Image, run
from regions.sandbox.toolchain import Say

MLSERVER: Final = "isoserve.dev/runtimes/mlserver:1"
SCORER: Final = "isoserve.dev/search/scorer:1"
WORKING_DIR: Final = "/opt/mlserver"
_PYTHON: Final = "3.11"
"""Of the base's Debian."""
_PACKAGES: Final = f"usr/local/lib/python{_PYTHON}/dist-packages"
_STORE_PACKAGES: Final = frozenset(
    ("boto3", "botocore", "jmespath", "python-dateutil", "s3transfer", "six", "urllib3")
)
"""What the scoring job has beside MLServer's: boto3 and what it needs."""
_FORM: Final = 2
"""Goes up where layers of the same packages are made otherwise; 2 since modes follow no umask."""
_INSTALL_SECONDS: Final = 900
_SCRIPT: Final = """#!/usr/bin/python3
import sys
from mlserver.cli import main
sys.exit(main())
"""


def example_images(say: Say) -> tuple[Image, ...]:
    """The images, with layers that are made once for the same packages.

    Raises SandboxError where the packages are not to be had.
    """
    return (
        Image(MLSERVER, PYTHON_IMAGE, _model_server(say), ("mlserver",), "1000", WORKING_DIR),
        Image(SCORER, MLSERVER, _scorer(say), ("python",), "1000", WORKING_DIR),
    )


def _model_server(say: Say) -> Path:
    pins = servers.PINS.read_text()
    script = tarfile.TarInfo("usr/local/bin/mlserver")
    script.mode = 0o755
    place = tarfile.TarInfo(WORKING_DIR.lstrip("/"))
    place.type, place.mode, place.uid, place.gid = tarfile.DIRTYPE, 0o776, 1000, 0
    return _layer("mlserver", pins, [(script, _SCRIPT.encode()), (place, b"")], say)


def _scorer(say: Say) -> Path:
    pins = "".join(_pins_of(_STORE_PACKAGES))
    program = tarfile.TarInfo(f"{_PACKAGES}/scorer.py")
    body = (ROOT / "regions" / "sandbox" / "example" / "scorer.py").read_bytes()
    return _layer("scorer", pins, [(program, body)], say)


def _pins_of(names: frozenset[str]) -> Iterator[str]:
    """The lines of the project's own pins, with their hashes, of packages."""
    is_wanted = False
    for line in (ROOT / "requirements.txt").read_text().splitlines(keepends=True):
        if found := re.match(r"([a-z0-9-]+)==", line):
            is_wanted = found[1] in names
        if is_wanted:
            yield line


def _layer(name: str, pins: str, more: list[tuple[tarfile.TarInfo, bytes]], say: Say) -> Path:
    """The packages of `pins`, and `more`, as a layer."""
    told = hashlib.sha256(f"{_FORM}\n{pins}".encode())
    for entry, body in more:
        told.update(f"{entry.name} {entry.mode} {entry.uid}".encode() + body)
    layer = LAYERS / f"{name}-{told.hexdigest()[:16]}.tar.gz"
    if layer.exists():
        return layer
    say(f"making the image of {name} (about 1 min)")
    LAYERS.mkdir(parents=True, exist_ok=True)
    # Trees that share the layers may make the same one at the same moment.
    with tempfile.TemporaryDirectory(dir=LAYERS) as folder:
        packages = Path(folder) / "packages"
        _install(Path(folder), pins, packages)
        made = Path(folder) / "layer.tar.gz"
        # Compressed once here, and not at every push; without the time that `gzip` notes.
        with (
            made.open("wb") as file,
            gzip.GzipFile("", "wb", 1, file, mtime=0) as packed,
            tarfile.open(fileobj=packed, mode="w", format=tarfile.GNU_FORMAT) as stream,
        ):
            stream.add(packages, _PACKAGES, filter=_fixed)
            for entry, body in more:
                entry.size, entry.mtime = len(body), int(EPOCH)
                stream.addfile(entry, io.BytesIO(body))
        made.rename(layer)
    return layer


def _install(folder: Path, pins: str, packages: Path) -> None:
    """Install wheels for the images' Python, and compile them: their file system is read-only."""
    listed = folder / "requirements.txt"
    listed.write_text(pins)
    quiet = ("--quiet", "--disable-pip-version-check", "--no-input", "--no-compile")
    held = ("--no-deps", "--require-hashes", "--only-binary=:all:", f"--python-version={_PYTHON}")
    target = (f"--target={packages}", "-r", str(listed))
    run([sys.executable, "-m", "pip", "install", *quiet, *held, *target], {}, _INSTALL_SECONDS)
    # Only the Python that compiles reads what it has compiled; another one compiles as it imports.
    hashed = ("-q", "--invalidation-mode=unchecked-hash", "-s", str(packages), str(packages))
    run([sys.executable, "-m", "compileall", *hashed], {}, _INSTALL_SECONDS)


def _fixed(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    """The same entry whoever makes it, and whenever."""
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    entry.mode = 0o755 if entry.isdir() or entry.mode & 0o100 else 0o644
    entry.mtime = int(EPOCH)
    return entry
