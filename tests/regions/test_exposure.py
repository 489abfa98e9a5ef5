"""The internal gateway stays inside and the public one is reached, whatever the cloud."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from model_specs.errors import SpecErrors
from regions.exposure import DEFAULTS, EXPOSURES, SCHEME, SIDES, balancer_annotations, misdirects
from regions.profile import RegionProfile, load_profile
from tests.examples import REGIONS, ROOT, objects_of, of_kind, plan_of, planned, profiles, rendered

AWS = "service.beta.kubernetes.io/aws-load-balancer"


def told(region: str, **gateways: dict[str, str]) -> RegionProfile:
    """A region's profile with annotations of its own."""
    values: dict[str, Any] = json.loads(profiles()[region].model_dump_json())
    values["gateways"] = {name: {"annotations": own} for name, own in gateways.items()}
    return RegionProfile.model_validate_json(json.dumps(values))


def shown(profile: RegionProfile) -> dict[str, dict[str, str]]:
    """The annotations of both Gateways' load balancers, as rendered."""
    found = of_kind("Gateway", rendered(planned(profile=profile)))
    return {
        made["metadata"]["name"]: made["spec"].get("infrastructure", {}).get("annotations", {})
        for made in found
    }


@pytest.mark.parametrize("region", [r for r in REGIONS if profiles()[r].provider == "aws"])
def test_on_aws_each_gateway_says_on_which_side_it_stands(region: str) -> None:
    found = {
        made["metadata"]["name"]: made["spec"]["infrastructure"]["annotations"]
        for made in of_kind("Gateway", objects_of(region))
    }
    assert found["internal"][SCHEME] == "internal", "its models take anybody, over plain HTTP"
    assert found["public"][SCHEME] == "internet-facing", "the controller's own default is internal"
    for told_cloud in found.values():
        assert told_cloud[f"{AWS}-type"] == "external", (
            "else the in-tree controller makes a balancer that faces the internet"
        )


def test_own_metal_has_no_cloud_to_tell() -> None:
    for gateway in plan_of("sandbox-onprem").gateways:
        assert gateway.annotations == {}


def test_a_profile_adds_to_the_providers_annotations_and_replaces_them() -> None:
    own = {f"{AWS}-type": "nlb-ip", f"{AWS}-attributes": "deletion_protection.enabled=true"}
    found = shown(told("us-east-1", internal=own))
    assert found["internal"] == balancer_annotations("aws", "internal", own)
    assert found["internal"][SCHEME] == "internal", "what it leaves out stays"
    assert f"{AWS}-attributes" not in found["public"], "each gateway has its own"


@pytest.mark.parametrize("name", EXPOSURES)
@pytest.mark.parametrize("key", sorted(SIDES))
def test_an_annotation_that_moves_a_gateway_is_refused_with_what_to_write(
    key: str, name: str
) -> None:
    for value, side in (*SIDES[key].items(), ("anything else", "")):
        if side == name:
            assert told("seoul-dc1", **{name: {key: value}}), f"{value} keeps it on its side"
            continue
        with pytest.raises(ValueError, match=f"the {name} gateway would not stand on its side"):
            told("seoul-dc1", **{name: {key: value}})


def test_the_public_gateways_word_for_the_internet_is_refused_of_the_internal_one() -> None:
    why = misdirects("aws", "internal", SCHEME, "internet-facing")
    assert why == (
        "the internal gateway would not stand on its side, got 'internet-facing'; write 'internal'"
    )


def test_another_controller_on_aws_would_read_no_scheme() -> None:
    with pytest.raises(ValueError, match="and not read its scheme, got 'nlb'"):
        told("us-east-1", internal={f"{AWS}-type": "nlb"})


@pytest.mark.parametrize(("provider", "name"), sorted(DEFAULTS))
def test_no_default_moves_its_own_gateway(provider: str, name: str) -> None:
    for key, value in DEFAULTS[provider, name].items():
        assert misdirects(provider, name, key, value) == ""


def test_a_wrong_annotation_is_told_at_its_place(tmp_path: Path) -> None:
    path = tmp_path / "here.yaml"
    own = f"gateways:\n  internal:\n    annotations: {{{SCHEME}: internet-facing}}\n"
    path.write_text((ROOT / "regions" / "us-east-1.yaml").read_text() + own)
    with pytest.raises(SpecErrors) as refused:
        load_profile(path)
    (error,) = refused.value.errors
    assert (error.code, error.path) == ("E371", f"gateways.internal.annotations.{SCHEME}")
