"""Every risk flag is raised by the change it is for, with its reason, and by nothing else."""

from __future__ import annotations

import re
import shutil
from argparse import Namespace
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from stacks.preview_gate import PreviewStep, refusals
from stacks.review import reviewed
from stacks.reviewing import fixed_fields, steps
from stacks.reviewing.risks import APPROVAL, BLOCKED, NOTE, RISKS, Flag
from stacks.reviewing.seen import asked
from stacks.reviewing.sides import read_sides, read_work, unexpired
from tests.stacks.conftest import ROOT, edit, git

AT = datetime(2026, 11, 22, tzinfo=UTC)
SENTIMENT, ASSISTANT = "model_specs/search/sentiment.yaml", "model_specs/chat/assistant.yaml"
INDEX = "model_specs/search/nightly-index.yaml"
HELPER, TAGGER = "model_specs/chat/helper.yaml", "model_specs/vision/tagger.yaml"
USE1, SEOUL = "regions/us-east-1.yaml", "regions/seoul-dc1.yaml"
DEPLOY = ".github/workflows/deploy.yml"
IMAGE = f"registry.example.com/search/server@sha256:{'ab' * 32}"


@pytest.fixture(autouse=True)
def _no_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    """Policies have tests of their own; these are about the change, and so many times quicker."""
    monkeypatch.setattr("stacks.policy.RULES", ())
    monkeypatch.setattr("stacks.policy.resources", lambda plan, root, rendered: [])


def flags(*regions: str, base: str = "HEAD") -> dict[str, Flag]:
    """What the review flags here, by name; of several with one name the first."""
    args = Namespace(base=base, specs=None, regions=None, region=list(regions), preview=[])
    found: dict[str, Flag] = {}
    for flag in reviewed(args, AT).flags:
        found.setdefault(flag.name, flag)
    return found


def add(path: Path, text: str) -> None:
    path.write_text(path.read_text() + text)


def replace_bucket(repo: Path) -> None:
    edit(repo / USE1, "bucket: example-models-us-east-1", "bucket: other-models-us-east-1")


def other_instances(repo: Path) -> None:
    edit(repo / USE1, "[g6.2xlarge]", "[g6.4xlarge]")


def larger_disk(repo: Path) -> None:
    edit(repo / USE1, "cache_disk_gib: 400", "cache_disk_gib: 500")


def remove_model(repo: Path) -> None:
    (repo / "model_specs/search/embedder.yaml").unlink()


def rename_model(repo: Path) -> None:
    (repo / SENTIMENT).rename(repo / "model_specs/search/mood.yaml")


def remove_project(repo: Path) -> None:
    for path in sorted((repo / "model_specs/vision").iterdir()):
        path.unlink()
    (repo / "model_specs/vision").rmdir()


def remove_region(repo: Path) -> None:
    (repo / "regions/eu-central-1.yaml").unlink()
    text = (repo / USE1).read_text()
    copies = text[text.index("  replicate_to:") : text.index("machines:")]
    edit(repo / USE1, copies, "  replicate_to: []\n")


def remove_pool(repo: Path) -> None:
    for name in ("ranker", "scores"):
        (repo / f"model_specs/search/{name}.yaml").unlink()


def to_zero(repo: Path) -> None:
    edit(repo / HELPER, "  on_demand_base: 1", "  on_demand_base: 0")
    edit(repo / HELPER, "scaling:\n", "scaling:\n  scale_to_zero: true\n")


def unsafe(repo: Path) -> None:
    """Another stable version while the candidate gets more users."""
    edit(repo / TAGGER, "tagger:v2@sha256:b393", "tagger:v1@sha256:0000")
    edit(repo / TAGGER, "step: 0", "step: 1")


def crowd(repo: Path) -> None:
    """One model goes and another grows, in a pool without room for both."""
    edit(repo / USE1, "on_demand: {min: 2, max: 60}", "on_demand: {min: 2, max: 7}")
    git(repo, "commit", "-qam", "just enough")
    add(repo / SENTIMENT, "scaling: {min: 2, max: 2}\n")
    remove_model(repo)


def over_room(repo: Path) -> None:
    edit(repo / USE1, "on_demand: {min: 1, max: 12}", "on_demand: {min: 1, max: 2}")
    (repo / "model_specs/chat/second.yaml").write_text((repo / ASSISTANT).read_text())
    edit(repo / "model_specs/chat/project.yaml", "gpu.l40s.4: 8", "gpu.l40s.4: 80")
    edit(repo / "model_specs/chat/project.yaml", "cpu_quota: 300", "cpu_quota: 3000")
    edit(repo / "model_specs/chat/project.yaml", "memory_quota_gib: 2000", "memory_quota_gib: 9000")


def no_surge(repo: Path) -> None:
    edit(repo / USE1, "on_demand: {min: 1, max: 12}", "on_demand: {min: 1, max: 2}")


def lone_restart(repo: Path) -> None:
    no_surge(repo)
    edit(repo / ASSISTANT, "16384", "32768")


def restart_everywhere(repo: Path) -> None:
    edit(repo / ASSISTANT, "16384", "32768")


def with_waves(repo: Path) -> None:
    """The waves that we ship, committed."""
    (repo / DEPLOY).parent.mkdir(parents=True)
    shutil.copy(ROOT / DEPLOY, repo / DEPLOY)
    git(repo, "add", ".")
    git(repo, "commit", "-qm", "waves")


def remove_waves(repo: Path) -> None:
    with_waves(repo)
    text = (repo / DEPLOY).read_text()
    (repo / DEPLOY).write_text(re.sub(r" *needs: .*\n", "", text))


def not_served(repo: Path) -> None:
    edit(repo / TAGGER, "machine_type: gpu.l4.1", "machine_type: gpu.l40s.1")
    edit(repo / "model_specs/vision/project.yaml", "gpu.l4.1: 6", "gpu.l40s.1: 6")


def lose_keda(repo: Path) -> None:
    edit(repo / SEOUL, "keda: provided", "keda: absent")


def expiring(repo: Path) -> None:
    add(repo / SENTIMENT, "ttl: 2026-11-25T00:00:00Z\n")


def widen(repo: Path) -> None:
    add(repo / SENTIMENT, "access: permissive\n")


def share(repo: Path) -> None:
    add(repo / SENTIMENT, "share_with: [vision]\n")


def administrators(repo: Path) -> None:
    edit(repo / "model_specs/chat/project.yaml", "admins: [chat-leads]", "admins: [everybody]")


def developers(repo: Path) -> None:
    edit(repo / "model_specs/chat/project.yaml", "[chat-ml]", "[chat-ml, strangers]")


def quota(repo: Path) -> None:
    edit(repo / "model_specs/chat/project.yaml", "gpu.l4.1: 4", "gpu.l4.1: 400")


def cap(repo: Path) -> None:
    edit(repo / "model_specs/chat/project.yaml", "month: 60000", "month: 6000000")


def issuer(repo: Path) -> None:
    edit(repo / USE1, "issuer: https://", "issuer: https://not-")


def prober(repo: Path) -> None:
    text = (repo / USE1).read_text()
    (repo / USE1).write_text(re.sub(r"(prober_image: \S+@sha256:)..", r"\g<1>00", text))


def context(repo: Path) -> None:
    edit(repo / USE1, "context: ", "context: another-")


def workflow(repo: Path) -> None:
    (repo / DEPLOY).parent.mkdir(parents=True)
    (repo / DEPLOY).write_text("name: deploy\n")


def unknown_program(repo: Path) -> None:
    (repo / "components").mkdir()
    (repo / "components/kube.py").write_text("")


def secrets(repo: Path) -> None:
    add(repo / SENTIMENT, "secrets:\n  - {name: vault, mount: /secrets/vault}\n")


def first_call(repo: Path) -> None:
    add(repo / SENTIMENT, "calls:\n  - {service: vectors.feature-store, port: 6334}\n")


def other_output(repo: Path) -> None:
    edit(repo / INDEX, "output: index", "output: index/v2")


def first_input(repo: Path) -> None:
    edit(repo / INDEX, "  input: catalogue", "  # input: catalogue")
    git(repo, "commit", "-qam", "no input")
    edit(repo / INDEX, "  # input: catalogue", "  input: catalogue")


def dearer(repo: Path) -> None:
    add(repo / SENTIMENT, "scaling: {max: 4}\n")


def unpriced(repo: Path) -> None:
    edit(repo / "model_specs/chat/project.yaml", "gpu.l40s.4: 8", "gpu.l40s.4: 12")
    edit(repo / ASSISTANT, "max: 2", "max: 3")


def other_name(repo: Path) -> None:
    add(repo / SENTIMENT, "served_names: [team/sentiment]\n")


def expired(repo: Path) -> None:
    add(repo / SENTIMENT, "ttl: 2026-11-20T00:00:00Z\n")


def new_in_seoul(repo: Path) -> None:
    text = (repo / HELPER).read_text().replace("scaling:\n", "scaling:\n  queue_depth: 5\n")
    edit(repo / "model_specs/chat/project.yaml", "gpu.l4.1: 4", "gpu.l4.1: 8")
    (repo / "model_specs/chat/other.yaml").write_text(text)


CASES: dict[str, tuple[Callable[[Path], None], str, str, str]] = {
    "bucket": (replace_bucket, "protected thing goes", BLOCKED, "a human's act"),
    "node group": (other_instances, "stateful thing goes", APPROVAL, "its nodes and their pods go"),
    "nodes": (larger_disk, "nodes go", APPROVAL, "are renewed because spec.volume_gib changes"),
    "alone": (larger_disk, "lone replica moves", APPROVAL, "is evicted with its node: an outage"),
    "order": (unsafe, "unsafe on the way", BLOCKED, "a version may answer 90 % of users again"),
    "crowd": (crowd, "no room on the way", APPROVAL, "8 on_demand replicas of gpu.l4.1"),
    "model": (remove_model, "model removed", APPROVAL, "served no longer"),
    "rename": (rename_model, "model renamed", APPROVAL, "W401: search/sentiment is deleted"),
    "project": (remove_project, "project removed", APPROVAL, "its namespace goes"),
    "region": (remove_region, "region removed", APPROVAL, "pulumi destroy -s eu-central-1"),
    "pool": (remove_pool, "pool removed", APPROVAL, "its nodes go"),
    "zero": (to_zero, "last replica goes", APPROVAL, "the first request waits"),
    "room": (over_room, "over capacity", APPROVAL, "may want 4 replicas and there is room for 2"),
    "surge": (no_surge, "no room to surge", APPROVAL, "no room for assistant's surge"),
    "lone": (lone_restart, "lone replica restarts", APPROVAL, "its only replica restarts"),
    "waves": (remove_waves, "waves removed", APPROVAL, "no region waits for another"),
    "wave": (restart_everywhere, "all regions in one wave", APPROVAL, "in every region"),
    "gap": (not_served, "not served", APPROVAL, "has no gpu.l40s.1"),
    "keda": (lose_keda, "capability lost", APPROVAL, "HorizontalPodAutoscaler"),
    "access": (widen, "access widened", APPROVAL, "it was private and is permissive"),
    "share": (share, "access widened", APPROVAL, "reach it newly: vision"),
    "admins": (administrators, "project entrusted", APPROVAL, "members.admins"),
    "developers": (developers, "project entrusted", APPROVAL, "members.developers"),
    "quota": (quota, "project entrusted", APPROVAL, "from 4 to 400"),
    "cap": (cap, "project entrusted", APPROVAL, "cost_cap_usd_per_month from 60000"),
    "issuer": (issuer, "region entrusted", APPROVAL, "issuer"),
    "prober": (prober, "region entrusted", APPROVAL, "prober_image"),
    "context": (context, "region entrusted", APPROVAL, "cluster.context"),
    "workflow": (workflow, "program changes", APPROVAL, "how a change is judged and rolled out"),
    "unknown": (unknown_program, "program not known", APPROVAL, "was not asked"),
    "names": (other_name, "served name goes", APPROVAL, "who ask for sentiment are refused"),
    "secrets": (secrets, "secrets change", APPROVAL, "other Secrets"),
    "calls": (first_call, "way out opened", APPROVAL, "to vectors.feature-store on 6334/TCP"),
    "output": (other_output, "data access widened", APPROVAL, "write _datasets/search/index/v2/"),
    "input": (first_input, "data access widened", APPROVAL, "read _datasets/search/catalogue/"),
    "cost": (dearer, "cost", APPROVAL, "at most replicas, +30%"),
    "price": (unpriced, "cost not known", APPROVAL, "gpu.l40s.4 (on_demand) in eu-central-1"),
    "ttl": (expired, "ttl passed", APPROVAL, "2026-11-20"),
    "ttl soon": (expiring, "ttl passes soon", NOTE, "2026-11-25"),
    "lesser": (new_in_seoul, "lesser form", NOTE, "each pod downloads the model"),
}


@pytest.mark.parametrize("name", CASES)
def test_a_change_raises_its_flag_and_says_why(repo: Path, name: str) -> None:
    change, flag, level, reason = CASES[name]
    change(repo)
    found = flags()
    assert flag in found, f"raised instead: {found}"
    assert found[flag].level == level, "how grave it is"
    assert reason in found[flag].reason, "a flag without a reason is noise"


def test_every_risk_has_a_case() -> None:
    tested = {flag for _, flag, _, _ in CASES.values()}
    elsewhere = {
        "change refused",
        "exceptions change",  # tests/stacks/test_review.py
        "fewer serve on the way",
        "program upgrade",  # tests/stacks/test_review_program.py
        "changed program refused",
        "replacement while serving",
        "callers' quota raised",  # tests/stacks/test_review_verdicts.py
        "ttl passed earlier",
    }
    assert {risk.name for risk in RISKS} == tested | elsewhere, "an untested flag is a rumour"


def test_a_person_may_accept_that_fewer_serve_on_the_way(
    repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No change is known of which `up` makes this: here the proof looks without its order."""
    monkeypatch.setattr("stacks.reviewing.transitions.ROWS", ())
    project = repo / "model_specs/vision/project.yaml"
    edit(repo / TAGGER, "step: 0", "step: 2")
    edit(repo / TAGGER, "  min: 1\n  max: 2", "  min: 5\n  max: 5")
    edit(project, "gpu.l4.1: 6", "gpu.l4.1: 60")
    edit(project, "cpu_quota: 200", "cpu_quota: 2000")
    edit(project, "memory_quota_gib: 500", "memory_quota_gib: 5000")
    git(repo, "commit", "-qam", "all users at the candidate")
    edit(repo / TAGGER, "step: 2", "step: 0")
    found = flags()["fewer serve on the way"]
    assert found.level == APPROVAL
    assert "1 pods may be all that serve" in found.reason


def test_a_ttl_that_passed_before_is_a_note(repo: Path) -> None:
    expired(repo)
    git(repo, "commit", "-qam", "expired")
    assert flags()["ttl passed earlier"].level == NOTE, "this change did not do it"


def test_a_later_ttl_brings_the_model_back(repo: Path) -> None:
    expired(repo)
    git(repo, "commit", "-qam", "expired")
    edit(repo / SENTIMENT, "ttl: 2026-11-20", "ttl: 2026-12-20")
    args = Namespace(base="HEAD", specs=None, regions=None, region=[], preview=[])
    found = reviewed(args, AT)
    assert not {flag.name for flag in found.flags} & {"ttl passed", "ttl passed earlier"}
    made = [step.key.label for step in found.seen.steps if step.operation == "create"]
    assert any(label.startswith("Deployment search/sentiment") for label in made), made


def test_what_time_takes_away_is_asked_for_in_a_preview(repo: Path) -> None:
    """The last model of a machine type in a project takes the project's claim with it."""
    add(repo / TAGGER, "ttl: 2026-11-20T00:00:00Z\n")
    git(repo, "commit", "-qam", "expired")
    kind = "kubernetes:core/v1:PersistentVolumeClaim"
    claim = PreviewStep("delete", kind, "vision/models-gpu-l4-1", False)
    specs, regions = repo / "model_specs", repo / "regions"
    work = read_work(specs, regions, [], AT)
    sides = read_sides(work, "HEAD", specs, regions, [], AT, repo / "scratch")
    wanted = asked(steps.steps(unexpired(sides)), "us-east-1")
    (refusal,) = refusals([claim], wanted)
    assert not refusal.is_final, "a ttl of one team must not block the region's deploy"


def test_a_model_that_is_new_in_a_region_widens_nothing_there(repo: Path) -> None:
    edit(repo / SENTIMENT, "machine_type", "regions: [us-east-1]\nmachine_type")
    git(repo, "commit", "-qam", "narrow")
    edit(repo / SENTIMENT, "regions: [us-east-1]\n", "")
    assert "access widened" not in flags(), "it is private there too"


def test_what_only_one_region_restarts_is_no_wave(repo: Path) -> None:
    edit(repo / USE1, "isoserve/cache-agent@", "isoserve/other-agent@")
    assert "all regions in one wave" not in flags(), "the others go on serving"


def test_waves_in_force_stagger_the_regions(repo: Path) -> None:
    with_waves(repo)
    restart_everywhere(repo)
    assert not {"all regions in one wave", "waves removed"} & flags().keys(), "they wait already"


def test_a_restart_beside_the_waves_removal_rings_twice(repo: Path) -> None:
    remove_waves(repo)
    restart_everywhere(repo)
    assert {"all regions in one wave", "waves removed"} <= flags().keys(), (
        "what is merged goes out by the workflow that is merged"
    )


def test_waves_that_are_only_now_written_are_not_yet_in_force(repo: Path) -> None:
    remove_waves(repo)
    git(repo, "commit", "-qam", "no waves")
    shutil.copy(ROOT / DEPLOY, repo / DEPLOY)
    restart_everywhere(repo)
    assert "all regions in one wave" in flags()
    assert "waves removed" not in flags()


def test_a_canary_step_restarts_nothing_and_raises_nothing(repo: Path) -> None:
    edit(repo / TAGGER, "step: 0", "step: 1")
    assert "all regions in one wave" not in flags(), "weights move, pods stay"


def test_ten_percent_more_is_not_yet_dearer(repo: Path) -> None:
    edit(repo / ASSISTANT, "queue_depth: 8", "queue_depth: 9")
    assert flags() == {}, "a bound of the autoscaler costs nothing"


def test_a_deployment_whose_selector_changes_is_an_outage(
    repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # No spec can change a selector today: the table is held against a change of args instead.
    monkeypatch.setitem(fixed_fields.REPLACED, "Deployment", ("spec.template",))
    restart_everywhere(repo)
    flag = flags()["replacement while serving"]
    assert "deleted first, an outage" in flag.reason, "the name is fixed, so none is beside it"


def test_what_the_api_server_refuses_is_blocked(
    repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nothing that is rendered changes such a field today: a change of args stands for one.
    monkeypatch.setitem(fixed_fields.REFUSED, "Deployment", ("spec.template",))
    restart_everywhere(repo)
    flag = flags()["change refused"]
    assert flag.level == BLOCKED
    assert "the API server refuses this change of spec.template.spec.containers" in flag.reason
