"""A secret in plain text is found wherever it was put, and is never repeated."""

from __future__ import annotations

import random
import string
from typing import Any, Final

import pytest

from policies.rule import Estate
from policies.secret_literals import RULES
from tests.policies.cases import Case, check, check_unknown, failing, setting, with_path
from tests.policies.estate import added, changed, facts, named, said

LITERAL, CONFIG, NOTE, OBJECT = RULES
SERVER: Final = "Deployment search/embedder"
JOB: Final = "CronJob search/nightly-index"
PROBER: Final = "ConfigMap search/prober"
POD: Final = "spec template spec"
ENV: Final = f"{POD} containers 0 env 5"
ARGS: Final = f"{POD} containers 0 args"
AWS: Final = "AKIA" + "IOSFODNN7EXAMPLE"
# Put together here, so that no scanner of this repository takes a test for a leak.
SECRETS: Final = {
    "an AWS key": AWS,
    "a GitHub token": "ghp_" + "a1B2" * 9,
    "a GitLab token": "glpat-" + "a1B2c3D4e5F6g7H8i9J0",
    "a Hugging Face token": "hf_" + "aBcDeFgHiJkLmNoPqRsTuVwX",
    "an OpenAI key": "sk-" + "aBcDeFgHiJkLmNoPqRsTuVwX",
    "a Slack token": "xoxb-" + "123456789012-abcdef",
    "a Google key": "AIza" + "a" * 35,
    "a signed token (JWT)": "eyJ" + "hbGciOiJI." + "eyJ" + "zdWIiOiIx." + "abc",
    "a private key": "-----BEGIN RSA " + "PRIVATE KEY-----",
    "a URL with a password": "postgres://user:" + "hunter2@db/x",
}
FROM_SECRET: Final = {"name": "T", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}


def variable(name: str, value: str) -> dict[str, str]:
    """An environment variable."""
    return {"name": name, "value": value}


CASES: Final = (
    *(
        Case(rule=LITERAL, of=SERVER, path=ENV, value=variable("EXTRA", secret),
             says=f"holds {what} in env.EXTRA of container model-server", field="env.EXTRA")
        for what, secret in SECRETS.items()
    ),
    *(
        Case(rule=LITERAL, of=SERVER, path=path, value=value, says=says, field=field)
        for path, value, says, field in (
            (ENV, variable("DB_PASSWORD", "correct-horse"), "a value of password",
             "env.DB_PASSWORD"),
            (ENV, variable("OPENAI_API_KEY", "correct-horse"), "a value of api_key",
             "env.OPENAI_API_KEY"),
            (ENV, variable("EXTRA", "Zm9v7aQ2xK9mP4vL8nR3tY6w"), "a random word", "env.EXTRA"),
            (ENV, FROM_SECRET, "takes a Secret into its environment by T", "secrets"),
            (f"{POD} containers 0 envFrom", [{"secretRef": {"name": "s"}}], "by envFrom",
             "secrets"),
            (ARGS, ["serve", f"--key={AWS}"], "holds an AWS key in args", "args"),
            (ARGS, ["serve", "--api-key", "correct-horse"], "a value of api_key in args", "args"),
            (ARGS, ["serve", "--api-key=correct-horse"], "a value of api_key in args", "args"),
            (f"{POD} initContainers 0 env 0", variable("EXTRA", AWS), "of container model",
             "env.EXTRA"),
            (f"{POD} containers 0 command", ["x", AWS], "holds an AWS key", "batch.command"),
        )
    ),
    Case(rule=LITERAL, of=SERVER, path="spec template metadata annotations note", value=AWS,
         says="holds a secret in its pods' annotation note"),
    Case(rule=LITERAL, of=JOB, says="holds an AWS key", field="batch.command", value=["x", AWS],
         path="spec jobTemplate spec template spec containers 0 command"),
    *(
        Case(rule=CONFIG, of=of, path=path, value=value, says=says)
        for of, path, value, says in (
            (PROBER, "data more", f'{{"body": "{AWS}"}}', "holds an AWS key in more"),
            (PROBER, "data more", '{"password": "correct-horse"}', "a value of password"),
            (PROBER, "binaryData", {"more": AWS}, "holds an AWS key in more"),
            ("ConfigMap search/embedder-dashboard", "data more", "db-password: correct-horse",
             "a value of password in more"),
            ("ConfigMap search/embedder-dashboard", "data more", "Zm9v7aQ2xK9mP4vL8nR3tY6w",
             "a random word in more"),
        )
    ),
    Case(rule=NOTE, of="Service search/embedder", path="metadata annotations note", value=AWS,
         says="holds an AWS key in annotation note"),
)  # fmt: skip


def of_secret() -> Any:
    """What is said of a Secret that somebody renders."""
    labels = {"isoserve.dev/project": "search"}
    metadata = {"name": "mine", "namespace": "search", "labels": labels}
    return said(OBJECT, added({"apiVersion": "v1", "kind": "Secret", "metadata": metadata}))


FAILING: Final = {**failing(CASES), OBJECT.name: of_secret}


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.rule.name} {case.says}")
def test_one_field_makes_the_difference(case: Case) -> None:
    check(case)


@pytest.mark.parametrize("case", with_path(CASES), ids=lambda case: f"{case.rule.name} {case.path}")
def test_a_field_that_is_not_known_yet_is_no_good_field(case: Case) -> None:
    check_unknown(case)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.rule.name} {case.says}")
def test_no_finding_repeats_what_it_found(case: Case) -> None:
    for finding in case.found():
        for secret in (*SECRETS.values(), "correct-horse", "Zm9v7aQ2xK9mP4vL8nR3tY6w"):
            assert secret not in str(finding), "findings are read by more people than specs"


def test_a_secret_is_made_by_people_and_never_by_us() -> None:
    (finding,) = of_secret()
    assert finding.resource == "Secret search/mine"
    assert finding.place.file == "model_specs/search/project.yaml"
    assert "would be made from plain text" in finding.place.message


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MODEL", "Qwen/Qwen2-72B-Instruct-GPTQ-Int4"),
        ("ENGINE", "TensorRTLLMEngineV010FP8E4M3"),
        ("DIGEST", "sha256:" + "9f0c" * 16),
        ("INTEGRITY", "sha256-" + "n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg="),
        ("PASSWORD_FILE", "/secrets/db/password"),
        ("API_KEY", "$(FROM_ELSEWHERE)"),
        ("API_KEY", "EMPTY"),
        ("PAD_TOKEN", "<|endoftext|>-of-the-model"),
        ("MAX_TOKENS", "16384"),
        ("QUERY", 'sum(vllm:num_requests_waiting{model="a"})'),
        ("PATH_TO", "/var/lib/isoserve/search/" + "9f0c" * 16),
        ("ROLE", "arn:aws:iam::123456789012:role/isoserve.us-east-1.search"),
    ],
)
def test_what_only_looks_like_a_secret_is_none(name: str, value: str) -> None:
    harmless = changed(named(SERVER), setting(ENV, variable(name, value)))
    assert said(LITERAL, harmless) == []


def test_an_example_request_may_hold_an_image() -> None:
    image = "data:image/png;base64,iVBORw0KGgo" + "Zm9v7aQ2xK9mP4vL8nR3tY6w"
    assert said(CONFIG, changed(named(PROBER), setting("data more", image))) == []


def test_a_long_text_is_a_programs_and_searched_for_known_forms_only() -> None:
    board = named("ConfigMap search/embedder-dashboard")
    word = "Zm9v7aQ2xK9mP4vL8nR3tY6w"
    for filling, refused in ((4096 - len(word) - 2, 1), (4096 - len(word) - 1, 0)):
        text = f"{'x ' * 2048}"[:filling] + f" {word}"
        assert len(said(CONFIG, changed(board, setting("data more", text)))) == refused
    known = "x " * 2048 + AWS
    assert len(said(CONFIG, changed(board, setting("data more", known)))) == 1


def test_most_random_words_are_told_from_names() -> None:
    chance = random.Random(20261122)
    letters = string.ascii_letters + string.digits
    found = 0
    for _ in range(100):
        word = "".join(chance.choices(letters, k=32))
        noted = changed(named("Service search/embedder"), setting("metadata annotations x", word))
        found += bool(list(NOTE.judge_whole(Estate([noted], facts()))))
    assert found >= 95, "a pasted token of 32 characters must rarely pass"
