"""Callers ask for a model by the names that its spec says, where a server can be told them."""

from __future__ import annotations

import re
from typing import Any, Final

import pytest

from model_specs.errors import SpecErrors
from model_specs.runtimes import MOST_NAMES, RUNTIMES
from regions.model_plan import ServerPlan
from tests.builders import DIGEST
from tests.examples import a_model, planned

NAMES: Final = ["meta/llama-3.1-8b", "llama"]
OWN: Final = f"registry.example.com/team/server@sha256:{DIGEST}"
TOLD: Final = {name: row.most_names for name, row in RUNTIMES.items() if row.most_names}


def the_server(**fields: Any) -> ServerPlan:
    (server,) = planned(a_model(**fields)).servers
    return server


def refusals(**fields: Any) -> list[tuple[str, str, str]]:
    with pytest.raises(SpecErrors) as refused:
        a_model(**fields)
    return [(one.path, one.code, one.message) for one in refused.value.errors]


def test_the_runtimes_that_are_told_a_name_are_those_whose_command_line_has_one() -> None:
    assert TOLD == {
        "llama-cpp": 1, "sglang": 1, "text-embeddings-inference": 1, "vllm": MOST_NAMES,
    }, "vllm/config/model.py takes a list; the others' flags take one word"  # fmt: skip


def test_a_server_that_takes_several_is_told_all_in_order() -> None:
    (track,) = the_server(served_names=NAMES).tracks
    args = track.container.args
    at = args.index("--served-model-name")
    assert list(args[at + 1 : at + 3]) == NAMES, "the first one stands in answers"
    assert args[at + 3].startswith("--"), "and nothing else"


def test_without_names_the_file_has_the_name() -> None:
    server = the_server()
    args = server.tracks[0].container.args
    assert args[args.index("--served-model-name") + 1] == "sentiment"
    assert server.probe.matches == '"sentiment"'


@pytest.mark.parametrize("runtime", sorted(set(TOLD) - {"vllm"}))
def test_a_server_that_takes_one_is_told_it(runtime: str) -> None:
    (track,) = the_server(image=runtime, served_names=NAMES[:1]).tracks
    assert NAMES[0] in track.container.args
    ((path, code, message),) = refusals(image=runtime, served_names=NAMES)
    assert (path, code) == ("served_names[1]", "E353")
    assert "takes one name, got 2; keep the first" in message


@pytest.mark.parametrize("image", [*sorted(set(RUNTIMES) - set(TOLD)), OWN])
def test_a_server_that_is_told_none_is_refused(image: str) -> None:
    ((path, code, message),) = refusals(image=image, served_names=NAMES[:1])
    assert (path, code) == ("served_names", "E353")
    assert "is told no name" in message


def test_an_image_of_ones_own_may_keep_a_contract_that_has_names() -> None:
    (track,) = the_server(image=OWN, runtime="vllm", served_names=NAMES).tracks
    assert NAMES[1] in track.container.args


def test_a_candidate_must_know_the_names_too() -> None:
    candidate = {"strategy": "blue_green", "candidate": {"image": "mlserver"}}
    ((path, _, message),) = refusals(served_names=NAMES[:1], rollout=candidate)
    assert path == "served_names"
    assert "mlserver is told no name" in message


def test_the_default_question_asks_for_the_first_name_and_no_other() -> None:
    matches = the_server(served_names=NAMES).probe.matches
    assert re.search(matches, '"meta/llama-3.1-8b"')
    assert not re.search(matches, '"meta/llama-3x1-8b"'), "a dot is a dot"
    assert not re.search(matches, '"sentiment"'), "nobody is served by the file's name"


def test_an_example_request_asks_for_a_name_that_is_served() -> None:
    def probe(name: str) -> dict[str, Any]:
        return {"request": {"path": "/v1/completions", "body": {"model": name}}}

    assert the_server(served_names=NAMES, probe=probe("llama")).probe.body["model"] == "llama"
    ((path, code, message),) = refusals(served_names=NAMES, probe=probe("sentiment"))
    assert (path, code) == ("probe.request.body.model", "E353")
    assert "the server knows meta/llama-3.1-8b, llama, got 'sentiment'" in message


@pytest.mark.parametrize(
    "args",
    [
        ["--lora-modules", "a=/models/current/a", "sql=/models/current/sql"],
        ["--lora-modules=sql=/models/current/sql"],
    ],
)
def test_an_adapter_is_asked_for_by_its_own_name(args: list[str]) -> None:
    request = {"path": "/v1/completions", "body": {"model": "sql", "prompt": "x"}}
    expect = {"json_path": "choices[0].text", "matches": "y"}
    probe = {"request": request, "expect": expect}
    fields: dict[str, Any] = {"served_names": ["m"], "probe": probe}
    assert a_model(args=["--enable-lora", *args], **fields).spec.served_names == ("m",)
    assert refusals(args=["--enable-lora"], **fields), "of which nobody has said anything"


@pytest.mark.parametrize(
    "name", ["", "-x", "a b", "a,b", "{x}", "é", "a" * 129, "$(HOME)"], ids=str
)
def test_a_name_is_plain_letters(name: str) -> None:
    ((path, code, _),) = refusals(served_names=[name])
    assert (path, code) == ("served_names[0]", "E301")


def test_a_name_is_said_once_and_by_no_argument() -> None:
    assert refusals(served_names=["a", "a"])[0][0] == "served_names[1]"
    ((path, code, _),) = refusals(args=["--served-model-name", "a"])
    assert (path, code) == ("args[0]", "E343")


def test_a_job_is_called_by_nobody() -> None:
    ((path, code, message),) = refusals(served_names=["a"], batch={"command": ["index"]})
    assert (path, code) == ("served_names", "E353")
    assert "nobody calls a job" in message
