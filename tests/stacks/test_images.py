"""`make images`: what is asked of a builder, and what a person is told where it cannot be."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from importlib.metadata import Distribution
from pathlib import Path
from typing import cast

import pytest

from stacks.images import sbom
from stacks.images.build import BUILDERS, IMAGES, PLATFORMS, SBOM, Build, Image, find_builder, main
from stacks.images.context import make_context, pins, sources
from stacks.images.errors import ImageError
from stacks.images.sbom import bill
from tests.examples import ROOT

BASE = f"python@sha256:{'0' * 64}"
DIGEST = f"sha256:{'a' * 64}"
OTHER = f"sha256:{'b' * 64}"


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Every command that a builder is given; a push tells a digest."""
    commands: list[list[str]] = []
    run = subprocess.run

    def pretend(argv: list[str], **words: object) -> subprocess.CompletedProcess[str]:
        if argv[0] not in {builder.name for builder in BUILDERS}:
            return run(argv, **words)  # type: ignore[call-overload, no-any-return]
        commands.append(argv)
        for word in argv:
            if word.startswith("--digestfile="):
                Path(word.partition("=")[2]).write_text(DIGEST)
            if word.startswith("--metadata-file="):
                told = {"containerimage.config.digest": OTHER, "containerimage.digest": DIGEST}
                Path(word.partition("=")[2]).write_text(json.dumps(told))
        return subprocess.CompletedProcess(argv, 0, f"latest: digest: {DIGEST} size: 1", "")

    monkeypatch.setattr("stacks.images.build.subprocess.run", pretend)
    return commands


def build(
    name: str,
    *,
    registry: str = "registry.example.com/isoserve",
    platforms: tuple[str, ...] = (),
    version: str = "",
) -> dict[str, str]:
    builder = next(one for one in BUILDERS if one.name == name)
    run = Build(
        base=BASE, registry=registry, plain_http=False, builder=builder,
        platforms=platforms, version=version, source="https://git.example/isoserve",
    )  # fmt: skip
    return run.run(lambda _: None)


@pytest.mark.parametrize("name", [one.name for one in BUILDERS])
def test_every_builder_gives_addresses_by_the_digest_of_the_registry(
    asked: list[list[str]], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stacks.images.build._package_index", lambda _: [])
    made = build(name)
    assert made == {
        image.name: f"registry.example.com/isoserve/{image.name}@{DIGEST}" for image in IMAGES
    }, "a tag would be another image tomorrow"
    builds = [argv for argv in asked if argv[1] == "build"]
    assert [argv[argv.index("--file") + 1] for argv in builds] == [one.dockerfile for one in IMAGES]
    assert all(f"BASE={BASE}" in argv for argv in builds), "the base is stated, and by digest"


def test_docker_is_refused_where_pip_has_an_index_of_its_own(
    asked: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stacks.images.build._package_index", lambda _: ["--volume=a:b:ro"])
    with pytest.raises(ImageError, match="use buildah or podman"):
        build("docker")
    assert asked == [], "its build has no --volume"


def test_without_a_registry_nothing_is_pushed(asked: list[list[str]]) -> None:
    made = build("buildah", registry="")
    assert {argv[1] for argv in asked} == {"build"}
    assert all(address.startswith("localhost/isoserve/") for address in made.values())


def test_an_image_says_what_it_was_made_of(asked: list[list[str]]) -> None:
    build("buildah")
    labels = [asked[0][at + 1] for at, word in enumerate(asked[0]) if word == "--label"]
    told = dict(label.removeprefix("org.opencontainers.image.").split("=", 1) for label in labels)
    assert told["dev.isoserve.sbom"] == SBOM
    assert told["base.digest"] == BASE.partition("@")[2]
    assert told["source"] == "https://git.example/isoserve"
    assert told["created"][:4].isdigit(), "the commit's time: another would be another image"
    assert "" not in told.values(), "a label without a value says nothing"
    assert told["version"] == told["revision"], "where nobody names one"
    revision, _, changed = told["revision"].partition("-")
    assert len(revision) == 40, "the commit whose files are inside"
    assert changed in ("", "changed"), "or nearly"


def test_a_base_by_tag_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--base", "python:3.11-slim"]) == 2
    assert "give it by digest" in capsys.readouterr().err


def test_a_machine_without_a_builder_is_told_which_there_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("stacks.images.build.shutil.which", lambda _: None)
    with pytest.raises(ImageError, match="there is no buildah or podman or docker on PATH"):
        find_builder("")


def test_every_dockerfile_of_the_tree_is_built() -> None:
    found = {str(path.relative_to(ROOT)) for path in ROOT.glob("components/*/Dockerfile")}
    assert found == {image.dockerfile for image in IMAGES}, (
        "an image that nobody builds may not build"
    )


# -- several platforms -----------------------------------------------------------------------


@pytest.mark.parametrize("name", [one.name for one in BUILDERS])
def test_every_builder_makes_one_address_for_all_platforms(
    asked: list[list[str]], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stacks.images.build._package_index", lambda _: [])
    made = build(name, platforms=PLATFORMS, version="v1.2.0")
    assert {address.partition("@")[2] for address in made.values()} == {DIGEST}
    builds = [argv for argv in asked if "build" in argv]
    assert all("--platform=linux/amd64,linux/arm64" in argv for argv in builds)
    tags = {argv[argv.index("--tag" if name == "docker" else "--manifest") + 1] for argv in builds}
    assert tags == {f"registry.example.com/isoserve/{image.name}:v1.2.0" for image in IMAGES}
    whole = [argv for argv in asked if "--all" in argv or "--push" in argv]
    assert len(whole) == len(IMAGES), "a list without its images is of no use"


def test_what_keeps_no_lists_needs_a_registry_for_them(
    asked: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stacks.images.build._package_index", lambda _: [])
    with pytest.raises(ImageError, match="name a --registry"):
        build("docker", registry="", platforms=PLATFORMS)
    assert asked == []


def test_a_tag_that_no_registry_takes_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--base", BASE, "--version", "v1 2"]) == 2
    assert "no tag of images" in capsys.readouterr().err


# -- what an image is built from -------------------------------------------------------------


@pytest.mark.parametrize("image", IMAGES, ids=lambda image: image.name)
def test_a_dockerfile_copies_one_folder(image: Image) -> None:
    text = (ROOT / image.dockerfile).read_text()
    assert re.findall(r"(?m)^(?:COPY|ADD) .*", text) == ["COPY . ."], "a list of names goes stale"
    assert f'"-m", "{image.module}"' in text
    assert SBOM in text


@pytest.mark.parametrize("image", IMAGES, ids=lambda image: image.name)
def test_the_same_tree_gives_the_same_folder_whatever_a_umask_says(
    image: Image, tmp_path: Path
) -> None:
    found = []
    for mask in (0o022, 0o077):
        before = os.umask(mask)
        try:
            folder = tmp_path / f"{mask}"
            folder.mkdir()
            make_context(folder, image.module, image.packages)
        finally:
            os.umask(before)
        paths = sorted(folder.rglob("*"))
        found.append([(str(p.relative_to(folder)), p.stat().st_mode) for p in paths])
    assert found[0] == found[1]
    names = {name for name, _ in found[0]}
    assert "requirements.txt" in names
    assert not any("objects.py" in name or "pulumi" in name for name in names), "of the program"


def test_what_a_type_checker_alone_reads_is_in_no_image() -> None:
    found = {str(path) for path in sources("components.model_registry.store")}
    assert "components/model_registry/__init__.py" in found
    text = (ROOT / "components/model_registry/store.py").read_text()
    assert "if TYPE_CHECKING:" in text, "else this shows nothing"
    assert not [name for name in found if name.startswith(("policies", "stacks"))]


def test_pins_have_their_hashes_and_a_package_without_one_is_named() -> None:
    text = pins(["obstore"])
    assert text.startswith("obstore==")
    assert text.count("--hash=sha256:") > 1
    with pytest.raises(ImageError, match="no-such: no pin in requirements"):
        pins(["obstore", "no-such"])


# -- what an image says of itself ------------------------------------------------------------

STATUS = """Package: bash
Status: install ok installed
Architecture: amd64
Version: 5.2.15-2+b7
Description: a shell
 of many words: yes

Package: gone
Status: deinstall ok config-files
Architecture: all
Version: 1
"""


def test_a_bill_holds_debians_packages_and_pythons(tmp_path: Path) -> None:
    (tmp_path / "var/lib/dpkg/status.d").mkdir(parents=True)
    (tmp_path / "var/lib/dpkg/status").write_text(STATUS)
    (tmp_path / "var/lib/dpkg/status.d/tzdata").write_text(
        "Package: tzdata\nVersion: 1:2\nArchitecture: all\n"
    )
    (tmp_path / "var/lib/dpkg/status.d/tzdata.md5sums").write_text("Package: none\n")
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/os-release").write_text('ID=debian\nVERSION_ID="12"\n')
    info = tmp_path / "Some_Thing-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        "Metadata-Version: 2.4\nName: Some_Thing\nVersion: 1.2\nLicense-Expression: MIT\n"
    )
    found = bill("prober", "v1", tmp_path, [Distribution.at(info)])
    named = {str(one["purl"]): one for one in cast(list[dict[str, object]], found["components"])}
    assert list(named) == [
        "pkg:deb/debian/bash@5.2.15-2%2Bb7?arch=amd64&distro=debian-12",
        "pkg:deb/debian/tzdata@1%3A2?arch=all&distro=debian-12",
        "pkg:pypi/some-thing@1.2",
    ], "what is not installed is not there"
    assert named["pkg:pypi/some-thing@1.2"]["licenses"] == [{"expression": "MIT"}]
    assert (found["bomFormat"], found["specVersion"]) == ("CycloneDX", "1.6")
    assert found["metadata"] == {
        "component": {"type": "container", "name": "prober", "version": "v1"}
    }
    assert found == bill("prober", "v1", tmp_path, [Distribution.at(info)]), "no time is in it"


def test_a_bill_is_printed_by_the_program_alone(tmp_path: Path) -> None:
    command = [sys.executable, "-I", "-S", sbom.__file__, "prober", "v1"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["components"], "this machine has packages as well"
