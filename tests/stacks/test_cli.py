"""Every command answers offline, in two forms, with the right exit code and without a traceback."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path

import pytest

from stacks import cli
from stacks.cli import COMMANDS, main
from stacks.explain import fields
from tests.stacks.conftest import ROOT, Isoserve, edit

SENTIMENT = "model_specs/search/sentiment.yaml"
OFFLINE = [
    ["check"], ["plan"], ["render"], ["parity"], ["machines"], ["explain", "scaling.max"],
]  # fmt: skip


def test_no_command_loads_pulumi() -> None:
    program = (
        "import sys, stacks.cli\n"
        "for words in (['check'], ['render'], ['plan', '--json'], ['parity']):\n"
        "    assert stacks.cli.main(words) == 0, words\n"
        "sys.exit(str([m for m in sys.modules if m.startswith('pulumi')] or ''))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert not done.stderr.strip(), f"the engine costs a second and 100 MB: {done.stderr}"


def test_help_imports_nothing_of_ours() -> None:
    program = (
        "import sys, stacks.cli; stacks.cli.main(['--help']); print(*sys.modules, file=sys.stderr)"
    )
    out = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    heavy = {"pydantic", "yaml", "rich", "regions", "model_specs"} & set(out.stderr.split())
    assert not heavy, f"--help must answer in a blink, it loaded {heavy}"


@pytest.mark.parametrize("words", OFFLINE, ids=" ".join)
def test_every_command_answers_in_both_forms(
    isoserve: Isoserve, here: Path, words: list[str]
) -> None:
    text, data = isoserve(*words), isoserve(*words, "--json")
    assert (text.code, data.code) == (0, 0), "the examples are without findings"
    assert text.out.strip(), "a command that says nothing leaves a person guessing"
    assert data.data, "programs need the same answer"
    assert not text.err + data.err, "messages only when there is something to say"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "COMMAND"),
        (["chek"], "invalid choice"),
        (["check", "--frobnicate"], "--frobnicate"),
        (["check", "--reg", "us-east-1"], "--reg"),
        (["check", "--region", "us-est-1"], "did you mean us-east-1?"),
        (["check", "--specs", "nowhere"], "no such directory"),
        (["render", "--regions", "nowhere"], "no such directory"),
        (["explain", "scaling.maxx"], "did you mean scaling.max?"),
        (["explain", "queue_depth"], "did you mean scaling.queue_depth?"),
        (["explain", "E999"], "no such code"),
        (["machines", "--fits", "search/sentimant"], "did you mean search/sentiment?"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_a_wrong_call_is_two_and_says_what_to_do(
    isoserve: Isoserve, here: Path, words: list[str], said: str
) -> None:
    answer = isoserve(*words)
    assert answer.code == 2, "scripts tell a wrong call from a finding"
    assert said in answer.err, "the message must help"
    assert not answer.out, "messages go to stderr"


def test_all_errors_of_all_files_come_at_once(isoserve: Isoserve, here: Path) -> None:
    edit(here / SENTIMENT, "gpu.l4.1", "gpu.l4.9")
    (here / "model_specs/chat/helper.yaml").write_text("machine_type: cpu.4\nimge: vllm\n")
    edit(here / "regions/us-east-1.yaml", "keda: install", "kedda: install")
    answer = isoserve("check")
    assert answer.code == 1, "a wrong file is a finding"
    assert "model_specs/chat/helper.yaml:2:1  imge  E201" in answer.out, "with its place"
    assert "did you mean image?" in answer.out, "and the nearest name"
    assert "regions/us-east-1.yaml" in answer.out, "profiles are judged in the same run"
    assert "errors" in answer.out.splitlines()[-1], "the last line counts them"


def test_warnings_of_profiles_come_after_the_errors(isoserve: Isoserve, here: Path) -> None:
    edit(here / SENTIMENT, "machine_type", "machine_typ")
    answer = isoserve("check", "-r", "us-east-1")
    *lines, last = [line for line in answer.out.splitlines() if not line.startswith("  ")]
    codes = [line.split("  ")[2] for line in lines]
    assert codes == [*["E201", "E203"], *["W402"] * 14], "what must be changed comes first"
    assert last == "2 errors, 14 warnings", "each is counted"
    assert answer.code == 1, "for the errors"


def test_warnings_leave_the_exit_code_and_are_json_for_programs(
    isoserve: Isoserve, here: Path
) -> None:
    answer = isoserve("check", "-r", "us-east-1", "--json")
    assert answer.code == 0, "the examples are without errors"
    assert answer.data["errors"] == [], "a warning is none"
    rows = answer.data["warnings"]
    assert set(rows[0]) == {"file", "line", "column", "path", "code", "message"}, "as errors are"
    profiles = {row["file"] for row in rows if row["file"].startswith("regions/")}
    assert profiles == {"regions/us-east-1.yaml"}, "of what was asked for"
    text = (here / "regions/us-east-1.yaml").read_text().splitlines()
    places = {row["path"]: text[row["line"] - 1][row["column"] - 1 :] for row in rows}
    assert places["account.subnet_ids[1]"].startswith("subnet-01b"), "one row a value"
    assert places["domain"].startswith("domain: use1.models"), "at its place"


def test_a_profile_that_cannot_be_read_is_an_error_and_no_warning(
    isoserve: Isoserve, here: Path
) -> None:
    (here / "regions/us-east-1.yaml").write_text("provider: [aws\n")
    answer = isoserve("check", "-r", "us-east-1", "--json")
    assert [row["code"] for row in answer.data["errors"]] == ["E102"]
    assert answer.data["warnings"] == []


def test_resolve_errors_of_all_regions_come_once_each(isoserve: Isoserve, here: Path) -> None:
    edit(here / SENTIMENT, "gpu.l4.1", "gpu.l4.9")
    answer = isoserve("check", "--json")
    found = [(e["path"], e["code"]) for e in answer.data["errors"]]
    assert found == [("machine_type", "E331")], "three regions have the same complaint"


def test_errors_are_json_for_programs(isoserve: Isoserve, here: Path) -> None:
    edit(here / SENTIMENT, "machine_type", "machine_typ")
    answer = isoserve("render", "--json")
    rows = answer.data["errors"]
    assert answer.code == 1, "the file is the finding"
    assert set(rows[0]) == {"file", "line", "column", "path", "code", "message"}, "a stable form"


def test_a_region_that_lacks_something_is_a_note_until_all_do(
    isoserve: Isoserve, here: Path
) -> None:
    before = isoserve("check")
    assert "seoul-dc1: 5 servers, 2 jobs, 1 gap" in before.out, "the gap is shown"
    assert before.code == 0, "one region's gap is no error"
    edit(here / SENTIMENT, "gpu.l4.1", "gpu.l4.4")
    edit(here / "model_specs/search/project.yaml", "gpu.l4.1: 8", "{gpu.l4.1: 8, gpu.l4.4: 8}")
    edit(here / "model_specs/search/project.yaml", "gpu_quota:\n  {", "gpu_quota: {")
    after = isoserve("check")
    assert after.code == 1, "a model that nobody serves is an error"
    assert "no region can serve it" in after.out, "and says so"
    assert isoserve("check", "-r", "us-east-1").code == 0, "one region cannot speak for all"


def with_ttl(here: Path, ttl: str) -> None:
    path = here / SENTIMENT
    path.write_text(path.read_text() + f"ttl: {ttl}\n")


def test_an_expired_model_is_a_warning_and_leaves_the_plan(isoserve: Isoserve, here: Path) -> None:
    with_ttl(here, "2026-11-20T00:00:00Z")
    answer = isoserve("check", "--at", "2026-11-22T00:00:00Z")
    assert answer.code == 0, "one team's spent time stops nobody else"
    assert "ttl  W405  passed on 2026-11-20T00:00:00Z: the model is planned nowhere" in answer.out
    after = isoserve("plan", "--at", "2026-11-22T00:00:00Z")
    assert after.out.startswith("planned for 2026-11-22T00:00:00Z\n"), "so it can be planned again"
    gone = "search/sentiment  planned no more: its ttl passed on 2026-11-20T00:00:00Z"
    assert gone in after.out
    assert "http://sentiment.search.svc" not in after.out
    before = isoserve("plan", "--at", "2026-11-19T00:00:00Z")
    assert "http://sentiment.search.svc" in before.out, "a later ttl brings it back as well"


def test_the_end_of_a_model_is_told_a_week_before(isoserve: Isoserve, here: Path) -> None:
    with_ttl(here, "2026-11-20T00:00:00Z")
    assert "W405" not in isoserve("check", "--at", "2026-11-12T23:00:00Z").out
    answer = isoserve("check", "--at", "2026-11-14T00:00:00Z")
    assert "ttl  W405  passes on 2026-11-20T00:00:00Z, within 7 days" in answer.out
    assert answer.code == 0


def test_a_moment_can_come_from_the_environment(
    isoserve: Isoserve, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_ttl(here, "2026-11-20T00:00:00Z")
    monkeypatch.setenv("ISOSERVE_AT", "2026-11-20T00:00:00+00:00")
    whole = isoserve("plan", "--json", "-r", "us-east-1").data["us-east-1"]
    assert whole["at"] == "2026-11-20T00:00:00Z"
    assert whole["expired"] == [{"model": "search/sentiment", "ttl": "2026-11-20T00:00:00Z"}], (
        "a ttl is the first moment without the model"
    )


@pytest.mark.parametrize("text", ["tomorrow", "2026-11-20", "2026-11-20T00:00:00"])
def test_a_moment_without_a_zone_is_refused(isoserve: Isoserve, here: Path, text: str) -> None:
    answer = isoserve("plan", "--at", text)
    assert answer.code == 2
    assert f"--at is no moment with a time zone, got '{text}'; write e.g. 2027-" in answer.err


def test_a_ttl_that_is_not_pinned_says_how(isoserve: Isoserve, here: Path) -> None:
    with_ttl(here, "14d")
    answer = isoserve("check")
    assert answer.code == 1
    assert (
        "ttl  E352  counted from no moment yet, got '14d'; run `isoserve model pin`" in answer.out
    )


def test_regions_can_be_chosen(isoserve: Isoserve, here: Path) -> None:
    answer = isoserve("plan", "--json", "-r", "seoul-dc1", "-r", "us-east-1")
    assert set(answer.data) == {"seoul-dc1", "us-east-1"}, "--region repeats"


def test_the_project_is_found_from_below(
    isoserve: Isoserve, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tree / "model_specs/vision/tagger.yaml").unlink()
    monkeypatch.chdir(tree / "model_specs" / "search")
    assert "vision/tagger" not in isoserve("plan").out, "the nearest Pulumi.yaml is the project"


def test_machines_say_what_fits_and_why_not(isoserve: Isoserve, here: Path) -> None:
    rows = isoserve("machines", "--fits", "chat/assistant", "--json").data
    by_name = {row["machine_type"]: row for row in rows if row["region"] != "seoul-dc1"}
    assert by_name["gpu.l40s.4"]["fits"], "its own machine holds it"
    assert "131.4 GiB" in by_name["gpu.l4.1"]["reason"], "the reason names the size"
    assert by_name["cpu.4"]["reason"] == "vllm cannot start without a GPU", "E335 says so too"
    table = isoserve("machines").out
    assert "n/a" in table, "an unknown price is not zero"
    assert "2026-11-01" in table, "a price without a date is worthless"


@pytest.mark.parametrize("path", sorted(fields()))
def test_every_field_is_explained(isoserve: Isoserve, path: str) -> None:
    row = fields()[path]
    assert row["text"], f"{path} has no docstring"
    assert isoserve("explain", path).code == 0, "text form"
    known = row["example"] is not None or row["required"] or row["default"] is None
    assert known, f"{path} has neither example nor default"


def test_every_required_field_of_a_model_has_an_example() -> None:
    bare = [p for p, row in fields().items() if row["required"] and row["example"] is None]
    ours = [path for path in bare if not path.startswith("region.")]
    assert not ours, f"an example says more than a pattern: add {ours} to stacks.explain"


def test_a_reader_that_leaves_gets_no_traceback() -> None:
    program = f"{sys.executable} -m stacks.cli render | head -1"
    done = subprocess.run(program, shell=True, cwd=ROOT, capture_output=True, text=True)
    assert not done.stderr, "`| head` is everyday use"


def test_an_interrupt_is_one_word(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(args: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "_run", interrupted)
    assert main(["check"]) == 130, "as shells expect"
    assert capsys.readouterr().err == "interrupted\n", "no traceback"


def test_another_locale_changes_nothing(tree: Path) -> None:
    path = tree / SENTIMENT
    path.write_text(path.read_text() + "env: {GREETING: 안녕하세요}\n")
    words = [sys.executable, "-m", "stacks.cli", "render", "--specs", str(tree / "model_specs")]
    ascii_only = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(words, cwd=ROOT, env=ascii_only, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    assert "안녕하세요".encode() in done.stdout, "YAML is UTF-8 whatever the locale"


def test_a_project_that_cannot_be_listed_is_not_taken_for_empty(
    isoserve: Isoserve, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Path.iterdir

    def refused(folder: Path) -> Iterator[Path]:
        if folder.name == "search":
            raise PermissionError(13, "Permission denied", str(folder))
        return real(folder)

    monkeypatch.setattr(Path, "iterdir", refused)
    answer = isoserve("render", "-o", here / "out")
    assert answer.code == 1, "its models would be removed as if someone had deleted them"
    assert "model_specs/search:1:1  (file)  E100  cannot be listed" in answer.err, "say which"


def test_an_output_that_is_a_file_is_an_input_error(isoserve: Isoserve, here: Path) -> None:
    (here / "out").write_text("mine")
    answer = isoserve("render", "-o", here / "out")
    assert answer.code == 2, "the call is wrong"
    assert "out" in answer.err, "say what is in the way"


def test_every_command_is_helped() -> None:
    assert all(row.help for row in COMMANDS), "a command without a line in --help is not found"


def test_a_command_runs_without_the_cycle_collector(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bool] = []

    def run(args: Namespace) -> int:
        seen.append(gc.isenabled())
        return 0

    monkeypatch.setattr(cli, "_run", run)
    assert main(["check"]) == 0
    assert main(["model", "list", "search/sentiment"]) == 0
    assert seen == [False, True], "offline it frees nothing; a transfer's memory stays bounded"
    assert gc.isenabled(), "whoever called main finds it as it was"
    assert gc.get_freeze_count() == 0, "whoever goes on after main has its memory looked after"
    frozen: list[str] = []
    monkeypatch.setattr(gc, "freeze", lambda: frozen.append("all"))
    monkeypatch.setattr("sys.argv", ["isoserve", "check"])
    assert main() == 0
    assert frozen == ["all"], "nobody walks a thousand plans for a process that ends"
