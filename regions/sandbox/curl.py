"""A line to paste into a terminal, by which a person asks a model of the sandbox."""

from __future__ import annotations

import json
import shlex
from typing import Final
from urllib.parse import urlsplit

from regions.model_plan import ProbePlan
from regions.sandbox.node.network import network_of
from regions.sandbox.plans import plan_of

_PORT: Final = 80


def commands(region: str) -> dict[str, str]:
    """By model (`project/name`): the spec's own example request, the way a user's goes.

    Only of models that everybody may ask: private ones have no route, public ones want a sign-in.
    None in an existing cluster, which alone knows where its gateways listen. Raises SandboxError
    with what is wrong in the specs.
    """
    network = network_of(region)
    if network is None:
        return {}
    return {
        server.workload.id: _command(network.gateway_address("internal"), server.probe)
        for server in plan_of(region).servers
        if server.access.mode == "permissive"
    }


def _command(gateway: str, probe: ProbePlan) -> str:
    host = urlsplit(probe.url).hostname
    # No proxy of the environment knows addresses of this machine alone.
    words = ["curl", "-sS", "--fail-with-body", "--noproxy", "*"]
    words += ["--resolve", f"{host}:{_PORT}:{gateway}", probe.url]
    words += ["-H", "content-type: application/json", "-d", json.dumps(probe.body)]
    return shlex.join(words)
