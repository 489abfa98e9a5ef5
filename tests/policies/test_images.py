"""What runs is pinned by digest, or refused."""

from __future__ import annotations

from typing import Any, Final

import pytest

from policies.images import RULES
from tests.examples import REGIONS
from tests.policies.cases import Case, Failing
from tests.policies.estate import changed, named, said

DIGEST, HOST = RULES
ONES: Final = "1" * 64


@pytest.mark.parametrize("region", REGIONS)
def test_every_example_runs_pinned_images(region: str) -> None:
    assert said(DIGEST, region=region) == []


@pytest.mark.parametrize(
    "image",
    ["registry.example.com/runtimes/vllm:v1", "vllm", "registry.example.com/a@sha256:12", ""],
)
def test_an_image_that_can_move_is_refused_at_its_line(image: str) -> None:
    good = named("Deployment search/embedder")

    def unpin(values: Any) -> None:
        values["spec"]["template"]["spec"]["containers"][0]["image"] = image

    (finding,) = said(DIGEST, changed(good, unpin))
    assert finding.resource == "Deployment search/embedder"
    assert (finding.place.file, finding.place.line) == ("model_specs/search/embedder.yaml", 3)
    assert repr(image) in finding.place.message, "a person must see which image it is"


@pytest.mark.parametrize("group", ["containers", "initContainers"])
def test_a_pinned_image_of_a_registry_that_is_not_listed_is_refused(group: str) -> None:
    def stray(values: Any) -> None:
        values["spec"]["template"]["spec"][group][0]["image"] = "evil.example.com/x@sha256:" + ONES

    (finding,) = said(HOST, changed(named("Deployment search/embedder"), stray))
    assert "'evil.example.com'" in finding.place.message, "a person must see whose it is"
    assert "registry.example.com" in finding.place.message, "and which may be taken"


FAILING: Final[Failing] = {
    "image-host": Case(
        rule=HOST,
        of="Deployment search/embedder",
        path="spec template spec containers 0 image",
        value="evil.example.com/x@sha256:" + ONES,
        says="evil.example.com",
    ).found
}
