"""What specs, profile and catalogues ask of an object, restated for the judge."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from model_specs.load import Model
from model_specs.names import (
    ANNOTATION_REGION,
    LABEL_ACCELERATOR,
    LABEL_CAPACITY,
    LABEL_MACHINE,
    LABEL_MODEL,
    LABEL_PROJECT,
    LABEL_ROLE,
    LABEL_TRACK,
    MANAGED_BY,
)
from model_specs.runtimes import Runtime
from policies.legal.shapes import ABSENT, Asked, Subject
from policies.models import contract_of, is_candidate, pinned
from regions.machines import MACHINES, MachineType
from regions.offers import Offer

Plain = dict[str, Any]
_GIB: Final = 1024**3
_TO_PROVIDER: Final = {
    "pulumi.com/patchFieldManager": "isoserve",
    "pulumi.com/skipAwait": "true",
}
"""One name for the owner of every field, and one gate that waits for all objects at once."""

RESTRICTED: Final[Plain] = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
}
_USER: Final = 10001
USER_OF_POD: Final[Plain] = {
    "fsGroup": _USER,
    "runAsGroup": _USER,
    "runAsNonRoot": True,
    "runAsUser": _USER,
    "seccompProfile": {"type": "RuntimeDefault"},
}
ROLE: Final = "eks.amazonaws.com/role-arn"
"""The annotation by which an account takes a role."""
KEYS: Final = "registry-credentials"
KEYS_MOUNT: Final = {"mountPath": "/var/run/isoserve/registry", "name": KEYS, "readOnly": True}


class NotAsked(Exception):
    """Nobody asked for such an object; the message says why."""


def model_of(subject: Subject) -> Model:
    """The model that an object says it is of. Raises NotAsked for one that no spec describes."""
    resource = subject.resource
    model = subject.facts.models.get(resource.model)
    if model is None:
        raise NotAsked(f"is of model {resource.model or 'none'}, which no spec describes")
    return model


def project_of(subject: Subject) -> str:
    """The project of an object. Raises NotAsked for one that no file describes."""
    project = subject.resource.project
    if project not in subject.facts.projects:
        raise NotAsked(f"is of project {project or 'none'}, which no file describes")
    return project


def machine_of(subject: Subject) -> tuple[MachineType, Offer]:
    """The machine type that an object's label names, and what the region offers of it.

    Raises NotAsked for one that the region does not have.
    """
    name = str(subject.resource.labels.get(LABEL_MACHINE))
    offer = subject.facts.profile.machines.get(name)
    if offer is None:
        raise NotAsked(f"is for machine type {name}, which the profile does not offer")
    return MACHINES[name], offer


def slug(machine: str) -> str:
    """A machine type as part of an object's name."""
    return machine.replace(".", "-")


def runtime_of(subject: Subject) -> Runtime:
    """The runtime of a workload's version."""
    return contract_of(model_of(subject), is_candidate(subject.resource))


def stable_runtime(model: Model) -> Runtime:
    """The runtime of the version that serves."""
    return model.spec.contract_of(model.spec.image)


def address_of(subject: Subject) -> str:
    """The model address of a workload's version."""
    return pinned(model_of(subject), is_candidate(subject.resource))[0]


def digest_of(subject: Subject) -> str:
    """The manifest digest of a workload's version."""
    return address_of(subject).rpartition(":")[2]


def bytes_of(subject: Subject) -> int:
    """The size of the version's files; what nobody recorded is bounded by the machine."""
    facts = subject.facts.specs.facts.get(address_of(subject))
    machine = MACHINES[model_of(subject).spec.machine_type]
    bound = int(machine.gpus * machine.gpu_memory_gib * 0.9) or machine.memory_gib // 2
    return facts.bytes if facts else bound * _GIB


def download_gib(subject: Subject) -> int:
    """Disk for a download, a tenth more than the files have."""
    return math.ceil(1.1 * bytes_of(subject) / _GIB)


def labels_of_model(subject: Subject) -> Plain:
    """The labels of everything of a model."""
    model = model_of(subject)
    return {LABEL_MODEL: model.name, LABEL_PROJECT: model.project}


def labels_of_project(subject: Subject) -> Plain:
    """The labels of everything of a project that is of no model."""
    return {LABEL_PROJECT: project_of(subject)}


def of_region(subject: Subject) -> Plain:
    """The annotation by which an `up` knows the objects of its own region."""
    return {ANNOTATION_REGION: subject.facts.region}


def of_role(role: str) -> Any:
    """The labels of a part of the platform."""
    return lambda subject: {LABEL_ROLE: role}


def _space(subject: Subject) -> str:
    return subject.resource.project


def head(
    labels: Any,
    name: Any = None,
    namespace: Any = _space,
    annotations: Any = None,
) -> Plain:
    """The shape of `metadata`: labels, name, namespace and annotations are functions of the
    subject; `name` defaults to the model's own, `namespace` to the project's; None is none."""

    def noted(subject: Subject) -> Plain:
        return _TO_PROVIDER | (annotations(subject) if annotations else {})

    def labelled(subject: Subject) -> Plain:
        return {**labels(subject), **MANAGED_BY}

    named = name or (lambda subject: model_of(subject).name)
    where = {"namespace": Asked(namespace)} if namespace else {}
    return {
        "annotations": Asked(noted),
        "labels": Asked(labelled),
        "name": Asked(named),
        **where,
    }


def selected(labels: Any) -> Any:
    """Labels, and those by which the profile's Prometheus selects its objects."""
    return lambda subject: {**subject.facts.profile.prometheus_labels, **labels(subject)}


def namespace_named(name: str) -> Plain:
    """A network policy's peer: every pod of one namespace."""
    return {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}}}


def blocks(networks: Iterable[str]) -> list[Plain]:
    """A NetworkPolicy's peers: networks, as CIDRs."""
    return [{"ipBlock": {"cidr": one}} for one in networks]


def tcp(*ports: int) -> list[Plain]:
    """Ports of a network policy."""
    return [{"port": port, "protocol": "TCP"} for port in ports]


def labels_of_machine(machine: MachineType, capacity: str, *, on_aws: bool) -> Plain:
    """What the nodes of a machine type are found by; no capacity is both kinds."""
    aws = {LABEL_ACCELERATOR: machine.gpu.lower()} if machine.kind.is_awaited and on_aws else {}
    own = {LABEL_MACHINE: machine.name, **machine.kind.labels, **machine.labels, **aws}
    return own | ({LABEL_CAPACITY: capacity} if capacity else {})


def tolerations(machine: MachineType, offer: Offer) -> list[Plain]:
    """What the pods of a machine type tolerate: its own taint, the vendor's, its row's, the
    offer's."""
    found: list[tuple[str, str]] = [(LABEL_MACHINE, machine.name)] if machine.gpus else []
    found += [(machine.kind.taint[0], "")] if machine.kind.taint[0] else []
    found += machine.tolerations
    found += [(taint.key, taint.value) for taint in offer.taints]
    return [toleration(key, value) for key, value in found]


def vendors_taint(machine: MachineType) -> Plain | None:
    """The taint of the GPUs' vendor, where its device plugin stands on a node that has it."""
    key, value = machine.kind.taint
    return {"key": key, "value": value} if machine.kind.is_tainted else None


def toleration(key: str, value: str) -> Plain:
    """One toleration; without a value it is of any."""
    how: Plain = {"operator": "Equal", "value": value} if value else {"operator": "Exists"}
    return {"effect": "NoSchedule", "key": key, **how}


def pull_secrets(subject: Subject) -> Any:
    """The Secrets by which a pod's node pulls: the region's, and its project's own beside it."""
    project = subject.facts.projects.get(subject.resource.project)
    named = (subject.facts.profile.pull_secret, project.spec.pull_secret if project else "")
    return [{"name": name} for name in dict.fromkeys(filter(None, named))] or ABSENT


def registry_env(subject: Subject, with_keys: bool) -> list[Plain]:
    """How the agent's program is told of the registry."""
    profile = subject.facts.profile
    keys = "/var/run/isoserve/registry" if with_keys else ""
    values: Mapping[str, str] = {
        "AWS_REGION": profile.account.region,
        "ISOSERVE_REGISTRY": f"s3://{profile.registry.bucket}",
        "ISOSERVE_REGISTRY_CREDENTIALS": keys,
        "ISOSERVE_REGISTRY_ENDPOINT": profile.registry.endpoint,
    }
    return [{"name": name, "value": value} for name, value in values.items() if value]


def role_arn(subject: Subject, namespace: str) -> Plain:
    """The annotation by which a namespace's accounts take their role; none where AWS gives none."""
    if subject.facts.profile.provider != "aws":
        return {}
    return role_noted(subject, subject.facts.role(namespace))


def role_noted(subject: Subject, name: str) -> Plain:
    """The annotation that names a role."""
    return {ROLE: arn_of_role(subject, name)}


def arn_of_role(subject: Subject, name: str) -> str:
    """The ARN of a role in the region's account."""
    account = subject.facts.profile.account.account_id
    return subject.facts.arn(f"iam::{account}:role/{name}")


def role_of_job(subject: Subject, project: str, name: str) -> str:
    """The role of one job: at most 64 characters, of which a digest tells apart what is cut."""
    digest = hashlib.sha256(f"{project}/{name}".encode()).hexdigest()[:8]
    return f"{subject.facts.role(project)}.{name}"[: 64 - 9] + f".{digest}"


def matchers(model: Model, track: str) -> str:
    """The label matchers of the series of one version of a model."""
    tracks = {"candidate": '="candidate"'}.get(track, '=~"stable|spot"')
    own = f'isoserve_dev_project="{model.project}",isoserve_dev_model="{model.name}"'
    return f"{own},isoserve_dev_track{tracks}"


@dataclass(frozen=True, slots=True)
class Bounds:
    """One track's replicas, and those that stand on the model's other stable track."""

    least: int
    most: int
    others: int


def bounds(subject: Subject) -> Bounds:
    """The bounds that the spec sets for an autoscaler's track."""
    model = model_of(subject)
    spec = model.spec
    scaling, rollout = spec.scaling, spec.rollout
    if is_candidate(subject.resource):
        share = {"canary": rollout.steps[rollout.step % len(rollout.steps)], "blue_green": 100}
        percent = share.get(rollout.strategy, rollout.mirror_percent)
        least = max(1, math.ceil(scaling.min * percent / 100))
        return Bounds(least, max(least, math.ceil(scaling.max * percent / 100)), 0)
    offer = subject.facts.profile.machines[spec.machine_type]
    base = spec.capacity.on_demand_base
    if not (spec.capacity.spot and offer.spot.max > 0) or base >= scaling.max:
        return Bounds(scaling.min, scaling.max, 0)
    if subject.resource.labels.get(LABEL_TRACK) != "spot":
        return Bounds(base, base, 0)
    return Bounds(max(scaling.min - base, 0), scaling.max - base, base)


def floor(subject: Subject) -> int:
    """An HPA's least: it neither sleeps nor knows windows, so it keeps what the widest asks for."""
    own = bounds(subject)
    windows = [one.replicas - own.others for one in model_of(subject).spec.scaling.schedules]
    return max(own.least, 1, *(min(max(one, 0), own.most) for one in windows))
