"""Each runtime is started as its own image wants it, by a user whom no image knows."""

from __future__ import annotations

import getpass
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from components.kube import Object
from model_specs.arguments import sets
from model_specs.catalogue_files import read_folders, rows
from model_specs.errors import SpecErrors
from model_specs.flag_kinds import below
from model_specs.names import MODEL_PATH, SCRATCH
from model_specs.row_kinds import kinds_of
from model_specs.runtime_row import FACTS, WHERE, RuntimeRow
from model_specs.runtimes import CUSTOM, RUNTIMES, Runtime, load
from tests.examples import a_model, of_kind, planned, rendered, template
from tests.model_specs.upstream_flags import UPSTREAM
from tests.promtool import check_value

every_runtime = pytest.mark.parametrize("row", RUNTIMES.values(), ids=lambda row: row.name)
ASK: Final = """
import getpass, os, sys
os.getuid = lambda: int(sys.argv[1])
print(getpass.getuser())
"""
VLLM_ENTRYPOINTS: Final = (
    ["vllm", "serve"],
    ["python3", "-m", "vllm.entrypoints.openai.api_server"],
)
"""Of the images of vllm/vllm-openai: today's, and that of 2025 and before."""


def server_of(name: str) -> Object:
    """The pod spec of a model on a runtime."""
    (made,) = of_kind("Deployment", rendered(planned(a_model(image=name))))[:1]
    pod: Object = template(made)["spec"]
    return pod


def environment(name: str) -> dict[str, str]:
    (main,) = server_of(name)["containers"]
    return {one["name"]: one["value"] for one in main["env"]}


def started(container: Object, entrypoint: list[str], cmd: list[str]) -> list[str]:
    """What a container runtime executes, of the image's own words and the pod's.

    https://kubernetes.io/docs/tasks/inject-data-application/define-command-argument-container/
    """
    command, args = container.get("command"), container.get("args")
    if command:
        return [*command, *(args or [])]
    return [*entrypoint, *(args or cmd)]


@every_runtime
def test_every_fact_of_other_peoples_software_has_its_source(row: Runtime) -> None:
    shared = {"parallel"} if row.sharing else set()
    assert set(row.sources) == {*FACTS, "architectures"} | shared
    assert "/" in row.repository, "whose software it is"
    for fact, source in row.sources.items():
        assert len(source) > len("Dockerfile"), f"{fact}: where it was read"
    assert ":" in row.upstream, "the version that the row was written for"


@every_runtime
def test_a_row_leaves_nothing_to_the_images_own_entrypoint_user_or_directory(row: Runtime) -> None:
    pod = server_of(row.name)
    (main,) = pod["containers"]
    assert main["command"] == list(row.command), "an entrypoint changes with the image's version"
    assert main["workingDir"] == SCRATCH, "the image's own may be closed to our user"
    security = pod["securityContext"]
    assert (security["runAsUser"], security["runAsGroup"]) == (row.user, row.group)
    assert security["fsGroup"] == row.group, "what it writes it may read"


@every_runtime
def test_what_a_runtime_writes_goes_where_it_may(row: Runtime) -> None:
    folders = {name: value for name, value in row.env.items() if value.startswith("/")}
    assert folders, "each of them keeps some cache"
    for name, folder in folders.items():
        assert below(SCRATCH, folder), f"{name}: all else is read-only"


@pytest.mark.parametrize(
    ("name", "metrics"),
    [
        ("vllm", ["vllm:num_requests_waiting", "vllm:num_requests_running"]),
        (
            "triton",
            ["nv_inference_pending_request_count", "nv_inference_compute_infer_duration_us"],
        ),
        ("mlserver", ["rest_server_requests_in_progress"]),
        (
            "text-embeddings-inference",
            ["te_queue_size", "te_request_inference_duration_sum"],
        ),
        ("bentoml", ["bentoml_service_request_in_progress"]),
        ("llama-cpp", ["llamacpp:requests_deferred", "llamacpp:requests_processing"]),
        ("sglang", ["sglang:num_queue_reqs", "sglang:num_running_reqs"]),
        ("torchserve", ["ts_queue_latency_microseconds", "ts_inference_latency_microseconds"]),
    ],
)
def test_the_load_of_a_runtime_is_its_requests_running_and_waiting(
    name: str, metrics: list[str]
) -> None:
    assert re.findall(r"([a-z_:]+)\{", load(RUNTIMES[name], "x")) == metrics
    by_pod = re.findall(r"([a-z_:]+)\{", load(RUNTIMES[name], "x", "pod"))
    assert list(dict.fromkeys(by_pod)) == metrics


def test_a_counter_of_time_is_read_as_the_mean_number_of_requests(tmp_path: Path) -> None:
    scrapes = "0 30e6 60e6 90e6 120e6 150e6 180e6 210e6 240e6"
    series = {
        'nv_inference_pending_request_count{pod="a"}': "3+0x8",
        'nv_inference_compute_infer_duration_us{pod="a"}': scrapes,
    }
    for by, labels in (("", "{}"), ("pod", '{pod="a"}')):
        query = load(RUNTIMES["triton"], "", by)
        check_value(tmp_path, query, series, {120: (labels, 5.0), 0: (labels, 3.0)})


def test_the_running_ones_are_counted_with_no_queue_and_a_lost_queue_is_no_idle_server(
    tmp_path: Path,
) -> None:
    query = load(RUNTIMES["vllm"], "")
    running = {'vllm:num_requests_running{pod="a"}': "7+0x8"}
    waiting = {'vllm:num_requests_waiting{pod="a"}': "0+0x8"}
    check_value(tmp_path, query, running | waiting, {30: ("{}", 7.0)})
    check_value(tmp_path, query, running, {30: None})


def test_an_image_of_ones_own_keeps_its_entrypoint_and_directory() -> None:
    image = f"registry.example.com/ml/own@sha256:{'e' * 64}"
    (main,) = server_of(image)["containers"]
    assert not {"command", "workingDir"} & set(main), "what it needs there is its own affair"
    assert CUSTOM.command == ()


@pytest.mark.parametrize("entrypoint", VLLM_ENTRYPOINTS, ids=" ".join)
def test_vllm_is_told_once_to_serve_whatever_its_images_entrypoint(entrypoint: list[str]) -> None:
    (main,) = server_of("vllm")["containers"]
    words = started(main, entrypoint, [])
    assert words[:3] == ["vllm", "serve", MODEL_PATH]
    assert words.count("serve") == 1, "`vllm serve serve` ends with unrecognized arguments"


TAKEN: Final = {
    "vllm": (
        "--port=9",
        "--por",
        "--served_model",
        "--model",
        "--tensor_par=1",
        "-t",
        "--pipeline-parallel",
        "--data_parallel_siz=4",
        "-d",
    ),
    "triton": ("--model-store=/x", "--model-r=/x", "--http-po=9", "--exit"),
    "text-embeddings-inference": ("--port", "-p", "-p9", "-p=9", "-pp", "--hostn=::"),
    "bentoml": ("--port=9", "-p9", "--host=::", "--timeout-graceful-shutdown=9"),
    "llama-cpp": ("-m", "--model=/x", "--alias=x", "--slots", "--metrics", "--host=::"),
    "sglang": ("--tp-size=2", "--tp", "--model=/x", "--host=::", "--enable-metrics", "--po=9"),
    "torchserve": ("--ncs", "--models=x", "--seed=7", "--plugins-path=/x"),
}
"""Arguments that upstream's own parser reads as a flag that the platform sets, by runtime."""
FREE: Final = {
    "vllm": (
        "--max-model-len=9",
        "-tp=1",
        "--tensor-parallel-size=1",
        "-O3",
        "-pp=1",
        "--data-parallel-size=1",
        "--data-parallel-size-local=1",
    ),
    "triton": ("--http-thread-count=9", "--model-namespacing=true"),
    "mlserver": (),
    "text-embeddings-inference": ("--pooling=cls", "--json-output"),
    "bentoml": ("--backlog=9", "--timeout=9"),
    "llama-cpp": ("--ctx-size=8192", "-c=9", "--parallel=4", "--jinja", "--pooling=cls"),
    "sglang": ("--context-length=9", "--context-len=9", "--quantization=fp8", "--is-embedding"),
}
"""Arguments that the platform leaves to the spec."""


def pairs(rows: dict[str, tuple[str, ...]]) -> list[tuple[str, str]]:
    return [(name, word) for name, words in rows.items() for word in words]


@pytest.mark.parametrize(("name", "word"), pairs(TAKEN))
def test_a_flag_that_the_platform_sets_is_refused_however_it_is_written(
    name: str, word: str
) -> None:
    with pytest.raises(SpecErrors) as refused:
        a_model(image=name, args=[word])
    (error,) = refused.value.errors
    assert (error.code, error.path) == ("E343", "args[0]")


@pytest.mark.parametrize(("name", "word"), pairs(FREE))
def test_another_flag_is_left_to_the_spec(name: str, word: str) -> None:
    assert a_model(image=name, args=[word]).spec.args == (word,)


def test_a_candidates_arguments_are_held_to_its_own_runtime() -> None:
    candidate = {"image": "text-embeddings-inference", "args": ["-p9"]}
    with pytest.raises(SpecErrors, match="-p9"):
        a_model(image="triton", rollout={"strategy": "blue_green", "candidate": candidate})


def test_a_value_is_behind_a_flag_of_one_letter_only() -> None:
    assert sets("-p9", "-p")
    assert not sets("-tp2", "-tp"), "argparse reads a value only behind one letter"
    assert not sets("--ports", "--port")


REFUSED: Final = (
    ("llama-cpp", "--tools=all", "run programs"),
    ("llama-cpp", "--hf-repo=evil/x", "`model`"),
    ("llama-cpp", "--mmproj=/etc/passwd", "/models/current"),
    ("sglang", "--load-format=dummy", "`model`"),
    ("sglang", "--trust-remote-code", "code"),
    ("sglang", "--config=/x.yaml", "`args`"),
    ("sglang", "--chat-template=/etc/passwd", "/models/current"),
    ("bentoml", "--working-dir=/x", "pinned"),
    ("bentoml", "--ssl-keyfile=/x", "TLS"),
)


@pytest.mark.parametrize(("name", "word", "why"), REFUSED)
def test_what_a_row_gives_to_nobody_is_refused_with_its_reason(
    name: str, word: str, why: str
) -> None:
    with pytest.raises(SpecErrors, match=why):
        a_model(image=name, args=[word])


@pytest.mark.parametrize(
    ("name", "variable"),
    [
        ("bentoml", "BENTOML_PORT"),
        ("llama-cpp", "LLAMA_ARG_MODEL_URL"),
        ("sglang", "SGLANG_USE_MODELSCOPE"),
        ("torchserve", "TS_INFERENCE_ADDRESS"),
    ],
)
def test_a_variable_that_moves_a_flag_is_refused(name: str, variable: str) -> None:
    with pytest.raises(SpecErrors, match="E342"):
        a_model(image=name, env={variable: "x"})


@pytest.mark.parametrize("name", UPSTREAM)
def test_every_flag_of_a_row_is_one_of_the_programs_own_parser(name: str) -> None:
    row = rows("runtimes", RuntimeRow, read_folders())[name]
    named = {word.partition("=")[0] for word in row.args.words if word.startswith("-")}
    named |= set(kinds_of(row.flags.listed, row.flags.forms))
    named |= {*row.aliases.flags, *(flag for one in row.owned.settings for flag in one.flags)}
    assert named - set(UPSTREAM[name].split()) == set(), "its parser would refuse them"


def test_what_it_writes_is_what_its_row_says() -> None:
    for name, row in rows("runtimes", RuntimeRow, read_folders()).items():
        places = [place.format(**WHERE) for place in row.env.writable]
        assert set(places) <= {SCRATCH, "/dev/shm"}, f"{name}: all else is read-only"
        assert row.protocols.names, name
        assert "http" in row.protocols.names, "routes and probes speak it"
        assert bool(row.batching.max_wait) == (row.batching.by != "itself"), name
        assert row.gpu.kinds or not row.gpu.needed, name


def test_one_image_of_text_embeddings_inference_serves_every_gpu_of_the_machine_catalogue() -> None:
    row = RUNTIMES["text-embeddings-inference"]
    assert row.upstream.rpartition(":")[2] == "cuda-1.9", "a tag like `89-` is of one generation"
    assert row.command == ("/entrypoint.sh",), "absolute: it is run in another working directory"


@every_runtime
def test_a_process_of_that_user_knows_its_name(row: Runtime) -> None:
    own = environment(row.name)

    def asked(env: dict[str, str]) -> str:
        words = (sys.executable, "-I", "-S", "-c", ASK, str(row.user))
        done = subprocess.run(words, env=env, capture_output=True, text=True, check=False)
        return done.stdout + done.stderr

    assert asked(own).strip() == "isoserve", "torch asks for it at import"
    alone = asked({name: own[name] for name in own.keys() - {"LOGNAME", "USER"}})
    assert "uid not found" in alone, "no passwd file has this uid: that is what would happen"


def test_the_name_is_read_before_the_passwd_file(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment("vllm").items():
        if name in ("LOGNAME", "USER"):
            monkeypatch.setenv(name, value)
    assert getpass.getuser() == "isoserve"


def test_the_onnx_runtime_server_that_nobody_has_is_gone() -> None:
    assert "onnxruntime" not in RUNTIMES
    root = Path(__file__).resolve().parents[2] / "model_specs"
    for path in root.glob("*/*.yaml"):
        assert "onnxruntime" not in path.read_text(), f"{path.name} rests on it"
