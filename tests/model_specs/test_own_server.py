"""An image of one's own says what it serves, or the runtime whose contract it keeps."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, Final

import pytest

from components.kube import Object
from model_specs.advice import OWN_IMAGE, advice
from model_specs.errors import SpecErrors
from model_specs.runtimes import CUSTOM, RUNTIMES
from stacks.cli import main
from tests.examples import a_model, of_kind, planned, rendered, template
from tests.tracked import ROOT

OWN: Final = f"registry.example.com/ml/own@sha256:{'e' * 64}"
SERVER: Final[dict[str, Any]] = {
    "command": ["python", "-m", "server"],
    "port": 9000,
    "live_path": "/alive",
    "ready_path": "/ok",
    "metrics_path": "/prometheus",
    "metrics_port": 9001,
    "waiting_metric": "own_waiting",
    "running_metric": "",
    "user": 20_000,
    "group": 20_001,
    "start_seconds": 600,
    "shutdown_seconds": 55,
}


def pod_of(**spec: Any) -> Object:
    (made,) = of_kind("Deployment", rendered(planned(a_model(image=OWN, **spec))))[:1]
    pod: Object = template(made)["spec"]
    return pod


def refusal(**spec: Any) -> tuple[str, str]:
    with pytest.raises(SpecErrors) as caught:
        a_model(**spec)
    (error,) = caught.value.errors
    return error.path, error.code


def test_what_the_spec_says_of_its_server_is_what_runs() -> None:
    pod = pod_of(server=SERVER)
    (main_container,) = pod["containers"]
    assert main_container["command"] == SERVER["command"]
    ports = {one["name"]: one["containerPort"] for one in main_container["ports"]}
    assert ports == {"http": 9000, "metrics": 9001}
    assert main_container["livenessProbe"]["httpGet"]["path"] == "/alive"
    assert main_container["readinessProbe"]["httpGet"]["path"] == "/ok"
    security = pod["securityContext"]
    assert (security["runAsUser"], security["runAsGroup"]) == (20_000, 20_001)
    assert pod["terminationGracePeriodSeconds"] > SERVER["shutdown_seconds"]


def test_it_is_scaled_by_its_own_gauge_and_read_at_its_own_path() -> None:
    (server,) = planned(a_model(image=OWN, server=SERVER)).servers
    assert "own_waiting{" in server.tracks[0].scaler.query
    assert CUSTOM.running_metric not in server.tracks[0].scaler.query, "it counts both"
    assert server.tracks[0].listen.metrics_path == "/prometheus"


def test_what_it_does_not_say_is_the_open_inference_protocols() -> None:
    (bare,) = planned(a_model(image=OWN)).servers
    (said,) = planned(a_model(image=OWN, server={})).servers
    assert said == bare


def test_metrics_are_served_beside_the_answers_unless_another_port_is_said() -> None:
    (server,) = planned(a_model(image=OWN, server={"port": 9000})).servers
    assert server.tracks[0].listen.metrics_port == 9000


def test_a_build_of_ones_own_keeps_the_runtimes_whole_contract() -> None:
    (own,), (ours,) = (
        planned(a_model(args=["--max-model-len=9"], **spec)).servers
        for spec in ({"image": OWN, "runtime": "vllm"}, {"image": "vllm"})
    )
    mine, theirs = own.tracks[0], ours.tracks[0]
    assert mine.container.image == OWN
    assert mine.container.command == theirs.container.command == ("vllm", "serve")
    assert mine.container.args == theirs.container.args
    assert (mine.listen, mine.drain, mine.scaler) == (theirs.listen, theirs.drain, theirs.scaler)


def test_its_arguments_and_variables_are_held_to_that_runtimes_list() -> None:
    said = {"image": OWN, "runtime": "vllm"}
    assert refusal(**said, args=["--uds=/tmp/s"]) == ("args[0]", "E343")
    assert refusal(**said, env={"VLLM_PLUGINS": "x"}) == ("env.VLLM_PLUGINS", "E342")


@pytest.mark.parametrize(
    ("spec", "place", "code"),
    [
        ({"image": "vllm", "runtime": "vllm"}, "runtime", "E353"),
        ({"image": "vllm", "server": {}}, "server", "E353"),
        ({"image": OWN, "runtime": "vllm", "server": {}}, "server", "E353"),
        ({"image": OWN, "runtime": "vlm"}, "runtime", "E331"),
        ({"image": OWN, "runtime": OWN}, "runtime", "E331"),
        ({"image": OWN, "server": {"user": 0}}, "server.user", "E301"),
        ({"image": OWN, "server": {"user": 1000}}, "server.user", "E301"),
        ({"image": OWN, "server": {"group": 0}}, "server.group", "E301"),
        ({"image": OWN, "server": {"port": 0}}, "server.port", "E301"),
        ({"image": OWN, "server": {"port": "9000"}}, "server.port", "E204"),
        ({"image": OWN, "server": {"ready_path": "ok"}}, "server.ready_path", "E301"),
        ({"image": OWN, "server": {"live_path": "/a b"}}, "server.live_path", "E301"),
        ({"image": OWN, "server": {"waiting_metric": ""}}, "server.waiting_metric", "E301"),
        ({"image": OWN, "server": {"waiting_metric": "a{b}"}}, "server.waiting_metric", "E301"),
        ({"image": OWN, "server": {"command": ["a", "$(B)"]}}, "server.command[1]", "E343"),
        ({"image": OWN, "server": {"shutdown_seconds": 0}}, "server.shutdown_seconds", "E301"),
        ({"image": OWN, "server": {"prot": 1}}, "server.prot", "E201"),
    ],
)  # fmt: skip
def test_a_contract_that_cannot_be_kept_is_refused_at_its_field(
    spec: dict[str, Any], place: str, code: str
) -> None:
    assert refusal(**spec) == (place, code)


def test_a_candidate_of_ones_own_may_keep_the_stable_runtimes_contract() -> None:
    candidate = {"image": OWN}
    model = a_model(
        image="vllm",
        runtime="vllm",
        args=["--max-model-len=9"],
        rollout={"strategy": "blue_green", "candidate": candidate},
    )
    (server,) = planned(model).servers
    stable, other = server.tracks
    assert other.container.image == OWN
    assert other.container.args == stable.container.args, "they are the same program's"


def test_who_has_said_it_is_not_told_what_an_unsaid_image_is_held_to() -> None:
    for spec, warned in (({}, True), ({"server": SERVER}, False), ({"runtime": "vllm"}, False)):
        codes = {one.code for one in advice([a_model(image=OWN, **spec)])}
        assert (OWN_IMAGE in codes) is warned, spec


@pytest.mark.parametrize("said", ["runtime: vllm", f"server: {SERVER}".replace("'", '"')])
def test_no_rule_refuses_what_the_spec_may_say(
    said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for project in ("chat", "search", "vision"):
        shutil.copytree(ROOT / "model_specs" / project, tmp_path / "specs" / project)
    path = tmp_path / "specs/chat/helper.yaml"
    text = path.read_text()
    assert "image: vllm" in text
    path.write_text(text.replace("image: vllm", f"image: {OWN}\n{said}"))
    code = main(["policy", "--specs", str(tmp_path / "specs")])
    assert code == 0, capsys.readouterr()


def test_a_row_of_a_runtime_is_named_by_nothing_but_its_name() -> None:
    assert all("/" not in name and "@" not in name for name in RUNTIMES)
