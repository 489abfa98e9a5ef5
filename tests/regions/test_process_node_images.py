"""Which program stands in for an image, and that what stands in starts on its pod's address."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from regions.sandbox.layout import ROOT, SERVERS
from regions.sandbox.process_node.images import ImageError, command

ADDRESS = "127.77.16.5"
DIGEST = "@sha256:" + "0" * 64


def argv(image: str, **container: Any) -> tuple[str, ...]:
    return command(image, container, ADDRESS).argv


@pytest.mark.parametrize(
    "image",
    ["registry.example.com/isoserve/prober" + DIGEST, "localhost:5000/prober:v1", "prober"],
)
def test_an_image_is_known_by_its_name_wherever_it_lies(image: str) -> None:
    assert argv(image) == (
        *(sys.executable, "-m", "components.synthetic_probe.prober"),
        *("--host", ADDRESS),
    )


def test_the_cache_agent_listens_where_its_pod_is_when_it_holds() -> None:
    module = (sys.executable, "-m", "components.model_cache.agent")
    holding = ("hold", "--config", "/config/models.json")
    assert argv("cache-agent", args=list(holding)) == (
        *(*module, *holding),
        *("--host", ADDRESS, "--spread-seconds", "1"),
    )
    waiting = ["wait", "--digest", "d"]
    assert argv("cache-agent", args=waiting) == (*module, *waiting), "it serves nothing"


def test_python_programs_find_their_code_and_write_no_bytecode() -> None:
    env = command("prober", {}, ADDRESS).env
    assert env["PYTHONPATH"] == str(ROOT)
    assert env["PYTHONDONTWRITEBYTECODE"] == "1", "the root file system is read-only"


def test_a_model_server_runs_as_its_pod_says() -> None:
    program = command("runtimes/mlserver" + DIGEST, {"args": ["mlserver", "start", "/m"]}, ADDRESS)
    assert program.argv == ("mlserver", "start", "/m")
    assert program.env["MLSERVER_HOST"] == ADDRESS
    assert program.env["PATH"].startswith(f"{SERVERS}/bin:")


def test_the_scorer_finds_its_program_and_the_packages_of_its_image() -> None:
    program = command("search/scorer" + DIGEST, {"command": ["python", "-m", "scorer"]}, ADDRESS)
    assert program.argv == ("python", "-m", "scorer"), "as the example's spec says"
    assert program.env["PATH"].startswith(f"{SERVERS}/bin:"), "the model servers' Python"
    folder, packages = program.env["PYTHONPATH"].split(":")
    assert (Path(folder) / "scorer.py").is_file()
    assert (Path(packages) / "boto3").is_dir()


def test_a_command_of_the_pod_replaces_the_images_own() -> None:
    assert argv("prober", command=["sh", "-c"], args=["true"]) == ("sh", "-c", "true")


def test_an_unknown_image_is_one_that_cannot_be_pulled() -> None:
    with pytest.raises(ImageError, match=r"runtimes/vllm@.*images\.py") as caught:
        argv("runtimes/vllm" + DIGEST)
    assert caught.value.reason == "ErrImagePull"
