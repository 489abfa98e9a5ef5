"""Whatever happens to a file of a tree, every command answers in its own words."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.model_specs.test_bad_inputs import FORM
from tests.stacks.conftest import Isoserve

TREES: Final = 30
"""So many changes of each seed; 10 seeds are 300."""
COMMANDS: Final = (
    ("check",), ("check", "--json"), ("plan",), ("render",), ("diff", "--base", "HEAD"),
    ("parity",), ("policy",), ("review", "--base", "HEAD"), ("machines",),
    ("model", "push", "model_specs", "search/sentiment:v9", "--region", "nowhere"),
)  # fmt: skip
VALUES: Final[tuple[Any, ...]] = (
    None, True, 0, -1, 1e308, 10**40, float("inf"), float("nan"), "", "x" * 10_000, "\x00",
    "a\x07b", "\u202e", "e\u0301", [], {}, [[[[]]]], {"a": {"b": {}}}, ["x"] * 1000, "1e999", "~",
    "0x10", "*a", "${HOME}", "../x", "/etc/passwd", "http://", "https://[::1", "a\nb", {"": 1},
    {1: 2}, [None], "sha256:", f"a/b:c@sha256:{'0' * 64}",
)  # fmt: skip
RAW: Final[tuple[Callable[[bytes], bytes], ...]] = (
    lambda data: data[: len(data) // 2],
    lambda data: data[:9] + b"\x00" + data[9:],
    lambda data: data[:9] + b"\xff\xfe" + data[9:],
    lambda data: b"\xef\xbb\xbf" + data,
    lambda data: data.replace(b"\n", b"\r\n"),
    lambda data: data.replace(b"\n", b"\r"),
    lambda data: b"",
    lambda data: data + b"\n---\n" + data,
    lambda data: data + b"a: &x 1\nb: *x\n",
    lambda data: data + b"<<: {a: 1}\n",
    lambda data: data + data,
    lambda data: data.decode().encode("utf-16"),
    lambda data: b"[" * 20_000,
    lambda data: b"{a: " * 20_000,
    lambda data: data + b"x: " + b"9" * 100_000 + b"\n",
    lambda data: data + b"? [a, b]\n: 1\n",
    lambda data: data + b"x: !!python/object/apply:os.system ['id']\n",
    lambda data: data.replace(b": ", b":\t"),
    lambda data: b"%YAML 9.9\n---\n" + data,
    lambda data: data + "# \u202e\n".encode(),
    lambda data: b"a: &a [x]\nb: &b [*a,*a]\nc: [*b,*b]\n",
)
NAMES: Final = (
    "M.YAML", "m.yml", "a b.yaml", "é.yaml", "-x.yaml", ".x.yaml", "x.yaml~", "#x.yaml#",
    "x" * 240 + ".yaml", "m..yaml", ".yaml", "m.yaml.orig", "con\nx.yaml", "m.json",
)  # fmt: skip


def places(value: Any, where: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a file where something else could stand."""
    found = [where] if where else []
    if isinstance(value, list):
        value = dict(enumerate(value))
    if isinstance(value, dict):
        found += [place for key, one in value.items() for place in places(one, (*where, key))]
    return found


def other_value(chance: random.Random, path: Path) -> None:
    values = yaml.safe_load(path.read_text())
    *steps, last = chance.choice(places(values))
    inner = values
    for step in steps:
        inner = inner[step]
    if chance.random() < 0.25:
        del inner[last]
    elif chance.random() < 0.3 and isinstance(inner, dict):
        inner[chance.choice(["more", "access", "", str(last).upper()])] = chance.choice(VALUES)
    else:
        inner[last] = chance.choice(VALUES)
    is_json = chance.random() < 0.5
    text = json.dumps(values, default=str) if is_json else yaml.dump(values, allow_unicode=True)
    path.write_text(text)


def other_bytes(chance: random.Random, path: Path) -> None:
    path.write_bytes(chance.choice(RAW)(path.read_bytes()))


def _nested(path: Path) -> None:
    (path.parent / "sub").mkdir()
    shutil.copy(path, path.parent / "sub" / "m.yaml")


def _folder_is_a_file(path: Path) -> None:
    shutil.rmtree(path.parent)
    path.parent.write_text("x")


def _name_is_no_text(path: Path) -> None:
    Path(os.fsdecode(os.fsencode(path.parent) + b"/\xff.yaml")).write_bytes(path.read_bytes())


INSTEAD: Final[tuple[Callable[[Path], None], ...]] = (
    Path.mkdir,
    lambda path: path.symlink_to("/nonexistent"),
    lambda path: path.symlink_to(path.name),
    lambda path: path.symlink_to("/etc/passwd"),
    os.mkfifo,
    lambda path: None,
)
"""What stands in a file's place."""
BESIDE: Final[tuple[Callable[[Path], None], ...]] = (
    lambda path: path.chmod(0),
    lambda path: path.parent.chmod(0),
    _folder_is_a_file,
    _nested,
    _name_is_no_text,
)


def other_file(chance: random.Random, path: Path) -> None:
    if chance.random() < 0.3:
        shutil.copy(path, path.parent / chance.choice(NAMES))
    elif chance.random() < 0.5:
        chance.choice(BESIDE)(path)
    else:
        path.unlink()
        chance.choice(INSTEAD)(path)


CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069]")
SENTENCE: Final = re.compile(r"isoserve: .+; .+")
SUMMARY: Final = re.compile(r"\d+ errors?")
HOW: Final = (other_value, other_value, other_bytes, other_file)


def in_its_words(code: int, out: str, err: str) -> bool:
    """Whether an answer has an exit code of ours, no control characters, and every error says what
    is wrong, where, and what to do."""
    if code not in (0, 1, 2) or CONTROL.search(out + err):
        return False
    errors = [line for line in err.splitlines() if not SUMMARY.fullmatch(line)]
    said = all(FORM.fullmatch(line) or SENTENCE.fullmatch(line) for line in errors)
    return said and (code != 2 or bool(errors or out))


@pytest.mark.parametrize("seed", range(10))
def test_any_file_of_a_tree_may_be_anything(
    repo: Path, isoserve: Isoserve, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    files = sorted(path.relative_to(repo) for path in repo.glob("[mrp]*/**/*.yaml"))
    for number in range(TREES):
        chance = random.Random(1000 * seed + number)
        root = shutil.copytree(repo, repo.parent / f"tree-{number}")
        monkeypatch.chdir(root)
        file, how, words = chance.choice(files), chance.choice(HOW), chance.choice(COMMANDS)
        how(chance, root / file)
        code, out, err = isoserve(*words)
        assert in_its_words(code, out, err), (seed, number, file, how.__name__, words, err[:2000])
        if (root / file).parent.is_dir():
            (root / file).parent.chmod(0o755)  # or pytest cannot take it away


@pytest.mark.parametrize("file", ["policies/waivers.yaml", "regions/us-east-1.yaml"])
def test_a_review_refuses_a_link_to_itself(repo: Path, isoserve: Isoserve, file: str) -> None:
    (repo / file).unlink()
    (repo / file).symlink_to((repo / file).name)
    code, out, err = isoserve("review", "--base", "HEAD")
    assert in_its_words(code, out, err), err
    assert code, "it does not pass"
    assert file in out + err
