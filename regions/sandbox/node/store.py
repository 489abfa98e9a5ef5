"""The object store in a region of real machines: a port at the host's address, and its Service.

    python -m regions.sandbox.node.store ADDRESS

The store itself listens on the host's loopback alone; a region sees no more of the host than this.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Final
from urllib.parse import urlsplit

from regions.sandbox import processes
from regions.sandbox.forwarder import forward
from regions.sandbox.kube import Object
from regions.sandbox.node.network import Network
from regions.sandbox.ports import object_store_url

PORT: Final = 9000
_ANSWER_SECONDS: Final = 20.0


def serve(region: str, network: Network) -> None:
    """Lead the host's address to the store, unless it is led there.

    Raises SandboxError where somebody else holds the port.
    """
    argv = [sys.executable, "-m", "regions.sandbox.node.store", network.host_address]
    processes.start(_daemon(region), argv, processes.python_env())
    places = [(network.host_address, PORT)]
    processes.await_listening(_daemon(region), places, _ANSWER_SECONDS)


def stop(region: str) -> bool:
    """End it; whether it ran."""
    return processes.stop(_daemon(region))


def objects(endpoint: str, network: Network) -> tuple[Object, ...]:
    """The namespace and the Service of a profile's `endpoint`, `http://NAME.NAMESPACE.svc:PORT`,
    and where it leads. The namespace is none of ours: in these the guard lets no such Service in.
    """
    url = urlsplit(endpoint)
    name, namespace, *_ = str(url.hostname).split(".")
    head = {"name": name, "namespace": namespace}
    to_service = {"labels": {"kubernetes.io/service-name": name}}
    port = {"name": "http", "port": url.port}
    return (
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}},
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": head,
            "spec": {"ports": [{**port, "targetPort": PORT}]},
        },
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {**head, **to_service},
            "addressType": "IPv4",
            "endpoints": [{"addresses": [network.host_address]}],
            "ports": [{**port, "port": PORT}],
        },
    )


def _daemon(region: str) -> str:
    return f"{region}.store"


async def _forward(address: str) -> None:
    store = urlsplit(object_store_url())
    server = await forward((address, PORT), (str(store.hostname), store.port or 0))
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_forward(sys.argv[1]))
