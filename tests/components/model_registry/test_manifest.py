"""A manifest is input from the network: it is either safe to act on, or refused in one way."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.model_registry.manifest import (
    Manifest,
    ManifestError,
    ManifestFile,
    digest,
    parse,
    to_bytes,
)
from components.model_registry.paths import check_path

HEX = "a" * 64
ROW = {"path": "a", "sha256": HEX, "size": 1}
PINNED = "sha256:760e2ffcdcbb53a7079c111665b663de7c31bc91b2422ab23f324c02e3815541"
"""What sha256sum says of the bytes below."""
EMPTY = {"facts": {}, "files": [ROW], "metadata": {}, "schema": 1}
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=6,
)


def canonical(value: Any) -> bytes:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode(errors="surrogatepass")


def outcome(raw: bytes) -> Manifest | None:
    try:
        return parse(raw)
    except ManifestError:
        return None


@given(st.binary())
def test_any_bytes_are_a_manifest_or_refused(raw: bytes) -> None:
    found = outcome(raw)
    assert found is None or to_bytes(found) == raw


@given(st.dictionaries(st.sampled_from([*EMPTY, "more"]), json_values))
def test_any_json_is_a_manifest_or_refused(changes: dict[str, Any]) -> None:
    raw = canonical(EMPTY | changes)
    found = outcome(raw)
    assert found is None or to_bytes(found) == raw


@given(st.lists(st.fixed_dictionaries({}, optional=dict.fromkeys(ROW, json_values)), max_size=3))
def test_any_rows_are_files_or_refused(changes: list[dict[str, Any]]) -> None:
    raw = canonical(EMPTY | {"files": [ROW | change for change in changes]})
    found = outcome(raw)
    assert found is None or to_bytes(found) == raw


@given(st.text(st.characters(categories=("L", "N", "P")) | st.sampled_from("/.\\~"), max_size=40))
def test_an_accepted_path_stays_below_its_directory(path: str) -> None:
    try:
        check_path(path)
    except ManifestError:
        return
    root = Path("/models/x")
    assert root in (root / path).parents, "a manifest must not write beside the model"
    assert ".." not in Path(path).parts


@given(
    st.sets(st.from_regex(r"[a-z]{1,8}(/[a-z]{1,8}){0,2}", fullmatch=True), min_size=1),
    st.dictionaries(st.text(), st.text()),
    st.dictionaries(st.text(), st.integers(0, 2**63 - 1)),
)
def test_what_is_written_is_read_back_equal(
    paths: set[str], metadata: dict[str, str], facts: dict[str, int]
) -> None:
    rows = tuple(ManifestFile(path=p, size=len(p), sha256=HEX) for p in sorted(paths))
    made = Manifest(files=rows, metadata=metadata, facts=facts)
    found = outcome(to_bytes(made))
    nested = any(a.startswith(f"{b}/") for a in paths for b in paths)
    assert found == (None if nested else made), "only a file that is a directory too is refused"


def test_the_digest_is_that_of_the_bytes() -> None:
    raw = canonical(EMPTY)
    assert raw == (
        b'{"facts":{},"files":[{"path":"a","sha256":"' + HEX.encode() + b'","size":1}],'
        b'"metadata":{},"schema":1}'
    ), "the form is fixed for good: every pinned address rests on it"
    assert digest(raw) == PINNED


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd", "../x", "a/../../x", "a//b", "a/./b", "", ".", "a/", "a\\..\\b", "a\nb",
        "a\x00b", "a\u202eb", "x" * 256, "/".join(["y" * 200] * 6), ".isoserve-partial/x",
        "/".join("abcdefghijklmnopq"),        "e\u0301", "\ud800", 3, None,
    ],
)  # fmt: skip
def test_a_path_that_leads_astray_is_refused(path: Any) -> None:
    with pytest.raises(ManifestError):
        parse(canonical(EMPTY | {"files": [ROW | {"path": path}]}))


@pytest.mark.parametrize(
    ("paths", "why"),
    [
        (["a", "a"], "twice"),
        (["b", "a"], "order"),
        (["A", "a"], "case"),
        (["a", "a.b", "a/b"], "directory"),
        (["a/b", "A/b/c"], "order"),
        (["STRASSE", "straße"], "case"),
    ],
)
def test_two_files_never_share_a_place(paths: list[str], why: str) -> None:
    with pytest.raises(ManifestError, match=why):
        parse(canonical(EMPTY | {"files": [ROW | {"path": path} for path in paths]}))


def test_a_path_of_sixteen_names_is_as_deep_as_it_may_be() -> None:
    path = "/".join("abcdefghijklmnop")
    found = parse(canonical(EMPTY | {"files": [ROW | {"path": path}]}))
    assert found.inodes == 1 + 15 + 1, "the file, each directory above it, and the version's own"


def test_files_in_too_many_directories_are_refused() -> None:
    rows = [ROW | {"path": f"{number:05}/w.bin"} for number in range(2001)]
    with pytest.raises(ManifestError, match="more than 2000 directories, got 2001"):
        parse(canonical(EMPTY | {"files": rows}))
    assert parse(canonical(EMPTY | {"files": rows[:2000]})).inodes == 2000 + 2000 + 1


@pytest.mark.parametrize(
    "raw",
    [
        b'{"schema":1}',
        json.dumps(EMPTY, sort_keys=True).encode(),
        canonical(EMPTY).replace(b'"schema":1', b'"schema":1,"schema":1'),
        canonical(EMPTY | {"schema": 2}),
        canonical(EMPTY | {"schema": True}),
        canonical(EMPTY | {"files": []}),
        canonical(EMPTY | {"files": [ROW | {"size": -1}]}),
        canonical(EMPTY | {"files": [ROW | {"size": True}]}),
        canonical(EMPTY | {"files": [ROW | {"size": 1.0}]}),
        canonical(EMPTY | {"files": [ROW | {"sha256": "A" * 64}]}),
        canonical(EMPTY | {"facts": {"a": {"b": {"c": 1}}}}),
        canonical(EMPTY | {"metadata": {"a": 1}}),
        b"[" * 100_000,
        b'{"schema":' + b"9" * 10_000 + b"}",
        b"\xff",
    ],
    ids=range(15),
)
def test_what_is_not_exactly_a_manifest_is_refused(raw: bytes) -> None:
    with pytest.raises(ManifestError):
        parse(raw)
