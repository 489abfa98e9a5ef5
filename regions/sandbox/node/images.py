"""The images of a region's machines, made here, and the registry that they come from.

A machine has no other way to an image. Layers have fixed owners and times, so that the same
programs give the same digest.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import io
import os
import platform
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import requests
import yaml

from regions.sandbox import processes
from regions.sandbox.errors import SandboxError
from regions.sandbox.kube import own_session
from regions.sandbox.layout import BIN, HOME, LAYERS, LOG, region_home, write_atomically
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
_PUSH_TIMEOUT_SECONDS: Final = 300
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
    path = region_home(region) / "registry.yaml"
    write_atomically(path, yaml.safe_dump(config))
    quiet = environment() | {"OTEL_TRACES_EXPORTER": "none"}
    command = [*enter(network.name), str(BIN / "registry"), "serve", str(path)]
    processes.start(_daemon(region), command, quiet)
    _await_answer(region, network)


def stop(region: str) -> bool:
    """End the region's registry; whether it ran."""
    return processes.stop(_daemon(region))


def push_all(network: Network, say: Say) -> dict[str, str]:
    """Make every image and put it into the registry; the digest of each by its name.

    Raises SandboxError where Debian's packages are not to be had, or a push fails.
    """
    made = (
        Image(PAUSE_IMAGE, "", layer_of(BIN / "pause"), ("/pause",), "65535:65535", "/"),
        Image(COREDNS_IMAGE, "", layer_of(BIN / "coredns"), ("/coredns",), "65532:65532", "/"),
        Image(PYTHON_IMAGE, "", base(say), ("/usr/bin/python3",), "0:0", "/"),
    )
    return {image.name: push(image, network) for image in made}


def push(image: Image, network: Network) -> str:
    """Put the image into the region's registry, unless it is there; its digest.

    Raises SandboxError.
    """
    target = registry_address(image.name, network)
    record = IMAGES / "pushed" / image.name.replace("/", "_")
    made_of = _made_of(image, network)
    if record.exists():
        known_of, digest = record.read_text().split()
        if known_of == made_of and _digest(target) == digest:
            return digest
    digest = _push(image, target, network)
    write_atomically(record, f"{made_of} {digest}")
    return digest


def pinned(name: str, digest: str) -> str:
    """An image's name by its digest: a machine keeps what it has pulled, and tags stay the same."""
    return f"{name.rpartition(':')[0]}@{digest}"


def _made_of(image: Image, network: Network) -> str:
    """A digest of all that decides what the image is."""
    fields = (image.name, image.entrypoint, image.user, image.working_dir)
    below = _digest(registry_address(image.base, network)) if image.base else ""
    with image.layer.open("rb") as layer:
        content = hashlib.file_digest(layer, "sha256").hexdigest()
    return hashlib.sha256(repr((*fields, below, content)).encode()).hexdigest()


def _digest(address: str) -> str:
    """The digest of an image in a registry; empty where it is not there."""
    with contextlib.suppress(SandboxError):
        return crane("digest", "--insecure", address).strip()
    return ""


def _push(image: Image, target: str, network: Network) -> str:
    options = ("--insecure", f"--platform=linux/{_ARCHITECTURES[platform.machine()]}")
    below = f"--base={registry_address(image.base, network)}" if image.base else "--oci-empty-base"
    # Under a name of its own: nobody may pull an image without its entrypoint.
    begun = f"{target}-layer"
    crane("append", *options, below, f"--new_layer={image.layer}", f"--new_tag={begun}")
    words = [f"--user={image.user}", f"--workdir={image.working_dir}"]
    words += [f"--entrypoint={','.join(image.entrypoint)}"] if image.entrypoint else []
    told = crane("mutate", *options, *words, f"--tag={target}", begun)
    return told.strip().rpartition("@")[2]


def registry_address(name: str, network: Network) -> str:
    """Where the registry has an image, by the name that has the sandbox's own host."""
    return f"{network.api_address}:{REGISTRY_PORT}/{name.partition('/')[2]}"


def base(say: Say) -> Path:
    """The file system of a small Debian with Python, as a layer; made once for these packages."""
    # `pip` may install into the image's Python, as it may into the images of python.org.
    managed = "--customize-hook=rm $1/usr/lib/python3.11/EXTERNALLY-MANAGED"
    return debian("minbase", BASE_PACKAGES, say, managed)


def debian(variant: str, packages: Sequence[str], say: Say, *more: str) -> Path:
    """A layer of Debian's packages, made once: a `variant` of mmdebstrap with them; `extract` has
    nothing beside them and what they depend on.

    Raises SandboxError where they are not to be had.
    """
    names = sorted(packages)
    with made_once(f"debian-{_RELEASE}-{variant}-{'-'.join(names)}.tar") as (layer, partial):
        if partial:
            say("making a small Debian (about 1 min)")
            words = (
                "mmdebstrap",
                "--quiet",
                f"--variant={variant}",
                f"--include={','.join(names)}",
            )
            argv = [*words, *more, _RELEASE, str(partial)]
            run(argv, {"SOURCE_DATE_EPOCH": EPOCH}, _BASE_TIMEOUT_SECONDS)
    return layer


@contextlib.contextmanager
def made_once(name: str) -> Iterator[tuple[Path, Path | None]]:
    """What is kept under LAYERS, and where to make it where it is not there yet: a path that is
    renamed at the end. Regions, and trees that share the layers, wait for each other.
    """
    LAYERS.mkdir(parents=True, exist_ok=True)
    kept = LAYERS / name
    with (LAYERS / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if kept.exists():
            yield kept, None
            return
        with tempfile.TemporaryDirectory(dir=LAYERS) as folder:
            partial = Path(folder) / name
            yield kept, partial
            partial.rename(kept)


def layer_of(program: Path, folder: str = "") -> Path:
    """A layer that holds one program, in the image's root or a `folder` of it."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    layer = IMAGES / f"{program.name}.tar"
    body = program.resolve().read_bytes()
    entry = tarfile.TarInfo(str(Path(folder) / program.name))
    entry.size, entry.mode, entry.mtime = len(body), 0o755, int(EPOCH)
    # Two regions may make the same one at the same moment.
    descriptor, partial = tempfile.mkstemp(dir=IMAGES, suffix=".part")
    with (
        os.fdopen(descriptor, "wb") as file,
        tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as stream,
    ):
        stream.addfile(entry, io.BytesIO(body))
    Path(partial).rename(layer)
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


def crane(*words: str) -> str:
    """What crane, the program that asks registries, prints. Raises SandboxError."""
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
