"""The API server that all tests of this folder share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import yaml

from components.kube_client import KubeClient
from tests.engine.guarded_server import Server, guarded_server


@pytest.fixture(scope="package")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One region's API server with everything applied and the guard in force."""
    yield from guarded_server(tmp_path_factory.mktemp("guard") / "tree")


@pytest.fixture(scope="package")
def api(server: Server) -> KubeClient:
    """As the gates ask it."""
    told = yaml.safe_load(server.kubeconfig.read_text(encoding="utf-8"))
    return KubeClient(str(server.kubeconfig), told["current-context"])
