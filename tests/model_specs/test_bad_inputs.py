"""Every bad input gets the report it deserves: typed, placed, complete, and without an engine."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from model_specs import source
from model_specs.codes import CODES
from model_specs.errors import SpecErrors
from model_specs.source import MAX_BYTES, MAX_ERRORS, read
from stacks.cli import main
from tests.model_specs.catalogue import CASES, HERE, MADE, ROWS, beside, build, check, expected

ROOT = Path(__file__).resolve().parents[2]
FORM = re.compile(r"\S[^:]*:\d+:\d+  \S(.*\S)?  E\d{3}  \S.*; \S.*")
HOSTILE = ("06-anchors", "07-deep", "08-huge-or-special", "09-not-utf8", "41-file-system")
ELSEWHERE = {
    "E112": "a flood of errors, below",
    "E391": "of no file, but of a registry",
    "E392": "of no file, but of a registry of images",
}
"""Codes of files that no fixture shows, and who does."""
MEBIBYTES = 200
# Long enough for any machine: it only keeps a hang from lasting for ever.
WATCHDOG_SECONDS = 120
CHILD = """
import json, sys
from pathlib import Path
from stacks.cli import main
code = main(["check", "--json", "--specs", sys.argv[1], "--regions", sys.argv[2]])
status = Path("/proc/self/status").read_text()
peak = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))
engine = [name for name in sys.modules if name.split(".")[0].startswith("pulumi")]
print(json.dumps({"code": code, "peak_kib": int(peak), "engine": engine}), file=sys.stderr)
"""


def child(root: Path, **environment: str) -> tuple[dict[str, Any], bytes]:
    """What a process of its own cost and said; its memory is not mixed with ours."""
    command = [sys.executable, "-c", CHILD, str(root / "model_specs"), str(root / "regions")]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        timeout=WATCHDOG_SECONDS,
    )
    last = done.stderr.decode().strip().splitlines()[-1]
    return json.loads(last), done.stdout


def test_every_row_of_the_catalogue_has_a_fixture() -> None:
    rows = {int(case.split("-")[0]) for case in CASES}
    assert rows == set(range(1, ROWS + 1)), "a row without a fixture is a promise"
    assert set(MADE) <= set(CASES), "what is made has a folder with its report"


def test_every_code_of_a_file_is_shown_by_a_fixture() -> None:
    shown = {line.split("  ")[2] for case in CASES for line in expected(case)}
    files = {code for code in CODES if code < "E4"}
    assert files - shown == set(ELSEWHERE), "nobody has seen what the code says"


def test_the_base_is_without_fault(tmp_path: Path) -> None:
    root = tmp_path / "tree"
    build("43-renamed", root)
    report = check(root)
    # A rename is no bad input: what it deletes is told by the review, which knows both revisions.
    assert (report.code, report.lines) == (0, []), "each fixture's faults are its own"


@pytest.mark.parametrize("case", CASES)
def test_a_bad_input_gets_exactly_its_report(case: str, tmp_path: Path) -> None:
    root = tmp_path / "tree"
    build(case, root)
    report = check(root)
    assert report.lines == expected(case), (
        "all faults, at their places, in one run; `python -m tests.model_specs.catalogue` rewrites"
    )
    assert report.code == bool(report.lines), "a fault in a file is a finding, 1"


@pytest.mark.parametrize("case", CASES)
def test_every_error_has_the_form_of_all_errors(case: str) -> None:
    for line in expected(case):
        assert FORM.fullmatch(line), f"{line}: file:line:col  path  CODE  what is wrong; what to do"


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_file_costs_little_and_starts_no_engine(case: str, tmp_path: Path) -> None:
    root = tmp_path / "tree"
    build(case, root)
    cost, said = child(root)
    assert json.loads(said)["errors"], "the same report as in this process"
    assert cost["peak_kib"] < MEBIBYTES * 1024, f"{case} took {cost['peak_kib']} KiB"
    assert cost["engine"] == [], "what is refused is refused before an engine is thought of"


GOOD = (HERE / "base/model_specs/team/good.yaml").read_text()
FLOODS = {
    "unknown-fields": "".join(f"field{n}:\n" for n in range(15_000)),
    "twins": "x:\n" * 15_000,
    "wrong-items": f"{GOOD}args: [{'1,' * 15_000}]\n",
    "anchors": f"{GOOD}args: [{','.join(f'&a{n} x' for n in range(15_000))}]\n",
    "tags": f"{GOOD}args: [{'!t x,' * 15_000}]\n",
    "environment": f"{GOOD}env:\n" + "".join(f"  AWS_{n}: x\n" for n in range(15_000)),
    "secrets": f"{GOOD}args: [{('AKIA' + 'FAKE' * 4 + ',') * 9_000}]\n",
}


def test_a_flood_of_errors_is_told_only_its_beginning(tmp_path: Path) -> None:
    root = tmp_path / "tree"
    build("43-renamed", root)
    for name, text in FLOODS.items():
        assert len(text) < MAX_BYTES, f"{name} would be refused for its size"
        (root / f"model_specs/team/{name}.yaml").write_text(text)
    cost, said = child(root)
    rows = json.loads(said)["errors"]
    for name in FLOODS:
        codes = [row["code"] for row in rows if row["file"].endswith(f"/{name}.yaml")]
        assert len(codes) == MAX_ERRORS + 1, f"{name}: nobody reads thousands of lines"
        assert "E112" in codes, f"{name}: the person knows that there are more"
    assert cost["peak_kib"] < MEBIBYTES * 1024, f"took {cost['peak_kib']} KiB"


LONG = {
    "key": f"{'k' * 200_000}: 1\n",
    "value": f"image: {'v' * 200_000}\n",
    "unfinished-tokens": f"{GOOD}env: {{A: {'eyJaaaaaaaa-' * 20_000}}}\n",
    "unfinished-urls": f"{GOOD}env: {{A: {'://a:' * 50_000}}}\n",
    "address": f"model: {'a/' * 100_000}\n",
    "schedule": f"{GOOD}batch: {{command: [a], schedule: '{'1,' * 100_000}'}}\n",
    "quoted": f'? "{"k" * 200_000}"\n: 1\n',
}


def test_a_long_text_neither_hangs_us_nor_fills_the_report(tmp_path: Path) -> None:
    root = tmp_path / "tree"
    build("43-renamed", root)
    for name, text in LONG.items():
        (root / f"model_specs/team/{name}.yaml").write_text(text)
    _, said = child(root)
    rows = json.loads(said)["errors"]
    assert {Path(row["file"]).stem for row in rows} >= {"key", "value", "address", "schedule"}
    for row in rows:
        assert len(row["message"]) + len(row["path"]) < 1000, f"{row['file']}: a wall of text"


def test_no_secret_is_repeated_anywhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "tree"
    build("34-secrets", root)
    words = ["--specs", str(root / "model_specs"), "--regions", str(root / "regions")]
    for form in ([], ["--json"]):
        assert main(["check", *words, *form]) == 1
        out, err = capsys.readouterr()
        assert "E341" in out, "the secret is found"
        for piece in ("FAKE" * 2, "fake0123", "correct-horse", "kQ3vT7"):
            assert piece not in out + err, "what CI prints, everyone reads"


def test_people_and_programs_read_the_same_errors(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "tree"
    build("42-profile-together", root)
    specs, regions = str(root / "model_specs"), str(root / "regions")
    assert main(["check", "--specs", specs, "--regions", regions]) == 1
    lines = capsys.readouterr().out.splitlines()
    errors = expected("42-profile-together")
    assert lines[: len(errors)] == errors, "the text form is the golden one"
    after = {line.split("  ")[2] for line in lines[len(errors) : -1]}
    assert after == {"W402"}, "values that are still an example's follow"


@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
def test_a_locale_changes_no_byte_of_the_report(locale: str, tmp_path: Path) -> None:
    root = tmp_path / "tree"
    build("23-homoglyphs", root)
    said = child(root, LC_ALL=locale, PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")[1]
    rows = json.loads(said)["errors"]
    codes = [line.split("  ")[2] for line in expected("23-homoglyphs")]
    assert sorted(row["code"] for row in rows) == sorted(codes), "CI has no locale, people have one"
    assert said.isascii(), "a terminal of any kind shows it"


def test_windows_line_ends_change_nothing(tmp_path: Path) -> None:
    text = "machine_type: gpu.l4.1\nenv:\n  A: |\n    one\n    two\nargs: [a,\n  b]\n"
    places = []
    for name, content in (("unix", text), ("windows", text.replace("\n", "\r\n"))):
        path = tmp_path / f"{name}.yaml"
        path.write_bytes(content.encode())
        found = read(path, "x.yaml")
        places.append((found.values, found.places))
    assert places[0] == places[1], "an editor's habit is no difference"


def test_check_reads_every_file_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "tree"
    build("43-renamed", root)
    beside(root)
    opened: list[str] = []
    plain = source._unwaiting

    def counted(path: str, flags: int) -> int:
        opened.append(str(path))
        return plain(path, flags)

    monkeypatch.setattr(source, "_unwaiting", counted)
    assert check(root).code == 0
    assert sorted(opened) == sorted(map(str, root.rglob("*.yaml"))), (
        "a thousand specs and five regions are a thousand and five files, not five thousand"
    )


def test_a_device_is_refused_without_reading_it() -> None:
    with pytest.raises(SpecErrors, match="E108"):
        read(Path("/dev/zero"), "zero")
