"""The real MLServer starts where its image's own working directory is closed to our user."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import requests

from components.kube import Object
from model_specs.names import MODEL_PATH
from model_specs.runtimes import RUNTIMES
from regions.sandbox import servers
from regions.sandbox.process_node.container import Running, User
from regions.sandbox.processes import free_ports
from tests.examples import a_model, of_kind, planned, rendered, template
from tests.workshop import Workshop, mount, open_workshop

pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to other users"),
]

IMAGES_FOLDER: Final = "/opt/mlserver"
IMAGES_USER: Final = 1000
IMAGES_MODE: Final = 0o776
"""The image's WORKDIR: USER 1000 and `chmod -R 776`, for random users in group 0."""
PORTS: Final = ("MLSERVER_HTTP_PORT", "MLSERVER_GRPC_PORT", "MLSERVER_METRICS_PORT")
LIMIT_SECONDS: Final = 120.0
ROW: Final = RUNTIMES["mlserver"]


@pytest.fixture(scope="module")
def main() -> Object:
    """The model's container, as rendered."""
    servers.ensure(print)
    (made,) = of_kind("Deployment", rendered(planned(a_model(image="mlserver"))))[:1]
    container: Object = template(made)["spec"]["containers"][0]
    return container


@pytest.fixture
def workshop(tmp_path: Path) -> Iterator[Workshop]:
    with open_workshop(tmp_path) as made:
        yield made


def start(workshop: Workshop, main: Object, where: str) -> tuple[Running, Path, int]:
    """The container's command as its user in a working directory; its log and its HTTP port."""
    ports = free_ports(len(PORTS))
    env = {one["name"]: one["value"] for one in main["env"]}
    env |= {name: str(port) for name, port in zip(PORTS, ports, strict=True)}
    env |= {"MLSERVER_HOST": "127.0.0.1", "PATH": f"{servers.PYTHON.parent}:/usr/bin:/bin"}
    image = workshop.folder / "image"
    image.mkdir()
    os.chown(image, IMAGES_USER, 0)
    image.chmod(IMAGES_MODE)
    over: dict[str, Any] = {
        "env": env,
        "mounts": (
            mount(image, IMAGES_FOLDER),
            mount(workshop.volume("models"), MODEL_PATH, read_only=True),
            mount(workshop.volume("tmp"), "/tmp"),
        ),
        "user": User(uid=ROW.user, gid=ROW.group, groups=(), capabilities=()),
        "working_directory": where,
    }
    running, log = workshop.start(*main["command"], *main["args"], **over)
    return running, log, ports[0]


def is_ready(running: Running, port: int) -> bool:
    """Whether it comes to answer that it is ready, before it ends or its time is over."""
    deadline = time.monotonic() + LIMIT_SECONDS
    while time.monotonic() < deadline and running.poll() is None:
        try:
            url = f"http://127.0.0.1:{port}{ROW.ready_path}"
            if requests.get(url, timeout=2).status_code == 200:
                return True
        except requests.ConnectionError:
            time.sleep(0.2)
    return False


def test_it_starts_in_the_working_directory_of_its_row(workshop: Workshop, main: Object) -> None:
    running, log, port = start(workshop, main, main["workingDir"])
    assert is_ready(running, port), log.read_text()[-2000:]


def test_it_does_not_start_in_that_of_its_image(workshop: Workshop, main: Object) -> None:
    running, log, port = start(workshop, main, IMAGES_FOLDER)
    assert not is_ready(running, port), "then the row would need no working_dir"
    said = log.read_text()
    assert "Permission" in said, f"whoever is not in group 0 may look at nothing there: {said}"
    assert running.poll() not in (None, 0)
