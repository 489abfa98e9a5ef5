"""A preview is read in both forms, and one that is not whole is a failed one, never an absence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stacks.reviewing.previews import read_preview
from tests.stacks.preview_files import BUCKET, NAMESPACE, digest, events, urn, write

ROWS = (
    ("create", "kubernetes:apps/v1:Deployment", "search/new", False),
    ("update", "kubernetes:apps/v1:Deployment", "search/old", False),
    ("replace", BUCKET, "models", True),
    ("delete", NAMESPACE, "search", False),
    ("same", NAMESPACE, "chat", False),
)


@pytest.fixture(params=[digest, events], ids=["digest", "events"])
def form(request: pytest.FixtureRequest) -> Any:
    return request.param


def test_both_forms_say_the_same(tmp_path: Path, form: Any) -> None:
    preview = read_preview(write(tmp_path / "any.json", form(*ROWS)))
    assert preview.error == "", "it went well"
    assert preview.region == "us-east-1", "the stack in the URNs is the region"
    counts = [preview.count(name) for name in ("create", "update", "replace", "delete", "same")]
    assert counts == [1, 1, 1, 1, 1], "the halves of a replacement are one"
    assert {s.is_protected for s in preview.steps if s.type == BUCKET} == {True}, "the old state's"


def test_a_slice_of_a_region_is_of_the_region(tmp_path: Path, form: Any) -> None:
    preview = read_preview(write(tmp_path / "x.json", form(*ROWS, stack="us-east-1.search")))
    assert preview.region == "us-east-1", "a stack may be REGION.PROJECT"


def test_a_preview_that_failed_says_why(tmp_path: Path, form: Any) -> None:
    preview = read_preview(write(tmp_path / "seoul-dc1.json", form(errors=("no cluster\nat all",))))
    assert "no cluster" in preview.error, "the first line of the first error"
    assert "at all" not in preview.error, "and no more"
    assert preview.region == "seoul-dc1", "without a URN the file's name tells the region"


def test_of_a_traceback_the_end_is_told(tmp_path: Path, form: Any) -> None:
    text = "Program failed:\nTraceback (most recent call last):\n  File x\nKeyError: boom"
    preview = read_preview(write(tmp_path / "x.json", form(errors=(text,))))
    assert "KeyError: boom" in preview.error, "its first line tells nothing"


def test_secrets_in_messages_are_cut(tmp_path: Path, form: Any) -> None:
    text = "denied for AKIAABCDEFGHIJKLMNOP at https://me:hunter22@host"
    preview = read_preview(write(tmp_path / "x.json", form(errors=(text,))))
    for secret in ("ABCDEFGH", "hunter22"):
        assert secret not in preview.error, "a comment is public"


def test_policies_are_told_by_events_alone(tmp_path: Path) -> None:
    said = {"policyName": "image-digest", "enforcementLevel": "mandatory", "message": "no digest",
            "resourceUrn": urn(NAMESPACE, "search")}  # fmt: skip
    judged = read_preview(write(tmp_path / "a.json", events(*ROWS, policies=(said,))))
    assert [v.level for v in judged.violations] == ["mandatory"]
    assert judged.policies is True, "a pack ran"
    assert read_preview(write(tmp_path / "b.json", events(*ROWS))).policies is False, "none ran"
    silent = read_preview(write(tmp_path / "c.json", digest(*ROWS)))
    assert silent.policies is None, "the digest leaves policy events out: that is no pass"


def test_a_policy_that_could_not_run_is_a_mandatory_finding(tmp_path: Path) -> None:
    said = {"policyName": "p", "enforcementLevel": "advisory", "message": "can't run policy 'p'"}
    preview = read_preview(write(tmp_path / "a.json", events(*ROWS, policies=(said,))))
    assert [v.level for v in preview.violations] == ["mandatory"], "an unknown value is no pass"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "empty"),
        ("  \n", "empty"),
        ("error: no stack", "no JSON object"),
        ("[]", "no JSON object"),
        ("null", "no JSON object"),
        ("{}", "before the engine's summary"),
        ('{"steps": [], "diagnostics": []}', "before the engine's summary"),
        ('{"steps": 1, "changeSummary": {}}', "no preview"),
        ('{"steps": [1], "changeSummary": {}}', "no known form"),
        ('{"steps": [{"op": "same"}], "changeSummary": {}}', "no known form"),
        ('{"diagnostics": [1], "changeSummary": {}}', "no known form"),
        ('{"changeSummary": {}, "maybeCorrupt": true}', "damaged"),
        ('{"summaryEvent": {"isPreview": false}}', "not of a preview"),
        ('{"preludeEvent": {}}\n{"summ', "cut off"),
        ("[" * 100_000, "no JSON object"),
    ],
)
def test_what_is_no_whole_preview_is_a_failed_one(tmp_path: Path, text: str, why: str) -> None:
    path = tmp_path / "seoul-dc1.json"
    path.write_text(text)
    preview = read_preview(path)
    assert why in preview.error, "fail closed, and say what is wrong"
    assert preview.region == "seoul-dc1", "the row has its region"


def test_a_file_that_is_not_there_is_a_failed_preview(tmp_path: Path) -> None:
    assert "cannot be read" in read_preview(tmp_path / "gone.json").error, "absence is visible"
    (tmp_path / "bytes.json").write_bytes(b"\xff\xfe")
    assert "UTF-8" in read_preview(tmp_path / "bytes.json").error


def test_one_file_of_two_stacks_is_refused(tmp_path: Path) -> None:
    whole = digest(*ROWS)
    whole["steps"] += digest(*ROWS, stack="seoul-dc1")["steps"]
    assert "several stacks" in read_preview(write(tmp_path / "x.json", whole)).error


def test_every_event_log_that_is_cut_short_failed(tmp_path: Path) -> None:
    lines = [json.dumps(event) for event in events(*ROWS)]
    end = next(i for i, line in enumerate(lines) if "summaryEvent" in line)
    for kept in range(end):
        path = tmp_path / "us-east-1.json"
        path.write_text("\n".join(lines[:kept]))
        assert read_preview(path).error, f"{kept} lines are no preview"


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_garbage_never_raises(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "garbage.json"
    path.write_bytes(data)
    assert read_preview(path).error, "what nobody wrote says nothing good"
