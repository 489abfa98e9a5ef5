"""The comment says what changes, what that causes and whether it may go in, from git alone."""

from __future__ import annotations

import random
import shutil
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from policies import images
from stacks.reviewing.markdown import LIMIT
from tests.stacks.conftest import Isoserve, edit, git
from tests.stacks.preview_files import BUCKET, NAMESPACE, digest, events, write
from tests.stacks.test_review_flags import (
    ASSISTANT,
    HELPER,
    SENTIMENT,
    TAGGER,
    USE1,
    add,
    dearer,
    remove_project,
    remove_region,
    rename_model,
    replace_bucket,
    restart_everywhere,
)

REGIONS = ("eu-central-1", "seoul-dc1", "us-east-1")


@pytest.fixture(autouse=True)
def _no_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    """Policies have tests of their own; these are about the change."""
    monkeypatch.setattr("stacks.policy.RULES", ())


def verdict(text: str) -> str:
    return text.splitlines()[1].split("**")[1]


def model(data: Any, name: str) -> Any:
    return next(row for row in data["models"] if row["id"] == name)


def said(data: Any, name: str) -> str:
    return " | ".join(e["text"] for g in model(data, name)["effects"] for e in g["effects"])


# -- verdicts --------------------------------------------------------------------------------


def test_no_change_passes(isoserve: Isoserve, repo: Path) -> None:
    answer = isoserve("review")
    lines = answer.out.splitlines()
    assert answer.code == 0, "there is nothing to stop"
    assert lines[0] == "<!-- isoserve review -->", "a bot finds its own comment by it"
    assert lines[1] == (
        "**PASS**: nothing changes in 3 regions, 0 policy findings, parity holds"
    ), "and it says so in one line"
    data = isoserve("review", "--json").data
    assert (data["steps"], data["flags"], data["models"]) == ([], [], []), "not a single row"


def test_a_harmless_change_passes(isoserve: Isoserve, repo: Path) -> None:
    edit(repo / ASSISTANT, "queue_depth: 8", "queue_depth: 9")
    answer = isoserve("review")
    assert (answer.code, verdict(answer.out)) == (0, "PASS"), "nobody need be woken"
    assert "`scaling.queue_depth` `8` → `9`" in answer.out, "in the words of the spec"
    assert "no pod restarts" in answer.out, "and what it causes"


def test_a_flag_asks_for_a_person_and_is_no_failure(isoserve: Isoserve, repo: Path) -> None:
    dearer(repo)
    answer = isoserve("review")
    assert (answer.code, verdict(answer.out)) == (0, "NEEDS APPROVAL"), "the host asks for one"


def test_a_protected_thing_blocks(isoserve: Isoserve, repo: Path) -> None:
    replace_bucket(repo)
    answer = isoserve("review")
    assert (answer.code, verdict(answer.out)) == (1, "BLOCKED"), "the registry is not replaced"


def test_errors_of_the_work_tree_are_in_the_comment(isoserve: Isoserve, repo: Path) -> None:
    edit(repo / ASSISTANT, "machine_type", "machine_typ")
    answer = isoserve("review")
    assert (answer.code, verdict(answer.out)) == (1, "BLOCKED"), "an author reads the comment"
    assert "model_specs/chat/assistant.yaml:2:1" in answer.out, "with place"
    assert "did you mean machine_type?" in answer.out, "and cure"
    assert isoserve("review", "--json").data["errors"], "for programs too"


def test_a_region_that_cannot_be_planned_is_a_row(isoserve: Isoserve, repo: Path) -> None:
    edit(repo / ASSISTANT, "max: 2", "max: 3")
    answer = isoserve("review")
    assert verdict(answer.out) == "BLOCKED", "quotas are refused by the plan"
    assert "cannot be planned" in answer.out, "a region never vanishes from the table"
    assert "E381" in answer.out, "and the reason is told"


def test_a_broken_base_is_a_row_and_all_is_new(isoserve: Isoserve, repo: Path) -> None:
    edit(repo / ASSISTANT, "machine_type", "machine_typ")
    git(repo, "commit", "-qam", "broken")
    edit(repo / ASSISTANT, "machine_typ", "machine_type")
    answer = isoserve("review")
    assert answer.code == 0, "the work tree is what is judged"
    assert "`HEAD` cannot be planned: shown as all new" in answer.out, "why so much is new"
    assert "HEAD:model_specs/chat/assistant.yaml" in answer.out, "and what is wrong with it"
    steps = isoserve("review", "--json").data["steps"]
    assert {step["operation"] for step in steps} == {"create"}, "there is nothing to compare with"


@pytest.mark.parametrize("words", [("--base=nope",), ("--base=--output=x",), ("-r", "nowhere")])
def test_a_slip_on_the_command_line_is_no_review(
    isoserve: Isoserve, repo: Path, words: tuple[str, ...]
) -> None:
    answer = isoserve("review", *words)
    assert (answer.code, answer.out) == (2, ""), "a bot must not post it"


def test_a_mandatory_finding_blocks(
    isoserve: Isoserve, repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from policies.rule import each
    from stacks import policy

    @each("P99", "no-ranker", "Deployment")
    def no_ranker(resource: Any, facts: Any) -> Any:
        """Nobody ranks."""
        from policies.rule import Fault

        if resource.metadata["name"] == "ranker":
            yield Fault(resource, "ranks", "stop it", "machine_type")

    monkeypatch.setattr(policy, "RULES", (no_ranker,))
    answer = isoserve("review")
    assert (answer.code, verdict(answer.out)) == (1, "BLOCKED"), "mandatory is mandatory"
    assert "P99 `no-ranker`" in answer.out, "with its rule"
    assert "model_specs/search/ranker.yaml:2:1" in answer.out, "the line that would mend it"
    assert "| all 3 regions |" in answer.out, "regions that agree share a row"
    tomorrow = date.today() + timedelta(days=1)
    (repo / "policies/waivers.yaml").write_text(
        f"waivers:\n  - {{rule: no-ranker, resource: Deployment search/ranker, owner: ops, "
        f"reason: only in a test, expires: {tomorrow}}}\n"
    )
    its_own = isoserve("review")
    assert verdict(its_own.out) == "BLOCKED", "nobody excepts himself"
    assert "a new exception counts only once it is merged: no-ranker" in its_own.out
    git(repo, "commit", "-qam", "an exception that somebody has approved")
    waived = isoserve("review")
    assert verdict(waived.out) == "PASS", "an exception in force covers it"
    assert f"waived until {tomorrow} by `ops`" in waived.out, "and is told with owner and end"


def waive(repo: Path, days: int) -> None:
    expires = date.today() + timedelta(days=days)
    (repo / "policies/waivers.yaml").write_text(
        f"waivers:\n  - {{rule: image-digest, resource: Deployment search/ranker, owner: ops, "
        f"reason: only in a test, expires: {expires}}}\n"
    )


def test_an_expired_waiver_blocks(isoserve: Isoserve, repo: Path) -> None:
    waive(repo, -1)
    answer = isoserve("review")
    assert verdict(answer.out) == "BLOCKED", "it no longer covers what it was for"
    assert "expired" in answer.out, "and it is told"


def test_a_waiver_that_nothing_needs_is_told_and_holds_up_nobody(
    isoserve: Isoserve, repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stacks.policy.RULES", images.RULES)
    waive(repo, 9)
    assert verdict(isoserve("review").out) == "NEEDS APPROVAL", "it waits for what needs it"
    git(repo, "commit", "-qam", "an exception that somebody has approved")
    later = isoserve("review")
    assert verdict(later.out) == "PASS", "the change that needs it may come after another's"
    assert "waiver that nothing needs" in later.out, "the next fault would hide behind it"


def test_an_undeclared_difference_between_regions_blocks(
    isoserve: Isoserve, repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stacks.declared._PATTERNS", [])
    answer = isoserve("review", "-r", "us-east-1", "-r", "seoul-dc1")
    assert verdict(answer.out) == "BLOCKED", "regions drift only by declaration"
    assert "Undeclared differences between regions" in answer.out, "and it says which"


# -- what is said ----------------------------------------------------------------------------


def test_restarts_say_how_many_pods_and_how_long(isoserve: Isoserve, repo: Path) -> None:
    restart_everywhere(repo)
    answer = isoserve("review")
    text = "1 to 2 pods of assistant restart, one at a time beside the old one, up to 17 min each"
    assert text in answer.out, "by the startup budget of 141 GB"
    assert "up to 4 pods of models restart" in answer.out, "in both regions together"


def test_new_weights_say_bytes_nodes_and_time(isoserve: Isoserve, repo: Path) -> None:
    lock = repo / "model_specs/chat/models.lock.yaml"
    old, new = "98cf76108f1ac810b0f351f88169cdbb03bcbc911b1c12b9ca80e8b1d59c84dc", "ab" * 32
    lock.write_text(lock.read_text() + f"  chat/helper:v6@sha256:{new}: {{bytes: 20000000000, "
                    f"files: 11}}\n")  # fmt: skip
    edit(repo / HELPER, f"v5@sha256:{old}", f"v6@sha256:{new}")
    data = isoserve("review", "--json").data
    effects = said(data, "chat/helper")
    assert "20.0 GB fetched to" in effects, "how much"
    assert "nodes of gpu.l4.1, about 77 s at 250 MiB/s on each" in effects, "20e9 / 250 MiB/s"
    assert "20.0 GB fetched by each new pod of helper" in effects, "Seoul has no cache"


def test_a_promoted_candidate_is_on_the_nodes_already(isoserve: Isoserve, repo: Path) -> None:
    text = (repo / TAGGER).read_text()
    start, end = text.index("rollout:"), text.index("probe:")
    new = text[start:end].split("model: ")[1].splitlines()[0]
    old = text.split("model: ")[1].splitlines()[0]
    (repo / TAGGER).write_text((text[:start] + text[end:]).replace(old, new))
    effects = said(isoserve("review", "--json").data, "vision/tagger")
    assert "are on the nodes of gpu.l4.1 already, nothing is fetched" in effects, "the canary's"
    assert "tagger-candidate with" in effects, "and the candidate's pods go"


def test_traffic_moves_without_restarts(isoserve: Isoserve, repo: Path) -> None:
    edit(repo / TAGGER, "step: 0", "step: 1")
    effects = said(isoserve("review", "--json").data, "vision/tagger")
    assert "requests go 50 % stable, 50 % candidate; they went 90 % stable" in effects
    assert "no pod restarts" in effects, "weights are the gateway's"


def test_a_probe_alone_is_told_as_such(isoserve: Isoserve, repo: Path) -> None:
    edit(repo / ASSISTANT, "availability: 0.99", "availability: 0.98")
    effects = said(isoserve("review", "--json").data, "chat/assistant")
    assert "only probe, alerts or dashboard change" in effects, "nothing that serves"


def test_a_job_says_when_it_holds(isoserve: Isoserve, repo: Path) -> None:
    edit(repo / "model_specs/search/nightly-index.yaml", "indexer,", "reindexer,")
    effects = said(isoserve("review", "--json").data, "search/nightly-index")
    assert "from the next run on" in effects, "a CronJob restarts nothing"


def test_a_rename_is_one_row_with_what_it_deletes(isoserve: Isoserve, repo: Path) -> None:
    rename_model(repo)
    answer = isoserve("review")
    assert "`search/mood` renamed from `search/sentiment` (W401)" in answer.out, "one row"
    assert "1 model, 3 regions" in answer.out, "and one model"


def test_a_moved_model_is_a_rename_too(isoserve: Isoserve, repo: Path) -> None:
    text = (repo / SENTIMENT).read_text()
    (repo / SENTIMENT).unlink()
    (repo / "model_specs/vision/sentiment.yaml").write_text(
        text.replace("search/sentiment", "vision/sentiment")
    )
    answer = isoserve("review")
    assert "`vision/sentiment` renamed from `search/sentiment` (W401)" in answer.out, (
        "the same manifest digest in another project is the same model"
    )


def test_gpus_and_money_are_before_after_and_delta(isoserve: Isoserve, repo: Path) -> None:
    dearer(repo)
    data = isoserve("review", "--json").data
    row = next(r for r in data["regions"] if r["region"] == "seoul-dc1")
    assert row["delta"]["gpus"] == {"min": 0, "expected": 0, "max": 2}, "two more at most"
    assert row["delta"]["usd_per_month"]["max"] == pytest.approx(2 * 1.9 / 4 * 730, abs=0.01)
    dark = next(r for r in data["regions"] if r["region"] == "eu-central-1")
    assert dark["after"]["usd_per_month"]["max"] is None, "one machine has no price there"
    assert dark["delta"]["usd_per_month"]["max"] is not None, "what grows has one"
    assert data["prices"] == ["2026-10-01", "2026-11-01"], "prices are dated"
    text = isoserve("review").out
    assert "(prices of 2026-10-01 to 2026-11-01)" in text, "in the first line"
    assert "No price is known of `gpu.l40s.4 (on_demand) in eu-central-1`: n/a." in text


def test_regions_that_agree_share_a_row(isoserve: Isoserve, repo: Path) -> None:
    edit(repo / TAGGER, "step: 0", "step: 1")
    text = isoserve("review").out
    assert text.count("HTTPRoute vision/tagger") == 1, "one operation, all regions"


def test_a_removed_project_is_told_by_its_objects(isoserve: Isoserve, repo: Path) -> None:
    remove_project(repo)
    steps = isoserve("review", "--json").data["steps"]
    gone = {s["object"]["kind"] for s in steps if s["operation"] == "delete"}
    assert {"Namespace", "Deployment", "HTTPRoute", "PersistentVolumeClaim"} <= gone


def test_a_removed_region_serves_on_and_its_bucket_is_not_in_danger(
    isoserve: Isoserve, repo: Path
) -> None:
    remove_region(repo)
    answer = isoserve("review")
    assert verdict(answer.out) == "NEEDS APPROVAL", "no stack is touched by a missing profile"
    assert "`eu-central-1` (profile removed)" in answer.out, "and it stays in the table"
    assert "it serves on until the stack is destroyed" in answer.out, "what people would ask"
    found = isoserve("review", "--json").data["flags"]
    assert {flag["name"] for flag in found} == {"region removed", "region entrusted"}, (
        "its profile is gone, and the home region copies its models there no longer"
    )


def test_only_the_asked_regions_are_reviewed(isoserve: Isoserve, repo: Path) -> None:
    edit(repo / TAGGER, "step: 0", "step: 1")
    data = isoserve("review", "--json", "-r", "us-east-1").data
    assert [row["region"] for row in data["regions"]] == ["us-east-1"], "and no other is removed"


# -- other people's words --------------------------------------------------------------------


def test_words_of_a_spec_cannot_speak_in_the_comment(isoserve: Isoserve, repo: Path) -> None:
    words = (
        "[--allowed-origins, '@everyone <img src=x> | **b**', "
        "--allowed-headers, '</details><!-- isoserve review -->']"
    )
    add(repo / SENTIMENT, f'env: {{NOTE: "@all </details>"}}\nargs: {words}\n')
    text = isoserve("review").out
    assert verdict(text) != "BLOCKED", "the loader takes these words"
    for line in text.splitlines()[1:]:
        outside = "".join(part for i, part in enumerate(_spans(line)) if i % 2 == 0)
        for word in ("@everyone", "<img", "**b**", "<!-- iso", "@all"):
            assert word not in outside, f"{word} would be live in: {line}"
    assert text.count("\n</details>") == text.count("<details>"), "what folds is ours"


def _spans(line: str) -> list[str]:
    """Text outside and inside of code spans, in turn."""
    import re

    parts, at = [], 0
    for match in re.finditer(r"(?<!`)(`+)(?!`)(.*?)(?<!`)\1(?!`)", line):
        parts += [line[at : match.start()], match[0]]
        at = match.end()
    return [*parts, line[at:]]


def test_the_comment_fits_however_much_changes(isoserve: Isoserve, repo: Path) -> None:
    text = (repo / "model_specs/search/ranker.yaml").read_text()
    for number in range(300):
        (repo / f"model_specs/search/ranker-{number}.yaml").write_text(text)
    edit(repo / USE1, "on_demand: {min: 2, max: 20}", "on_demand: {min: 2, max: 2000}")
    project = repo / "model_specs/search/project.yaml"
    edit(project, "cpu_quota: 200", "cpu_quota: 20000")
    edit(project, "memory_quota_gib: 500", "memory_quota_gib: 50000")
    edit(project, "cost_cap_usd_per_month: 20000", "cost_cap_usd_per_month: 2000000")
    answer = isoserve("review", "-r", "us-east-1")
    assert len(answer.out.encode()) <= LIMIT, "GitHub would refuse it whole"
    assert "more rows, left out here" in answer.out, "and it says what is missing"


def test_the_order_of_files_and_regions_changes_nothing(isoserve: Isoserve, repo: Path) -> None:
    dearer(repo)
    edit(repo / TAGGER, "step: 0", "step: 1")
    edit(repo / USE1, "[g6.2xlarge]", "[g6.4xlarge]")
    before = isoserve("review", "--at", "2026-11-22T00:00:00Z").out
    for folder in ("model_specs", "regions"):
        files = sorted(path for path in (repo / folder).rglob("*") if path.is_file())
        kept = {path: path.read_bytes() for path in files}
        shutil.rmtree(repo / folder)
        random.Random(7).shuffle(files)
        for path in files:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(kept[path])
    assert isoserve("review", "--at", "2026-11-22T00:00:00Z").out == before, (
        "the file system's order is nobody's"
    )
    regions = [word for region in reversed(REGIONS) for word in ("-r", region)]
    assert isoserve("review", *regions, "--at", "2026-11-22T00:00:00Z").out == before, (
        "nor is the command line's"
    )


# -- previews --------------------------------------------------------------------------------


def previews(folder: Path, **found: Any) -> list[str | Path]:
    words: list[str | Path] = []
    for name, preview in found.items():
        region = name.replace("_", "-")
        words += ["--preview", write(folder / f"{region}.json", preview)]
    return words


def whole(tmp_path: Path, **found: Any) -> list[str | Path]:
    """Good previews of all regions, but for those that are given."""
    same = ("same", NAMESPACE, "search", True)
    good = {region.replace("-", "_"): events(same, stack=region) for region in REGIONS}
    return previews(tmp_path, **(good | found))


def test_good_previews_of_all_regions_change_no_verdict(
    isoserve: Isoserve, repo: Path, tmp_path: Path
) -> None:
    answer = isoserve("review", *whole(tmp_path))
    assert (answer.code, verdict(answer.out)) == (0, "PASS"), "the engine agrees"
    assert "| 0 | 0 | 0 | 0 | none ran | ok |" in answer.out, "and is told"


def test_a_region_without_a_preview_is_a_row(
    isoserve: Isoserve, repo: Path, tmp_path: Path
) -> None:
    one = previews(tmp_path, us_east_1=events(("same", NAMESPACE, "search", True)))
    answer = isoserve("review", *one)
    assert verdict(answer.out) == "NEEDS APPROVAL", "absence must be visible"
    assert "| `eu-central-1`, `seoul-dc1` |  |  |  |  |  | no preview |" in answer.out


def test_a_failed_preview_blocks(isoserve: Isoserve, repo: Path, tmp_path: Path) -> None:
    words = whole(tmp_path, seoul_dc1=digest(errors=("no route to host",)))
    answer = isoserve("review", *words)
    assert (answer.code, verdict(answer.out)) == (1, "BLOCKED"), "fail closed"
    assert "**preview of `seoul-dc1` failed**: `error: no route to host`" in answer.out


def test_a_policy_that_the_engine_saw_broken_blocks(
    isoserve: Isoserve, repo: Path, tmp_path: Path
) -> None:
    said = {"policyName": "image-digest", "enforcementLevel": "mandatory", "message": "no digest"}
    words = whole(tmp_path, us_east_1=events(("same", NAMESPACE, "x", False), policies=(said,)))
    answer = isoserve("review", *words)
    assert verdict(answer.out) == "BLOCKED", "mandatory is mandatory"
    assert "`image-digest`" in answer.out, "and named"


def test_deleting_a_protected_registry_is_refused(
    isoserve: Isoserve, repo: Path, tmp_path: Path
) -> None:
    words = whole(tmp_path, us_east_1=digest(("delete", BUCKET, "models", True)))
    answer = isoserve("review", *words)
    assert (answer.code, verdict(answer.out)) == (1, "BLOCKED"), "policies never see deletions"
    assert "**refused**: `Bucket` `models`, delete of something protected" in answer.out


def test_a_deletion_that_the_specs_ask_for_waits_for_a_person(
    isoserve: Isoserve, repo: Path, tmp_path: Path
) -> None:
    remove_project(repo)
    gone = events(("delete", NAMESPACE, "vision", False))
    answer = isoserve("review", *whole(tmp_path, us_east_1=gone))
    assert verdict(answer.out) == "NEEDS APPROVAL", "a project can be removed"
    assert "to approve: `Namespace` `vision`" in answer.out, "by a person who saw this"
    other = events(("delete", NAMESPACE, "search", False))
    answer = isoserve("review", *whole(tmp_path, us_east_1=other))
    assert verdict(answer.out) == "BLOCKED", "nobody asked for that one"


def test_a_preview_of_a_stranger_is_a_row(isoserve: Isoserve, repo: Path, tmp_path: Path) -> None:
    words = whole(tmp_path, mars=events(("same", NAMESPACE, "x", False), stack="mars"))
    answer = isoserve("review", *words)
    assert verdict(answer.out) == "NEEDS APPROVAL", "someone mixed something up"
    assert "there is no such region" in answer.out


def test_values_of_a_preview_are_never_printed(
    isoserve: Isoserve, repo: Path, tmp_path: Path
) -> None:
    whole_one = digest(("update", NAMESPACE, "search", False))
    whole_one["steps"][0]["oldState"]["inputs"] = {"password": "correct-horse-battery"}
    words = whole(tmp_path, us_east_1=whole_one)
    for form in ([], ["--json"]):
        assert "correct-horse" not in isoserve("review", *words, *form).out, "a comment is public"
