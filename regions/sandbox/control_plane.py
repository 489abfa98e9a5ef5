"""One region's own API server with its store, controllers, scheduler and simulated kubelets.

Where they listen and with which credentials is a `Place`: the host's loopback, or a network
namespace with real machines beside it (node/region.py).
"""

from __future__ import annotations

import base64
import json
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import yaml

from regions.sandbox import processes
from regions.sandbox.errors import SandboxError
from regions.sandbox.kube import Cluster, connect
from regions.sandbox.layout import (
    BIN,
    ROOT,
    certificates_of,
    kubeconfig_of,
    region_home,
    write_atomically,
)
from regions.sandbox.ports import ports

READY_TIMEOUT_SECONDS: Final = 180
STAGES: Final = Path(__file__).with_name("stages.yaml")
LISTENING: Final = ("etcd", "etcd-peer", "kube-apiserver")
"""What has a port of its own."""
PARTS: Final = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok")
"""In the order of their start; they are ended in the reverse order."""

# A /24 is full after 254 Services.
_SERVICE_RANGE: Final = "10.0.0.0/16"
SIMULATED_PODS: Final = "10.64.0.0/12"
"""The addresses that kwok gives to pods; nobody listens there."""
# Enough for hundreds of Deployments at once: the default of 20 requests a second isn't.
_CLIENT_RATE: Final = ("--kube-api-qps=500", "--kube-api-burst=1000")
# RFC 5915 ECPrivateKey on P-256 without the optional public half.
_EC_KEY_HEAD: Final = bytes.fromhex("30310201010420")
_EC_KEY_TAIL: Final = bytes.fromhex("a00a06082a8648ce3d030107")
_P256_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the parts listen, how they are started, and further arguments by part."""

    region: str
    address: str
    ports: Mapping[str, int]
    authority: Path
    """The certificate by which clients know the API server; it may come with the server."""
    service_range: str
    enter: tuple[str, ...] = ()
    environment: Mapping[str, str] | None = None
    """Of its programs; this process' own where none is given."""
    arguments: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """The API server's address."""
        return f"https://{self.address}:{self.ports['kube-apiserver']}"


def on_loopback(region: str) -> Place:
    """The place of a region without a network, all of whose nodes are simulated."""
    chosen = ports()
    folder = certificates_of(region)
    return Place(
        region=region,
        address="127.0.0.1",
        ports={part: chosen[f"{region}.{part}"] for part in LISTENING},
        authority=folder / "apiserver.crt",
        service_range=_SERVICE_RANGE,
        arguments={"kube-apiserver": (f"--cert-dir={folder}", "--authorization-mode=RBAC")},
    )


def start(place: Place) -> Cluster:
    """Start what doesn't run yet, wait until the API is ready, write the kubeconfig.

    Raises SandboxError with the end of the log when a part stops or isn't ready in time.
    """
    region = place.region
    home = region_home(region)
    certificates_of(region).mkdir(parents=True, exist_ok=True)
    token = _token(home / "token")
    _write_token_table(home / "tokens.csv", token)
    _write_signing_key(home / "service-account.key")
    _start_part(place, "etcd")
    _start_part(place, "kube-apiserver")
    certificate = _wait_for(region, place.authority)
    _write_kubeconfig(place, token, certificate)
    cluster = connect(region, kubeconfig_of(region))
    _wait_until_ready(region, cluster)
    for part in PARTS[2:]:
        _start_part(place, part)
    return cluster


def issuer_of(region: str) -> str:
    """The issuer of the region's ServiceAccount tokens, by its profile: roles of AWS trust it.

    The API server's own name where there is no profile, or the region has no such roles.
    """
    return cluster_facts(region).get("oidc_issuer") or "kubernetes.default.svc"


def cluster_facts(region: str) -> dict[str, str]:
    """What the region's profile says of its cluster; nothing where there is no profile."""
    profile = ROOT / "regions" / f"{region}.yaml"
    said = yaml.safe_load(profile.read_text()) if profile.exists() else None
    found: dict[str, str] = (said or {}).get("cluster", {})
    return found


def start_simulation(region: str) -> None:
    """Start what lets simulated nodes live, unless it runs."""
    processes.start(f"{region}.kwok", [str(BIN / "kwok"), *_kwok(region)])


def stop(region: str) -> int:
    """End the region's parts, each before the one it leans on; how many ran."""
    # An API server that outlives its etcd would keep the port.
    return sum(processes.stop(f"{region}.{part}") for part in reversed(PARTS))


def _start_part(place: Place, part: str) -> None:
    own = place.arguments.get(part, ())
    argv = [*place.enter, str(BIN / part), *_ARGUMENTS[part](place), *own]
    processes.start(f"{place.region}.{part}", argv, place.environment)


def _etcd(place: Place) -> list[str]:
    client = f"http://127.0.0.1:{place.ports['etcd']}"
    peer = f"http://127.0.0.1:{place.ports['etcd-peer']}"
    return [
        f"--data-dir={region_home(place.region) / 'etcd'}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
        "--unsafe-no-fsync",
        "--log-level=warn",
    ]


def _apiserver(place: Place) -> list[str]:
    home = region_home(place.region)
    key = home / "service-account.key"
    return [
        f"--etcd-servers=http://127.0.0.1:{place.ports['etcd']}",
        f"--bind-address={place.address}",
        f"--secure-port={place.ports['kube-apiserver']}",
        "--kubelet-preferred-address-types=InternalIP",
        f"--service-account-issuer=https://{issuer_of(place.region)}",
        f"--service-account-signing-key-file={key}",
        f"--service-account-key-file={key}",
        f"--service-cluster-ip-range={place.service_range}",
        f"--token-auth-file={home / 'tokens.csv'}",
        "--allow-privileged=true",
    ]


def _controller_manager(place: Place) -> list[str]:
    key = region_home(place.region) / "service-account.key"
    return [
        f"--kubeconfig={kubeconfig_of(place.region)}",
        f"--service-account-private-key-file={key}",
        "--leader-elect=false",
        # No cloud, and pod networks are the machines' own: nobody would answer these two.
        "--controllers=*,-node-ipam-controller,-node-route-controller",
        "--secure-port=0",
        *_CLIENT_RATE,
    ]


def _scheduler(place: Place) -> list[str]:
    config = f"--kubeconfig={kubeconfig_of(place.region)}"
    return [config, "--leader-elect=false", "--secure-port=0", *_CLIENT_RATE]


def _kwok(region: str) -> list[str]:
    return [
        f"--kubeconfig={kubeconfig_of(region)}",
        f"--config={STAGES}",
        "--manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake",
        f"--cidr={SIMULATED_PODS}",
        "--node-ip=10.48.0.1",
    ]


_ARGUMENTS: Final[dict[str, Callable[[Place], list[str]]]] = {
    "etcd": _etcd,
    "kube-apiserver": _apiserver,
    "kube-controller-manager": _controller_manager,
    "kube-scheduler": _scheduler,
    "kwok": lambda place: _kwok(place.region),
}


def _token(path: Path) -> str:
    if not path.exists():
        write_atomically(path, secrets.token_urlsafe(32), mode=0o600)
    return path.read_text()


def _write_token_table(path: Path, token: str) -> None:
    write_atomically(path, f'{token},sandbox,sandbox,"system:masters"\n', mode=0o600)


def _write_signing_key(path: Path) -> None:
    if path.exists():
        return
    scalar = secrets.randbelow(_P256_ORDER - 1) + 1
    der = _EC_KEY_HEAD + scalar.to_bytes(32, "big") + _EC_KEY_TAIL
    body = base64.encodebytes(der).decode()
    pem = f"-----BEGIN EC PRIVATE KEY-----\n{body}-----END EC PRIVATE KEY-----\n"
    write_atomically(path, pem, mode=0o600)


def _write_kubeconfig(place: Place, token: str, certificate: str) -> None:
    region = place.region
    authority = base64.b64encode(certificate.encode()).decode()
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": region,
        "clusters": [
            {
                "name": region,
                "cluster": {"server": place.url, "certificate-authority-data": authority},
            }
        ],
        "users": [{"name": region, "user": {"token": token}}],
        "contexts": [{"name": region, "context": {"cluster": region, "user": region}}],
    }
    text = json.dumps(document, indent=2) + "\n"
    path = kubeconfig_of(region)
    # Untouched when the same: clients that watch the file needn't load it again.
    if not path.exists() or path.read_text() != text:
        write_atomically(path, text, mode=0o600)


def _wait_for(region: str, path: Path) -> str:
    deadline = time.monotonic() + READY_TIMEOUT_SECONDS
    while time.monotonic() < deadline:
        if path.exists() and "-----END CERTIFICATE-----" in (text := path.read_text()):
            return text
        _require_parts(region)
        time.sleep(0.02)
    raise SandboxError(f"region {region}: kube-apiserver wrote no {path}")


def _wait_until_ready(region: str, cluster: Cluster) -> None:
    deadline = time.monotonic() + READY_TIMEOUT_SECONDS
    while not cluster.is_ready():
        _require_parts(region)
        if time.monotonic() > deadline:
            log = processes.log_file(f"{region}.kube-apiserver")
            raise SandboxError(
                f"region {region}: the API server at {cluster.url} isn't ready after "
                f"{READY_TIMEOUT_SECONDS} s. Last lines of {log}:\n{processes.tail(log)}"
            )
        time.sleep(0.05)


def _require_parts(region: str) -> None:
    for part in PARTS[:2]:
        processes.require_running(f"{region}.{part}")
