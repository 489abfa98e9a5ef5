"""What goes to AWS is written down as the engine would get it, without an engine or a trace."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest
from pulumi.runtime import settings
from pulumi_aws import eks

from policies import keys, nodes, providers, registry, roles
from policies.catalogue import RULES
from policies.judge import judge
from policies.resources import Resource, Unknown
from regions.resolve import resolve
from stacks.policy import resources
from stacks.recorded import recorded
from tests.builders import a_region_plan, a_registry
from tests.examples import REGIONS, ROOT, plan_of, specs
from tests.policies.estate import NO_WAIVERS, facts

AWS_RULES: Final = tuple(
    rule for module in (registry, keys, roles, nodes, providers) for rule in module.RULES
)
PLACES: Final = ("pulumi:providers:aws", "pulumi:providers:kubernetes")
LATER: Final = {
    "aws:eks/nodeGroup:NodeGroup cpu-4-on-demand.launchTemplate.id",
    "aws:eks/nodeGroup:NodeGroup cpu-4-on-demand.launchTemplate.version",
    "aws:eks/nodeGroup:NodeGroup cpu-4-on-demand.nodeRoleArn",
    "aws:kms/alias:Alias models.targetKeyId",
    "aws:s3/bucketReplicationConfig:BucketReplicationConfig models.role",
}
"""What only AWS decides, and no rule needs."""


def plain(found: list[Resource]) -> str:
    """Everything that was recorded, to compare."""
    rows = [(one.type, one.name, one.protected, one.provider, one.values) for one in found]
    return json.dumps(rows, sort_keys=True)


def by_label(found: list[Resource]) -> dict[str, Resource]:
    return {str(one): one for one in found}


def later(value: Any) -> Iterator[str]:
    """Paths of the values that are not known yet."""
    if type(value) is Unknown:
        yield object.__getattribute__(value, "_path")
    elif isinstance(value, dict):
        yield from (path for below in value.values() for path in later(below))
    elif isinstance(value, list):
        yield from (path for below in value for path in later(below))


@pytest.mark.parametrize("region", REGIONS)
def test_every_region_has_two_providers_and_all_else_goes_through_one(region: str) -> None:
    found = recorded(plan_of(region), ROOT)
    assert tuple(one.type for one in found if one.type in PLACES) == PLACES
    assert {one.provider for one in found if one.type not in PLACES} == {"account"}
    kept = [one for one in found if one.type.startswith(("aws:s3/", "aws:kms/"))]
    assert len(kept) >= 5, "bucket, encryption, lifecycle, policy and versions at least"
    assert all(one.protected for one in kept), "what holds models"
    assert not any(one.protected for one in found if one not in kept), "and nothing else"


def test_the_same_plan_is_recorded_alike_whatever_came_before() -> None:
    first = plain(recorded(plan_of("sandbox-aws"), ROOT))
    recorded(plan_of("seoul-dc1"), ROOT)
    assert plain(recorded(plan_of("sandbox-aws"), ROOT)) == first, "golden reviews rest on it"


def test_nothing_is_left_behind_and_nothing_is_said(capfd: pytest.CaptureFixture[str]) -> None:
    def ambient() -> list[Any]:
        names = ("dry_run", "engine", "monitor", "project", "rpc_manager", "stack")
        return [getattr(settings.SETTINGS, name) for name in names]

    before = ambient()
    recorded(plan_of("us-east-1"), ROOT)
    recorded(plan_of("us-east-1"), ROOT, known=False)
    assert ambient() == before, "the next who uses pulumi here must not talk to a recorder"
    assert settings.get_root_resource() is None
    assert not hasattr(sys, "tracebacklimit"), "errors after it have their whole traceback"
    with pytest.raises(RuntimeError):
        asyncio.get_running_loop()
    assert capfd.readouterr() == ("", "")


def test_inputs_are_what_the_provider_gets() -> None:
    found = by_label(recorded(plan_of("sandbox-aws"), ROOT))
    key = found["aws:kms/key:Key models"].values
    assert key["deletionWindowInDays"] == 30
    assert isinstance(key["deletionWindowInDays"], int), "the protocol has only floats"
    assert key["enableKeyRotation"] is True
    template = found["aws:ec2/launchTemplate:LaunchTemplate gpu-l4-1"].values
    assert template["metadataOptions"]["httpPutResponseHopLimit"] == 1
    assert template["blockDeviceMappings"][0]["ebs"]["encrypted"] == "true", "here it is a word"
    (pool,) = (one for one in plan_of("sandbox-aws").pools if one.name == "gpu-l4-1")
    assert template["blockDeviceMappings"][0]["ebs"]["volumeSize"] == pool.volume_gib
    account = found["pulumi:providers:aws account"].values
    assert json.loads(account["allowedAccountIds"]) == ["123456789012"]


def test_paths_are_taken_from_the_root_and_not_from_where_one_stands(tmp_path: Path) -> None:
    found = by_label(recorded(plan_of("sandbox-aws"), tmp_path))
    cluster = found["pulumi:providers:kubernetes cluster"].values
    assert cluster["kubeconfig"] == f"{tmp_path}/.isoserve/sandbox-aws/kubeconfig"


def test_what_aws_decides_has_its_form() -> None:
    found = by_label(recorded(plan_of("sandbox-aws"), ROOT))
    nodes = found["aws:eks/nodeGroup:NodeGroup gpu-l4-1-spot"].values
    role = "arn:aws:iam::123456789012:role/isoserve.sandbox-aws.isoserve-node"
    assert nodes["nodeRoleArn"] == role
    assert nodes["launchTemplate"] == {"id": "gpu-l4-1", "version": "1"}
    (rule,) = found[
        "aws:s3/bucketServerSideEncryptionConfiguration:"
        "BucketServerSideEncryptionConfiguration models"
    ].values["rules"]
    arn = rule["applyServerSideEncryptionByDefault"]["kmsMasterKeyId"]
    assert arn.startswith("arn:aws:kms:us-east-1:123456789012:key/")


def test_a_copy_names_the_key_of_its_place() -> None:
    found = by_label(recorded(plan_of("us-east-1"), ROOT))
    (rule,) = found["aws:s3/bucketReplicationConfig:BucketReplicationConfig models"].values["rules"]
    (copy,) = plan_of("us-east-1").registry.replicate_to
    keys = rule["destination"]["encryptionConfiguration"]
    assert keys == {"replicaKmsKeyId": copy.key_arn}, "each region has a key of its own"
    chosen = rule["sourceSelectionCriteria"]["sseKmsEncryptedObjects"]
    assert chosen == {"status": "Enabled"}, "else S3 leaves out every object, and says nothing"


def test_a_registry_without_keys_and_walls_has_fewer_parts() -> None:
    bare = a_registry(kms=False, access_control=False)
    kinds = {one.type for one in recorded(a_region_plan(registry=bare), ROOT)}
    assert not {kind for kind in kinds if kind.startswith("aws:kms/")}
    assert "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock" not in kinds
    assert "aws:s3/bucketPolicy:BucketPolicy" in kinds, "TLS is everyone's"


def test_before_anything_is_made_only_ids_of_aws_are_unknown() -> None:
    found = recorded(plan_of("sandbox-aws"), ROOT, known=False)
    paths = {path for one in found for path in later(one.values)}
    assert paths >= LATER
    ends = {path.rpartition(".")[2] for path in paths}
    assert ends == {"id", "version", "nodeRoleArn", "targetKeyId", "role", "kmsMasterKeyId"}
    assert not any("policy" in end.lower() for end in ends), "every document can be read at once"


@pytest.mark.parametrize("region", REGIONS)
def test_a_first_preview_is_judged_as_all_later_ones(region: str) -> None:
    plan, law = plan_of(region), facts(region)
    offline = resources(plan, ROOT)
    objects = [one for one in offline if one.is_object]
    first = [*recorded(plan, ROOT, known=False), *objects]
    verdict = judge(first, law, RULES, NO_WAIVERS)
    assert verdict == judge(offline, law, RULES, NO_WAIVERS), (
        "a rule that needs what is not known yet would block a good tree for ever"
    )
    assert len(first) == len(offline) > len(objects), "AWS is judged in both"


@pytest.mark.parametrize("lacking", ["kms", "s3_access_control", "s3_replication"])
@pytest.mark.parametrize("region", ["us-east-1", "sandbox-onprem"])
def test_what_is_rendered_for_a_lesser_store_passes_too(region: str, lacking: str) -> None:
    law = facts(region)
    able = tuple(name for name in law.profile.capabilities if name != lacking)
    profile = law.profile.model_copy(update={"capabilities": able})
    found = recorded(resolve(specs(), profile, region), ROOT)
    verdict = judge(found, replace(law, profile=profile), AWS_RULES, NO_WAIVERS)
    assert verdict.findings == (), f"no rule may ask for {lacking} where there is none"


def test_a_node_group_is_made_before_the_old_one_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    options: dict[str, Any] = {}
    made = eks.NodeGroup

    def noted(name: str, **values: Any) -> Any:
        options[name] = values["opts"]
        return made(name, **values)

    monkeypatch.setattr(eks, "NodeGroup", noted)
    found = by_label(recorded(plan_of("us-east-1"), ROOT))
    assert {one.delete_before_replace for one in options.values()} == {False}, (
        "left to the provider, a group with a given name is deleted first, and every GPU with it"
    )
    for pool in plan_of("us-east-1").pools:
        for group in pool.groups:
            label = f"{pool.name}-{group.capacity.replace('_', '-')}"
            values = found[f"aws:eks/nodeGroup:NodeGroup {label}"].values
            assert (values["nodeGroupName"], values["amiType"]) == (group.name, pool.ami_type)
