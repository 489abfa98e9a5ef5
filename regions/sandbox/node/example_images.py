"""The images of the example: MLServer in the layout of its own image, and the scoring job.

MLServer's packages are those that the sandbox trains with, for the Python of the images. The layout
is that of SeldonIO/MLServer at a325e52, Dockerfile: the user 1000, and a working directory of
1000:0 and mode 776, which who is neither may not even look into.
"""

from __future__ import annotations

import tarfile
from pathlib import Path
from typing import Final

from regions.sandbox import servers
from regions.sandbox.layout import ROOT
from regions.sandbox.node.images import PYTHON_IMAGE, Image
from regions.sandbox.node.layers import PACKAGES, packages_layer, pins_of
from regions.sandbox.toolchain import Say

MLSERVER: Final = "isoserve.dev/runtimes/mlserver:1"
SCORER: Final = "isoserve.dev/search/scorer:1"
WORKING_DIR: Final = "/opt/mlserver"
_STORE_PACKAGES: Final = frozenset(
    ("boto3", "botocore", "jmespath", "python-dateutil", "s3transfer", "six", "urllib3")
)
"""What the scoring job has beside MLServer's: boto3 and what it needs."""
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
        Image(SCORER, MLSERVER, scorer_layer(say), ("python",), "1000", WORKING_DIR),
    )


def _model_server(say: Say) -> Path:
    pins = servers.PINS.read_text()
    script = tarfile.TarInfo("usr/local/bin/mlserver")
    script.mode = 0o755
    place = tarfile.TarInfo(WORKING_DIR.lstrip("/"))
    place.type, place.mode, place.uid, place.gid = tarfile.DIRTYPE, 0o776, 1000, 0
    return packages_layer("mlserver", pins, [(script, _SCRIPT.encode()), (place, b"")], say)


def scorer_layer(say: Say) -> Path:
    """The scoring job's program and boto3. Raises SandboxError."""
    pins = pins_of(_STORE_PACKAGES)
    program = tarfile.TarInfo(f"{PACKAGES}/scorer.py")
    body = (ROOT / "regions" / "sandbox" / "example" / "scorer.py").read_bytes()
    return packages_layer("scorer", pins, [(program, body)], say)
