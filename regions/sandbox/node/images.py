"""The images of a region's machines, made here, and the registry that they come from.

A machine has no other way to an image. Layers have fixed owners and times, so that the same
programs give the same digest.
"""

from __future__ import annotations

import contextlib
import io
import os
import platform
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import requests
import yaml

from regions.sandbox import processes
from regions.sandbox.errors import SandboxError
from regions.sandbox.kube import own_session
from regions.sandbox.layout import BIN, HOME, LAYERS, LOG, write_atomically
from regions.sandbox.node.machine import PAUSE_IMAGE, REGISTRY_PORT
from regions.sandbox.node.network import Network, enter
from regions.sandbox.node.packages import environment
from regions.sandbox.toolchain import Say

IMAGES: Final = HOME / "images"
COREDNS_IMAGE: Final = "isoserve.dev/coredns:1"
PYTHON_IMAGE: Final = "isoserve.dev/python:1"
BASE_PACKAGES: Final = ("ca-certificates", "python-is-python3", "python3", "python3-pip")
_RELEASE: Final = "bookworm"
EPOCH: Final = "1767225600"
"""The time of every file of a layer: 2026-01-01."""
_BASE_TIMEOUT_SECONDS: Final = 600
_PUSH_TIMEOUT_SECONDS: Final = 120
_ANSWER_SECONDS: Final = 20.0
_ARCHITECTURES: Final = {"aarch64": "arm64", "x86_64": "amd64"}
"""By what the kernel calls the processor, its name in images."""


@dataclass(frozen=True, slots=True)
class Image:
    """A layer over another image: its name with a tag, its program, who runs that, and where."""

    name: str
    base: str
    """The image below; empty for none."""
    layer: Path
    entrypoint: tuple[str, ...]
    user: str
    working_dir: str


def serve(region: str, network: Network) -> None:
    """Start the region's registry, unless it runs, and wait until it answers.

    It stands beside the API server; all of a sandbox's registries serve the same folder. Raises
    SandboxError with the end of its log where it does not answer.
    """
    config = {
        "version": 0.1,
        "log": {"level": "warn", "accesslog": {"disabled": True}},
        "storage": {
            "filesystem": {"rootdirectory": str(IMAGES / "registry")},
        },
        "http": {"addr": f"{network.api_address}:{REGISTRY_PORT}", "secret": region},
    }
    path = IMAGES / f"{region}.yaml"
    write_atomically(path, yaml.safe_dump(config))
    quiet = environment() | {"OTEL_TRACES_EXPORTER": "none"}
    command = [*enter(network.name), str(BIN / "registry"), "serve", str(path)]
    processes.start(_daemon(region), command, quiet)
    _await_answer(region, network)


def stop(region: str) -> bool:
    """End the region's registry; whether it ran."""
    return processes.stop(_daemon(region))


def push_all(network: Network, say: Say) -> None:
    """Make every image and put it into the registry.

    Raises SandboxError where Debian's packages are not to be had, or a push fails.
    """
    made = (
        Image(PAUSE_IMAGE, "", _layer_of(BIN / "pause"), ("/pause",), "65535:65535", "/"),
        Image(COREDNS_IMAGE, "", _layer_of(BIN / "coredns"), ("/coredns",), "65532:65532", "/"),
        Image(PYTHON_IMAGE, "", base(say), ("/usr/bin/python3",), "0:0", "/"),
    )
    for image in made:
        push(image, network)


def push(image: Image, network: Network) -> str:
    """Put the image into the region's registry; its digest. Raises SandboxError."""
    target = _address(image.name, network)
    options = ("--insecure", f"--platform=linux/{_ARCHITECTURES[platform.machine()]}")
    below = f"--base={_address(image.base, network)}" if image.base else "--oci-empty-base"
    _crane("append", *options, below, f"--new_layer={image.layer}", f"--new_tag={target}")
    words = [f"--user={image.user}", f"--workdir={image.working_dir}"]
    words += [f"--entrypoint={','.join(image.entrypoint)}"] if image.entrypoint else []
    told = _crane("mutate", *options, *words, f"--tag={target}", target)
    return told.strip().rpartition("@")[2]


def _address(name: str, network: Network) -> str:
    """Where the registry has an image."""
    return f"{network.api_address}:{REGISTRY_PORT}/{name.partition('/')[2]}"


def base(say: Say) -> Path:
    """The file system of a small Debian with Python, as a layer; made once for these packages."""
    layer = LAYERS / f"debian-{_RELEASE}-{'-'.join(sorted(BASE_PACKAGES))}.tar"
    if layer.exists():
        return layer
    say("making a small Debian (about 1 min)")
    LAYERS.mkdir(parents=True, exist_ok=True)
    # Trees that share the layers may make the same one at the same moment.
    descriptor, name = tempfile.mkstemp(dir=LAYERS, suffix=".tar")
    os.close(descriptor)
    partial = Path(name)
    words = ("mmdebstrap", "--quiet", "--variant=minbase", f"--include={','.join(BASE_PACKAGES)}")
    # `pip` may install into the image's Python, as it may into the images of python.org.
    managed = "--customize-hook=rm $1/usr/lib/python3.11/EXTERNALLY-MANAGED"
    run(
        [*words, managed, _RELEASE, str(partial)],
        {"SOURCE_DATE_EPOCH": EPOCH},
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
    entry.size, entry.mode, entry.mtime = len(body), 0o755, int(EPOCH)
    partial = layer.with_suffix(".part")
    with tarfile.open(partial, "w", format=tarfile.USTAR_FORMAT) as stream:
        stream.addfile(entry, io.BytesIO(body))
    partial.rename(layer)
    return layer


def _await_answer(region: str, network: Network) -> None:
    deadline = time.monotonic() + _ANSWER_SECONDS
    with own_session() as session:
        while True:
            with contextlib.suppress(requests.RequestException):
                session.get(f"http://{network.api_address}:{REGISTRY_PORT}/v2/", timeout=1)
                return
            processes.require_running(_daemon(region))
            if time.monotonic() > deadline:
                raise SandboxError(f"region {region}: the registry does not answer")
            time.sleep(0.02)


def _daemon(region: str) -> str:
    return f"{region}.registry"


def _crane(*words: str) -> str:
    # The registry stands on this machine, whatever proxy the environment names.
    return run([str(BIN / "crane"), *words], {"NO_PROXY": "*"}, _PUSH_TIMEOUT_SECONDS)


def run(argv: Sequence[str], env: Mapping[str, str], timeout_seconds: float) -> str:
    """What a command prints; `env` is added to this process's own environment.

    Raises SandboxError with the end of what it said where it fails or takes longer.
    """
    whole = {**os.environ, **env}
    try:
        done = subprocess.run(
            argv, env=whole, capture_output=True, text=True, timeout=timeout_seconds, check=False
        )
        code, told = done.returncode, done.stderr
    except subprocess.TimeoutExpired:
        code, told = 1, f"no end after {timeout_seconds:.0f} s"
    if code:
        LOG.mkdir(parents=True, exist_ok=True)
        log = LOG / "images.log"
        log.write_text(f"{' '.join(argv)}\n{told}")
        last = "\n".join(told.splitlines()[-4:])
        raise SandboxError(f"`{Path(argv[0]).name} {argv[1]}` failed; all of it: {log}\n{last}")
    return done.stdout
