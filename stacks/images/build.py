"""`make images`: builds every image of ours from its Dockerfile, and pushes them where told.

    python -m stacks.images --base IMAGE@sha256:... [--registry HOST/PATH] [--builder NAME]

The builder is the first of `BUILDERS` on PATH. Prints a line an image: its name and, with a
registry, its address by the digest that the registry gave. The same tree over the same base gives
the same image with buildah and podman: files have the time of the commit.
"""

from __future__ import annotations

import argparse
import ast
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from stacks.images.errors import ImageError

ROOT: Final = Path(__file__).resolve().parents[2]
_PINNED: Final = re.compile(r"[^\s@]+@sha256:[0-9a-f]{64}")
_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")
_TIMEOUT_SECONDS: Final = 1800
_INDEX_SETTINGS: Final = ("index-url", "extra-index-url", "trusted-host", "cert", "timeout")


@dataclass(frozen=True, slots=True)
class Image:
    """One image of ours: its name in a registry, its Dockerfile, and what it is."""

    name: str
    dockerfile: str
    title: str


IMAGES: Final = (
    Image("cache-agent", "components/model_cache/Dockerfile", "Cache agent of isoserve"),
    Image("prober", "components/synthetic_probe/Dockerfile", "Prober of isoserve"),
)


@dataclass(frozen=True, slots=True)
class Builder:
    """A program that builds images: its further words for a build, and how it pushes."""

    name: str
    words: tuple[str, ...]
    timestamp: str
    """The flag that sets the time of all files; empty where there is none."""
    mounts: bool
    """Whether a build can have files of this machine while it runs."""
    digest_file: bool
    """Whether `push` writes the digest to a file; else it prints it."""


BUILDERS: Final = (
    Builder(
        "buildah",
        ("--isolation=chroot", "--layers=false"),
        "--timestamp",
        mounts=True,
        digest_file=True,
    ),
    Builder("podman", ("--layers=false",), "--timestamp", mounts=True, digest_file=True),
    Builder("docker", (), "", mounts=False, digest_file=False),
)
"""Only buildah is tried by the tests."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """One run over all images."""

    base: str
    """The image with Python that ours stand on, by digest."""
    registry: str
    """Where to push to, `host/path`; empty for nowhere."""
    plain_http: bool
    builder: Builder

    def run(self, say: Callable[[str], None]) -> dict[str, str]:
        """Build all, push all; each image's address by its name.

        Raises ImageError at the first that fails.
        """
        made = {}
        with tempfile.TemporaryDirectory() as folder:
            mounts = _package_index(Path(folder))
            if mounts and not self.builder.mounts:
                why = "a build by it cannot be told the package index that `pip` has here"
                raise ImageError(f"{self.builder.name}: {why}; use buildah or podman")
            for image in IMAGES:
                say(f"building {image.name}")
                self._make(image, mounts)
                made[image.name] = self._push(image, Path(folder) / "digest")
        return made

    def _make(self, image: Image, mounts: Sequence[str]) -> None:
        stamp = (self.builder.timestamp, _git("log", "-1", "--format=%ct"))
        words = ["build", *self.builder.words, *(stamp if self.builder.timestamp else ())]
        for name, value in self._labels(image).items():
            words += ["--label", f"{name}={value}"]
        words += [
            *self._transport(),
            *mounts,
            "--build-arg",
            f"BASE={self.base}",
            "--file",
            image.dockerfile,
        ]
        self._call(image, *words, "--tag", self._tag(image), ".")

    def _push(self, image: Image, digest: Path) -> str:
        if not self.registry:
            return self._tag(image)
        words = ["push"]
        if self.builder.digest_file:
            words += [f"--digestfile={digest}", *self._transport()]
        told = self._call(image, *words, self._tag(image))
        found = _DIGEST.search(digest.read_text() if self.builder.digest_file else told)
        if found is None:
            raise ImageError(f"{image.name}: the push told no digest; look at the registry")
        return f"{self.registry}/{image.name}@{found.group()}"

    def _labels(self, image: Image) -> Mapping[str, str]:
        """Of the OCI image specification's annotations, those that are known here."""
        name, _, digest = self.base.partition("@")
        values = {
            "title": image.title,
            "revision": _revision(),
            "base.name": name,
            "base.digest": digest,
        }
        return {f"org.opencontainers.image.{name}": value for name, value in values.items()}

    def _transport(self) -> list[str]:
        # Docker keeps such registries in its daemon's own settings.
        return ["--tls-verify=false"] if self.plain_http and self.builder.digest_file else []

    def _tag(self, image: Image) -> str:
        return f"{self.registry or 'localhost/isoserve'}/{image.name}:{_revision()}"

    def _call(self, image: Image, *words: str) -> str:
        argv = [self.builder.name, *words]
        try:
            done = subprocess.run(
                argv,
                cwd=ROOT,
                capture_output=True,
                text=True,
                timeout=_TIMEOUT_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            why = f"`{self.builder.name} {words[0]}` has no end after {_TIMEOUT_SECONDS} s"
            raise ImageError(f"{image.name}: {why}") from None
        if done.returncode:
            last = "\n".join((done.stdout + done.stderr).splitlines()[-6:])
            raise ImageError(f"{image.name}: `{self.builder.name} {words[0]}` failed:\n{last}")
        return done.stdout


def find_builder(name: str) -> Builder:
    """The builder of that name, or the first on PATH where the name is empty.

    Raises ImageError where there is none.
    """
    for builder in BUILDERS:
        if name in ("", builder.name) and shutil.which(builder.name):
            return builder
    wanted = name or " or ".join(builder.name for builder in BUILDERS)
    raise ImageError(f"there is no {wanted} on PATH; install one")


def _package_index(folder: Path) -> list[str]:
    """Mounts by which `pip` in a build asks the index that `pip` on this machine asks.

    They are there while a step runs and are no part of the image.
    """
    told = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False
    )
    settings = {}
    for line in told.stdout.splitlines():
        name, _, value = line.partition("=")
        setting = name.rpartition(".")[2]
        if setting in _INDEX_SETTINGS:
            settings[setting] = " ".join(str(ast.literal_eval(value)).split())
    if not settings:
        return []
    path = folder / "pip.conf"
    path.write_text("[global]\n" + "".join(f"{k} = {v}\n" for k, v in settings.items()))
    certificates = settings.get("cert")
    mounts = [f"{path}:/etc/pip.conf:ro"]
    if certificates:
        mounts.append(f"{certificates}:{certificates}:ro")
    return [f"--volume={mount}" for mount in mounts]


def _revision() -> str:
    """The commit, and that the tree is another one where it is."""
    return _git("rev-parse", "HEAD") + ("-changed" if _git("status", "--porcelain") else "")


def _git(*words: str) -> str:
    done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ImageError(f"`git {words[0]}` failed: {done.stderr.strip()}; build from a clone")
    return done.stdout.strip()


def main(arguments: Sequence[str] | None = None) -> int:
    """0 when all images are built and pushed, 2 with what to change otherwise."""
    parser = argparse.ArgumentParser(prog="python -m stacks.images", description=__doc__)
    parser.add_argument("--base", required=True, help="the image with Python, by digest")
    parser.add_argument("--registry", default="", help="push to HOST/PATH")
    parser.add_argument("--plain-http", action="store_true", help="the registry speaks no TLS")
    parser.add_argument("--builder", default="", help=" or ".join(one.name for one in BUILDERS))
    parser.add_argument("--json", action="store_true", help="for machines")
    options = parser.parse_args(arguments)
    if not _PINNED.fullmatch(options.base):
        print(
            f"images: --base {options.base}: give it by digest, IMAGE@sha256:...", file=sys.stderr
        )
        return 2
    try:
        build = Build(
            base=options.base,
            registry=options.registry.rstrip("/"),
            plain_http=options.plain_http,
            builder=find_builder(options.builder),
        )
        made = build.run(lambda told: print(f"images: {told}", file=sys.stderr))
    except ImageError as reason:
        print(f"images: {reason}", file=sys.stderr)
        return 2
    if options.json:
        print(json.dumps(made, indent=2))
    else:
        print("\n".join(f"{name:<12} {address}" for name, address in made.items()))
    return 0
