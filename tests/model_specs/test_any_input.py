"""Whatever stands in a file, it becomes a model or typed errors, and never anything else."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model_specs.errors import SpecErrors
from model_specs.load import load
from model_specs.schema import ModelSpec
from model_specs.source import read
from regions.profile import load_profile
from tests.model_specs.catalogue import HERE, PROFILE
from tests.model_specs.test_bad_inputs import FORM

BASE = HERE / "base"
FILES: dict[str, Callable[[Path], object]] = {
    "model_specs/team/good.yaml": lambda path: load(path.parents[1]),
    "model_specs/team/project.yaml": lambda path: load(path.parents[1]),
    "model_specs/team/models.lock.yaml": lambda path: load(path.parents[1]),
    PROFILE: load_profile,
}
"""Every kind of file that a person writes, and who reads it."""
every_kind = pytest.mark.parametrize("file", FILES)

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=12),
    st.sampled_from(
        ["all", "5 min", "10Gi", "022", "no", "../x", "team", "gpu.l4.1", "vllm", "2020-01-01",
         "2027-01-31T00:00:00Z", "* * * * *", "--port", "--tensor-parallel-size", "$(x)", "",
         "AKIA" + "FAKE" * 4, "\u202ex", "a\u0301"]
    ),
)  # fmt: skip
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(
            st.one_of(st.sampled_from(sorted(ModelSpec.model_fields)), st.text(max_size=6)),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=12,
)
YAMLISH = st.lists(
    st.sampled_from(
        [*"ab:-?[]{}&*!|>'\"%@`#,. \n\t01~<=", "\n  ", ": ", "- ", "---\n", "\x00", "é", "1e999",
         "\u2028", "machine_type: ", "image: vllm\n", "model: ", "scaling:\n  max: ",
         "<<: ", "!!str "]
    ),
    max_size=40,
).map(lambda words: "".join(words).encode())  # fmt: skip


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shutil.copytree(BASE, tmp_path_factory.mktemp("any") / "tree")


def refusal(tree: Path, file: str, content: bytes) -> list[str] | None:
    """The lines that refuse the content, None where it is taken; anything else is raised here."""
    path = tree / file
    path.write_bytes(content)
    try:
        FILES[file](path)
    except SpecErrors as refused:
        return [str(error) for error in refused.errors]
    finally:
        path.write_bytes((BASE / file).read_bytes())
    return None


def is_typed(lines: list[str] | None) -> bool:
    """Whether a refusal, if there is one, says something and all of it in the form of errors."""
    return lines is None or (bool(lines) and all(map(FORM.fullmatch, lines)))


@every_kind
@given(content=st.one_of(st.binary(max_size=60), YAMLISH))
@settings(max_examples=200)
def test_any_bytes_become_a_model_or_typed_errors(tree: Path, file: str, content: bytes) -> None:
    lines = refusal(tree, file, content)
    assert is_typed(lines), lines


def places(value: Any, where: tuple[Any, ...]) -> list[tuple[Any, ...]]:
    """Every place in a value where something else could stand."""
    found = [where] if where else []
    if isinstance(value, dict):
        return found + [place for key in value for place in places(value[key], (*where, key))]
    if isinstance(value, list):
        return found + [p for i, one in enumerate(value) for p in places(one, (*where, i))]
    return found


def full(file: str) -> dict[str, Any]:
    """The base file's values; a model has every field that it may have."""
    values = read(BASE / file, file).values
    assert isinstance(values, dict)
    if file.endswith("good.yaml"):
        values |= {name: "x" for name in ModelSpec.model_fields if name not in values}
    return values


@every_kind
@given(data=st.data())
@settings(max_examples=150)
def test_any_value_in_any_field_is_taken_or_refused_by_name(
    tree: Path, file: str, data: st.DataObject
) -> None:
    values = full(file)
    chosen = data.draw(st.sampled_from(places(values, ())))
    if file.endswith("good.yaml"):  # only what is wrong by our hand may be wrong
        kept = {"machine_type", "image", "model", chosen[0]}
        values = {name: value for name, value in values.items() if name in kept}
    inner: Any = values
    for step in chosen[:-1]:
        inner = inner[step]
    inner[chosen[-1]] = data.draw(VALUES)
    text = json.dumps(values, ensure_ascii=False).encode(errors="replace")
    lines = refusal(tree, file, text)
    assert is_typed(lines), lines


def test_the_form_tells_good_lines_from_bad_ones() -> None:
    assert FORM.fullmatch("a/b.yaml:4:1  acess  E201  no such field, got 'acess'; did you mean x?")
    for bad in ("a.yaml  acess  E201  no; yes", "a.yaml:1:1  x  E201  no way out", "Traceback"):
        assert not FORM.fullmatch(bad), "or the tests above prove nothing"
