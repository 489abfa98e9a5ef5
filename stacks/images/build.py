"""`make images`: builds every image of ours from its Dockerfile, and pushes them where told.

    python -m stacks.images --base IMAGE@sha256:... [--registry HOST/PATH] [--builder NAME]
        [--platform linux/amd64 --platform linux/arm64] [--version TAG] [--source URL]

The builder is the first of `BUILDERS` on PATH. Each image is built from a folder that is made for
it (stacks.images.context), and has the bill of what is in it at `SBOM`. Prints a line an image: its
name and, with a registry, its address by the digest that the registry gave. The same tree over the
same base gives the same image with buildah and podman: files have the time of the commit.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import json
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from model_specs.pinned import TAG
from stacks.images.context import ROOT, make_context
from stacks.images.errors import ImageError

SBOM: Final = "/usr/share/isoserve/sbom.cdx.json"
"""Where an image says what is in it (stacks.images.sbom)."""
PLATFORMS: Final = ("linux/amd64", "linux/arm64")
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
    module: str
    """The program."""
    packages: tuple[str, ...]
    """What it imports of others, and what that imports."""


IMAGES: Final = (
    Image(
        name="cache-agent",
        dockerfile="components/model_cache/Dockerfile",
        title="Cache agent of isoserve",
        module="components.model_cache.agent",
        packages=("obstore", "prometheus-client"),
    ),
    Image(
        name="prober",
        dockerfile="components/synthetic_probe/Dockerfile",
        title="Prober of isoserve",
        module="components.synthetic_probe.prober",
        packages=(
            "aiohappyeyeballs", "aiohttp", "aiosignal", "attrs", "frozenlist", "idna", "multidict",
            "prometheus-client", "propcache", "regex", "typing-extensions", "yarl",
        ),
    ),
)  # fmt: skip


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
    lists: bool
    """Whether it keeps lists of one image's platforms; else it pushes them as it builds."""


BUILDERS: Final = (
    Builder(
        "buildah",
        ("--isolation=chroot", "--layers=false"),
        "--timestamp",
        mounts=True,
        digest_file=True,
        lists=True,
    ),
    Builder(
        "podman", ("--layers=false",), "--timestamp", mounts=True, digest_file=True, lists=True
    ),
    Builder("docker", (), "", mounts=False, digest_file=False, lists=False),
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
    platforms: tuple[str, ...]
    """Of `PLATFORMS`; empty for this machine's alone."""
    version: str
    """The tag of the images; empty for the commit."""
    source: str
    """Where people find the sources, a URL; empty where nobody says."""

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
            if self.platforms and not (self.builder.lists or self.registry):
                why = "it keeps no image of several platforms, only pushes it"
                raise ImageError(f"{self.builder.name}: {why}; name a --registry")
            for image in IMAGES:
                say(f"building {image.name}")
                context = Path(folder) / image.name
                context.mkdir()
                make_context(context, image.module, image.packages)
                self._make(image, context, mounts, Path(folder) / "digest")
                made[image.name] = self._push(image, Path(folder) / "digest")
        return made

    def _make(self, image: Image, context: Path, mounts: Sequence[str], digest: Path) -> None:
        stamp = (self.builder.timestamp, _of_commit("%ct") or "0")
        words = [*self._verb(image, digest), *self.builder.words]
        words += stamp if self.builder.timestamp else ()
        for name, value in self._labels(image).items():
            words += ["--label", f"{name}={value}"]
        words += [
            *self._transport(),
            *mounts,
            "--build-arg",
            f"BASE={self.base}",
            "--build-arg",
            f"NAME={image.name}",
            "--build-arg",
            f"VERSION={self._version}",
            "--file",
            image.dockerfile,
        ]
        kept = "--manifest" if self.platforms and self.builder.lists else "--tag"
        self._call(image, *words, kept, self._tag(image), str(context))

    def _verb(self, image: Image, digest: Path) -> list[str]:
        """The command that builds, and for which platforms."""
        if not self.platforms:
            return ["build"]
        platforms = f"--platform={','.join(self.platforms)}"
        if not self.builder.lists:
            return ["buildx", "build", platforms, "--push", f"--metadata-file={digest}"]
        with contextlib.suppress(ImageError):  # where there is none: a build adds to one
            self._call(image, "manifest", "rm", self._tag(image))
        return ["build", platforms]

    def _push(self, image: Image, digest: Path) -> str:
        if not self.registry:
            return self._tag(image)
        words, target = ["push"], [self._tag(image)]
        if self.platforms and self.builder.lists:
            words, target = ["manifest", "push", "--all"], [*target, f"docker://{target[0]}"]
        if self.builder.digest_file:
            words += [f"--digestfile={digest}", *self._transport()]
        if self.platforms and not self.builder.lists:  # it is pushed
            told = str(json.loads(digest.read_text()).get("containerimage.digest"))
        else:
            told = self._call(image, *words, *target)
        found = _DIGEST.search(digest.read_text() if self.builder.digest_file else told)
        if found is None:
            raise ImageError(f"{image.name}: the push told no digest; look at the registry")
        return f"{self.registry}/{image.name}@{found.group()}"

    def _labels(self, image: Image) -> Mapping[str, str]:
        """Of the OCI image specification's annotations, those that are known here."""
        name, _, digest = self.base.partition("@")
        values = {
            "title": image.title,
            "created": _of_commit("%cI"),
            "revision": _revision() if _of_commit("%H") else "",
            "version": self._version,
            "source": self.source,
            "licenses": _license(),
            "base.name": name,
            "base.digest": digest,
        }
        told = {
            f"org.opencontainers.image.{name}": value for name, value in values.items() if value
        }
        return {**told, "dev.isoserve.sbom": SBOM}

    def _transport(self) -> list[str]:
        # Docker keeps such registries in its daemon's own settings.
        return ["--tls-verify=false"] if self.plain_http and self.builder.digest_file else []

    def _tag(self, image: Image) -> str:
        return f"{self.registry or 'localhost/isoserve'}/{image.name}:{self._version}"

    @property
    def _version(self) -> str:
        return self.version or _revision()

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
            if "exec format error" in last.lower():
                last += "\nthis machine runs no programs of that platform; install qemu-user-static"
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


def _license() -> str:
    """As pyproject.toml says it in SPDX's words; empty where it does not."""
    said = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"].get("license", "")
    return said if isinstance(said, str) else ""


def _origin() -> str:
    """Where this clone comes from, where that is a page that anybody may be told of."""
    done = subprocess.run(
        ["git", "remote", "get-url", "origin"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    found = re.fullmatch(r"https://([^@/\s]+/\S+?)(\.git)?/?", done.stdout.strip())
    return f"https://{found[1]}" if found else ""


def _of_commit(form: str) -> str:
    """What git says of the commit; empty in a tree that is no clone, or not this user's."""
    with contextlib.suppress(ImageError):
        return _git("log", "-1", f"--format={form}")
    return ""


def _revision() -> str:
    """The commit, and that the tree is another one where it is."""
    return _git("rev-parse", "HEAD") + ("-changed" if _git("status", "--porcelain") else "")


def _git(*words: str) -> str:
    done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ImageError(f"`git {words[0]}` failed: {done.stderr.strip()}; build from a clone")
    return done.stdout.strip()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m stacks.images", description=__doc__)
    parser.add_argument("--base", required=True, help="the image with Python, by digest")
    parser.add_argument("--registry", default="", help="push to HOST/PATH")
    parser.add_argument("--plain-http", action="store_true", help="the registry speaks no TLS")
    parser.add_argument("--builder", default="", help=" or ".join(one.name for one in BUILDERS))
    parser.add_argument(
        "--platform", action="append", default=[], choices=PLATFORMS, help="repeatable"
    )
    parser.add_argument("--version", default="", help="the images' tag (the commit)")
    parser.add_argument("--source", default=_origin(), help="the URL of the sources")
    parser.add_argument("--json", action="store_true", help="for machines")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """0 when all images are built and pushed, 2 with what to change otherwise."""
    options = _parser().parse_args(arguments)
    if not _PINNED.fullmatch(options.base):
        print(
            f"images: --base {options.base}: give it by digest, IMAGE@sha256:...", file=sys.stderr
        )
        return 2
    if options.version and not re.fullmatch(TAG, options.version):
        print(
            f"images: --version {options.version}: no tag of images, e.g. v1.2.0", file=sys.stderr
        )
        return 2
    try:
        build = Build(
            base=options.base,
            registry=options.registry.rstrip("/"),
            plain_http=options.plain_http,
            builder=find_builder(options.builder),
            platforms=tuple(dict.fromkeys(options.platform)),
            version=options.version,
            source=options.source,
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
