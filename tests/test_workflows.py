"""The workflows that a user copies are sound, and their scripts run the commands tested here."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.examples import REGIONS, ROOT

WORKFLOWS: Final = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
SCRIPTS: Final = ROOT / ".github" / "scripts"
ACTION: Final = ROOT / ".github" / "actions" / "region" / "action.yml"
ACTIONLINT: Final = ROOT / ".isoserve" / "bin" / "actionlint"
REAL: Final = [name for name in REGIONS if not name.startswith("sandbox-")]
BROKEN: Final = """
on: push
jobs:
  a:
    runs-on: ubuntu-latest
    steps:
      - run: echo ${{ github.event.pull_request.title }} ${{ matrix.region }}
"""

each_workflow = pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)


def values(path: Path) -> Any:
    return yaml.load(path.read_text(), Loader=yaml.BaseLoader)  # `on` is a word here


def lint(path: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [str(ACTIONLINT), "-no-color", "-shellcheck=", "-pyflakes=", str(path)]
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )


# -- the workflows ---------------------------------------------------------------------------


@pytest.mark.judge
@each_workflow
def test_actionlint_finds_nothing(path: Path) -> None:
    done = lint(path, ROOT)
    assert done.returncode == 0, done.stdout


@pytest.mark.judge
def test_actionlint_can_say_no(tmp_path: Path) -> None:
    (tmp_path / "broken.yml").write_text(BROKEN)
    done = lint(tmp_path / "broken.yml", tmp_path)
    assert done.returncode == 1
    assert "potentially untrusted" in done.stdout
    assert "matrix" in done.stdout, "a job without a matrix has no region"


@pytest.mark.parametrize("path", [*WORKFLOWS, ACTION], ids=lambda path: path.name)
def test_every_action_is_pinned_by_commit(path: Path) -> None:
    for used in re.findall(r"uses: (\S+)(.*)", path.read_text()):
        pinned = used[0].startswith("./") or re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", used[0])
        assert pinned, f"{used[0]}: a tag can be moved under us"
        assert used[0].startswith("./") or " # v" in used[1], "people read versions"


@each_workflow
def test_a_workflow_may_read_and_a_job_asks_for_more(path: Path) -> None:
    assert values(path)["permissions"] == {"contents": "read"}


@each_workflow
def test_no_step_takes_text_of_others_into_a_shell(path: Path) -> None:
    for job in values(path)["jobs"].values():
        for step in job.get("steps", ()):
            inserted = re.findall(r"\$\{\{(.*?)\}\}", step.get("run", ""))
            assert not inserted, f"{inserted}: give it by `env`, which a shell does not parse"


@pytest.mark.parametrize("path", ["events/seoul-dc1.json"])
def test_what_a_workflow_writes_is_no_change_of_the_program(path: str) -> None:
    assert any(path.split("/")[0] in one.read_text() for one in WORKFLOWS), "some workflow does"
    ignored = ["git", "check-ignore", "--no-index", "--quiet", path]
    found = subprocess.run(ignored, cwd=ROOT, timeout=60, check=False)
    assert found.returncode == 0, f"{path}: the review beside it would ask for a person's approval"


@each_workflow
def test_every_job_ends(path: Path) -> None:
    for name, job in values(path)["jobs"].items():
        assert "uses" in job or "timeout-minutes" in job, f"{name} could hang for six hours"


def test_what_a_stranger_wrote_never_runs_beside_a_credential() -> None:
    workflow = values(ROOT / ".github/workflows/review.yml")
    assert list(workflow["on"]) == ["pull_request"], "pull_request_target would hand out secrets"
    for name, job in workflow["jobs"].items():
        trusted = "head.repo.full_name == github.repository" in job.get("if", "")
        text = json.dumps(job)
        has_credentials = "secrets." in text or "id-token" in text or "environment" in job
        assert trusted or not has_credentials, f"{name} gives a fork what is ours"


def jobs() -> dict[str, dict[str, Any]]:
    """Every job of every workflow, by file and name."""
    return {
        f"{path.name} {name}": job
        for path in WORKFLOWS
        for name, job in values(path)["jobs"].items()
    }


def checks_out(job: dict[str, Any]) -> bool:
    """Whether files of the repository, which an author may have changed, are in the job."""
    uses = [step.get("uses", "") for step in job.get("steps", ())]
    return any(used.startswith(("actions/checkout@", "./")) for used in uses)


@pytest.mark.parametrize("name", jobs())
def test_a_secret_or_token_is_given_to_the_one_step_that_needs_it(name: str) -> None:
    job = jobs()[name]
    around = json.dumps({key: value for key, value in job.items() if key != "steps"})
    assert not re.search(r"secrets\.|github\.token", around), "every step of the job would see it"
    for step in job.get("steps", ()):
        given = re.findall(r"(?:secrets\.\w+|github\.token)", json.dumps(step))
        assert not given or step.get("run"), f"{step}: an action of others meets a secret"


def test_a_workflow_gives_no_secret_to_all_of_its_jobs() -> None:
    for path in WORKFLOWS:
        assert "env" not in values(path), f"{path.name}: every job and step would see it"


@pytest.mark.parametrize("name", jobs())
def test_what_an_author_wrote_never_runs_beside_a_token_that_writes(name: str) -> None:
    job = jobs()[name]
    writes = {key for key, value in job.get("permissions", {}).items() if value == "write"}
    tokens = {"id-token"} if "environment" in job or "uses" in job else set()
    assert not checks_out(job) or writes <= tokens, "an environment's reviewers stand before those"


@pytest.mark.parametrize("name", jobs())
def test_whoever_may_ask_for_a_role_waits_for_an_environment(name: str) -> None:
    job = jobs()[name]
    asks = job.get("permissions", {}).get("id-token") == "write"
    assert not asks or "environment" in job or "uses" in job


def test_a_pull_request_is_judged_by_the_program_of_its_base() -> None:
    judge = jobs()["review.yml judge"]
    assert not [step for step in judge["steps"] if step.get("uses", "").startswith("./")], (
        "an action of the pull request's own could make any program the one that judges"
    )
    setup, review = (
        next(step for step in judge["steps"] if step.get("name") == name)
        for name in ("Set up the base's program", "Write the review")
    )
    base = "${{ github.event.pull_request.base.sha }}"
    assert (setup["env"]["BASE"], review["env"]["BASE"]) == (base, base)
    assert '"$RUNNER_TEMP/base/.isoserve/venv/bin" >>"$GITHUB_PATH"' in setup["run"]
    assert '"$RUNNER_TEMP/base/.github/scripts/review.sh"' in review["run"]


def test_where_a_review_is_written_nothing_of_the_pull_requests_runs() -> None:
    judge, ask = jobs()["review.yml judge"], jobs()["review.yml ask"]
    assert {"ask", "preview"} <= set(judge["needs"]), "they run it, and leave data"
    for step in judge["steps"]:
        given = step.get("with", {})
        path = given.get("path", "${{ runner.temp }}/")
        assert path.startswith("${{ runner.temp }}/"), f"{path}: the author may have put one there"
        for word in re.findall(r"\S*(?:\.sh|make\b)[^|;&\n]*", step.get("run", "")):
            assert '"$RUNNER_TEMP/base' in word, f"{word}: a program of the checkout"
    uploads = [step["with"] for step in ask["steps"] if "upload" in step.get("uses", "")]
    assert [one["path"] for one in uploads] == ["${{ runner.temp }}/answer/answer.json"]
    assert "outputs" not in ask, "an output of a job is believed"
    assert "environment" not in ask
    assert "permissions" not in ask, "it may read, as all"


def test_what_is_posted_is_what_the_judge_wrote() -> None:
    judge, comment = jobs()["review.yml judge"], jobs()["review.yml comment"]
    assert judge["outputs"] == {"sha256": "${{ steps.review.outputs.sha256 }}"}
    (step,) = comment["steps"][1:]
    assert step["env"]["SHA256"] == "${{ needs.judge.outputs.sha256 }}"


def test_people_agree_before_a_pull_request_meets_a_credential() -> None:
    preview = jobs()["review.yml preview"]
    assert "reviewers" in preview["needs"], "an environment that nobody guards is refused"
    assert preview["environment"] == "preview-${{ matrix.region }}"
    assert jobs()["drift.yml drift"]["environment"] == "drift-${{ matrix.region }}", (
        "nobody is awake to approve it, and it runs what is merged"
    )


def test_a_preview_has_a_role_that_only_reads_and_never_the_one_that_deploys() -> None:
    for name in ("review", "drift"):
        text = (ROOT / f".github/workflows/{name}.yml").read_text()
        assert "vars.PREVIEW_ROLE_ARN" in text
        assert "DEPLOY_ROLE" not in text
        assert "pulumi up" not in text


def test_every_region_is_deployed_once_in_some_wave() -> None:
    jobs = values(ROOT / ".github/workflows/deploy.yml")["jobs"]
    waves = [json.loads(job["with"]["regions"]) for job in jobs.values()]
    assert sorted(region for wave in waves for region in wave) == REAL
    first, *later = jobs
    assert all("needs" in jobs[name] for name in later), "a wave waits for the one before it"
    assert len(waves[0]) == 1, f"{first}: a bad change meets one region first"


def test_a_deploy_waits_for_people_and_is_never_cut_off() -> None:
    wave = values(ROOT / ".github/workflows/wave.yml")["jobs"]["up"]
    assert wave["environment"] == "deploy-${{ matrix.region }}"
    deploy = values(ROOT / ".github/workflows/deploy.yml")
    assert deploy["concurrency"]["cancel-in-progress"] == "false"


def test_drift_is_looked_for_every_night() -> None:
    workflow = values(ROOT / ".github/workflows/drift.yml")
    assert workflow["on"]["schedule"][0]["cron"]
    assert "--expect-no-changes" in (SCRIPTS / "drift.sh").read_text()


def test_every_script_is_called_and_every_call_has_its_script() -> None:
    texts = [path.read_text() for path in (*WORKFLOWS, ACTION, *SCRIPTS.glob("*.sh"))]
    called = {name for text in texts for name in re.findall(r"/(\w+\.sh)\b", text)}
    assert called == {path.name for path in SCRIPTS.glob("*.sh")}


# -- their scripts ---------------------------------------------------------------------------

Shell = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """Runs a script with stand-ins for the programs of GitHub, AWS and Pulumi, which log calls."""
    stand_in = '#!/bin/sh\necho "$(basename "$0") $*" >>"$CALLS"\n'
    for name, more in {
        "gh": 'case "$*" in *"${ABSENT:-no such}"*) exit 1;; *--input*) cat >>"$CALLS";; '
        '*--jq*) echo "$COMMENT";; esac\n',
        "podman": "echo '{}'\n",
        "python": 'printf "%s" "$IMAGES"\n',
        "aws": "",
        "isoserve": 'case "$1" in plan) cat "$PLAN";; *) exit "${REVIEW:-0}";; esac\n',
        "pulumi": 'echo "{}"; exit "${PULUMI:-0}"\n',
    }.items():
        program = tmp_path / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(stand_in + more)
        program.chmod(0o755)

    def run(script: str, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        path = f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"
        inline = "\n" in script
        command = ["bash", "-e", "-c", script] if inline else [str(SCRIPTS / script), *arguments]
        return subprocess.run(
            command, cwd=tmp_path if inline else ROOT,
            env={"PATH": path, "CALLS": str(tmp_path / "calls"), "COMMENT": "", **env},
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

    return run


def calls(tmp_path: Path) -> list[str]:
    return (tmp_path / "calls").read_text().splitlines()


def test_the_regions_of_the_tree_are_a_matrix(shell: Shell) -> None:
    assert json.loads(shell("regions.sh").stdout) == REAL


def test_a_failed_preview_fails_and_leaves_what_was_said(shell: Shell, tmp_path: Path) -> None:
    events = tmp_path / "events" / "us-east-1.json"
    assert shell("preview.sh", "us-east-1", str(events), PULUMI="255").returncode == 255
    assert events.read_text() == "{}\n"
    assert calls(tmp_path) == [
        "pulumi preview --stack us-east-1 --policy-pack policies --non-interactive --json"
    ]


def test_a_region_without_a_preview_is_a_row_of_the_review(shell: Shell, tmp_path: Path) -> None:
    folder = tmp_path / "events"
    folder.mkdir()
    (folder / "us-east-1.json").write_text("{}")
    assert shell("review.sh", "abc", "false", str(folder), "a.json").returncode == 0
    (call,) = calls(tmp_path)
    assert call.startswith("isoserve review --base abc --answer a.json "), "nobody is asked here"
    for region in REAL:
        assert f"--region {region} --preview {folder}/{region}.json" in call
    assert (folder / "seoul-dc1.json").read_text() == "", "an empty file is a failed preview"


def test_a_fork_is_reviewed_without_previews(shell: Shell, tmp_path: Path) -> None:
    shell("review.sh", "abc", "true", str(tmp_path / "events"), "a.json")
    assert "--preview" not in calls(tmp_path)[0]


def test_the_review_says_no_by_its_code(shell: Shell, tmp_path: Path) -> None:
    done = shell("review.sh", "abc", "true", str(tmp_path), "a.json", REVIEW="1")
    assert done.returncode == 1


def test_a_pull_requests_program_is_asked_of_every_region(shell: Shell, tmp_path: Path) -> None:
    assert shell("ask.sh", "abc", "a.json").returncode == 0
    (call,) = calls(tmp_path)
    regions = " ".join(f"--region={region}" for region in REAL)
    assert call == f"isoserve review --base abc --ask a.json {regions}"


def test_nothing_goes_up_that_the_gate_refuses(shell: Shell, tmp_path: Path) -> None:
    done = shell("deploy.sh", "us-east-1", str(tmp_path / "e" / "us-east-1.json"), REVIEW="1")
    assert done.returncode == 1
    assert not [call for call in calls(tmp_path) if call.startswith("pulumi up")]


def test_what_passes_the_gate_goes_up_under_the_rules(shell: Shell, tmp_path: Path) -> None:
    assert shell("deploy.sh", "us-east-1", str(tmp_path / "e" / "us-east-1.json")).returncode == 0
    preview, review, up = calls(tmp_path)
    assert preview.startswith("pulumi preview")
    assert "review --base HEAD --region us-east-1 --preview" in review
    assert up.startswith("pulumi up --stack us-east-1 --yes")
    assert "--policy-pack policies" in up
    assert "--continue-on-error" in up, "one team's refused object holds up no other team"


def written(job: str, step: str, file: str = "review.yml") -> str:
    """What a step of a workflow runs: such a job has no checkout, and so no script."""
    (found,) = [s for s in jobs()[f"{file} {job}"]["steps"] if s.get("name") == step]
    return str(found["run"])


def test_a_change_is_asked_and_judged_for_one_moment_however_long_people_wait() -> None:
    rows = [step for name in ("ask", "judge") for step in jobs()[f"review.yml {name}"]["steps"]]
    moments = [row["env"].get("ISOSERVE_AT") for row in rows if "BASE" in row.get("env", {})]
    assert {one for one in moments if one} == {"${{ github.event.pull_request.updated_at }}"}
    assert len([one for one in moments if one]) == 2, "a ttl that passes in between blocks nobody"
    kept = [
        step["with"]["retention-days"]
        for name in ("preview", "ask")
        for step in jobs()[f"review.yml {name}"]["steps"]
        if "upload-artifact" in step.get("uses", "")
    ]
    assert kept == ["30", "30"], "environments wait that long for their reviewers"


MARKER: Final = "<!-- isoserve review -->"


@pytest.mark.parametrize(("comment", "method"), [("", "POST"), ("17", "PATCH")])
def test_one_comment_is_made_and_then_edited(
    shell: Shell, tmp_path: Path, comment: str, method: str
) -> None:
    (tmp_path / "review").mkdir()
    (tmp_path / "review/review.md").write_text(f"{MARKER}\nPASS\n")
    step = written("comment", "Keep one comment")
    told = hashlib.sha256(f"{MARKER}\nPASS\n".encode()).hexdigest()
    done = shell(step, GITHUB_REPOSITORY="a/b", NUMBER="3", COMMENT=comment, SHA256=told)
    assert done.returncode == 0, done.stdout + done.stderr
    looked, wrote = calls(tmp_path)
    assert "repos/a/b/issues/3/comments" in looked
    assert f"--method {method} --field body=@review/review.md" in wrote
    assert ("comments/17" in wrote) == bool(comment)


@pytest.mark.parametrize("amiss", ["missing", "large", "unmarked", "linked", "folder", "other"])
def test_an_artifact_that_is_no_review_is_not_posted(
    shell: Shell, tmp_path: Path, amiss: str
) -> None:
    body = tmp_path / "review/review.md"
    body.parent.mkdir()
    if amiss == "large":
        body.write_text(f"{MARKER}{'x' * 262_144}")
    elif amiss == "unmarked":
        body.write_text("buy\n")
    elif amiss == "linked":
        (tmp_path / "else").write_text(f"{MARKER}\n")
        body.symlink_to(tmp_path / "else")
    elif amiss == "folder":
        body.mkdir()
    elif amiss == "other":
        body.write_text(f"{MARKER}\nPASS\n")
    step = written("comment", "Keep one comment")
    told = hashlib.sha256(f"{MARKER}\nBLOCKED\n".encode()).hexdigest()
    done = shell(step, GITHUB_REPOSITORY="a/b", NUMBER="3", SHA256=told)
    assert (done.returncode, "is no review" in done.stdout) == (1, True), done.stderr
    assert not (tmp_path / "calls").exists(), "nothing is asked of GitHub"


@pytest.mark.parametrize(("answer", "code"), [("true", 0), ("false", 1), ("", 1)])
def test_an_environment_without_reviewers_is_refused(
    shell: Shell, tmp_path: Path, answer: str, code: int
) -> None:
    step = written("reviewers", "Every environment of a preview has reviewers")
    done = shell(step, GITHUB_REPOSITORY="a/b", REGIONS='["r-1"]', COMMENT=answer)
    assert done.returncode == code, done.stdout + done.stderr
    assert "repos/a/b/environments/preview-r-1" in calls(tmp_path)[0]


@pytest.mark.parametrize(("provider", "called"), [("aws", True), ("on_prem", False)])
def test_a_cluster_of_aws_is_reached_by_its_profile(
    shell: Shell, tmp_path: Path, provider: str, called: bool
) -> None:
    plan = {
        "provider": provider,
        "cluster": {"name": "ml-serving", "context": "use1"},
        "account": {"region": "us-east-1"},
    }
    (tmp_path / "plan.json").write_text(json.dumps({"r": plan}))
    assert shell("kubeconfig.sh", "r", PLAN=str(tmp_path / "plan.json")).returncode == 0
    wanted = "aws eks update-kubeconfig --name ml-serving --alias use1 --region us-east-1"
    assert (wanted in calls(tmp_path)) == called


# -- images of a release ---------------------------------------------------------------------

DIGEST: Final = f"sha256:{'1' * 64}"
HOST: Final = "registry.example.com/isoserve"
PROPOSE: Final = "Open the pull request"


def test_a_release_is_built_for_both_platforms_and_pinned_in_every_profile(
    shell: Shell, tmp_path: Path
) -> None:
    made = {name: f"{HOST}/{name}@{DIGEST}" for name in ("cache-agent", "prober")}
    out = tmp_path / "out"
    done = shell(
        "images.sh", "v1.2.0", str(ROOT), str(out), BASE="python@sha256:0", REGISTRY=HOST,
        GITHUB_SERVER_URL="https://git.example", GITHUB_REPOSITORY="a/b", IMAGES=json.dumps(made),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    built, pinned, *bills = calls(tmp_path)
    assert "--platform linux/amd64 --platform linux/arm64" in built
    assert "--version v1.2.0" in built
    assert f"--set agent_image={HOST}/cache-agent:v1.2.0@{DIGEST}" in pinned
    assert f"--set prober_image={HOST}/prober:v1.2.0@{DIGEST}" in pinned
    assert [f"{out}/regions/{name}.yaml" for name in REAL] == pinned.split()[-len(REAL) :]
    assert {path.name for path in (out / "bills").iterdir()} == {
        "cache-agent.cdx.json", "prober.cdx.json"
    }  # fmt: skip
    assert all(DIGEST in bill for bill in bills), "what is in the image that was pushed"


def proposed(shell: Shell, tmp_path: Path, **env: str) -> subprocess.CompletedProcess[str]:
    step = written("propose", PROPOSE, "images.yml")
    known = {"GITHUB_REPOSITORY": "a/b", "HEAD": "c0ffee", "MAIN": "main", "VERSION": "v1.2.0"}
    return shell(step, **{**known, **env})


@pytest.fixture
def profile(tmp_path: Path) -> Path:
    """A profile of the artifact, as large as one may be."""
    path = tmp_path / "images/regions/us-east-1.yaml"
    path.parent.mkdir(parents=True)
    path.write_text("#" * 262_144)
    return path


def test_a_release_opens_one_pull_request(shell: Shell, tmp_path: Path, profile: Path) -> None:
    done = proposed(shell, tmp_path, ABSENT="git/ref/heads/images-v1.2.0")
    assert done.returncode == 0, done.stdout + done.stderr
    told = (tmp_path / "calls").read_text()
    assert "--field ref=refs/heads/images-v1.2.0 --field sha=c0ffee" in told, "what was pinned"
    assert "contents/regions/us-east-1.yaml --method PUT" in told
    assert '"branch": "images-v1.2.0"' in told, "never onto the main branch"
    assert "repos/a/b/pulls --method POST" in told
    assert "--field base=main" in told


def test_a_release_that_is_tried_again_changes_nothing(
    shell: Shell, tmp_path: Path, profile: Path
) -> None:
    same = subprocess.run(
        ["git", "hash-object", "--no-filters", str(profile)],
        capture_output=True, text=True, timeout=60, check=True,
    ).stdout.strip()  # fmt: skip
    done = proposed(shell, tmp_path, COMMENT=same)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not [call for call in calls(tmp_path) if "--method" in call]


@pytest.mark.parametrize("amiss", ["large", "linked", "folder", "named", "version"])
def test_what_is_no_profile_is_not_proposed(
    shell: Shell, tmp_path: Path, profile: Path, amiss: str
) -> None:
    if amiss == "large":
        profile.write_text("#" * 262_145)
    elif amiss == "linked":
        profile.with_name("other.yaml").symlink_to(profile)
    elif amiss == "folder":
        profile.with_name("workflows").mkdir()
    elif amiss == "named":
        profile.rename(profile.with_name("x.sh"))
    done = proposed(shell, tmp_path, **({"VERSION": "v1/../x"} if amiss == "version" else {}))
    assert (done.returncode, "::error::" in done.stdout) == (1, True), done.stderr
    assert not (tmp_path / "calls").exists(), "nothing is asked of GitHub"


def test_images_are_pushed_by_a_job_that_people_let_run() -> None:
    build, propose = (jobs()[f"images.yml {name}"] for name in ("build", "propose"))
    assert build["environment"] == "images"
    assert build["permissions"] == {"contents": "read"}, "the release's program changes nothing"
    assert not checks_out(propose), "and is not there where something may be changed"
    assert list(values(ROOT / ".github/workflows/images.yml")["on"]) == ["release"]
