"""AWS in an AWS-shaped region of real machines: S3 and STS by AWS's own names, at port 443.

    python -m regions.sandbox.node.aws REGION ADDRESS

Its programs ask for s3.us-east-1.amazonaws.com, as on AWS, and the region's DNS answers with the
host's address. There TLS ends, with a certificate of the region's authority, and connections go on
to the local AWS. Beside it answers the webhook that gives pods their roles (pod_identity.py).
"""

from __future__ import annotations

import asyncio
import ssl
import sys
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from regions.sandbox import processes
from regions.sandbox.forwarder import forward
from regions.sandbox.kube import Object, connect
from regions.sandbox.layout import certificates_of, kubeconfig_of
from regions.sandbox.node import pod_identity
from regions.sandbox.node.certificates import authority, issue
from regions.sandbox.node.network import Network
from regions.sandbox.object_store import AWS_REGION
from regions.sandbox.ports import object_store_url

PORT: Final = 443
# boto3 asks for S3 of us-east-1 by the name without a region.
_S3: Final = ("s3.amazonaws.com", f"s3.{AWS_REGION}.amazonaws.com")
NAMES: Final = (*_S3, "sts.amazonaws.com", f"sts.{AWS_REGION}.amazonaws.com")
_ANSWER_SECONDS: Final = 20.0


def serve(region: str, network: Network) -> None:
    """Start both, unless they run, and wait until they listen; the sandbox has its ports by then.

    Raises SandboxError when they don't listen in time.
    """
    object_store_url()
    argv = [sys.executable, "-m", "regions.sandbox.node.aws", region, network.host_address]
    processes.start(_daemon(region), argv, processes.python_env())
    places = [(network.host_address, port) for port in (PORT, pod_identity.PORT)]
    processes.await_listening(_daemon(region), places, _ANSWER_SECONDS)


def stop(region: str) -> bool:
    """End both; whether they ran."""
    return processes.stop(_daemon(region))


def objects(region: str, network: Network) -> tuple[Object, ...]:
    """What the cluster has to know: AWS's names, and the webhook."""
    root = authority(certificates_of(region)).certificate.read_bytes()
    return (
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "coredns-custom", "namespace": "kube-system"},
            "data": {"aws.server": zones(network)},
        },
        pod_identity.configuration(network.host_address, root),
    )


def tls_of(folder: Path, address: str) -> ssl.SSLContext:
    """TLS as AWS and the webhook have it, with a certificate of the authority in `folder`."""
    places = (*NAMES, *(f"*.{name}" for name in _S3), address)
    pair = issue(authority(folder), "aws", "aws", "", places)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(pair.certificate, pair.key)
    return tls


def zones(network: Network) -> str:
    """AWS's names and all below them, as CoreDNS reads it (its plugin `template`)."""
    return f"""{" ".join(f"{name}:53" for name in NAMES)} {{
    errors
    template IN A {{
        answer "{{{{ .Name }}}} 5 IN A {network.host_address}"
    }}
    template IN ANY {{
        rcode NOERROR
    }}
}}
"""


def _daemon(region: str) -> str:
    return f"{region}.aws"


async def _answer(region: str, address: str) -> None:
    store, tls = urlsplit(object_store_url()), tls_of(certificates_of(region), address)
    cluster = connect(region, kubeconfig_of(region))
    pod_identity.serve(cluster, address, AWS_REGION, tls)
    server = await forward((address, PORT), (str(store.hostname), store.port or 0), tls)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_answer(*sys.argv[1:]))
