"""Rendering writes exactly the planned objects, only what changed, and never a stranger's file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml

from components.parts import parts
from stacks import render
from stacks.render import MARK, home
from stacks.tree import read_tree
from tests.stacks.conftest import Isoserve, edit

SENTIMENT = "search/sentiment.yaml"


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_the_files_hold_exactly_the_objects_of_the_plan(isoserve: Isoserve, here: Path) -> None:
    out = here / "out"
    assert isoserve("render", "-o", out).code == 0, "the examples render"
    for plan in read_tree(here / "model_specs", here / "regions", []).plans():
        wanted: dict[str, list[object]] = {}
        for part in parts(plan):
            wanted.setdefault(home(part), []).extend(part.objects)
        for name, objects in wanted.items():
            text = (out / plan.region / name).read_text()
            read = list(yaml.load_all(text, Loader=yaml.CSafeLoader))
            assert read == objects, f"{plan.region}/{name}: what is reviewed is what `up` applies"


def test_a_model_and_its_project_have_files_of_their_own(isoserve: Isoserve, here: Path) -> None:
    isoserve("render", "-o", here / "out", "-r", "us-east-1")
    names = set(files(here / "out"))
    assert {
        "us-east-1/_region.yaml",
        "us-east-1/search/_project.yaml",
        "us-east-1/search/sentiment.yaml",
    } <= names, "a reviewer sees by the path whose objects change"
    assert all(name.startswith("us-east-1/") for name in names), "only the chosen region"


def test_a_second_run_touches_nothing(isoserve: Isoserve, here: Path) -> None:
    out = here / "out"
    isoserve("render", "-o", out)
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.yaml")}
    answer = isoserve("render", "-o", out, "--json")
    assert not answer.data["written"] + answer.data["removed"], "nothing has changed"
    assert {path: path.stat().st_mtime_ns for path in before} == before, (
        "make and git look at times"
    )


def test_one_changed_model_is_one_file_a_region(isoserve: Isoserve, here: Path) -> None:
    isoserve("render", "-o", here / "out")
    edit(here / "model_specs/chat/assistant.yaml", "queue_depth: 8", "queue_depth: 9")
    written = isoserve("render", "-o", here / "out", "--json").data["written"]
    assert written == ["eu-central-1/chat/assistant.yaml", "us-east-1/chat/assistant.yaml"], (
        "a change must show where it is, and only there"
    )


def test_a_model_that_is_gone_takes_its_files_with_it(isoserve: Isoserve, here: Path) -> None:
    isoserve("render", "-o", here / "out")
    for path in (here / "model_specs/vision").iterdir():
        path.unlink()
    (here / "regions/seoul-dc1.yaml").unlink()
    removed = isoserve("render", "-o", here / "out", "--json").data["removed"]
    assert "us-east-1/vision/tagger.yaml" in removed, "GitOps would keep it alive"
    assert "seoul-dc1/search/ranker.yaml" in removed, "and a region that is gone"
    assert not (here / "out/us-east-1/vision").exists(), "no empty directories"
    assert not (here / "out/seoul-dc1").exists(), "nor regions"


def test_other_regions_stay_when_one_is_chosen(isoserve: Isoserve, here: Path) -> None:
    isoserve("render", "-o", here / "out")
    answer = isoserve("render", "-o", here / "out", "-r", "us-east-1", "--json")
    assert not answer.data["removed"], "what was not asked about is not judged"


def test_a_strangers_file_is_never_removed_or_overwritten(isoserve: Isoserve, here: Path) -> None:
    out = here / "out"
    strangers = {
        "us-east-1/search/notes.yaml": b"mine: 1\n",
        "us-east-1/kustomization.yaml": b"mine: 2\n",
        "old-region/a.yaml": b"mine: 3\n",
        "README.md": b"mine\n",
    }
    for name, content in strangers.items():
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_bytes(content)
    assert isoserve("render", "-o", out).code == 0, "strangers are no trouble"
    assert strangers.items() <= files(out).items(), "people keep files beside ours"
    (out / "us-east-1" / SENTIMENT).write_bytes(b"mine: 4\n")
    answer = isoserve("render", "-o", out)
    assert answer.code == 2, "its place is taken"
    assert "sentiment.yaml: not written by isoserve" in answer.err, "say which"
    assert (out / "us-east-1" / SENTIMENT).read_bytes() == b"mine: 4\n", "and leave it alone"


def test_nothing_is_written_while_something_is_wrong(isoserve: Isoserve, here: Path) -> None:
    edit(here / "model_specs" / SENTIMENT, "gpu.l4.1", "gpu.l4.9")
    assert isoserve("render", "-o", here / "out").code == 1, "the spec is wrong"
    assert not files(here / "out") if (here / "out").exists() else True, "half a tree is worse"


def test_an_interrupted_write_leaves_the_old_file(
    isoserve: Isoserve, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    isoserve("render", "-o", here / "out")
    before = files(here / "out")
    edit(here / "model_specs/chat/assistant.yaml", "queue_depth: 8", "queue_depth: 9")

    def interrupted(source: Path, target: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", interrupted)
    assert isoserve("render", "-o", here / "out").code == 130, "the person stopped it"
    assert files(here / "out") == before, "no half file and no temporary one"


def test_the_pool_writes_what_one_process_writes(
    isoserve: Isoserve, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    isoserve("render", "-o", here / "one")
    monkeypatch.setattr(render, "_POOL_FROM_FILES", 0)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    isoserve("render", "-o", here / "two")
    assert files(here / "one") == files(here / "two"), "speed must not change a byte"
    (here / "two/us-east-1" / SENTIMENT).write_bytes(b"mine\n")
    answer = isoserve("render", "-o", here / "two")
    assert (answer.code, "not written by isoserve" in answer.err) == (2, True), (
        "an error in another process is the same error"
    )


def test_standard_output_is_the_same_yaml(isoserve: Isoserve, here: Path) -> None:
    isoserve("render", "-o", here / "out", "-r", "us-east-1")
    text = isoserve("render", "-r", "us-east-1").out
    written = "".join(
        path.read_text().removeprefix(MARK) for path in (here / "out").rglob("*.yaml")
    )
    read = [yaml.load_all(one, Loader=yaml.CSafeLoader) for one in (text, written)]
    ours, theirs = ([str(made) for made in made_by] for made_by in read)
    assert sorted(ours) == sorted(theirs), "`| kubectl apply -f -` gets the same objects"
