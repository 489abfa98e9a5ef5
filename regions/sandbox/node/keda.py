"""KEDA on a region's first machine: by its own manifests, from images that are made here.

The manifests are those of the Go module that the programs are built of (config/default), read as
kustomize reads them. The custom resource definitions among them come by crds.py.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import yaml

from regions.addons import ADDONS
from regions.sandbox import crds
from regions.sandbox.kube import Cluster, Object
from regions.sandbox.layout import BIN, BUILD, write_atomically
from regions.sandbox.node import images, region
from regions.sandbox.node.images import PYTHON_IMAGE, Image
from regions.sandbox.node.network import Network

ROW: Final = ADDONS["keda"]
PROGRAMS: Final = {
    "keda": "keda",
    "keda-metrics-apiserver": "keda-adapter",
    "keda-admission-webhooks": "keda-admission-webhooks",
}
"""The last part of each image's name, and the program that it runs."""
_API_SERVICE: Final = "/apis/apiregistration.k8s.io/v1/apiservices/v1beta1.external.metrics.k8s.io"
_WEBHOOKS: Final = (
    "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/keda-admission"
)
_CHART_NAMES: Final = {
    "keda-metrics-apiserver": "keda-operator-metrics-apiserver",
    "keda-admission": "keda-admission-webhooks",
}
"""The Deployments that KEDA's manifests and its chart name differently; regions.addons has the
chart's names."""
_HOST: Final = "ghcr.io/kedacore"
_DEPLOYMENTS: Final = f"/apis/apps/v1/namespaces/{ROW.namespace}/deployments"
# No CPU: where a machine is as small as its agent and one server, these have all of it.
_RESOURCES: Final = {"requests": {"memory": "64Mi"}, "limits": {"memory": "512Mi"}}
# A second by default: on a busy machine they would be killed for what others do.
_PATIENT: Final = {"timeoutSeconds": 10}


def install(cluster: Cluster, network: Network) -> None:
    """Put the images into the region's registry, and KEDA onto the first machine.

    Raises SandboxError where its module is not to be had, or that machine has not come.
    """
    pushed = {}
    for name, program in PROGRAMS.items():
        # Over a Debian, for its time zones and authorities: KEDA's own images have both.
        layer, entrypoint = images.layer_of(BIN / program), (f"/{program}",)
        tagged = f"{_HOST}/{name}:{ROW.version}"
        image = Image(tagged, PYTHON_IMAGE, layer, entrypoint, "65532:65532", "/")
        pushed[name] = images.pinned(tagged, images.push(image, network))
    machine = region.name_of(cluster, network.machine_address(1))
    for made in manifests():
        region.apply(cluster, placed(made, pushed, machine))


def await_serving(cluster: Cluster) -> None:
    """Wait until its parts run, and the API server asks them. Raises SandboxError."""
    paths = [f"{_DEPLOYMENTS}/{one.partition('/')[2]}" for one in ROW.workloads]
    region.await_condition(cluster, "Available", *paths, _API_SERVICE)
    region.await_that(cluster, "KEDA's webhooks to be trusted", lambda: _is_trusted(cluster))


def _is_trusted(cluster: Cluster) -> bool:
    """Whether the operator has told the API server by which authority it knows the webhooks."""
    hooks = (cluster.get(_WEBHOOKS) or {"webhooks": [{"clientConfig": {}}]})["webhooks"]
    return all("caBundle" in one["clientConfig"] for one in hooks)


def manifests() -> list[Object]:
    """KEDA's own manifests at our version, without its definitions; cached on disk."""
    cache = BUILD / f"keda-{ROW.version}.json"
    if not cache.exists():
        made = list(_read(crds.module_folder(crds.KEDA) / "config" / "default"))
        write_atomically(cache, json.dumps(made))
    loaded: list[Object] = json.loads(cache.read_text())
    return loaded


def placed(made: Object, pushed: Mapping[str, str], machine: str) -> Object:
    """A manifest as the region has it: Deployments on one machine, from the region's registry."""
    if made["kind"] != "Deployment":
        return made
    metadata, template = made["metadata"], made["spec"]["template"]
    (container,) = template["spec"]["containers"]
    name = container["image"].rpartition("/")[2].partition(":")[0]
    changed = {
        **container,
        # It is one pod. With an election it would wait for the lease of the container that ended
        # when the certificates came.
        "args": [one for one in container["args"] if one != "--leader-elect"],
        "image": pushed[name],
        "imagePullPolicy": "IfNotPresent",
        "resources": _RESOURCES,
        "livenessProbe": {**container["livenessProbe"], **_PATIENT},
        "readinessProbe": {
            **container["readinessProbe"],
            **_PATIENT,
            "initialDelaySeconds": 0,
            "periodSeconds": 1,
        },
    }
    pod = {**template["spec"], "containers": [changed], **region.on_machine(machine)}
    return {
        **made,
        "metadata": {**metadata, "name": _CHART_NAMES.get(metadata["name"], metadata["name"])},
        "spec": {
            **made["spec"],
            "strategy": {"type": "Recreate"},
            "template": {**template, "spec": pod},
        },
    }


def _read(folder: Path) -> Iterator[Object]:
    """The objects of a kustomization whose resources are kustomizations, with labels for all."""
    told = _kustomization(folder)
    labels: dict[str, str] = {}
    for name in told["transformers"]:
        labels |= yaml.safe_load((folder / name).read_text())["labels"]
    # KEDA's release writes its version there (its Makefile, target `release`).
    labels["app.kubernetes.io/version"] = ROW.version
    for below in told["resources"]:
        if below != "../crd":
            yield from (_labelled(made, labels) for made in _resources(folder / below))


def _resources(folder: Path) -> Iterator[Object]:
    told = _kustomization(folder)
    pairs = {key: said for one in told.get("labels", ()) for key, said in one["pairs"].items()}
    for name in told["resources"]:
        for made in yaml.safe_load_all((folder / name).read_text()):
            if made:  # a file may begin with ---
                yield _labelled(made, pairs)


def _kustomization(folder: Path) -> Object:
    told: Object = yaml.safe_load((folder / "kustomization.yaml").read_text())
    return told


def _labelled(made: Object, labels: Mapping[str, str]) -> Object:
    metadata = made["metadata"]
    return {**made, "metadata": {**metadata, "labels": {**metadata.get("labels", {}), **labels}}}
