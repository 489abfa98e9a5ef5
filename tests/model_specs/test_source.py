"""Reading YAML keeps what the author wrote and tells the place of every fault."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from model_specs.errors import SpecError, SpecErrors
from model_specs.source import MAX_BYTES, MAX_DEPTH, read


def refused(folder: Path, content: bytes) -> tuple[SpecError, ...]:
    path = folder / "a.yaml"
    path.write_bytes(content)
    with pytest.raises(SpecErrors) as caught:
        read(path, "a.yaml")
    return caught.value.errors


@pytest.mark.parametrize(
    ("content", "code", "line", "column"),
    [
        (b"", "E101", 1, 1),
        (b"# nothing\n", "E101", 1, 1),
        (b"a: 1\nb: [1\n", "E102", 3, 1),
        (b"a: 1\n\tb: 2\n", "E102", 2, 1),
        (b"a: 1\n---\nb: 2\n", "E103", 2, 1),
        (b"- a\n- b\n", "E104", 1, 1),
        (b"word", "E104", 1, 1),
        (b"? [a]\n: 1\n", "E104", 1, 3),
        (b"a: 1\nb: 2\na: 3\n", "E105", 3, 1),
        (b"a: &x 1\nb: *x\n", "E106", 1, 4),
        (b"b: *x\n", "E106", 1, 4),
        (b"a:\n  <<: {b: 1}\n", "E106", 2, 3),
        (b"a: !!python/object:os.system x\n", "E110", 1, 4),
        (b"a: \xff\xfe\n", "E109", 1, 4),
        (b"a: \x00\n", "E109", 1, 4),
        (b"a: " + b"[" * (MAX_DEPTH + 2) + b"]" * (MAX_DEPTH + 2), "E107", 1, 36),
        (b"# " + b"x" * MAX_BYTES, "E108", 1, 1),
    ],
    ids=lambda value: repr(value)[:24],
)
def test_what_is_no_plain_mapping_is_refused_with_its_place(
    tmp_path: Path, content: bytes, code: str, line: int, column: int
) -> None:
    errors = refused(tmp_path, content)
    found = [(error.code, error.line, error.column) for error in errors]
    assert found == [(code, line, column)], f"the person looks where we point: {errors}"


def test_every_duplicate_key_is_told_at_once(tmp_path: Path) -> None:
    errors = refused(tmp_path, b"a: 1\na: 2\nb:\n  c: 1\n  c: 2\n")
    assert [(e.path, e.line) for e in errors] == [("a", 2), ("b.c", 5)], "one run, all faults"
    assert "also on line 1" in errors[0].message, "both places are named"


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("no", "no"), ("on", "on"), ("022", "022"), ("1_000", "1_000"), ("12:30:45", "12:30:45"),
        ("2026-11-22", "2026-11-22"), ("0x1f", "0x1f"), ("1.", "1."), ('"1"', "1"), ("'~'", "~"),
        ("1", 1), ("-7", -7), ("1.5", 1.5), ("1e3", 1000.0), ("true", True), ("null", None),
        ("~", None), ("", None), (".inf", ".inf"), ("9" * 30, float("9" * 30)),
    ],
)  # fmt: skip
def test_scalars_mean_what_they_look_like(tmp_path: Path, written: str, value: Any) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(f"key: {written}\n")
    found = read(path, "a.yaml").values
    assert found == {"key": value}, "YAML 1.1 would make `no` a boolean and 022 eighteen"


def test_every_fault_of_a_file_is_told_though_reading_goes_on(tmp_path: Path) -> None:
    errors = refused(tmp_path, b"a: !t 1\nb: &x 1\nc: *x\n? [k]\n: 1\na: 1e999\n")
    found = [(error.line, error.code) for error in errors]
    assert found == [(1, "E110"), (2, "E106"), (4, "E104"), (6, "E105"), (6, "E301")], (
        "an anchor is told once, however often it is used"
    )


def test_a_place_is_known_for_every_path(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("a:\n  b:\n    - 1\n    - c: 2\n")
    places = read(path, "a.yaml").places
    assert places[("a", "b", 1, "c")] == (4, 7), "line and column from 1"


@pytest.mark.parametrize("make", ["directory", "pipe", "missing", "loop"])
def test_what_is_no_file_is_an_error_and_never_a_hang(tmp_path: Path, make: str) -> None:
    path = tmp_path / "a.yaml"
    if make == "directory":
        path.mkdir()
    elif make == "pipe":
        os.mkfifo(path)
    elif make == "loop":
        path.symlink_to(path)
    with pytest.raises(SpecErrors) as caught:
        read(path, "a.yaml")
    assert caught.value.errors[0].code in ("E100", "E108"), "a named pipe would block for ever"
