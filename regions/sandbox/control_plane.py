"""One region's own API server with its store, controllers, scheduler and simulated kubelets."""

from __future__ import annotations

import base64
import json
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from regions.sandbox import processes
from regions.sandbox.errors import SandboxError
from regions.sandbox.kube import Cluster, connect
from regions.sandbox.layout import (
    BIN,
    certificates_of,
    kubeconfig_of,
    region_home,
    write_atomically,
)
from regions.sandbox.ports import ports

READY_TIMEOUT_SECONDS: Final = 60
STAGES: Final = Path(__file__).with_name("stages.yaml")
PARTS: Final = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok")
"""In the order of their start; they are ended in the reverse order."""

# A /24 is full after 254 Services.
_SERVICE_RANGE: Final = "10.0.0.0/16"
_POD_RANGE: Final = "10.64.0.0/12"
# Enough for hundreds of Deployments at once: the default of 20 requests a second isn't.
_CLIENT_RATE: Final = ("--kube-api-qps=500", "--kube-api-burst=1000")
# RFC 5915 ECPrivateKey on P-256 without the optional public half.
_EC_KEY_HEAD: Final = bytes.fromhex("30310201010420")
_EC_KEY_TAIL: Final = bytes.fromhex("a00a06082a8648ce3d030107")
_P256_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def start(region: str) -> Cluster:
    """Start what doesn't run yet, wait until the API is ready, write the kubeconfig.

    Raises SandboxError with the end of the log when a part stops or isn't ready in time.
    """
    home = region_home(region)
    certificates_of(region).mkdir(parents=True, exist_ok=True)
    token = _token(home / "token")
    _write_token_table(home / "tokens.csv", token)
    _write_signing_key(home / "service-account.key")
    _start_part(region, "etcd")
    _start_part(region, "kube-apiserver")
    certificate = _wait_for(region, certificates_of(region) / "apiserver.crt")
    _write_kubeconfig(region, token, certificate)
    cluster = connect(region, kubeconfig_of(region))
    _wait_until_ready(region, cluster)
    for part in PARTS[2:]:
        _start_part(region, part)
    return cluster


def start_simulation(region: str) -> None:
    """Start only what lets simulated nodes live, beside an existing cluster's own control plane."""
    _start_part(region, "kwok")


def stop(region: str) -> int:
    """End the region's parts, each before the one it leans on; how many ran."""
    # An API server that outlives its etcd would keep the port.
    return sum(processes.stop(f"{region}.{part}") for part in reversed(PARTS))


def _start_part(region: str, part: str) -> None:
    arguments = _ARGUMENTS[part](region)
    processes.start(f"{region}.{part}", [str(BIN / part), *arguments])


def _etcd(region: str) -> list[str]:
    chosen = ports()
    client = f"http://127.0.0.1:{chosen[f'{region}.etcd']}"
    peer = f"http://127.0.0.1:{chosen[f'{region}.etcd-peer']}"
    return [
        f"--data-dir={region_home(region) / 'etcd'}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
        "--unsafe-no-fsync",
        "--log-level=warn",
    ]


def _apiserver(region: str) -> list[str]:
    home, chosen = region_home(region), ports()
    key = home / "service-account.key"
    return [
        f"--etcd-servers=http://127.0.0.1:{chosen[f'{region}.etcd']}",
        "--bind-address=127.0.0.1",
        f"--secure-port={chosen[f'{region}.kube-apiserver']}",
        f"--cert-dir={certificates_of(region)}",
        "--kubelet-preferred-address-types=InternalIP",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-signing-key-file={key}",
        f"--service-account-key-file={key}",
        f"--service-cluster-ip-range={_SERVICE_RANGE}",
        f"--token-auth-file={home / 'tokens.csv'}",
        "--authorization-mode=RBAC",
        "--allow-privileged=true",
    ]


def _controller_manager(region: str) -> list[str]:
    return [
        f"--kubeconfig={kubeconfig_of(region)}",
        f"--service-account-private-key-file={region_home(region) / 'service-account.key'}",
        "--leader-elect=false",
        # No cloud and no pod network here: nobody would answer these two.
        "--controllers=*,-node-ipam-controller,-node-route-controller",
        "--secure-port=0",
        *_CLIENT_RATE,
    ]


def _scheduler(region: str) -> list[str]:
    config = f"--kubeconfig={kubeconfig_of(region)}"
    return [config, "--leader-elect=false", "--secure-port=0", *_CLIENT_RATE]


def _kwok(region: str) -> list[str]:
    return [
        f"--kubeconfig={kubeconfig_of(region)}",
        f"--config={STAGES}",
        "--manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake",
        f"--cidr={_POD_RANGE}",
        "--node-ip=10.48.0.1",
    ]


_ARGUMENTS: Final[dict[str, Callable[[str], list[str]]]] = {
    "etcd": _etcd,
    "kube-apiserver": _apiserver,
    "kube-controller-manager": _controller_manager,
    "kube-scheduler": _scheduler,
    "kwok": _kwok,
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


def _write_kubeconfig(region: str, token: str, certificate: str) -> None:
    authority = base64.b64encode(certificate.encode()).decode()
    server = f"https://127.0.0.1:{ports()[f'{region}.kube-apiserver']}"
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": region,
        "clusters": [
            {
                "name": region,
                "cluster": {"server": server, "certificate-authority-data": authority},
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
