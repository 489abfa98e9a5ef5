"""The diff names each object that a change reaches, the fields, and the regions that agree."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.stacks.conftest import Isoserve, edit, git

ASSISTANT = "model_specs/chat/assistant.yaml"


def test_no_change_is_zero(isoserve: Isoserve, repo: Path) -> None:
    answer = isoserve("diff")
    assert answer.code == 0, "nothing to review"
    assert "0 objects added, 0 objects removed, 0 objects changed" in answer.out, "and it says so"


def test_a_changed_field_is_shown_once_for_all_regions(isoserve: Isoserve, repo: Path) -> None:
    edit(repo / ASSISTANT, "queue_depth: 8", "queue_depth: 9")
    answer = isoserve("diff")
    assert answer.code == 1, "there is something to review"
    assert (
        "~ ScaledObject chat/assistant  (same in 2 regions: eu-central-1, us-east-1)" in answer.out
    )
    assert 'metadata.threshold: "8" -> "9"' in answer.out, "old and new value"


def test_a_change_that_differs_by_region_is_told_apart(isoserve: Isoserve, repo: Path) -> None:
    edit(repo / "regions/us-east-1.yaml", "domain: use1.", "domain: use2.")
    edits = isoserve("diff", "--json").data["edits"]
    assert edits, "the routes move"
    assert all(row["regions"] == ["us-east-1"] for row in edits), "and only there"


def test_new_and_removed_models_are_shown_as_objects(isoserve: Isoserve, repo: Path) -> None:
    new = (repo / "model_specs/search/ranker.yaml").read_text()
    (repo / "model_specs/search/second.yaml").write_text(new)
    (repo / "model_specs/vision/tagger.yaml").unlink()
    rows = isoserve("diff", "--json").data["edits"]
    by_model = {(row["object"]["model"], row["operation"]) for row in rows}
    assert ("search/second", "added") in by_model, "a new model"
    assert ("vision/tagger", "removed") in by_model, "a removed one"


def test_inside_json_the_changed_leaf_is_named(isoserve: Isoserve, repo: Path) -> None:
    edit(repo / ASSISTANT, "interval_seconds: 60", "interval_seconds: 90")
    assert "probes[chat/assistant].interval_seconds: 60 -> 90" in isoserve("diff").out, (
        "a whole JSON text as old and new cannot be reviewed"
    )


def test_another_base_can_be_named(isoserve: Isoserve, repo: Path) -> None:
    edit(repo / ASSISTANT, "queue_depth: 8", "queue_depth: 9")
    git(repo, "commit", "-qam", "next")
    assert isoserve("diff").code == 0, "HEAD has it"
    assert isoserve("diff", "--base", "HEAD~1").code == 1, "its parent has not"


def test_a_tree_that_git_did_not_have_is_all_new(isoserve: Isoserve, repo: Path) -> None:
    git(repo, "rm", "-rq", "--cached", "regions", "model_specs")
    git(repo, "commit", "-qm", "empty")
    rows = isoserve("diff", "--json").data["edits"]
    assert {row["operation"] for row in rows} == {"added"}, "the first commit is a diff too"


@pytest.mark.parametrize("base", ["nope", "--output=x", "HEAD:README"])
def test_an_unknown_revision_is_an_input_error(isoserve: Isoserve, repo: Path, base: str) -> None:
    answer = isoserve("diff", f"--base={base}")
    assert (answer.code, "isoserve: git:" in answer.err) == (2, True), "git's word is passed on"
    assert not (repo / "x").exists(), "a revision is never read as an option"


def test_no_repository_is_an_input_error(isoserve: Isoserve, here: Path) -> None:
    assert isoserve("diff").code == 2, "there is nothing to compare with"


def test_a_broken_base_is_named_as_such(isoserve: Isoserve, repo: Path) -> None:
    edit(repo / ASSISTANT, "machine_type", "machine_typ")
    git(repo, "commit", "-qam", "broken")
    edit(repo / ASSISTANT, "machine_typ", "machine_type")
    answer = isoserve("diff")
    assert answer.code == 2, "the work tree is fine, the base is not"
    assert "HEAD:model_specs/chat/assistant.yaml" in answer.err, "say which side is broken"


def test_the_work_tree_is_left_alone(isoserve: Isoserve, repo: Path) -> None:
    edit(repo / ASSISTANT, "queue_depth: 8", "queue_depth: 9")
    before = (repo / ".git/HEAD").read_bytes(), (repo / ASSISTANT).read_bytes()
    isoserve("diff")
    after = (repo / ".git/HEAD").read_bytes(), (repo / ASSISTANT).read_bytes()
    assert after == before, "reading history must not check it out"
