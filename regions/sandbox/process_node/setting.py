"""What all containers of one pod share, and each container as it is to be run."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from regions.sandbox.kube import Cluster, Object
from regions.sandbox.layout import hosts_file
from regions.sandbox.process_node import images, volumes
from regions.sandbox.process_node.environment import (
    ConfigError,
    expanded,
    of_the_api_server,
    variables,
)
from regions.sandbox.process_node.notices import Notices
from regions.sandbox.process_node.spec import Container
from regions.sandbox.process_node.user import user_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """The node: where its things lie, what its pods may use, who hears of their troubles."""

    cluster: Cluster
    region: str
    name: str
    address: str
    home: Path
    allocatable: Mapping[str, str]
    notices: Notices


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One pod on its node. `pod` has its addresses in its status, and its role's volume."""

    machine: Machine
    pod: Object
    address: str
    volumes: Mapping[str, Path]

    @property
    def folder(self) -> Path:
        """Everything of the pod that goes with it."""
        return pod_folder(self.machine, self.pod)

    def spec(self, name: str) -> Object:
        """What the placed pod says of a container."""
        spec = self.pod["spec"]
        everyone = [*(spec.get("initContainers") or ()), *spec["containers"]]
        found: Object = next(one for one in everyone if one["name"] == name)
        return found

    def tell(self, container: str, reason: str, message: str, *, warns: bool = True) -> None:
        """Write an event about one of the pod's containers."""
        self.machine.notices.tell(self.pod, container, reason, message, warns=warns)

    def container(self, spec: Object, run: int) -> Container:
        """The `run`th run of a container.

        Raises ConfigError, ImageError, VolumeError, and SandboxError when the API is away.
        """
        refuse(spec)
        env = variables(spec, self.pod, self.machine.allocatable, self._read)
        program = images.command(spec["image"], expanded(spec, env), self.address)
        meta, own = self.pod["metadata"], spec.get("securityContext") or {}
        return Container(
            argv=tuple(program.argv),
            env={**program.env, **of_the_api_server(self.machine.cluster.url), **env},
            mounts=volumes.mounts_of(spec, dict(self.volumes)),
            hosts=hosts_file(self.machine.region),
            user=user_of(spec, self.pod),
            read_only_root=bool(own.get("readOnlyRootFilesystem")),
            working_directory=spec.get("workingDir") or "/",
            home=self.folder / "runs" / f"{spec['name']}-{run}",
            log=log_file(self.machine, meta["namespace"], meta["name"], spec["name"]),
        )

    def _read(self, kind: str, name: str) -> Mapping[str, str] | None:
        plural = {"configMap": "configmaps", "secret": "secrets"}[kind]
        namespace = self.pod["metadata"]["namespace"]
        found = self.machine.cluster.get(f"/api/v1/namespaces/{namespace}/{plural}/{name}")
        if found is None:
            return None
        data: dict[str, str] = found.get("data") or {}
        if kind == "configMap":
            return data
        return {key: base64.b64decode(text).decode() for key, text in data.items()}


def pod_folder(machine: Machine, pod: Object) -> Path:
    """The folder of one pod."""
    return machine.home / "pods" / str(pod["metadata"]["uid"])


def log_file(machine: Machine, namespace: str, pod: str, container: str) -> Path:
    """Where a container's output goes; it stays when the pod goes."""
    return log_of(machine.home, namespace, pod, container)


def log_of(home: Path, namespace: str, pod: str, container: str) -> Path:
    """The same, of the node whose folder is `home`."""
    return home / "logs" / f"{namespace}_{pod}_{container}.log"


def refuse(spec: Object) -> None:
    """Raise ConfigError for what a kubelet can do and a process node can't."""
    for kind in ("startupProbe", "livenessProbe", "readinessProbe"):
        if "grpc" in (spec.get(kind) or {}):
            raise ConfigError(f"{kind}: process nodes know no grpc; use httpGet, tcpSocket or exec")
    if (spec.get("lifecycle") or {}).get("postStart"):
        raise ConfigError("process nodes know no lifecycle.postStart; use an init container")
