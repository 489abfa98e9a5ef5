"""Rules about the files of models: whose they are, that nobody can move them, that they fit."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence, Set
from typing import Any, Final

from model_specs.load import Model
from model_specs.names import CACHE_NAMESPACE, DOMAIN, LABEL_MACHINE, LABEL_TRACK
from model_specs.runtimes import Runtime
from policies.facts import Facts
from policies.pods import Block, containers, option, pod, template
from policies.resources import Resource
from policies.rule import WORKLOADS, Estate, Fault, Rule, each, whole
from regions.machines import MACHINES

_ANNOTATION: Final = f"{DOMAIN}/model-digest"
_FILE: Final = "models.json"
_MODEL_PATH: Final = "/models/current"
_ADDRESS: Final = re.compile(
    r"(?P<project>[a-z][a-z0-9-]*)/[a-z][a-z0-9-]*:[\w.-]+@sha256:(?P<digest>[0-9a-f]{64})"
)
_COMMIT: Final = re.compile(r"[0-9a-f]{40}")
_REVISIONS: Final = ("--revision", "--code-revision", "--tokenizer-revision")
_GIB: Final = 1024**3
_CRITICAL: Final = "system-node-critical"
"""What the kubelet never evicts: types.IsCriticalPod in pkg/kubelet/eviction."""


def pinned(model: Model, is_candidate: bool) -> tuple[str, str]:
    """The address that the spec pins for a version, and the field that does."""
    candidate = model.spec.rollout.candidate
    if is_candidate and candidate is not None and candidate.model is not None:
        return candidate.model, "rollout.candidate.model"
    return model.spec.model, "model"


def image_of(model: Model, is_candidate: bool) -> str:
    """The image that the spec names for a version: a runtime's name, or one of the team's own."""
    candidate = model.spec.rollout.candidate
    image = candidate.image if is_candidate and candidate is not None else None
    return image or model.spec.image


def contract_of(model: Model, is_candidate: bool) -> Runtime:
    """The row by which a version is started, asked, measured and ended."""
    return model.spec.contract_of(image_of(model, is_candidate))


def rates(model: Model) -> tuple[int, int]:
    """MiB/s at which files are loaded and fetched: the spec's, else the machine type's."""
    row, said = MACHINES[model.spec.machine_type], model.spec.rates
    load, fetch = said.load_mib_per_second, said.fetch_mib_per_second
    return load or row.load_mib_per_second, fetch or row.fetch_mib_per_second


def is_candidate(resource: Resource) -> bool:
    """Whether a workload runs the next version, beside the one that serves."""
    return bool(resource.labels.get(LABEL_TRACK) == "candidate")


def _wanted(resource: Resource) -> tuple[str | None, str | None]:
    """The digest that the pod waits for on its node, or the address that it downloads."""
    for container in pod(resource).get("initContainers") or ():
        args = container.get("args") or ()
        if args[:1] in (["wait"], ["pull"]):
            return option(args, "--digest"), option(args, "--address")
    return None, None


def registry_readers(estate: Estate) -> Set[str]:
    """Ids of the models any pods of which read the registry: for their files, or a job's data."""
    return {
        one.model
        for one in estate.of(*WORKLOADS)
        if one.model
        and (_wanted(one)[1] or estate.facts.job_with_data(*one.model.split("/")) is not None)
    }


def _mounted(resource: Resource) -> list[Any]:
    """What of the project's models the pod's containers see as the model."""
    mounts = [m for container in containers(resource) for m in container.get("volumeMounts") or ()]
    return [m.get("subPath") for m in mounts if m.get("mountPath") == _MODEL_PATH]


def _digests(resource: Resource, address: str) -> Iterator[tuple[str, Any]]:
    """Everything that says which model a pod serves, and what it says."""
    waits, pulls = _wanted(resource)
    if pulls is None or waits is not None:
        yield "waits for", waits
    elif pulls != address:
        yield "downloads", pulls
    yield from (("mounts", mounted) for mounted in _mounted(resource) or [None])
    notes = (template(resource).get("metadata") or {}).get("annotations") or {}
    yield "is annotated with", notes.get(_ANNOTATION)


def _moving(container: Block) -> Iterator[tuple[str, str]]:
    """By what a server could take other files than those it is given, and the field to change."""
    words = [*(container.get("command") or ()), *(container.get("args") or ())]
    for name in _REVISIONS:
        revision = option(words, name)
        if revision is not None and not _COMMIT.fullmatch(revision):
            yield f"follows {name} {revision}", "args"
    env = {one.get("name"): one.get("value") for one in container.get("env") or ()}
    if env.get("HF_HUB_OFFLINE") != "1":
        yield "may download from a hub", "env"


@each("P03", "model-digest", *WORKLOADS)
def _model_digest(resource: Resource, facts: Facts) -> Iterator[Fault]:
    """Every pod of a model fetches, mounts and is annotated with the one sha256 that its spec
    pins, and can fetch nothing else: a name or a branch can be moved under a running rollout. The
    annotation tells the node's agent what to hold for it."""
    if not resource.model:
        return  # what of its own an unowned pod may have, `gpu-shape` says
    model = facts.models.get(resource.model)
    if model is None:
        what = f"serves {resource.model}, of which there is no spec"
        yield Fault(resource, what, "write the spec, or remove what is rendered", "")
        return
    address, field = pinned(model, is_candidate(resource))
    digest = address.rsplit(":", 1)[1]
    for verb, found in _digests(resource, address):
        if found != digest:
            what = f"{verb} {found or 'no model'}, the spec pins {address}"
            yield Fault(resource, what, "render the pinned one, or pin the new one", field)
    for container in pod(resource).get("containers") or ():
        for what, place in _moving(container):
            fix = "give a commit of 40 digits" if place == "args" else "set HF_HUB_OFFLINE to 1"
            yield Fault(resource, what, fix, place)


def _held(config: Resource) -> dict[str, Any]:
    """What a cache agent is told; nothing where it is told nothing."""
    text = (config.values.get("data") or {}).get(_FILE)
    found: dict[str, Any] = {} if text is None else json.loads(text)
    return found


def _misfits(row: Block, facts: Facts, addresses: frozenset[str]) -> Iterator[str]:
    address = str(row.get("address"))
    match = _ADDRESS.fullmatch(address)
    if match is None or address not in addresses:
        yield f"holds {address}, which no spec pins"
        return
    if (row.get("project"), row.get("digest")) != (match["project"], match["digest"]):
        yield f"files {address} under {row.get('project')}/{row.get('digest')}"
    known = facts.specs.facts.get(address)
    if known is not None and row.get("bytes") != known.bytes:
        yield f"takes {address} for {row.get('bytes')} bytes, the registry has {known.bytes}"


@each("P03", "cache-digest", "ConfigMap")
def _cache_digest(config: Resource, facts: Facts) -> Iterator[Fault]:
    """Every model that the nodes keep is one that a spec pins, in the directory of its own
    project, by its own digest: pods find it by that path alone."""
    if config.namespace != CACHE_NAMESPACE:
        return
    models = facts.models.values()
    addresses = frozenset(pinned(m, role)[0] for m in models for role in (False, True))
    fix = "render what the specs pin"
    rows = _held(config).get("models")
    if not rows:
        yield Fault(config, "holds nothing", fix, "")
    for row in rows or ():
        yield from (Fault(config, what, fix, "") for what in _misfits(row, facts, addresses))


@whole("P03", "cache-held")
def _cache_held(estate: Estate) -> Iterator[Fault]:
    """A pod that waits for a model on its node finds an agent there that is told to hold it;
    otherwise it waits for ever."""
    agents = {a.labels.get(LABEL_MACHINE) for a in estate.of("DaemonSet")}
    configs = [c for c in estate.of("ConfigMap") if c.namespace == CACHE_NAMESPACE]
    held = {
        (str(config.labels.get(LABEL_MACHINE)), str(row.get("project")), str(row.get("digest")))
        for config in configs
        if config.labels.get(LABEL_MACHINE) in agents
        for row in _held(config).get("models") or ()
    }
    for work in estate.of(*WORKLOADS):
        digest, _ = _wanted(work)
        machine = (pod(work).get("nodeSelector") or {}).get(LABEL_MACHINE)
        if digest is not None and (str(machine), work.project, digest) not in held:
            what = f"waits for {digest}, which no agent on {machine} holds"
            yield Fault(work, what, "hold it there, or download it (`cache: never`)", "cache")


def _full_disk(config: Resource, facts: Facts) -> Iterator[Fault]:
    """What of an agent's configuration may fill a disk."""
    machine, held = str(config.labels.get(LABEL_MACHINE)), _held(config)
    offer, field = facts.profile.machines.get(machine), f"machines[{machine}].cache_disk_gib"
    if offer is None:
        what = f"is for {machine}, which the region has not"
        yield Fault(config, what, "offer it under machines, or remove it", "machines")
        return
    budget = held.get("disk_budget_gib")
    if budget is None or budget > offer.cache_disk_gib:
        what = f"may fill {budget or 'any number of'} GiB, nodes have {offer.cache_disk_gib}"
        yield Fault(config, what, "keep to cache_disk_gib, or give larger disks", field)
    free, wanted = held.get("disk_free_percent"), facts.profile.cluster.disk_free_percent
    if free is None or free < wanted:
        what = f"leaves {free or 'no'} % of a disk free, the profile says {wanted} %"
        yield Fault(config, what, "take cluster.disk_free_percent", "cluster.disk_free_percent")
    need = _at_once(held.get("models") or (), offer.replicas_per_node) / _GIB
    if need > offer.cache_disk_gib:
        what = f"may need {need:.0f} GiB of a node, nodes have {offer.cache_disk_gib}"
        yield Fault(config, what, "give larger disks, or pin fewer (`cache: always`)", field)


def _at_once(rows: Sequence[Block], replicas_per_node: int) -> int:
    """Bytes of what is pinned, of the largest versions that a node's pods may need, and of one more
    that comes beside them."""
    pinned = sum(int(row["bytes"]) for row in rows if row.get("pinned"))
    others = sorted((int(row["bytes"]) for row in rows if not row.get("pinned")), reverse=True)
    return pinned + sum(others[: replicas_per_node + 1])


def _evictable(agent: Resource, facts: Facts) -> Iterator[Fault]:
    """An agent that the kubelet evicts when the disk that it should free is full."""
    priority = pod(agent).get("priorityClassName")
    if priority != _CRITICAL:
        what = f"is of priority class {priority}, so a full disk may have it evicted"
        yield Fault(agent, what, f"render priorityClassName {_CRITICAL}", "")


_OF_DISK: Final = {"ConfigMap": _full_disk, "DaemonSet": _evictable}


@each("P33", "cache-disk", *_OF_DISK)
def _cache_disk(resource: Resource, facts: Facts) -> Iterator[Fault]:
    """What is pinned, what a node's pods may need and one version more fit its model disk, and the
    agent leaves disk_free_percent of the whole disk free: on a full disk the kubelet evicts every
    pod, whatever its budget for disruption. It spares the agent, which is system-node-critical and
    alone can free the disk."""
    if resource.namespace == CACHE_NAMESPACE:
        yield from _OF_DISK[resource.kind](resource, facts)


RULES: Final[tuple[Rule, ...]] = (_model_digest, _cache_digest, _cache_held, _cache_disk)
