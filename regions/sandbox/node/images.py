"""The images of a region's machines, made here, and the registry that they come from.

A machine has no other way to an image. Layers have fixed owners and times, so that the same
programs give the same digest.
"""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import yaml

from regions.sandbox import processes
from regions.sandbox.errors import SandboxError
from regions.sandbox.layout import BIN, HOME, LAYERS, LOG, write_atomically
from regions.sandbox.node.machine import PAUSE_IMAGE, REGISTRY_PORT
from regions.sandbox.node.network import Network
from regions.sandbox.toolchain import Say

IMAGES: Final = HOME / "images"
COREDNS_IMAGE: Final = "isoserve.dev/coredns:1"
PYTHON_IMAGE: Final = "isoserve.dev/python:1"
BASE_PACKAGES: Final = ("ca-certificates", "python-is-python3", "python3", "python3-pip")
_RELEASE: Final = "bookworm"
_EPOCH: Final = "1767225600"  # 2026-01-01: the time of every file of a layer
_BASE_TIMEOUT_SECONDS: Final = 600
_PUSH_TIMEOUT_SECONDS: Final = 120


@dataclass(frozen=True, slots=True)
class Image:
    """An image of one layer: its name with a tag, its layer, its program, and who runs that."""

    name: str
    layer: Path
    entrypoint: tuple[str, ...]
    user: str


def serve(region: str, network: Network) -> bool:
    """Start the registry that the region's machines reach; whether it was started.

    All of a sandbox's registries serve the same folder.
    """
    config = {
        "version": 0.1,
        "log": {"level": "warn", "accesslog": {"disabled": True}},
        "storage": {
            "filesystem": {"rootdirectory": str(IMAGES / "registry")},
            "delete": {"enabled": True},
        },
        "http": {"addr": f"{network.host_address}:{REGISTRY_PORT}", "secret": region},
    }
    path = IMAGES / f"{region}.yaml"
    write_atomically(path, yaml.safe_dump(config))
    quiet = os.environ | {"OTEL_TRACES_EXPORTER": "none"}
    return processes.start(_daemon(region), [str(BIN / "registry"), "serve", str(path)], quiet)


def stop(region: str) -> bool:
    """End the region's registry; whether it ran."""
    return processes.stop(_daemon(region))


def push_all(network: Network, say: Say) -> dict[str, str]:
    """Make every image and put it into the registry; each one's digest by its name.

    Raises SandboxError where a program or Debian's packages are not to be had.
    """
    made = (
        Image(PAUSE_IMAGE, _layer_of(BIN / "pause"), ("/pause",), "65535:65535"),
        Image(COREDNS_IMAGE, _layer_of(BIN / "coredns"), ("/coredns",), "65532:65532"),
        Image(PYTHON_IMAGE, base(say), ("/usr/bin/python3",), "0:0"),
    )
    return {image.name: push(image, network) for image in made}


def push(image: Image, network: Network) -> str:
    """Put one image into the registry; its digest."""
    path = image.name.partition("/")[2]
    target = f"{network.host_address}:{REGISTRY_PORT}/{path}"
    options = ("--insecure", "--platform=linux/amd64")
    _crane(
        "append", *options, "--oci-empty-base", f"--new_layer={image.layer}", f"--new_tag={target}"
    )
    words = [f"--entrypoint={','.join(image.entrypoint)}", f"--user={image.user}"]
    _crane("mutate", *options, *words, f"--tag={target}", target)
    return _crane("digest", "--insecure", target).strip()


def base(say: Say) -> Path:
    """The file system of a small Debian with Python, as a layer; made once for these packages."""
    layer = LAYERS / f"debian-{_RELEASE}-{'-'.join(sorted(BASE_PACKAGES))}.tar"
    if layer.exists():
        return layer
    if not shutil.which("mmdebstrap"):
        raise SandboxError("there is no `mmdebstrap`: install Debian's package of that name")
    say("making a small Debian (about 1 min)")
    LAYERS.mkdir(parents=True, exist_ok=True)
    partial = layer.with_suffix(".part.tar")
    words = ("mmdebstrap", "--quiet", "--variant=minbase", f"--include={','.join(BASE_PACKAGES)}")
    # An image is nobody's system: `pip` may install into it, as into the images of python.org.
    managed = "--customize-hook=rm $1/usr/lib/python3.11/EXTERNALLY-MANAGED"
    _run(
        [*words, managed, _RELEASE, str(partial)],
        {"SOURCE_DATE_EPOCH": _EPOCH},
        _BASE_TIMEOUT_SECONDS,
    )
    partial.rename(layer)
    return layer


def _layer_of(program: Path) -> Path:
    """A layer that holds one program, in the image's root."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    layer = IMAGES / f"{program.name}.tar"
    body = program.resolve().read_bytes()
    entry = tarfile.TarInfo(program.name)
    entry.size, entry.mode, entry.mtime = len(body), 0o755, int(_EPOCH)
    partial = layer.with_suffix(".part")
    with tarfile.open(partial, "w", format=tarfile.USTAR_FORMAT) as stream:
        stream.addfile(entry, io.BytesIO(body))
    partial.rename(layer)
    return layer


def _daemon(region: str) -> str:
    return f"{region}.registry"


def _crane(*words: str) -> str:
    # The registry stands on this machine, whatever proxy the environment names.
    return _run([str(BIN / "crane"), *words], {"NO_PROXY": "*"}, _PUSH_TIMEOUT_SECONDS)


def _run(argv: Sequence[str], env: Mapping[str, str], timeout_seconds: float) -> str:
    done = subprocess.run(
        argv,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=timeout_seconds,
        check=False,
    )
    if done.returncode:
        LOG.mkdir(parents=True, exist_ok=True)
        log = LOG / "images.log"
        log.write_text(f"{' '.join(argv)}\n{done.stderr}")
        last = "\n".join(done.stderr.splitlines()[-4:])
        raise SandboxError(f"`{Path(argv[0]).name} {argv[1]}` failed; all of it: {log}\n{last}")
    return done.stdout
