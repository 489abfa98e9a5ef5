"""A review plans each side of a region once and renders each model's plan once, and misses nothing.

What is quick is held against what is slow: everything rendered anew, every leaf looked at.
"""

from __future__ import annotations

import json
import operator
import pickle
import re
from argparse import Namespace
from collections import Counter
from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from components import model_server
from components.parts import apart, parts
from model_specs.errors import SpecErrors
from model_specs.load import Model, Specs
from regions import model_plan
from regions.profile import RegionProfile
from regions.resolve import resolve
from stacks import compare, history
from stacks.compare import ABSENT, changes, keyed, same
from stacks.review import reviewed
from stacks.reviewing import sides
from tests.examples import REGIONS, profiles, specs, with_capabilities
from tests.stacks.conftest import edit

Made = dict[str, Any]
_LEAVES: Final = st.sampled_from([None, True, False, 0, 1, 1.0, "", "a", '{"a":1}', '{"a": 1}'])
_NAMED: Final = st.fixed_dictionaries({"name": st.sampled_from("ab")}, optional={"x": _LEAVES})
VALUES: Final = st.recursive(
    _LEAVES | st.lists(_NAMED, max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("ab-."), inner),
    max_leaves=12,
)


@given(old=st.dictionaries(st.sampled_from("abc"), VALUES), data=st.data())
@settings(max_examples=400, deadline=None)
def test_the_quick_comparison_finds_what_the_slow_one_finds(old: Made, data: st.DataObject) -> None:
    new = data.draw(st.just(json.loads(json.dumps(old))) | st.dictionaries(st.just("a"), VALUES))
    changed: bool = data.draw(st.booleans(), label="changed")
    if old and changed:
        new = {**old, data.draw(st.sampled_from(sorted(old))): data.draw(VALUES)}
    quick = repr([*changes(old, new, "")])
    with patch.object(compare, "_is_equal", operator.is_):  # now it looks into everything
        assert quick == repr([*changes(old, new, "")])
    assert same(old, new) == (repr(old) == repr(new)), "1, 1.0 and true are three values"


def test_what_is_absent_is_told_apart_in_every_process() -> None:
    assert pickle.loads(pickle.dumps(ABSENT)) is ABSENT, "null is a value, and so is a copy of it"


@pytest.mark.parametrize("room", [0, 2**40])
def test_what_a_revision_held_is_gone_at_the_end(
    room: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "_ROOM_BYTES", room)
    with history.scratch() as folder:
        (folder / "a").write_text("a")
        assert folder.stat().st_mode & 0o777 == 0o700, "specs are read by whom they belong to"
    assert not folder.exists()


# -- rendered once ---------------------------------------------------------------------------


def _with(model: Model, **fields: Any) -> Model:
    return replace(model, spec=model.spec.model_copy(update=fields))


EDITS: Final[dict[str, Callable[[Model], Model | None]]] = {
    "more replicas": lambda m: _with(m, scaling=m.spec.scaling.model_copy(update={"max": 3})),
    "another variable": lambda m: _with(m, env={**m.spec.env, "A": "1"}),
    "shared": lambda m: _with(m, share_with=("search", "vision")),
    "permissive": lambda m: _with(m, access="permissive"),
    "removed": lambda m: None,
}
PLACES: Final[dict[str, Callable[[RegionProfile], RegionProfile]]] = {
    "the same": lambda p: p,
    "another Grafana": lambda p: p.model_copy(update={"grafana_url": "https://g.example.org"}),
    "another domain": lambda p: p.model_copy(update={"domain": "models.example.org"}),
    "no operator": lambda p: with_capabilities(
        p, [name for name in p.all_capabilities if name != "prometheus_operator"]
    ),
}


def _edited(tree: Specs, edits: dict[str, str]) -> Specs:
    models = (EDITS[edits[m.id]](m) if m.id in edits else m for m in tree.models)
    return replace(tree, models=tuple(m for m in models if m is not None))


@given(
    region=st.sampled_from(REGIONS),
    edits=st.dictionaries(
        st.sampled_from([m.id for m in specs().models]), st.sampled_from(sorted(EDITS)), max_size=3
    ),
    place=st.sampled_from(sorted(PLACES)),
    back=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_what_is_left_out_is_alike(
    region: str, edits: dict[str, str], place: str, back: bool
) -> None:
    profile = profiles()[region]
    old = resolve(specs(), profile, region)
    try:
        new = resolve(_edited(specs(), edits), PLACES[place](profile), region)
    except SpecErrors:  # more replicas than a quota holds
        reject()
    if back:
        old, new = new, old
    before, after = map(keyed, apart(old, new))
    olds, news = keyed(parts(old)), keyed(parts(new))
    assert repr(before) == repr({key: olds[key] for key in before}), "of the old plan, and new"
    left_out = {*olds, *news} - {*before, *after}
    found = [key.label for key in left_out if repr(olds.get(key)) != repr(news.get(key))]
    assert not found, f"rendered they differ: {edits} in {place}"
    assert {*olds} - {*before} == {*news} - {*after} == left_out, "out of both, or of none"


def test_only_where_texts_are_compared_a_plan_may_hold_a_value_of_any_type() -> None:
    """1 == True == 1.0, and three values for an API server."""
    free = {
        f"{name}.{field.name}"
        for name, kind in vars(model_plan).items()
        if is_dataclass(kind) and kind not in (model_plan.ProbePlan, model_plan.SloPlan)
        for field in fields(kind)
        if re.search(r"\b(Any|float|object)\b", str(field.type))
    }
    assert not free, "components.parts compares the texts of probes and promises alone"


def test_a_review_plans_each_side_once_and_renders_what_is_alike_once(
    repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned: Counter[str] = Counter()
    rendered: Counter[str] = Counter()

    def plan(*args: Any) -> Any:
        planned[args[2]] += 1
        return resolve(*args)

    objects = model_server.objects

    def render(server: Any) -> Any:
        rendered[server.workload.id] += 1
        return objects(server)

    monkeypatch.setattr(sides, "resolve", plan)
    monkeypatch.setattr(model_server, "objects", render)
    edit(repo / "model_specs/chat/helper.yaml", "max: 3", "max: 4")
    args = Namespace(base="HEAD", specs=None, regions=None, region=[], preview=[])
    seen = reviewed(args, datetime(2026, 11, 22, tzinfo=UTC)).seen
    regions = len(seen.sides.regions)
    assert set(planned.values()) == {2}, f"each region once a side: {planned}"
    changed, alike = rendered["chat/helper"], rendered["search/sentiment"]
    assert alike == regions, "parity and rules share the one rendering of what is alike"
    assert changed == 5 * regions, "what is planned anew is, on both sides, and for the proof too"
