"""Profiles are held against each other: two sound ones may overwrite each other all the same."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from tests.model_specs.catalogue import PROFILE, Report, beside, build, check

Edits = tuple[tuple[str, str], ...]
_KEY: Final = "arn:aws:kms:us-east-1:111122223333:key/a"


def copied(region: str = "here", bucket: str = "models-here", key_arn: str = _KEY) -> Edits:
    """The second region copies its registry there."""
    copy = f"{{region: {region}, bucket: {bucket}, key_arn: '{key_arn}'}}"
    return (("replicate_to: []", f"replicate_to: [{copy}]"),)


def domain(name: str) -> Edits:
    return (("domain: models.example.org", f"domain: {name}"),)


REFUSED: Final[dict[str, tuple[Edits, str, str]]] = {
    "one domain": (domain("models.example.com"), "domain", "a domain is one region's"),
    "a domain among internal hosts": (
        domain("internal.models.example.com"), "domain", "has hosts of here"),
    "a domain below internal hosts": (
        domain("eu.internal.models.example.com"), "domain", "has hosts of here"),
    "a domain among public hosts": (
        domain("chat--team.models.example.com"), "domain", "has hosts of here"),
    "one bucket": (
        (("bucket: models-there", "bucket: models-here"),),
        "registry.bucket", "a bucket is one region's"),
    "one context": (
        (("context: there", "context: here"),), "cluster.context", "a cluster is one region's"),
    "one EKS cluster under two contexts": (
        (("name: there", "name: here"),), "cluster.name", "a cluster of EKS is one region's"),
    "a copy in another bucket": (
        copied(bucket="models-x"), "registry.replicate_to[0].bucket", "here reads models-here"),
    "a key of another region": (
        copied(key_arn=_KEY.replace("us-east-1", "eu-west-1")),
        "registry.replicate_to[0].key_arn", "in its region and account"),
    "a key of another account": (
        copied(key_arn=_KEY.replace("3333", "4444")),
        "registry.replicate_to[0].key_arn", "in its region and account"),
    "a copy of itself": (
        copied("there"), "registry.replicate_to[0].region", "no copy of itself"),
}  # fmt: skip
LEGAL: Final[dict[str, Edits]] = {
    "each with its own": (),
    "a copy as its profile says": copied(),
    "a copy in a region without a profile": copied("elsewhere", "models-elsewhere"),
    "a domain below another's, beside its hosts": domain("eu.models.example.com"),
    "a domain that only ends alike": domain("xmodels.example.com"),
    "an internationalised name below another's": domain("xn--bcher-kva.models.example.com"),
    "one context of two kubeconfigs": (
        ("context: there", "context: here"), ("kubeconfig: kubeconfig", "kubeconfig: other"),
    ),
    "one name of two clusters in two AWS regions": (
        ("name: there", "name: here"), ("  region: us-east-1", "  region: eu-west-1"),
        ("[us-east-1a, us-east-1b]", "[eu-west-1a, eu-west-1b]"),
        ("oidc_issuer: oidc.eks.us-east-1", "oidc_issuer: oidc.eks.eu-west-1"),
    ),
}  # fmt: skip


def checked(folder: Path, edits: Edits, of_here: Edits = ()) -> Report:
    root = folder / "tree"
    build("43-renamed", root)
    beside(root, *edits)
    text = (root / PROFILE).read_text()
    for old, new in of_here:
        text = text.replace(old, new)
    (root / PROFILE).write_text(text)
    return check(root)


@pytest.mark.parametrize("what", REFUSED)
def test_what_two_regions_cannot_share_is_refused_at_its_place(what: str, tmp_path: Path) -> None:
    edits, path, words = REFUSED[what]
    report = checked(tmp_path, edits)
    assert [(e.file, e.path, e.code) for e in report.errors] == [
        ("regions/there.yaml", path, "E372")
    ], report.lines
    assert words in report.errors[0].message


@pytest.mark.parametrize("what", LEGAL)
def test_what_is_each_regions_own_passes(what: str, tmp_path: Path) -> None:
    assert checked(tmp_path, LEGAL[what]).lines == []


def test_copies_in_a_circle_are_refused_on_both_sides(tmp_path: Path) -> None:
    report = checked(tmp_path, copied(), copied("there", "models-there"))
    assert [e.file for e in report.errors] == ["regions/here.yaml", "regions/there.yaml"]
    assert all("is a home itself" in e.message for e in report.errors), "either may be the copy"


def test_a_registry_has_one_home(tmp_path: Path) -> None:
    to_third = copied("third", "models-third")
    report = checked(tmp_path, to_third, to_third)
    (error,) = report.errors
    assert (error.file, error.path) == ("regions/there.yaml", "registry.replicate_to[0].region")
    assert "a registry has one home, got third as a copy of here too" in error.message
