"""The gateway's stand-in as a pod: kube-proxy and the cluster's DNS do the rest there.

    python -m regions.sandbox.traffic.in_cluster RANGE

Leads to pods that have addresses of RANGE: simulated ones have others, and nobody listens there.
Runs until SIGTERM, and asks the API server with the pod's own ServiceAccount.
"""

from __future__ import annotations

import asyncio
import os
import ssl
import sys
from ipaddress import IPv4Network
from pathlib import Path
from typing import Final

import aiohttp

from regions.sandbox.traffic.carrier import Carrier, carry

_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_EVERYWHERE: Final = "0.0.0.0"
_FIRST_FREE_PORT: Final = 1024
_SHIFT: Final = 10000


def container_port(port: int) -> int:
    """Where a proxy takes what its listener takes at `port`: without root never below 1024.

    As envoyproxy/gateway v1.6 has it: internal/gatewayapi/helpers.go, servicePortToContainerPort.
    """
    return port + _SHIFT if port < _FIRST_FREE_PORT else port


def open_session() -> aiohttp.ClientSession:
    """A session that the API server lets in as this pod."""
    context = ssl.create_default_context(cafile=str(_ACCOUNT / "ca.crt"))
    host, port = (os.environ[f"KUBERNETES_SERVICE_{name}"] for name in ("HOST", "PORT"))
    return aiohttp.ClientSession(
        f"https://{host}:{port}",
        connector=aiohttp.TCPConnector(ssl=context),
        middlewares=(_signed,),
    )


async def _signed(
    request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    # Read anew each time: the kubelet changes the token before it ends.
    request.headers["Authorization"] = f"Bearer {(_ACCOUNT / 'token').read_text()}"
    return await send(request)


async def run(pods: IPv4Network) -> None:
    """Answer for the routes of this cluster until SIGTERM or SIGINT."""
    later = asyncio.get_running_loop().call_later
    await carry(Carrier(_EVERYWHERE, pods, container_port, later), open_session(), _EVERYWHERE)


if __name__ == "__main__":
    asyncio.run(run(IPv4Network(sys.argv[1])))
