"""The pack judges what the engine shows it as the offline judge does, and keeps all for the end."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time
from pathlib import Path
from typing import Any, Final

import pytest

from policies.pack import BRIDGED, Court, StateNotRead, plain, region_of
from policies.resources import Resource, Unknown
from tests.examples import ROOT
from tests.policies.estate import TODAY, changed, good, named

AT: Final = datetime.combine(TODAY, time(), UTC)
SPECS: Final = tuple(ROOT.glob("model_specs/*/*.yaml"))
URN: Final = "urn:pulumi:sandbox-aws::isoserve::kubernetes:apps/v1:Deployment::search/embedder"


class NotYet(Exception):
    """What the engine's values raise for what only exists later."""


@dataclass
class Shown(Mapping[str, Any]):
    """Values as the engine shows them to a policy."""

    inputs: dict[str, Any]

    def __getitem__(self, key: str) -> Any:
        if self.inputs[key] is NotYet:
            raise NotYet
        return self.inputs[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.inputs)

    def __len__(self) -> int:
        return len(self.inputs)


def nothing(stack: str) -> dict[str, Any]:
    """The state of a stack that was never up."""
    return {}


def broken() -> Any:
    def unpin(values: Any) -> None:
        values["spec"]["template"]["spec"]["containers"][0]["image"] = "vllm:latest"

    return changed(named("Deployment search/embedder"), unpin)


def test_whole_numbers_come_back_as_such() -> None:
    shown = Shown({"replicas": 2.0, "share": 0.5, "name": "a", "on": True, "ports": [80.0]})
    assert plain(shown, NotYet, "", is_bridged=True) == {
        "replicas": 2, "share": 0.5, "name": "a", "on": True, "ports": [80]
    }  # fmt: skip
    assert isinstance(plain(shown, NotYet, "", is_bridged=True)["replicas"], int)
    assert plain(shown, NotYet, "", is_bridged=True)["on"] is True


def test_what_a_provider_filled_in_by_itself_is_nobodys_wish() -> None:
    shown = Shown({"bucket": "models", "forceDestroy": False, "__defaults": ["forceDestroy"]})
    assert plain(Shown({"rule": shown}), NotYet, "", is_bridged=True) == {
        "rule": {"bucket": "models"}
    }


def test_a_program_hides_no_field_of_an_object_as_one_that_was_filled_in() -> None:
    server = named("Deployment search/sentiment")
    inputs = dict(server.values)
    inputs["spec"] = Shown({**inputs["spec"], "paused": True, "__defaults": ["paused"]})
    found = plain(Shown(inputs), NotYet, "", is_bridged=server.type.startswith(BRIDGED))
    hidden = changed(server, lambda values: values.update(found))
    said = "\n".join(Court(ROOT, AT, nothing).one(URN, hidden))
    assert "paused" in said
    assert "__defaults" in said


def test_what_is_not_known_yet_is_kept_as_such() -> None:
    found = plain(Shown({"rule": Shown({"key": NotYet})}), NotYet, "", is_bridged=True)
    assert type(found["rule"]["key"]) is Unknown
    assert isinstance(found, dict), "rules see plain values"
    assert isinstance([found], Sequence)


def test_a_stack_is_a_region() -> None:
    assert region_of(URN) == "sandbox-aws"


def test_a_good_resource_passes_and_a_bad_one_is_told_with_its_line() -> None:
    court = Court(ROOT, AT, nothing)
    assert list(court.one(URN, named("Deployment search/embedder"))) == []
    said = [*court.one(URN, broken())]
    place = "model_specs/search/embedder.yaml:3:1  image  "
    assert [one[: len(place) + 3] for one in said] == [
        f"{place}P02",
        f"{place}P02",
        f"{place}P37",
    ], "by digest, from a known registry, and as the spec says"


def test_everything_good_passes_together() -> None:
    court = Court(ROOT, AT, nothing)
    said = [m for n, one in enumerate(good("sandbox-aws")) for m in court.one(f"{URN}{n}", one)]
    assert [*said, *court.whole()] == []


def test_a_region_of_which_nothing_was_seen_does_not_pass() -> None:
    (said,) = Court(ROOT, AT, nothing).whole()
    assert "nothing was seen" in said


@pytest.mark.parametrize("missing", ["policies/waivers.yaml", "regions/sandbox-aws.yaml"])
def test_law_that_cannot_be_read_lets_nothing_pass(tmp_path: Path, missing: str) -> None:
    for path in (*ROOT.glob("regions/*.yaml"), *ROOT.glob("policies/*.yaml"), *SPECS):
        copy = tmp_path / path.relative_to(ROOT)
        if copy != tmp_path / missing:
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, copy)
    (said,) = Court(tmp_path, AT, nothing).one(URN, named("Deployment search/embedder"))
    assert Path(missing).stem in said, "a person must see what is missing"


# -- what `up` leaves alone ------------------------------------------------------------------


def older(resource: Resource, path: str, value: object) -> Resource:
    """The resource with an older value at a path, registered as it is."""

    def change(values: Any) -> None:
        *way, last = path.split(".")
        for step in way:
            values = values[step]
        values[last] = value

    return replace(changed(resource, change), options=resource.options)


def other_image(job: Resource) -> Any:
    """The pods of a job as an earlier release of isoserve made them, with its own image."""

    def change(values: Any) -> None:
        first = values["spec"]["template"]["spec"]["initContainers"][0]
        first["image"] = f"{first['image'].partition('@')[0]}@sha256:{'1' * 64}"

    return changed(job, change).spec["template"]


JOB: Final = next(str(one) for one in good("sandbox-aws") if one.kind == "Job")
GROUP: Final = "aws:eks/nodeGroup:NodeGroup gpu-l4-1-spot"
LEFT_ALONE: Final = (
    ("Deployment search/embedder", "spec.replicas", 2),
    ("Deployment search/embedder", "spec.replicas", 40),
    (JOB, "spec.template", other_image(named(JOB))),
    ("PersistentVolume search-models-cpu-4", "spec.capacity", {"storage": "37Gi"}),
    ("PersistentVolumeClaim search/models-cpu-4", "spec.resources", {"requests": {"storage": "1"}}),
    (GROUP, "scalingConfig.desiredSize", 77),
)


@pytest.mark.parametrize(("label", "path", "value"), LEFT_ALONE)
def test_what_up_leaves_alone_may_be_as_it_was_made_and_no_other(
    label: str, path: str, value: object
) -> None:
    shown = older(named(label), path, value)
    assert list(Court(ROOT, AT, nothing).one(URN, shown)), "nobody made it so: the change does"
    assert list(Court(ROOT, AT, lambda _: {f"{URN}2": shown.values}).one(URN, shown))
    court = Court(ROOT, AT, lambda stack: {"sandbox-aws": {URN: shown.values}}[stack])
    rest = [one for one in good("sandbox-aws") if str(one) != label]
    said = [m for n, one in enumerate(rest) for m in court.one(f"{URN}{n}", one)]
    assert [*said, *court.one(URN, shown), *court.whole()] == []


@pytest.mark.parametrize("lost", ["NetworkPolicy search/scores", "ServiceAccount search/scores"])
def test_what_stands_around_a_job_must_stay(lost: str) -> None:
    shown = older(named(JOB), "spec.template", other_image(named(JOB)))
    court = Court(ROOT, AT, lambda _: {URN: shown.values})
    rest = [one for one in good("sandbox-aws") if str(one) not in (JOB, lost)]
    assert len(rest) == len(good("sandbox-aws")) - 2
    said = [m for n, one in enumerate(rest) for m in court.one(f"{URN}{n}", one)]
    assert [*said, *court.one(URN, shown)] == []
    assert list(court.whole()), "the job still runs"


@pytest.mark.parametrize("value", [-1, "2", {"evil": 1}, None])
def test_a_number_that_nobody_could_have_set_is_refused(value: object) -> None:
    shown = older(named("Deployment search/embedder"), "spec.replicas", value)
    assert list(Court(ROOT, AT, lambda _: {URN: shown.values}).one(URN, shown))


def test_a_stack_of_add_ons_is_told_to_go_without_the_rules() -> None:
    urn = URN.replace("sandbox-aws", "sandbox-aws.addons")
    (said,) = Court(ROOT, AT, nothing).one(urn, named("Deployment search/embedder"))
    assert "without --policy-pack" in said


def test_the_pods_of_a_job_that_a_refresh_did_not_find_are_judged() -> None:
    shown = older(named(JOB), "spec.template", other_image(named(JOB)))
    court = Court(ROOT, AT, lambda _: {URN: named(JOB).values})
    assert list(court.one(URN, shown)), "another job was made before: these pods are to start"


def test_replicas_that_a_refresh_found_are_as_an_autoscaler_set_them() -> None:
    shown = older(named("Deployment search/embedder"), "spec.replicas", 3)
    before = {URN: older(shown, "spec.replicas", 2).values}
    assert list(Court(ROOT, AT, lambda _: before).one(URN, shown)) == []


@pytest.mark.parametrize(("label", "path", "value"), LEFT_ALONE)
def test_all_else_of_what_has_such_a_field_is_judged(label: str, path: str, value: object) -> None:
    shown = older(named(label), path, value)
    field = "labels" if label == GROUP else "metadata"
    worse = older(shown, field, {**shown.values[field], "unasked": "for"})
    said = "\n".join(Court(ROOT, AT, lambda _: {URN: worse.values}).one(URN, worse))
    assert "unasked" in said
    assert f"{path} " not in said, "that one is no news"


def test_a_field_that_the_change_begins_to_leave_alone_is_refused() -> None:
    shown = older(named("Service search/embedder"), "spec.ports", [])
    hidden = replace(shown, options={"ignoreChanges": ["spec.ports"]})
    said = list(Court(ROOT, AT, lambda _: {URN: hidden.values}).one(URN, hidden))
    assert any("ignoreChanges" in one for one in said), "which fields those are is a closed list"


def test_the_state_is_read_once_and_only_of_what_would_be_refused() -> None:
    asked: list[str] = []

    def state(stack: str) -> dict[str, Any]:
        asked.append(stack)
        return {}

    court = Court(ROOT, AT, state)
    for number, one in enumerate(good("sandbox-aws")):
        list(court.one(f"{URN}{number}", one))
    assert asked == []
    for _ in range(2):
        list(court.one(URN, older(named("Deployment search/embedder"), "spec.replicas", 9)))
    assert asked == ["sandbox-aws"]


def test_a_state_that_cannot_be_read_lets_nothing_pass() -> None:
    def state(stack: str) -> dict[str, Any]:
        raise StateNotRead("no such backend")

    shown = older(named("Deployment search/embedder"), "spec.replicas", 2)
    said = list(Court(ROOT, AT, state).one(URN, shown))
    assert len(said) == 2
    assert "no such backend" in said[-1]
