"""The Deployments of models as rules see them: which version, where, how many, who scales them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from model_specs.load import Model
from model_specs.names import DOMAIN, LABEL_CAPACITY, LABEL_MACHINE, LABEL_MODEL, LABEL_TRACK
from policies.label_selectors import only_values, takes
from policies.pods import Block, pod, template
from policies.resources import Resource
from policies.rule import Estate
from regions.profile import RegionProfile

LABEL_VERSION: Final = f"{DOMAIN}/version"
"""Which version a pod serves, `stable` or `candidate`: what Services select on."""
PREEMPTIBLE: Final = "isoserve-preemptible"
"""The priority class of models that give way to others."""
_SPOT_FIRST: Final[Block] = {
    "preferredDuringSchedulingIgnoredDuringExecution": [
        {
            "preference": {
                "matchExpressions": [{"key": LABEL_CAPACITY, "operator": "In", "values": ["spot"]}]
            },
            "weight": 100,
        }
    ],
    "requiredDuringSchedulingIgnoredDuringExecution": {
        "nodeSelectorTerms": [
            {
                "matchExpressions": [
                    {"key": LABEL_CAPACITY, "operator": "In", "values": ["on_demand", "spot"]}
                ]
            }
        ]
    },
}
"""The one node affinity that a spec can ask for: spot nodes first, else on-demand ones."""
SCALERS: Final = ("HorizontalPodAutoscaler", "ScaledObject")


@dataclass(frozen=True, slots=True)
class Bounds:
    """The fields with a scaler's bounds, and what its controller takes where one is left out."""

    min_field: str
    min_default: int
    max_field: str
    max_default: int


BOUNDS: Final = {
    "HorizontalPodAutoscaler": Bounds("minReplicas", 1, "maxReplicas", 0),
    "ScaledObject": Bounds("minReplicaCount", 0, "maxReplicaCount", 100),
}


@dataclass(frozen=True, slots=True)
class Track:
    """One Deployment of a model that people asked for."""

    deployment: Resource
    model: Model
    scaler: Resource | None
    least: int
    most: int
    machine: str
    capacity: str

    @property
    def pod(self) -> Block:
        """The spec of its pods."""
        return pod(self.deployment)

    @property
    def labels(self) -> Block:
        """The labels of its pods, which selectors meet."""
        return (template(self.deployment).get("metadata") or {}).get("labels") or {}

    @property
    def is_candidate(self) -> bool:
        """Whether it is the next version's, beside the one that serves."""
        return bool(self.deployment.labels.get(LABEL_TRACK) == "candidate")

    @property
    def is_spot(self) -> bool:
        """Whether its nodes may be taken away at two minutes' notice."""
        return self.capacity == "spot"

    @property
    def gives_way(self) -> bool:
        """Whether its replicas may all be taken for pods of higher rank."""
        return bool(self.pod.get("priorityClassName") == PREEMPTIBLE)

    @property
    def may_go(self) -> bool:
        """Whether its replicas may all be taken: with their nodes, or for pods of higher rank."""
        return self.is_spot or self.gives_way


def target(scaler: Resource) -> tuple[str, str]:
    """Namespace and name of the Deployment that a scaler sets."""
    return scaler.namespace, str((scaler.spec.get("scaleTargetRef") or {}).get("name"))


def _bounds(deployment: Resource, scaler: Resource | None) -> tuple[int, int]:
    if scaler is None:
        fixed = deployment.spec.get("replicas", 1)
        return fixed, fixed
    fields, spec = BOUNDS[scaler.kind], scaler.spec
    least = spec.get(fields.min_field, fields.min_default)
    return least, spec.get(fields.max_field, fields.max_default)


def tracks(estate: Estate) -> Iterator[Track]:
    """Every Deployment of a model that somebody wrote; of any other, `model-digest` tells."""
    scalers = {target(scaler): scaler for scaler in estate.of(*SCALERS)}
    for deployment in estate.of("Deployment"):
        model = estate.facts.models.get(deployment.model)
        if model is not None:
            scaler = scalers.get((deployment.namespace, str(deployment.metadata.get("name"))))
            least, most = _bounds(deployment, scaler)
            machine, capacity = pool_of(deployment)
            yield Track(
                deployment=deployment,
                model=model,
                scaler=scaler,
                least=least,
                most=most,
                machine=machine,
                capacity=capacity,
            )


def by_model(estate: Estate) -> dict[str, list[Track]]:
    """The tracks of each model, by its id."""
    found: dict[str, list[Track]] = {}
    for track in tracks(estate):
        found.setdefault(track.model.id, []).append(track)
    return found


Takers = dict[tuple[str, str], list[Resource]]
"""What selects pods, by namespace and the model's name that it selects; empty where it does not."""


def takers(selecting: Iterable[Resource]) -> Takers:
    """`selecting` (objects with a `spec.selector`) in the order in which `taking` finds them."""
    found: Takers = {}
    for one in selecting:
        for model in only_values(one.spec.get("selector") or {}, LABEL_MODEL) or ("",):
            found.setdefault((one.namespace, model), []).append(one)
    return found


def taking(found: Takers, workload: Resource) -> list[Resource]:
    """Those that select the pods of `workload`."""
    labels = (template(workload).get("metadata") or {}).get("labels") or {}
    names = {str(labels.get(LABEL_MODEL, "")), ""}
    near = [one for name in sorted(names) for one in found.get((workload.namespace, name), ())]
    return [one for one in near if takes(one.spec.get("selector") or {}, labels)]


def batches(estate: Estate) -> Iterator[tuple[Resource, int]]:
    """Jobs, and how many of their pods run at once."""
    for job in estate.of("CronJob", "Job"):
        spec = job.spec if job.kind == "Job" else (job.spec.get("jobTemplate") or {})["spec"]
        yield job, int(spec.get("parallelism", 1))


def pool_of(resource: Resource) -> tuple[str, str]:
    """Machine type and capacity of the nodes that a workload's pods ask for, or ask for first."""
    nodes = pod(resource).get("nodeSelector") or {}
    capacity = "spot" if falls_back(resource) else str(nodes.get(LABEL_CAPACITY, ""))
    return str(nodes.get(LABEL_MACHINE, "")), capacity


def node_affinity(resource: Resource) -> Block:
    """What a workload's pods say of nodes beside their selector."""
    return (pod(resource).get("affinity") or {}).get("nodeAffinity") or {}


def falls_back(resource: Resource) -> bool:
    """Whether its pods prefer spot nodes and may stand on on-demand ones, and say nothing else."""
    nodes = pod(resource).get("nodeSelector") or {}
    return LABEL_CAPACITY not in nodes and node_affinity(resource) == _SPOT_FIRST


def slots(profile: RegionProfile, machine: str, capacity: str) -> int:
    """How many replicas the nodes of a pool hold at most; none where there is no such pool."""
    offer = profile.machines.get(machine)
    if offer is None:
        return 0
    nodes = {"on_demand": offer.on_demand.max, "spot": offer.spot.max}
    return nodes.get(capacity, 0) * offer.replicas_per_node
