"""ARNs and hosts are those of the region's AWS partition."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import botocore
import pytest

from components.model_registry.store import Store, hosts
from policies.catalogue import RULES
from policies.judge import judge
from regions.aws_partitions import partition_of
from regions.profile import RegionProfile
from regions.resolve import resolve
from stacks.parity import compare, rendering
from stacks.policy import resources
from tests.examples import ROOT, a_model, a_tree, profiles
from tests.policies.estate import NO_WAIVERS, facts

PARTITIONS = json.loads((Path(botocore.__file__).parent / "data/partitions.json").read_text())


def known() -> list[tuple[str, str, str]]:
    """Region, partition and DNS suffix of every region that botocore knows."""
    return [
        (region, one["id"], one["outputs"]["dnsSuffix"])
        for one in PARTITIONS["partitions"]
        for region in one["regions"]
        if not region.endswith("-global")
    ]


@pytest.mark.parametrize(("region", "name", "suffix"), known())
def test_a_regions_partition_is_the_one_that_the_sdk_knows(
    region: str, name: str, suffix: str
) -> None:
    assert tuple(partition_of(region)) == (name, suffix)


def a_profile_in(region: str) -> RegionProfile:
    """The profile of us-east-1 as it would be written in another AWS region."""
    text = profiles()["us-east-1"].model_dump_json()
    values: dict[str, Any] = json.loads(text.replace("us-east-1", region))
    values["registry"]["replicate_to"] = []
    return RegionProfile.model_validate_json(json.dumps(values))


@pytest.mark.parametrize(
    ("region", "partition", "suffix"),
    [
        ("cn-north-1", "aws-cn", "amazonaws.com.cn"),
        ("us-gov-west-1", "aws-us-gov", "amazonaws.com"),
        ("eusc-de-east-1", "aws-eusc", "amazonaws.eu"),
    ],
)
def test_no_arn_of_another_partition_is_made_and_the_rules_know_it(
    region: str, partition: str, suffix: str
) -> None:
    profile, specs = a_profile_in(region), a_tree(a_model())
    made = resources(resolve(specs, profile, "far"), ROOT)
    text = json.dumps([dict(one.values) for one in made], default=str)
    arns = {word.split(":")[0] for word in text.split("arn:")[1:]}
    assert arns == {partition}, "IAM knows no principal and S3 no bucket of another"
    assert f"s3.{region}.{suffix}" in text, "a key is used through the S3 of its own partition"
    assert f"ec2.{suffix}" in text, "EKS demands this principal of a node's role"
    own = replace(facts("us-east-1"), region="far", profile=profile, specs=specs)
    found = judge(made, own, RULES, NO_WAIVERS).findings
    assert [str(one.place) for one in found] == []


def test_regions_of_two_partitions_differ_in_nothing_undeclared() -> None:
    specs, here = a_tree(a_model()), profiles()["us-east-1"]
    far = a_profile_in("cn-north-1")
    sides = [
        rendering(resolve(specs, profile, name), profile)
        for name, profile in (("us-east-1", here), ("far", far))
    ]
    assert compare(sides)[1] == [], "an ARN names its partition"


@pytest.mark.parametrize(
    ("endpoint", "region", "expected"),
    [
        ("", "us-east-1", {}),
        ("", "us-gov-west-1", {}),
        ("http://store:9000", "cn-north-1", {"endpoint": "http://store:9000"}),
        (
            "",
            "cn-north-1",
            {
                "endpoint": "https://s3.cn-north-1.amazonaws.com.cn",
                "endpoint_url_sts": "https://sts.cn-north-1.amazonaws.com.cn",
            },
        ),
    ],
)
def test_pods_ask_the_s3_and_sts_of_their_partition(
    endpoint: str, region: str, expected: dict[str, str]
) -> None:
    assert hosts(endpoint, region) == expected
    Store("s3://isoserve-models", endpoint, region, None)  # obstore refuses an unknown setting
