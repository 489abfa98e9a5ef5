"""Nothing is registered with an option of the engine that this program is not known to set."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pulumi
import pytest

from components.parts import parts
from policies.catalogue import RULES
from policies.legal.options import NOUNS, wrong_options
from policies.resources import GROUPS, Resource
from regions.plan import RegionPlan
from stacks import program, recorded
from tests.examples import REGIONS, ROOT, plan_of
from tests.policies.amiss import ACCOUNT, BUCKET, CLUSTER, KEY
from tests.policies.estate import facts, good, named, said

(CLOSED,) = (rule for rule in RULES if rule.name == "options-closed")
(KNOWN,) = (rule for rule in RULES if rule.name == "known-kinds")
_GROUP: Final = "aws:eks/nodeGroup:NodeGroup gpu-l4-1-on-demand"
_SERVER: Final = "Deployment search/sentiment"
_WALL: Final = "NetworkPolicy search/default-deny"

REFUSED: Final = {
    "a wall that keeps what a hand has opened": (_WALL, "ignoreChanges", ["spec"]),
    "a server that stays at its old image": (_SERVER, "ignoreChanges", ["spec.template"]),
    "a server of which nothing changes": (_SERVER, "ignoreChanges", ["*"]),
    "a role that keeps what a hand has added": (
        "Role search/project-admin", "ignoreChanges", ["rules"]
    ),
    "replicas and more": (_SERVER, "ignoreChanges", ["spec.replicas", "metadata.labels"]),
    "an agent whose pods stay": (
        "DaemonSet isoserve-cache/cache-gpu-l4-1", "ignoreChanges", ["spec.template"]
    ),
    "a prober whose replicas a hand sets": (
        "Deployment search/prober", "ignoreChanges", ["spec.replicas"]
    ),
    "nodes that are deleted first": (_GROUP, "deleteBeforeReplace", True),
    "nodes as the provider likes": (_GROUP, "deleteBeforeReplace", None),
    "a size that every `up` sets back": (_GROUP, "ignoreChanges", None),
    "nodes of which nothing changes": (_GROUP, "ignoreChanges", ["*"]),
    "nodes that stay where nobody keeps them": (_GROUP, "retainOnDelete", True),
    "a bucket that goes with its stack": (BUCKET, "retainOnDelete", None),
    "a bucket that somebody else has made": (BUCKET, "importId", "others-models"),
    "a bucket that goes with another thing": (BUCKET, "deletedWith", "urn:x"),
    "a bucket that had another name": (BUCKET, "aliases", [{"name": "old"}]),
    "a key that is replaced": (KEY, "replaceOnChanges", ["*"]),
    "a key that is replaced with another": (KEY, "replace_with", ["urn:x"]),
    "a key that is replaced at will": (KEY, "replacement_trigger", "2"),
    "a policy whose changes nobody sees": (BUCKET, "hideDiffs", ["policy"]),
    "a plugin of a stranger": (ACCOUNT, "pluginDownloadURL", "https://evil.example.com"),
    "a plugin under another digest": (ACCOUNT, "pluginChecksums", {"linux-amd64": "AA=="}),
    "a plugin of no release": (ACCOUNT, "version", "7.51.1-evil"),
    "a provider by a stranger's variables": (ACCOUNT, "envVarMappings", {"EVIL": "AWS_PROFILE"}),
    "a provider's secrets in the clear": (ACCOUNT, "additionalSecretOutputs", None),
    "a package that is made on the way": (CLUSTER, "packageRef", "some-id"),
    "a component of a plugin": (CLUSTER, "remote", True),
    "fields changed on their way": (_SERVER, "transforms", [{"token": "t"}]),
    "states changed on their way": (_SERVER, "state_migrations", [{"token": "t"}]),
    "code that runs before it is made": (_SERVER, "hooks", {"beforeCreate": ["run"]}),
    "a wait without end": (_SERVER, "customTimeouts", {"create": "100h"}),
    "what no engine has today": (_SERVER, "adoptFromElsewhere", True),
}  # fmt: skip


FAILING: Final = {
    CLOSED.name: lambda: said(CLOSED, replace(named(_WALL), options={"ignoreChanges": ["spec"]}))
}


def _with(label: str, option: str, value: Any) -> Resource:
    of = named(label)
    return replace(of, options={**of.options, option: value})


@pytest.mark.parametrize("name", REFUSED)
def test_an_option_that_nobody_asked_for_is_refused_by_name(name: str) -> None:
    label, option, value = REFUSED[name]
    found = said(CLOSED, _with(label, option, value))
    assert {finding.resource for finding in found} == {label}
    assert all(option in one.place.message for one in found), "a person must know which"


@pytest.mark.parametrize("label", [_SERVER, _WALL, _GROUP, CLUSTER])
def test_only_what_holds_models_is_protected(label: str) -> None:
    (finding,) = said(CLOSED, replace(named(label), protected=True))
    assert "protect" in finding.place.message, "a wrong wall could never be taken away again"


@pytest.mark.parametrize("region", REGIONS)
def test_the_options_of_every_region_pass(region: str) -> None:
    assert said(CLOSED, region=region) == []
    assert all(one.options for one in good(region)), "each is judged by some"


def test_replicas_are_left_alone_where_an_autoscaler_sets_them_and_nowhere_else() -> None:
    (bounds,) = (rule for rule in RULES if rule.name == "scaler-bounds")
    for label, has_scaler in ((_SERVER, True), ("Deployment search/prober", False)):
        of = named(label)
        assert (of.options["ignoreChanges"] == ["spec.replicas"]) is has_scaler
    (finding,) = said(bounds, replace(named(_SERVER), options={"ignoreChanges": None}))
    assert "ignoreChanges None" in finding.place.message, "each `up` would set them back"


def _registered(plan: RegionPlan, monkeypatch: pytest.MonkeyPatch, run: Any) -> list[Resource]:
    """What the engine is told when the program is `run`."""
    monkeypatch.setattr(recorded, "cluster", lambda plan, root: None)
    monkeypatch.setattr(recorded, "aws_part", run)
    return recorded.recorded(plan, ROOT)


@pytest.mark.parametrize("region", REGIONS)
def test_the_whole_program_registers_nothing_otherwise(
    region: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = _registered(plan_of(region), monkeypatch, program.build)
    law = facts(region)
    assert [wrong for one in found for wrong in wrong_options(one, law)] == []
    seen = {str(one): one.options.get("ignoreChanges") for one in found if one.is_object}
    offline = {str(one): one.options["ignoreChanges"] for one in good(region) if one.is_object}
    assert seen == offline, "the judge without an engine knows what the engine is told"


def _noun(noun: str, **options: Any) -> Callable[[RegionPlan, Path], None]:
    def run(plan: RegionPlan, root: Path) -> None:
        pulumi.ComponentResource(f"{GROUPS}{noun}", "x", None, pulumi.ResourceOptions(**options))

    return run


@pytest.mark.parametrize(
    ("option", "value"), [("protect", True), ("aliases", [pulumi.Alias(name="old")])]
)
def test_a_group_hands_no_option_down_to_what_it_holds(
    option: str, value: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = _noun("ModelServer", **{option: value})
    (group,) = _registered(plan_of("sandbox-aws"), monkeypatch, run)
    (wrong,) = wrong_options(group, facts())
    assert option in wrong
    assert said(KNOWN, group) == [], "the noun itself is ours"


@pytest.mark.parametrize("noun", ["Evil", ""])
def test_a_noun_that_is_not_ours_is_refused(noun: str) -> None:
    stranger = Resource(f"{GROUPS}{noun}", "x", {}, protected=False, provider="")
    (finding,) = said(KNOWN, stranger)
    assert "never makes" in finding.place.message


def test_every_noun_of_the_program_is_known() -> None:
    made = {part.noun for region in REGIONS for part in parts(plan_of(region))}
    assert {f"{GROUPS}{noun}" for noun in made | {"ModelRegistry", "NodeRole"}} == NOUNS


CHANGES: Final[dict[str, Callable[[], Any]]] = {
    "StackTransform": lambda: pulumi.runtime.register_resource_transform(lambda args: None),
    "StackInvokeTransform": lambda: pulumi.runtime.register_invoke_transform(lambda args: None),
    "ResourceHook": lambda: pulumi.ResourceHook("x", lambda args: None),
    "ErrorHook": lambda: pulumi.ErrorHook("x", lambda args: False),
}


@pytest.mark.parametrize("kind", CHANGES)
def test_what_changes_or_follows_every_resource_is_refused(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = _registered(plan_of("sandbox-aws"), monkeypatch, lambda plan, root: CHANGES[kind]())
    assert [one.type for one in found] == [f"pulumi:pulumi:{kind}"]
    (finding,) = said(KNOWN, *found)
    assert kind in finding.place.message or kind in finding.resource
