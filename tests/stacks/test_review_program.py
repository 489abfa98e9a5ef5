"""A change of the program is judged by the base's program, and told by what it does to objects."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from stacks.history import changed_files, linked
from stacks.reviewing.program import program_files
from tests.stacks.conftest import edit, git
from tests.tracked import ROOT, copy_tracked

POD, IMAGES = "components/model_pod.py", "policies/images.py"
LEGAL: Final = "policies/legal/rules.py"
REGION: Final = "us-east-1"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The whole project, committed: its program too."""
    root = tmp_path_factory.mktemp("program") / "project"
    copy_tracked(root)
    git(root, "init", "-q")
    git(root, "add", ".")
    git(root, "commit", "-qm", "base")
    return root


@pytest.fixture
def project(whole: Path) -> Iterator[Path]:
    """The same, as it was committed."""
    yield whole
    git(whole, "reset", "-q", "--hard", "HEAD")
    git(whole, "clean", "-qfd")


def review(
    project: Path, by: Path | None = None, base: str = "HEAD", more: tuple[str, ...] = ()
) -> tuple[int, dict[str, Any]]:
    """What the work tree's own program says of itself, as its author would run it, or that of the
    tree `by`; `more` are options."""
    done = subprocess.run(
        [sys.executable, "-P", "-m", "stacks.cli", "review", "--base", base, "-r", REGION,
         "--json", *more],
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(by or project)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )  # fmt: skip
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def flagged(found: dict[str, Any], name: str) -> list[str]:
    return [flag["subject"] for flag in found["flags"] if flag["name"] == name]


def test_a_rule_that_is_emptied_with_what_it_refuses_is_refused_by_the_base(project: Path) -> None:
    edit(project / POD, '"image": own.image,', '"image": own.image.replace("@sha256:", ":"),')
    edit(project / IMAGES, "(_image_digest, _image_host)", "()")
    edit(project / LEGAL, "(_as_asked, _options_closed, _known_kinds, *together.RULES)", "()")
    code, found = review(project)
    assert found["policy"]["findings"] == [], "the rules of the change itself say nothing"
    assert (code, found["verdict"]) == (1, "BLOCKED"), "those of the base do"
    said = {row["rule"] for row in found["program"]["refused"]}
    assert "image-digest" in said
    changed = [POD, IMAGES, LEGAL]
    assert flagged(found, "program changes") == changed, "and a reviewer sees all files"


def test_a_review_that_a_change_empties_is_written_by_the_base(project: Path) -> None:
    reviewing = project / "stacks/reviewing"
    edit(reviewing / "verdict.py", "verdict = IS_BLOCKED if blocking else", "verdict = PASS or")
    edit(reviewing / "risks.py", "in enumerate(RISKS)", "in enumerate(())")
    edit(reviewing / "program.py", '"LICENSE",', '"LICENSE", "*",')
    _, found = review(project)
    assert found["verdict"] == "NEEDS APPROVAL", "whatever the change's own program would say"
    assert flagged(found, "program changes") == [
        f"stacks/reviewing/{name}.py" for name in ("program", "risks", "verdict")
    ]


def test_who_starts_the_base_needs_to_trust_nothing_of_the_change(
    project: Path, tmp_path: Path
) -> None:
    base = tmp_path / "base"
    git(project, "worktree", "add", "--detach", str(base), "HEAD")
    edit(project / "stacks/cli.py", "code = _run(args)", "code = print('{}') or 0")
    edit(project / POD, '"image": own.image,', '"image": own.image.replace("@sha256:", ":"),')
    edit(project / "stacks/other_program.py", "def answer(", "def _answer(")
    code, found = review(project, by=base)
    git(project, "worktree", "remove", "--force", str(base))
    assert (code, found["verdict"]) == (0, "NEEDS APPROVAL")
    assert "the work tree's program failed" in found["program"]["not_run"], "it does not answer"
    assert len(flagged(found, "program changes")) == 3


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ("{}", "in a form that this one does not read"),
        ("[]", "in a form that this one does not read"),
        ('{"rendered": {"base": {}, "work": {}}, "refused": [], "unread": {}}', "does not render"),
    ],
)
def test_a_program_that_does_not_say_what_it_makes_is_not_known(
    project: Path, tmp_path: Path, told: str, reason: str
) -> None:
    base = tmp_path / "base"
    git(project, "worktree", "add", "--detach", str(base), "HEAD")
    (project / "stacks/other_program.py").write_text(f"print({told!r})\n")
    code, found = review(project, by=base)
    git(project, "worktree", "remove", "--force", str(base))
    assert (code, found["verdict"]) == (0, "NEEDS APPROVAL")
    assert reason in found["program"]["not_run"]


def test_a_changed_row_of_the_catalogue_is_told_by_what_it_restarts(project: Path) -> None:
    row = project / "model_specs/catalogue/runtimes/vllm.yaml"
    text = row.read_text()
    start = text.index("@sha256:")
    row.write_text(text.replace(text[start : start + 72], f"@sha256:{'e' * 64}"))
    _, found = review(project)
    assert found["verdict"] == "NEEDS APPROVAL"
    assert found["program"]["not_run"] == "", "both programs said what they make"
    restarts = [one for one in found["program"]["upgrades"] if one["class"] == "restart"]
    assert restarts, "its pods run another image: each side is planned with its own row"


def test_a_program_that_leaves_the_bases_side_out_hides_no_upgrade(project: Path) -> None:
    edit(
        project / "stacks/other_program.py",
        '        "rendered": rendered,',
        '        "rendered": {"work": rendered["work"]},',
    )
    edit(project / POD, "{placement.tmp_gib}Gi", "{placement.tmp_gib + 1}Gi")
    _, found = review(project)
    assert f"does not render {REGION}" in found["program"]["not_run"]


def test_a_program_that_answers_nothing_excuses_no_wrong_spec(
    project: Path, tmp_path: Path
) -> None:
    base = tmp_path / "base"
    git(project, "worktree", "add", "--detach", str(base), "HEAD")
    told = '{"rendered": {}, "refused": [], "unread": {}}'
    (project / "stacks/other_program.py").write_text(f"print({told!r})\n")
    edit(project / "model_specs/search/ranker.yaml", "cache: always", "cache: maybe")
    code, found = review(project, by=base)
    git(project, "worktree", "remove", "--force", str(base))
    assert (code, found["verdict"]) == (1, "BLOCKED")
    assert [error["file"] for error in found["errors"]] == ["model_specs/search/ranker.yaml"]


@pytest.mark.parametrize(
    ("path", "link"),
    [("tests/[a]/x.py", "tests/[a]"), ("tests/x.py", "."), ("tests/x.py", "tests/x.py")],
)
def test_wherever_a_link_leads_all_below_is_program(path: str, link: str) -> None:
    assert [found for found, _ in program_files([path], [link])] == [path]
    assert program_files([path], ["tests/x"]) == ()


def test_a_repository_with_a_link_out_of_it_is_reviewed(project: Path) -> None:
    (project / "tests/outside").symlink_to("/etc/hostname")
    git(project, "add", ".")
    git(project, "commit", "-qm", "a link that leads out")
    edit(project / POD, "{placement.tmp_gib}Gi", "{placement.tmp_gib + 1}Gi")
    try:
        _, found = review(project)
    finally:
        git(project, "reset", "-q", "--hard", "HEAD~1")
    assert found["program"]["upgrades"], "the link is left out, and nothing else is"


def test_what_only_the_changed_program_reads_needs_a_person(project: Path) -> None:
    edit(
        project / "model_specs/schema.py",
        'cache: Literal["auto",',
        'cache: Literal["maybe", "auto",',
    )
    edit(project / "model_specs/search/ranker.yaml", "cache: always", "cache: maybe")
    code, found = review(project)
    assert (code, found["verdict"]) == (0, "NEEDS APPROVAL")
    assert "reads what the base's refuses" in found["program"]["not_run"]
    assert found["errors"] == [], "they are the base's, and the work tree's own reads it"


def test_what_neither_program_reads_is_blocked(project: Path) -> None:
    edit(project / POD, "{placement.tmp_gib}Gi", "{placement.tmp_gib + 1}Gi")
    edit(project / "model_specs/search/ranker.yaml", "cache: always", "cache: maybe")
    code, found = review(project)
    assert (code, found["verdict"]) == (1, "BLOCKED")
    assert [error["file"] for error in found["errors"]] == ["model_specs/search/ranker.yaml"]


def test_an_exception_behind_a_link_is_a_new_one(project: Path) -> None:
    waivers = project / "policies/waivers.yaml"
    row = (
        "waivers:\n  - {rule: image-digest, resource: Deployment search/sentiment, owner: leads,"
        " reason: until the next release, expires: 2026-12-31}\n"
    )
    (project / "tests/excepted.yaml").write_text(row)
    git(project, "add", ".")
    git(project, "commit", "-qm", "a test's file")
    waivers.unlink()
    waivers.symlink_to("../tests/excepted.yaml")
    try:
        _, found = review(project)
    finally:
        git(project, "reset", "-q", "--hard", "HEAD~1")
    assert flagged(found, "exceptions change") == ["Deployment search/sentiment"]


def test_what_a_link_leads_to_is_program(project: Path) -> None:
    shutil.move(project / "policies", project / "tests/policies_too")
    (project / "policies").symlink_to("tests/policies_too")
    git(project, "add", ".")
    git(project, "commit", "-qm", "rules behind a link, as a person has agreed to")
    (project / "tests/policies_too/images.py").write_text("# no rule\n")
    top, changed = changed_files("HEAD", project)
    found = program_files(changed, linked(top))
    git(project, "reset", "-q", "--hard", "HEAD~1")
    assert [path for path, _ in found] == ["tests/policies_too/images.py"]


def test_a_submodule_that_hides_its_changes_is_a_change(project: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    git(other, "init", "-q")
    git(other, "commit", "-qm", "one", "--allow-empty")
    allowed = ("-c", "protocol.file.allow=always")
    git(project, *allowed, "submodule", "add", "-q", str(other), "components/other")
    git(project, "config", "-f", ".gitmodules", "submodule.components/other.ignore", "all")
    git(project, "add", ".")
    git(project, "commit", "-qm", "a submodule, as a person has agreed to")
    git(project / "components/other", "commit", "-qm", "two", "--allow-empty")
    _, changed = changed_files("HEAD", project)
    git(project, "reset", "-q", "--hard", "HEAD~1")
    git(project, "clean", "-qffd")
    assert changed == ("components/other",)


def test_a_region_that_goes_is_told_whatever_was_asked_for(project: Path) -> None:
    (project / "regions/seoul-dc1.yaml").unlink()
    _, found = review(project)
    assert flagged(found, "region removed") == ["seoul-dc1"], "nobody can ask for it any more"


def test_a_change_that_makes_the_same_objects_needs_a_person_and_reaches_nothing(
    project: Path,
) -> None:
    with (project / "components/kube.py").open("a") as file:
        file.write("# a remark\n")
    code, found = review(project)
    assert (code, found["verdict"]) == (0, "NEEDS APPROVAL")
    assert found["program"]["not_run"] == "", "the base was asked"
    assert found["program"]["upgrades"] == [], "and made the same"
    assert flagged(found, "program changes") == ["components/kube.py"]


def test_an_upgrade_says_what_it_does_to_each_object(project: Path) -> None:
    edit(project / POD, "{placement.tmp_gib}Gi", "{placement.tmp_gib + 1}Gi")
    _, found = review(project)
    classes = {
        (row["object"]["kind"], row["class"], row["changes"][0]["path"])
        for row in found["program"]["upgrades"]
    }
    path = "spec.template.spec.volumes[tmp].emptyDir.sizeLimit"
    assert ("Deployment", "restart", path) in classes
    assert "search/embedder" in " ".join(flagged(found, "program upgrade")), "each model by name"
    assert found["steps"] == [], "no spec has changed"


def test_a_file_by_another_name_is_program_too(project: Path) -> None:
    (project / "sitecustomize.py").write_text("")
    _, found = review(project)
    assert flagged(found, "program changes") == ["sitecustomize.py"]


def test_other_packages_are_said_to_be_unknown(project: Path) -> None:
    edit(project / "requirements.txt", "attrs==", "# attrs==")
    # The packages that are installed here are those of the base.
    done = review(project)[1]
    assert done["verdict"] == "NEEDS APPROVAL"
    assert "requirements.txt changes" in done["program"]["not_run"]


def test_a_base_that_fails_is_said_to_be_unknown(project: Path) -> None:
    edit(project / "stacks/other_program.py", "import json\n", "import json\nraise SystemExit(7)\n")
    git(project, "commit", "-qam", "a base that cannot run")
    edit(project / "stacks/other_program.py", "raise SystemExit(7)\n", "")
    try:
        _, found = review(project)
    finally:
        git(project, "reset", "-q", "--hard", "HEAD~1")
    assert found["verdict"] == "NEEDS APPROVAL"
    assert "the base's program failed" in found["program"]["not_run"]


@pytest.mark.parametrize(
    "path",
    [
        "components/kube.py", "policies/waivers.yaml", "stacks/Pulumi.us-east-1.yaml",
        "regions/limits.py", "regions/sandbox/toolchain/pins.yaml", "model_specs/schema.py",
        "model_specs/a/b/c.yaml", "model_specs/x.yaml.py", "requirements.txt", "Makefile",
        "Pulumi.yaml", ".github/workflows/review.yml", "CODEOWNERS", "pyproject.toml",
        "conftest.py", "model_specs/search/plugin.py", "pulumi.py", "sub/regions/x.yaml",
    ],
)  # fmt: skip
def test_what_is_no_known_data_is_program(path: str) -> None:
    assert [found for found, _ in program_files([path])] == [path]


@pytest.mark.parametrize(
    "path",
    [
        "model_specs/search/ranker.yaml", "model_specs/search/models.lock.yaml",
        "regions/us-east-1.yaml", "README.md", "tests/test_golden.py", "LICENSE",
    ],
)  # fmt: skip
def test_specs_profiles_tests_and_pages_are_no_program(path: str) -> None:
    assert program_files([path]) == ()


def test_every_file_of_this_project_is_known_to_be_one_or_the_other() -> None:
    done = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    data = {p for p in done.stdout.split() if not program_files([p])}
    assert not {path for path in data if path.endswith(".py")} - {
        path for path in data if path.startswith("tests/")
    }, "whatever runs outside of the tests is program"


def test_where_it_was_asked_elsewhere_the_changed_program_is_not_run(
    project: Path, tmp_path: Path
) -> None:
    edit(project / POD, '"image": own.image,', '"image": own.image.replace("@sha256:", ":"),')
    ran, answer = tmp_path / "ran", tmp_path / "left/answer.json"
    other = project / "stacks/other_program.py"
    first = "    at, root = "
    edit(other, first, f"    open({str(ran)!r}, 'a').write('.')\n{first}")
    code, told = review(project, more=("--ask", str(answer)))
    assert (code, told) == (0, {"asked": True, "not_run": ""}), "it judges nothing"
    assert ran.read_text() == "."
    code, found = review(project, more=("--answer", str(answer)))
    assert ran.read_text() == ".", "not a second time"
    assert (code, found["verdict"]) == (1, "BLOCKED")
    assert {row["rule"] for row in found["program"]["refused"]} >= {"image-digest"}


def test_no_answer_leaves_the_change_to_a_person(project: Path, tmp_path: Path) -> None:
    edit(project / POD, "{placement.tmp_gib}Gi", "{placement.tmp_gib + 1}Gi")
    code, found = review(project, more=("--answer", str(tmp_path / "answer.json")))
    assert (code, found["verdict"]) == (0, "NEEDS APPROVAL")
    assert "was asked elsewhere, and left no answer" in found["program"]["not_run"]


def test_a_change_of_specs_alone_asks_no_program(project: Path, tmp_path: Path) -> None:
    edit(project / "model_specs/search/ranker.yaml", "cache: always", "cache: auto")
    code, told = review(project, more=("--ask", str(tmp_path / "answer.json")))
    assert (code, told) == (0, {"asked": False})
    assert not (tmp_path / "answer.json").exists()
