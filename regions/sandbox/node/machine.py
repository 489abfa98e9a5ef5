"""A real machine of a region: kubelet, containerd with runc, CNI, kube-proxy and kube-router.

All of them run in a network namespace (network.py) and in a PID and mount namespace of their own:
the machine is one process of the host (init.py), and all that runs on it ends with that process.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

from regions.sandbox import processes
from regions.sandbox.errors import SandboxError
from regions.sandbox.layout import BIN, HOME, LOG, certificates_of, region_home, write_atomically
from regions.sandbox.node import cgroups, disk
from regions.sandbox.node.certificates import Pair, issue
from regions.sandbox.node.network import (
    DNS_SERVICE,
    POD_RANGE,
    Network,
    enter,
    make_machine,
    processes_in,
    remove_machine,
)
from regions.sandbox.node.packages import environment

PAUSE_IMAGE: Final = "isoserve.dev/pause:1"
REGISTRY_PORT: Final = 5000
CLUSTER_DOMAIN: Final = "cluster.local"
LABEL: Final = "isoserve.dev/sandbox-machine"
"""Nodes that are real have it, with the value `true`."""
_COVERED: Final = (Path("/run"), Path("/var"))
_END_SECONDS: Final = 10.0
_SOCKET: Final = "/run/containerd/containerd.sock"
_DISK_EVICTION: Final = {
    "nodefs.available": "10%",
    "nodefs.inodesFree": "5%",
    "imagefs.available": "15%",
}
"""The kubelet's own hard thresholds for disks (kubernetes v1.36.1,
pkg/kubelet/eviction/defaults_linux.go): of one file system for all, the highest counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What one machine is called, and what its kubelet says of it when it joins."""

    region: str
    index: int
    name: str
    cpu: int = 0
    """The processors that its kubelet reports, 0 for those of this machine; so is the memory. Pods
    share what there is."""
    memory_gib: int = 0
    labels: Mapping[str, str] = field(default_factory=dict)
    taints: Sequence[Mapping[str, str]] = ()
    eviction: Mapping[str, str] = field(default_factory=lambda: {"memory.available": "100Mi"})
    """The kubelet's hard thresholds; those for disks are added where it has one of its own."""
    disk_gib: int = 0
    """The size of its own disk; 0 where it shares the host's, for whose space it evicts nobody."""

    @property
    def home(self) -> Path:
        """Everything that is on it: its /var, the images, the files of its programs."""
        return region_home(self.region) / "machines" / self.name

    @property
    def disk(self) -> Path:
        """Its /var and the images, as the machine itself sees them."""
        return self.home / "disk"


def start(machine: Machine, network: Network, signer: Pair, api_url: str) -> bool:
    """Start the machine, unless it runs; whether it was started.

    Raises SandboxError where this user may not, or a program cannot be found on the machine.
    """
    if is_running(machine.region, machine.index):
        return False
    if any(HOME.resolve().is_relative_to(covered) for covered in _COVERED):
        raise SandboxError(f"{HOME}: a machine has a /run and a /var of its own; use another place")
    stop(machine.region, machine.index, network)
    make_machine(network, machine.index)
    cgroups.make(network.machine_namespace(machine.index))
    plan = _furnish(machine, network, signer, api_url)
    command = (sys.executable, "-I", "-S", str(Path(__file__).with_name("init.py")), str(plan))
    unshare = ("unshare", "--pid", "--mount", "--fork", "--kill-child", "--mount-proc")
    inside = enter(network.machine_namespace(machine.index))
    daemon = _daemon(machine.region, machine.index)
    processes.start(daemon, [*inside, *unshare, *command], environment())
    return True


def stop(region: str, index: int, network: Network) -> None:
    """End everything on machine `index`, which its disk survives.

    Raises SandboxError naming what does not end.
    """
    # `unshare` blocks SIGTERM; its child, process 1, is killed when it ends.
    processes.stop(_daemon(region, index), grace_seconds=0)
    space = network.machine_namespace(index)
    _end_rest(space)
    cgroups.remove(space)
    # Mounted a second time while it is still let go, a disk would be spoilt.
    for image in (region_home(region) / "machines").glob(f"*/{_image_name(index)}"):
        disk.await_release(image)


def remove(machine: Machine, network: Network) -> None:
    """End the machine, and remove its network, its certificate and its disk.

    Raises SandboxError naming what does not end.
    """
    stop(machine.region, machine.index, network)
    remove_machine(network, machine.index)
    own = Pair(certificates_of(machine.region), _certificate(machine.index))
    for path in (own.key, own.certificate):
        path.unlink(missing_ok=True)
    if machine.home.exists():
        shutil.rmtree(machine.home)


def is_running(region: str, index: int) -> bool:
    """Whether machine `index` runs."""
    return processes.is_running(_daemon(region, index))


def _certificate(index: int) -> str:
    """The name of the certificate of a machine's kubelet."""
    return f"kubelet-{index}"


def _daemon(region: str, index: int) -> str:
    """The name of a machine's process 1."""
    return f"{region}.machine-{index}"


def _image_name(index: int) -> str:
    """The file that is the disk of machine `index`."""
    return f"disk-{index}.ext4"


def _end_rest(namespace: str) -> None:
    """Kill what remains in the namespace, and wait until it has ended."""
    deadline = time.monotonic() + _END_SECONDS
    while left := processes_in(namespace):
        if time.monotonic() > deadline:
            raise SandboxError(f"{namespace}: these processes do not end: {left}")
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)


def _furnish(machine: Machine, network: Network, signer: Pair, api_url: str) -> Path:
    home, logs = machine.home, LOG
    for folder in (machine.disk, home / "cni", logs):
        folder.mkdir(parents=True, exist_ok=True)
    image = home / _image_name(machine.index)
    if machine.disk_gib:
        disk.make(image, machine.disk_gib)
    address = network.machine_address(machine.index)
    own = issue(
        signer,
        _certificate(machine.index),
        f"system:node:{machine.name}",
        "system:nodes",
        (address, machine.name),
    )
    configs = {
        "containerd.toml": _containerd(machine),
        "certs.d/_default/hosts.toml": _mirror(network),
        "cni/10-pods.conflist": json.dumps(_pod_network(home, network.pod_range(machine.index))),
        "kubelet.yaml": yaml.safe_dump(_kubelet(machine, network, signer, own)),
        "resolv.conf": "",
    }
    for user in ("kubelet", "kube-proxy", "kube-router"):
        pair = own if user == "kubelet" else issue(signer, user, f"system:{user}", "", ())
        configs[f"{user}.kubeconfig"] = json.dumps(_kubeconfig(api_url, signer, pair))
    for name, text in configs.items():
        write_atomically(home / name, text)
    daemon = _daemon(machine.region, machine.index)
    rows: list[dict[str, Any]] = [
        {"name": name, "command": words, "log": str(logs / f"{daemon}.{name}.log")}
        for name, words in _programs(machine, address).items()
    ]
    if absent := [row["command"][0] for row in rows if not Path(row["command"][0]).exists()]:
        raise SandboxError(f"not built: {', '.join(absent)}; run `python -m regions.sandbox build`")
    plan = home / "init.json"
    size = {"cpu": machine.cpu, "memory_gib": machine.memory_gib}
    mounted = {"disk": str(machine.disk), "image": str(image) if machine.disk_gib else ""}
    write_atomically(plan, json.dumps({**size, **mounted, "programs": rows}, indent=2))
    return plan


def _programs(machine: Machine, address: str) -> dict[str, list[str]]:
    home = machine.home
    own = {LABEL: "true", **machine.labels}
    labels = ",".join(f"{name}={value}" for name, value in own.items())
    return {
        "containerd": [str(BIN / "containerd"), f"--config={home / 'containerd.toml'}"],
        "kubelet": [
            str(BIN / "kubelet"),
            f"--config={home / 'kubelet.yaml'}",
            f"--kubeconfig={home / 'kubelet.kubeconfig'}",
            f"--hostname-override={machine.name}",
            f"--node-ip={address}",
            f"--node-labels={labels}",
        ],
        "kube-proxy": [
            str(BIN / "kube-proxy"),
            f"--kubeconfig={home / 'kube-proxy.kubeconfig'}",
            f"--hostname-override={machine.name}",
            "--proxy-mode=nftables",
            f"--cluster-cidr={POD_RANGE}",
            # The limits of connection tracking stay as the host has them.
            "--conntrack-max-per-core=0",
            "--conntrack-tcp-timeout-established=0s",
            "--conntrack-tcp-timeout-close-wait=0s",
        ],
        "kube-router": [
            str(BIN / "kube-router"),
            f"--kubeconfig={home / 'kube-router.kubeconfig'}",
            f"--hostname-override={machine.name}",
            "--run-firewall=true",
            "--run-router=false",
            "--run-service-proxy=false",
        ],
    }


def _containerd(machine: Machine) -> str:
    home = machine.home
    return f"""version = 3
root = "{machine.disk / "containerd"}"
state = "/run/containerd"
[grpc]
  address = "{_SOCKET}"
[plugins."io.containerd.cri.v1.images".pinned_images]
  sandbox = "{PAUSE_IMAGE}"
[plugins."io.containerd.cri.v1.images".registry]
  config_path = "{home / "certs.d"}"
[plugins."io.containerd.cri.v1.runtime"]
  # Root without CAP_SYS_RESOURCE, as in many containers, may not lower it.
  restrict_oom_score_adj = true
[plugins."io.containerd.cri.v1.runtime".cni]
  bin_dirs = ["{BIN}"]
  conf_dir = "{home / "cni"}"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
  BinaryName = "{BIN / "runc"}"
  SystemdCgroup = false
"""


def _mirror(network: Network) -> str:
    """Every image comes from the sandbox's own registry, whatever host its name has."""
    server = f"http://{network.api_address}:{REGISTRY_PORT}"
    return f'server = "{server}"\n[host."{server}"]\n  capabilities = ["pull", "resolve"]\n'


def _pod_network(home: Path, pods: str) -> dict[str, Any]:
    bridge = {
        "type": "bridge",
        "bridge": "pods",
        "isGateway": True,
        "hairpinMode": True,
        "ipam": {
            "type": "host-local",
            "dataDir": "/run/cni",
            "ranges": [[{"subnet": pods}]],
            "routes": [{"dst": "0.0.0.0/0"}],
        },
    }
    ports = {"type": "portmap", "capabilities": {"portMappings": True}}
    return {"cniVersion": "1.0.0", "name": "pods", "plugins": [bridge, ports]}


def _kubelet(machine: Machine, network: Network, signer: Pair, own: Pair) -> dict[str, Any]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "containerRuntimeEndpoint": f"unix://{_SOCKET}",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{network.machine_namespace(machine.index)}",
        "failCgroupV1": False,
        "failSwapOn": False,
        "tlsCertFile": str(own.certificate),
        "tlsPrivateKeyFile": str(own.key),
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(signer.certificate)},
        },
        "authorization": {"mode": "Webhook"},
        "clusterDomain": CLUSTER_DOMAIN,
        "clusterDNS": [DNS_SERVICE],
        # Pods resolve the region's own names only, never by the host's resolver.
        "resolvConf": str(machine.home / "resolv.conf"),
        "enforceNodeAllocatable": ["pods"],
        **_eviction(machine),
        "registerWithTaints": [dict(taint) for taint in machine.taints],
        "imageGCHighThresholdPercent": 100,
        "serializeImagePulls": False,
        # One minute and up to half of it more by default: so late a changed ConfigMap is in its
        # pods' volumes, and the cache agents hear of a new version.
        "syncFrequency": "10s",
        "shutdownGracePeriod": "0s",
    }


def _eviction(machine: Machine) -> dict[str, Any]:
    if not machine.disk_gib:
        return {"evictionHard": dict(machine.eviction)}
    return {
        "evictionHard": {**_DISK_EVICTION, **machine.eviction},
        # One minute and five by default: nobody waits so long here. Twice what lies between two
        # reports of the Node's status, so that no pressure goes by unseen.
        "volumeStatsAggPeriod": "10s",
        "evictionPressureTransitionPeriod": "20s",
    }


def _kubeconfig(url: str, signer: Pair, pair: Pair) -> dict[str, Any]:
    cluster = {"server": url, "certificate-authority": str(signer.certificate)}
    user = {"client-certificate": str(pair.certificate), "client-key": str(pair.key)}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "machine",
        "clusters": [{"name": "machine", "cluster": cluster}],
        "users": [{"name": "machine", "user": user}],
        "contexts": [{"name": "machine", "context": {"cluster": "machine", "user": "machine"}}],
    }
