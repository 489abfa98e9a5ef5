"""What is decided of one model: plain values, nothing left to decide (see regions.plan)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Toleration:
    """A taint that a pool carries, or that a pod may stand on (effect NoSchedule)."""

    key: str
    value: str
    """Empty on a pod: any value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacementPlan:
    """Where a pod may stand and what it is given there. `cpu` in cores.

    `fallback_seconds` is above 0 where a pod that prefers spot nodes may stand on on-demand ones:
    the wait after which the region's node autoscaler adds one of these instead. GPUs are asked for
    as `gpu_resource`; an empty `runtime_class` is the node's own container runtime.
    """

    machine_type: str
    node_selector: dict[str, str]
    fallback_seconds: int
    tolerations: tuple[Toleration, ...]
    gpus: int
    gpu_resource: str
    runtime_class: str
    cpu: int
    memory_gib: int
    ephemeral_gib: int
    tmp_gib: int
    """Of `ephemeral_gib`, what /tmp may hold."""
    shared_memory_gib: int
    """Of `memory_gib`, what /dev/shm may hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerPlan:
    """What the model's own container runs and as whom.

    An empty `command` or `working_dir` keeps the image's own.
    """

    image: str
    command: tuple[str, ...]
    args: tuple[str, ...]
    user: int
    group: int
    working_dir: str
    env: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class StartupPlan:
    """The three clocks, in seconds, in their order: budget < progress deadline < gate timeout."""

    budget_seconds: int
    progress_deadline_seconds: int
    gate_timeout_seconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DrainPlan:
    """How a pod goes: grace > pre-stop + shutdown."""

    pre_stop_seconds: int
    shutdown_seconds: int
    grace_seconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenPlan:
    """Where a server listens: HTTP paths on `port`, metrics on `metrics_port`."""

    port: int
    live_path: str
    ready_path: str
    metrics_path: str
    metrics_port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightsPlan:
    """How the model's files reach the pod: `cache` from the node, `download` by the pod itself."""

    mode: str
    address: str
    digest: str
    bytes: int
    fetch_mib_per_second: int
    """How fast they come from the registry, at the least."""
    claim: str
    """PVC of the cache; empty with `download`."""
    pinned: bool
    """Whether every node of the machine type holds them, be its pods there or not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SchedulePlan:
    """A window with a higher floor of replicas."""

    start: str
    end: str
    timezone: str
    replicas: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalerPlan:
    """Who sets the replicas of one track, and by what.

    `kind` is `fixed` (the Deployment does), `scaled_object` (KEDA), `hpa_queue` or `hpa_cpu`.
    """

    kind: str
    min: int
    max: int
    query: str
    """PromQL: requests in the servers of this version, running and waiting, of all its replicas
    together (stable and spot share them); no series where no pod runs."""
    query_by_pod: str
    """The same of each pod, recorded as the metric that `hpa_queue` reads; else empty."""
    carried: int
    """Of these requests, those that the version's fixed replicas are there for."""
    threshold: int
    """Requests in the server per replica, above which a replica is added."""
    wake_query: str
    """PromQL seen outside the pod that is above 0 when someone calls; empty if min > 0."""
    idle_seconds: int
    schedules: tuple[SchedulePlan, ...]
    prometheus_url: str
    scale_down_seconds: int
    """Stabilisation before a replica goes: twice the cold start, 300 to 3600."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackPlan:
    """One Deployment of a model: the stable on-demand or spot replicas, or the candidate."""

    name: str
    """Name of the Deployment."""
    track: str
    """`stable`, `spot` or `candidate`."""
    role: str
    """`stable` or `candidate`: what the Services select on."""
    container: ContainerPlan
    listen: ListenPlan
    weights: WeightsPlan
    placement: PlacementPlan
    startup: StartupPlan
    drain: DrainPlan
    scaler: ScalerPlan
    interruption: str
    """Why its nodes may be taken from it: `spot`, `preemptible`; empty: for nothing."""
    guaranteed: int
    """Replicas that stand at the least, whatever others need: 0 where it may be interrupted."""
    surge: int
    unavailable: int
    labels: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendPlan:
    """A Service behind the route and its share of the requests, in percent."""

    service: str
    role: str
    weight: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessPlan:
    """Who reaches the model, and where."""

    mode: str
    endpoint: str
    """The base URL for callers."""
    hostname: str
    """Host of the route; empty when private."""
    gateway: str
    """Gateway of the route; empty when private."""
    proxy_namespaces: tuple[str, ...]
    """Where that gateway's proxies stand; empty when private."""
    caller_namespaces: tuple[str, ...]
    """Namespaces that may reach the pods directly, besides the platform's."""
    requests_per_minute: int
    timeout_seconds: int
    stream_idle_seconds: int
    """For how long nothing may come; 0 leaves it to the gateway."""
    backends: tuple[BackendPlan, ...]
    mirror_service: str
    """Service that gets copies; empty without a shadow."""
    mirror_percent: int
    issuer: str
    jwks_uri: str
    audience: str
    """Who signs callers' tokens; all three are empty but for public models, and the first two where
    callers have keys."""
    cors_origins: tuple[str, ...]
    """The origins of web pages whose scripts may call it."""
    jwks: str
    """Its keys as a JSON document; empty where they are read from jwks_uri."""
    groups_claim: str
    groups: tuple[str, ...]
    """By which claim whose callers are let in; without groups everybody who has signed in."""
    keys: tuple[str, ...]
    """Callers who are let in by keys of their own, by name; with them no caller's token counts."""
    prober_issuer: str
    prober_jwks_uri: str
    prober_jwks: str
    """Who signs the prober's token: the cluster itself."""

    @property
    def callers(self) -> str:
        """Whom the gateway lets in, in words."""
        if self.keys:
            return f"callers with keys: {', '.join(self.keys)}"
        if self.groups:
            return f"callers of {', '.join(self.groups)}"
        return "who signs in" if self.mode == "public" else "any project"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbePlan:
    """The synthetic request and what its answer must be."""

    url: str
    method: str
    body: dict[str, Any]
    """What is posted; empty for a GET."""
    status: int
    json_path: str
    length: int
    """Items of the list at `json_path`; 0 where they are not counted."""
    matches: str
    latency_seconds: float
    interval_seconds: int
    written: bool
    """Whether the spec wrote the request. Else it is the runtime's readiness question, which says
    nothing about right answers, and nobody is paged by it."""
    needs_token: bool
    """Public routes answer only to a token, which the prober holds."""
    candidate_url: str
    """Where the candidate is asked the same by itself, at its own Service, without a token; empty
    without a candidate or a written request."""
    candidate_interval_seconds: int
    right_answers: int
    """What a candidate answers rightly, in a row, before it gets users."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SloPlan:
    """What alerts hold the model to, over 28 days."""

    availability: float
    latency_seconds: float
    runbook_url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretPlan:
    """A Secret of the project, mounted as files."""

    name: str
    mount: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CallPlan:
    """A way out for a model's own code: a Service's namespace, or a host's networks (CIDRs).

    `name` is the host, or the Service as NAME.NAMESPACE; `pods` are the labels of the pods that
    are reached there, every one where they are empty; `port` is TCP, of the pods.
    """

    name: str
    namespace: str
    pods: tuple[tuple[str, str], ...]
    networks: tuple[str, ...]
    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadPlan:
    """What a server and a job have in common: whose it is and what its pod holds."""

    id: str
    project: str
    model: str
    namespace: str
    labels: dict[str, str]
    differs: tuple[str, ...]
    """Fields of which the spec says that they differ in this region, e.g. `scaling.max`."""
    secrets: tuple[SecretPlan, ...]
    priority_class: str
    """Empty where we may not create priority classes."""
    agent_image: str
    pull_secrets: tuple[str, ...]
    """Secrets of the project's namespace by which nodes pull the pod's images."""
    registry_url: str
    registry_endpoint: str
    registry_region: str
    registry_secret: str
    """Secret with the registry's keys, in the project's namespace; empty where a role serves."""
    registry_ports: tuple[int, ...]
    """TCP ports of the registry, as network policies see them; none where nothing of its pods reads
    the registry: the node's agent brings the model, and a job has no data."""
    registry_addresses: tuple[str, ...]
    """The registry's networks, as CIDRs; empty where the profile does not know them."""
    calls: tuple[CallPlan, ...]
    """What its own code calls beside the registry."""
    reader_role_arn: str
    """The IAM role of its pods: the project's reader, or a job's own; empty without AWS IAM, and
    where nothing of them reads the registry."""
    scraper_namespace: str
    """Where the Prometheus pods stand that read the metrics."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerPlan:
    """One model as an endpoint."""

    workload: WorkloadPlan
    live_role: str
    """The role that the model's Service sends requests to."""
    tracks: tuple[TrackPlan, ...]
    access: AccessPlan
    probe: ProbePlan
    slo: SloPlan
    spread_zones: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DataPlan:
    """What a job reads and writes in the region's bucket: prefixes, empty where it does not.

    `role` is the IAM role with exactly these rights; empty without data, and without AWS IAM.
    """

    input_prefix: str
    output_prefix: str
    role: str

    @property
    def is_any(self) -> bool:
        """Whether there is any."""
        return bool(self.input_prefix or self.output_prefix)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobPlan:
    """One model as a batch job. `schedule` is empty for a single run.

    `run` tells one single run from the next: 8 hexadecimal digits of what the spec says.
    `capacity` is `on_demand` or `spot`.
    """

    workload: WorkloadPlan
    container: ContainerPlan
    weights: WeightsPlan
    placement: PlacementPlan
    capacity: str
    run: str
    schedule: str
    timezone: str
    parallelism: int
    completions: int
    retries: int
    deadline_seconds: int
    data: DataPlan
