"""`make images`: what is asked of a builder, and what a person is told where it cannot be."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from stacks.images.build import BUILDERS, IMAGES, Build, find_builder, main
from stacks.images.errors import ImageError
from tests.examples import ROOT

BASE = f"python@sha256:{'0' * 64}"
DIGEST = f"sha256:{'a' * 64}"


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
        return subprocess.CompletedProcess(argv, 0, f"latest: digest: {DIGEST} size: 1", "")

    monkeypatch.setattr("stacks.images.build.subprocess.run", pretend)
    return commands


def build(name: str, *, registry: str = "registry.example.com/isoserve") -> dict[str, str]:
    builder = next(one for one in BUILDERS if one.name == name)
    run = Build(base=BASE, registry=registry, plain_http=False, builder=builder)
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
    assert told["base.digest"] == BASE.partition("@")[2]
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
