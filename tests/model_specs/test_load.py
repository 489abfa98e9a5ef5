"""A tree of specs loads as a whole, or every fault in it is told at its place with a way out."""

from __future__ import annotations

from pathlib import Path

import pytest

from model_specs.batch_fields import BATCH_FIELDS, NOT_OF_BATCH
from model_specs.errors import SpecError, SpecErrors
from model_specs.load import load
from model_specs.probe import Expectation
from model_specs.schema import ModelSpec
from tests.examples import a_model

ROOT = Path(__file__).resolve().parents[2]
DIGEST = "sha256:" + "0" * 64
GOOD = f"machine_type: gpu.l4.1\nimage: vllm\nmodel: team/m:v1@{DIGEST}\n"


@pytest.fixture
def specs(tmp_path: Path) -> Path:
    folder = tmp_path / "model_specs"
    (folder / "team").mkdir(parents=True)
    (folder / "team/project.yaml").write_text("members: {}\n")
    (folder / "team/good.yaml").write_text(GOOD)
    return folder


def faults(specs: Path) -> tuple[SpecError, ...]:
    with pytest.raises(SpecErrors) as caught:
        load(specs)
    return caught.value.errors


def test_the_examples_load() -> None:
    found = load(ROOT / "model_specs")
    assert [m.id for m in found.models] == sorted(m.id for m in found.models), "in a fixed order"
    assert {"chat", "search", "vision"} <= set(found.projects), "all projects"
    assert all(m.spec.model in found.facts for m in found.models), "sizes are known offline"


def test_three_lines_are_enough(specs: Path) -> None:
    (model,) = load(specs).models
    assert (model.id, model.spec.access, model.spec.scaling.max) == ("team/good", "private", 2)


@pytest.mark.parametrize(
    ("line", "path", "code", "said"),
    [
        ("acess: public", "acess", "E201", "did you mean access?"),
        ("queue_depth: 3", "queue_depth", "E202", "it belongs at scaling.queue_depth"),
        ("scaling: {maxi: 3}", "scaling.maxi", "E201", "did you mean max?"),
        ("scaling: {max: three}", "scaling.max", "E204", "got 'three'"),
        ("scaling: {max: 0}", "scaling.max", "E301", "got 0"),
        ("scaling: {min: 5}", "scaling", "E302", "raise max or lower min"),
        ("access: open", "access", "E204", "got 'open'"),
        ("regions: []", "regions", "E333", "name one"),
        ("env: {a-b: x}", "env.a-b", "E342", "'a-b'"),
        ("env: {AWS_REGION: x}", "env.AWS_REGION", "E342", "the platform sets"),
        ("batch: {command: [a], schedule: daily}", "batch.schedule", "E305", "five cron fields"),
        ("batch: {command: [a], schedule: 61 * * * *}", "batch.schedule", "E305", "61"),
        ("rollout: {strategy: canary}", "rollout", "E353", "every other strategy has one"),
        ("secrets: [{name: a}]", "secrets[0].mount", "E203", "missing"),
        ("share_with: [serch]", "share_with[0]", "E353", "no such project"),
        ("share_with: [team]", "share_with[0]", "E353", "shares with itself"),
        ("ttl: tomorrow", "ttl", "E352", "got 'tomorrow'"),
    ],
)
def test_a_wrong_field_is_told_with_place_and_cure(
    specs: Path, line: str, path: str, code: str, said: str
) -> None:
    (specs / "team/bad.yaml").write_text(GOOD + line + "\n")
    (error,) = faults(specs)
    assert (error.file, error.line) == ("model_specs/team/bad.yaml", 4), "the line that was added"
    assert (error.path, error.code) == (path, code), error.message
    assert said in error.message, "what was got, or what to do"
    assert "; " in error.message, "every message ends with a way out"


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("image: vllm", "image: vlm", "E331"),
        ("image: vllm", "image: vllm/vllm-openai:latest", "E324"),
        (f"@{DIGEST}", "", "E323"),
        (f"@{DIGEST}", f":v1@{DIGEST}", "E321"),
        ("model: team/", "model: other/", "E322"),
        ("image: vllm\n", "", "E203"),
    ],
)
def test_a_wrong_reference_is_told(specs: Path, old: str, new: str, code: str) -> None:
    (specs / "team/bad.yaml").write_text(GOOD.replace(old, new))
    assert [error.code for error in faults(specs)] == [code], "one fault, one message"


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("Good", "E311"),
        ("a--b", "E311"),
        ("a" * 31, "E312"),
        ("modèle", "E313"),
        ("kube-x", "E314"),
    ],
)
def test_a_name_that_no_address_can_hold_is_refused(specs: Path, name: str, code: str) -> None:
    (specs / f"team/{name}.yaml").write_text(GOOD)
    assert [error.code for error in faults(specs)] == [code], "names become hosts and labels"


def test_all_faults_of_all_files_are_told_at_once(specs: Path) -> None:
    (specs / "team/one.yaml").write_text(GOOD + "acess: public\nscaling: {max: 0}\n")
    (specs / "team/two.yaml").write_text("- list\n")
    (specs / "orphan").mkdir()
    (specs / "orphan/three.yaml").write_text(GOOD.replace("team/", "orphan/"))
    found = [(error.file.split("/", 1)[1], error.code) for error in faults(specs)]
    assert found == [
        ("orphan/project.yaml", "E203"),
        ("team/one.yaml", "E201"),
        ("team/one.yaml", "E301"),
        ("team/two.yaml", "E104"),
    ], "a person mends them in one go"


def test_a_directory_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    assert faults(tmp_path / "nowhere")[0].code == "E100", "no traceback"


def test_an_error_has_the_one_form(specs: Path) -> None:
    (specs / "team/bad.yaml").write_text(GOOD + "acess: public\n")
    with pytest.raises(SpecErrors) as caught:
        load(specs)
    assert str(caught.value) == (
        "model_specs/team/bad.yaml:4:1  acess  E201  no such field, got 'acess'; "
        "did you mean access?"
    ), "file:line:col  path  CODE  what is wrong; what to do"


def test_an_expectation_as_it_is_by_default_needs_no_request() -> None:
    shown = Expectation().model_dump(mode="json")
    assert a_model(probe={"expect": shown}).spec.probe.expect == Expectation(), (
        "`isoserve explain probe` shows it, and it judges nothing of an answer"
    )


@pytest.mark.parametrize(
    "name", ["no_proxy", "omp_num_threads", "HOMEPAGE", "PATHFINDER_URL", "_X"]
)
def test_a_variable_that_only_looks_like_the_platforms_is_the_teams_own(name: str) -> None:
    assert a_model(env={name: "x"}).spec.env == {name: "x"}, "libraries read lower-case names too"


@pytest.mark.parametrize(
    "value",
    [
        '{"a": 1,\n "b": "x; y"}',
        "{% for m in messages %}{{ m.role || 'user' }};\n\t{% endfor %}",
        "- one\n- two",
        "`code` && more",
        "-1",
    ],
)
def test_a_value_may_be_any_text(value: str) -> None:
    mine = f"registry.example.com/mine@sha256:{'0' * 64}"
    assert a_model(image=mine, args=["--given", value, f"--also={value}"]).spec.args[1:] == (
        value,
        f"--also={value}",
    ), "chat templates and JSON have lines, and no shell reads them"


@pytest.mark.parametrize("tag", ["1", "v0.18.0-cu12.8", "_", "A" * 128])
def test_a_tag_before_the_digest_is_a_remark(tag: str) -> None:
    image = f"registry.acme.dev:5000/ml/server:{tag}@{DIGEST}"
    assert a_model(image=image).spec.image == f"registry.acme.dev:5000/ml/server@{DIGEST}", (
        "docker, skopeo and renovate write it, and the digest alone says what runs"
    )


@pytest.mark.parametrize(
    "image",
    [
        f"registry.acme.dev/ml/server:@{DIGEST}",
        f"registry.acme.dev/ml/server:-x@{DIGEST}",
        f"registry.acme.dev/ml/server:{'a' * 129}@{DIGEST}",
        f"docker.io:latest/ml/server@{DIGEST}",
        f"registry.acme.dev/ml/server@{DIGEST}:1",
        f"registry..dev/server@{DIGEST}",
        f"registry.acme.dev/a..b@{DIGEST}",
        f"registry.acme.dev/a.@{DIGEST}",
    ],
)
def test_an_image_that_no_runtime_pulls_is_refused(image: str) -> None:
    with pytest.raises(SpecErrors, match="E324"):
        a_model(image=image)


def test_every_field_of_a_spec_applies_to_a_job_or_is_refused_there() -> None:
    assert BATCH_FIELDS.isdisjoint(NOT_OF_BATCH)
    assert BATCH_FIELDS | NOT_OF_BATCH.keys() == set(ModelSpec.model_fields), (
        "a new field is in one of the two, or writing it in a job's spec says nothing to people"
    )
