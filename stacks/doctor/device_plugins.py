"""Whether the vendors' device plugins run on our GPU nodes, which offer no GPU without them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

from components.kube import Object
from model_specs.names import LABEL_MACHINE
from stacks.doctor.findings import Answers, Finding, Site, Unseen, inside, place_of
from stacks.doctor.pool_nodes import Pool, places, pools_of
from stacks.doctor.scheduling import Place, selects, untolerated

_CHECK: Final = "device-plugins"
_SETS: Final = "/apis/apps/v1/daemonsets"
_AMD: Final = re.compile(r"\b(amd|amdgpu|rocm)\b")
"""In the name of AMD's image or DaemonSet, whose repository is called as NVIDIA's."""
_WORDS: Final[dict[str, tuple[str, ...]]] = {
    "amd": ("k8s-device-plugin", "amdgpu-device-plugin", "amd-gpu-device-plugin"),
    "neuron": ("neuron-device-plugin",),
    "nvidia": ("k8s-device-plugin", "nvidia-device-plugin", "nvidia-gpu-device-plugin"),
}
"""By vendor, what stands in the image or the name of its device plugin's DaemonSet. Sources, read
2026-11-30: NVIDIA/k8s-device-plugin and NVIDIA/gpu-operator (nvidia-device-plugin-daemonset of the
same image); ROCm/k8s-device-plugin, helm/amd-gpu; aws-neuron/aws-neuron-sdk@28e8dce, src/k8."""
_INSTALL: Final[dict[str, str]] = {
    "amd": "helm install amd-gpu amd-gpu --repo https://rocm.github.io/k8s-device-plugin/ "
    "-n kube-system",
    "neuron": "helm install neuron oci://public.ecr.aws/neuron/neuron-helm-chart -n kube-system",
}
"""By vendor whose plugin is no add-on of regions.addons. Sources: ROCm/k8s-device-plugin,
README.md; the AWS Neuron documentation, Kubernetes setup."""
_ADDONS: Final = {"nvidia": "nvidia-device-plugin"}
_OTHER_PROGRAMS: Final = frozenset(
    {"config-manager", "gpu-feature-discovery", "mps-control-daemon"}
)
"""Other programs of NVIDIA's image, in DaemonSets of their own. Source: NVIDIA/k8s-device-plugin,
deployments/helm/nvidia-device-plugin/templates."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Misfit:
    """Why a DaemonSet's pods stay off a node, and what mends it."""

    why: str
    mend: str


def device_plugins(site: Site) -> Answers:
    """Every GPU pool with real nodes has a device plugin that the scheduler lets onto its nodes.

    Tolerations, nodeSelector and node affinity of its DaemonSet are matched with the labels and
    taints of the pools. Does not see a plugin that is no DaemonSet, or is named otherwise.
    """
    by_vendor: dict[str, list[Pool]] = {}
    for pool in pools_of(site):
        if pool.row.gpus:
            by_vendor.setdefault(pool.row.kind.vendor, []).append(pool)
    sets = (site.listed(_SETS) or []) if by_vendor else []
    for vendor, pools in sorted(by_vendor.items()):
        if vendor not in _WORDS:
            why = f"the device plugin of {vendor} is not known here"
            yield Unseen(check=_CHECK, why=why)
            continue
        found = [one for one in sets if _is_plugin(one, vendor)]
        yield from _misfits(pools, found) if found else _missing(site, pools, vendor)


def _is_plugin(made: Object, vendor: str) -> bool:
    name = str(inside(made, "metadata", "name"))
    for one in inside(made, "spec", "template", "spec", "containers") or ():
        image = str(one.get("image", "")).partition("@")[0]
        words = f"{image} {name}"
        is_amd = bool(_AMD.search(words))
        if vendor in ("amd", "nvidia") and is_amd != (vendor == "amd"):
            continue
        if any(word in words for word in _WORDS[vendor]) and not _is_other(one):
            return True
    return False


def _is_other(container: Object) -> bool:
    """Whether a container runs another program of the image."""
    words = [*(container.get("command") or ()), *(container.get("args") or ())]
    return bool({PurePosixPath(word).name for word in words} & _OTHER_PROGRAMS)


def _missing(site: Site, pools: Iterable[Pool], vendor: str) -> Answers:
    """No DaemonSet is one, though nodes may offer their GPUs by something else."""
    silent = [pool for pool in pools if not any(map(pool.advertised, pool.nodes))]
    loud = [pool.machine for pool in pools if pool not in silent]
    if silent:
        machines = ", ".join(pool.machine for pool in silent)
        resource = silent[0].row.kind.resource
        what = f"no DaemonSet is the device plugin of {vendor}: no node of {machines} will offer"
        mend = site.bring(_ADDONS[vendor]) if vendor in _ADDONS else _INSTALL[vendor]
        yield Finding(check=_CHECK, what=f"{what} {resource}", mend=mend)
    if loud:
        why = f"nodes of {', '.join(loud)} offer GPUs, by no DaemonSet that is known here"
        yield Unseen(check=_CHECK, why=why)


def _misfits(pools: Iterable[Pool], plugins: list[Object]) -> Answers:
    """Machine types with a node that no plugin is let onto, one finding for each reason."""
    found: dict[tuple[str, str, str], list[str]] = {}
    for pool in pools:
        for place in places(pool):
            whys = [_misfit(one, place, pool) for one in plugins]
            if all(whys) and (first := whys[0]):
                key = place_of(plugins[0]), first.why, first.mend
                machines = found.setdefault(key, [])
                machines += [pool.machine] if pool.machine not in machines else []
    for (plugin, why, mend), machines in found.items():
        what = f"DaemonSet {plugin} does not run on nodes of {', '.join(machines)}: {why}"
        yield Finding(check=_CHECK, what=what, mend=mend)


def _misfit(plugin: Object, place: Place, pool: Pool) -> _Misfit | None:
    pod = inside(plugin, "spec", "template", "spec") or {}
    taint = untolerated(pod, place)
    if taint is not None:
        line = f"{{key: {taint.key}, operator: Exists, effect: {taint.effect}}}"
        where = f"the tolerations of DaemonSet {place_of(plugin)} (values of its chart)"
        return _Misfit(
            why=f"it does not tolerate their taint {taint}", mend=f"add {line} to {where}"
        )
    if selects(pod, place):
        return None
    label = next(_found_by(pool))
    where = f"the node affinity of DaemonSet {place_of(plugin)} (values of its chart)"
    types = pool.plan.instance_types
    told = f" (instance types {', '.join(types)})" if types else ""
    return _Misfit(
        why=f"its nodeSelector or node affinity leaves them out{told}",
        mend=f"let {where} take nodes with the label {label}",
    )


def _found_by(pool: Pool) -> Iterator[str]:
    """Labels by which the pool's nodes are told from others, the vendor's first."""
    for key, value in {**pool.row.kind.labels, LABEL_MACHINE: pool.machine}.items():
        yield f"{key}={value}"
