"""What a model team may write: every field of a model spec and a project, and every default.

This is the only file with defaults; whatever else a rendered object holds is derived from these
fields, a region profile and the catalogues.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any, Final, Literal, Self

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import PydanticCustomError

from model_specs.errors import nearest
from model_specs.names import Name
from model_specs.runtimes import RUNTIMES

_SHA256 = r"sha256:[0-9a-f]{64}"
_IMAGE = re.compile(rf"[a-z0-9][a-z0-9.:-]*(/[a-z0-9][a-z0-9._-]*)+@{_SHA256}")
MODEL_ADDRESS: Final = re.compile(
    r"(?P<project>[a-z][a-z0-9-]*)/(?P<model>[a-z][a-z0-9-]*)"
    r":(?P<version>[A-Za-z0-9][A-Za-z0-9._-]{0,62})@sha256:(?P<digest>[0-9a-f]{64})"
)
_ENV = re.compile(r"[A-Z][A-Z0-9_]*")
_CRON = re.compile(r"(\S+ ){4}\S+")
_RESERVED_ENV = ("NVIDIA_", "AWS_", "LD_", "ISOSERVE_", "PATH", "HOME")


class Part(BaseModel):
    """The manner of every part: typed, closed, unchangeable."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True
    )


def refuse(code: str, why: str) -> PydanticCustomError:
    """The error a validator raises: `why` says what is wrong, what was got and what to do."""
    return PydanticCustomError(code, "{why}", {"why": why})


def _check_image(image: str) -> str:
    if image in RUNTIMES or _IMAGE.fullmatch(image):
        return image
    if "/" in image or ":" in image:
        why = f"an image is pinned as registry/name@sha256:<64 hex digits>, got {image!r}"
        raise refuse("E324", f"{why}; resolve the tag to its digest")
    raise refuse("E331", f"no such runtime, got {image!r}; {nearest(image, RUNTIMES)}")


def _check_model(address: str) -> str:
    if MODEL_ADDRESS.fullmatch(address):
        return address
    form = "project/model:version@sha256:<64 hex digits>"
    if "@sha256:" not in address:
        raise refuse("E323", f"a model is pinned by its digest as {form}, got {address!r}; pin it")
    raise refuse("E321", f"a model's address is {form}, got {address!r}; copy it from the registry")


def _check_env(env: dict[str, str]) -> dict[str, str]:
    for name in env:
        if not _ENV.fullmatch(name):
            raise refuse("E342", f"not an environment name, got {name!r}; use A-Z, 0-9 and _")
        if name.startswith(_RESERVED_ENV):
            raise refuse("E342", f"{name} is set by the platform; choose another name")
    return env


def _check_cron(cron: str) -> str:
    if not _CRON.fullmatch(cron):
        raise refuse("E304", f"a schedule has five cron fields, got {cron!r}; e.g. '0 8 * * 1-5'")
    return cron


def _check_regions(regions: Any) -> Any:
    if regions == "all":
        return ()
    if not isinstance(regions, list) or not regions:
        raise refuse("E333", f"regions is `all` or a list of names, got {regions!r}; name one")
    return tuple(regions)


Image = Annotated[str, AfterValidator(_check_image)]
ModelAddress = Annotated[
    str,
    AfterValidator(_check_model),
    WithJsonSchema(
        # Python and JavaScript name groups differently, and both know unnamed ones.
        {"type": "string", "pattern": re.sub(r"\?P<\w+>", "", f"^{MODEL_ADDRESS.pattern}$")}
    ),
]
Regions = Annotated[
    tuple[Name, ...],
    BeforeValidator(_check_regions),
    WithJsonSchema(
        {"anyOf": [{"const": "all"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}
    ),
]
Env = Annotated[dict[str, str], AfterValidator(_check_env)]
Cron = Annotated[str, AfterValidator(_check_cron)]
Replicas = Annotated[int, Field(ge=1, le=1000)]
Seconds = Annotated[int, Field(ge=1, le=86_400)]
Percent = Annotated[int, Field(ge=0, le=100)]


class Schedule(Part):
    """A floor of replicas in a window of the day; it never caps."""

    start: Cron
    """When the window opens, five cron fields."""
    end: Cron
    """When the window closes, five cron fields."""
    timezone: str = "UTC"
    """An IANA time zone; both ends are read in it."""
    replicas: Replicas
    """Replicas kept while the window is open."""


class Scaling(Part):
    """How many replicas serve, and what makes them more."""

    min: Replicas = 1
    """Replicas kept warm in every region."""
    max: Replicas = 2
    """The most replicas in one region."""
    queue_depth: Annotated[int, Field(ge=1, le=10_000)] = 4
    """Requests waiting per replica above which a replica is added."""
    scale_to_zero: bool = False
    """Give every replica back when no request came for `idle_seconds`."""
    idle_seconds: Seconds = 600
    """How long without a request before the last replica goes."""
    schedules: tuple[Schedule, ...] = ()
    """Windows with a higher floor."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min > self.max:
            why = f"min is above max, got min {self.min} and max {self.max}; raise max or lower min"
            raise refuse("E302", why)
        for schedule in self.schedules:
            if schedule.replicas > self.max:
                why = f"a schedule's replicas exceed max, got {schedule.replicas} over {self.max}"
                raise refuse("E302", f"{why}; raise max")
        return self


class Capacity(Part):
    """What kind of nodes the replicas may stand on."""

    spot: bool = False
    """Replicas above `on_demand_base` run on interruptible nodes."""
    on_demand_base: Annotated[int, Field(ge=0, le=1000)] = 1
    """With `spot`: replicas that always stand on on-demand nodes."""
    priority: Literal["standard", "preemptible"] = "standard"
    """`preemptible` gives its GPUs up to `standard` models when a pool is full."""


class Candidate(Part):
    """The next version beside the one that serves; what is left out stays the same."""

    image: Image | None = None
    """Its runtime or pinned image."""
    model: ModelAddress | None = None
    """Its model address."""

    @model_validator(mode="after")
    def _differs(self) -> Self:
        if self.image is None and self.model is None:
            raise refuse("E203", "a candidate changes image or model; write at least one")
        return self


class Rollout(Part):
    """How a new version takes over."""

    strategy: Literal["rolling", "canary", "blue_green", "shadow"] = "rolling"
    """`canary` by share, `blue_green` all at once, `shadow` on mirrored requests only."""
    candidate: Candidate | None = None
    """The next version; needed by every strategy but `rolling`."""
    steps: tuple[Percent, ...] = (10, 25, 50, 100)
    """`canary`: the candidate's share of requests at each step, in percent."""
    step: Annotated[int, Field(ge=0, le=100)] = 0
    """`canary`: the step now in force, from 0. `blue_green`: 0 is old, 1 is new."""
    mirror_percent: Percent = 100
    """`shadow`: the share of requests copied to the candidate."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.strategy == "rolling") != (self.candidate is None):
            why = f"strategy {self.strategy} and the candidate do not fit"
            raise refuse("E353", f"{why}; rolling has none, every other strategy has one")
        if list(self.steps) != sorted(set(self.steps)) or self.steps[-1:] != (100,):
            why = f"steps rise and end at 100, got {list(self.steps)}; e.g. [10, 50, 100]"
            raise refuse("E353", why)
        last = 1 if self.strategy == "blue_green" else len(self.steps) - 1
        if self.step > last:
            raise refuse("E353", f"the last step is {last}, got {self.step}; lower it")
        return self


class ProbeRequest(Part):
    """The example request; it should be cheap and its answer known."""

    path: Annotated[str, Field(pattern=r"^/[!-~]*$", max_length=1024)]
    """HTTP path on the model's endpoint."""
    body: dict[str, Any]
    """The JSON body, sent with POST."""


class Expectation(Part):
    """What makes the answer right."""

    status: Annotated[int, Field(ge=100, le=599)] = 200
    """HTTP status."""
    json_path: Annotated[str, Field(max_length=256)] = ""
    """A path that must exist in the JSON answer, e.g. `outputs[0].data`; empty asks nothing."""
    matches: Annotated[str, Field(max_length=1024)] = ""
    """A regular expression that the answer must match; empty asks nothing."""
    latency_seconds: Annotated[float, Field(gt=0, le=600)] = 10.0
    """The longest time to the whole answer."""


class Probe(Part):
    """The synthetic probe: a real request, sent the way a user's goes."""

    request: ProbeRequest | None = None
    """The request; without it the runtime's own smallest one."""
    expect: Expectation = Expectation()
    """What the answer must be."""
    interval_seconds: Annotated[int, Field(ge=5, le=3600)] = 30
    """Time from one probe to the next."""


class Slo(Part):
    """The promise that alerts hold the model to, over 28 days."""

    availability: Annotated[float, Field(gt=0.5, lt=1)] = 0.995
    """The share of requests answered rightly."""
    latency_seconds: Annotated[float, Field(gt=0, le=600)] = 5.0
    """The 95th percentile, shown on the dashboard."""


class Batch(Part):
    """A job over the model instead of a server."""

    command: Annotated[tuple[Annotated[str, Field(max_length=4096)], ...], Field(min_length=1)]
    """The program and its arguments; never a shell line."""
    schedule: Cron | None = None
    """When it runs, five cron fields; without it once per change of the spec."""
    parallelism: Replicas = 1
    """Pods at the same time."""
    completions: Replicas = 1
    """Pods that must succeed."""
    retries: Annotated[int, Field(ge=0, le=20)] = 2
    """Failed pods that are tried again."""
    deadline_seconds: Annotated[int, Field(ge=60, le=604_800)] = 14_400
    """When a run is given up."""


class Secret(Part):
    """A Kubernetes Secret of the project, mounted as files; values never stand in a spec."""

    name: Name
    """The Secret's name."""
    mount: Annotated[str, Field(pattern=r"^/secrets/[a-z0-9-]+$")]
    """The directory where its keys appear as files, under /secrets/."""


class ModelSpec(Part):
    """A model in every region. Three fields make an endpoint; the rest is optional."""

    machine_type: Annotated[str, Field(min_length=1, max_length=63)]
    """A row of the machine catalogue, e.g. `gpu.l4.1` (`isoserve machines`)."""
    image: Image
    """A runtime of the catalogue (`vllm`), or an image pinned as registry/name@sha256:..."""
    model: ModelAddress
    """The registry address, project/model:version@sha256:<manifest digest>."""
    access: Literal["private", "permissive", "public"] = "private"
    """`private`: own project only. `permissive`: any project. `public`: internet, signed in."""
    requests_per_minute: Annotated[int, Field(ge=1, le=1_000_000)] = 600
    """`public`: the quota of one caller. `permissive`: the limit of all callers together."""
    scaling: Scaling = Scaling()
    """How many replicas."""
    capacity: Capacity = Capacity()
    """On-demand or spot nodes."""
    rollout: Rollout = Rollout()
    """How a new version takes over."""
    probe: Probe = Probe()
    """The synthetic request."""
    slo: Slo = Slo()
    """The promise alerts hold it to."""
    cache: Literal["auto", "always", "never"] = "auto"
    """Keep the model's files on the nodes: `auto` decides by size."""
    batch: Batch | None = None
    """A job instead of a server."""
    ttl: AwareDatetime | None = None
    """After this moment the model is no longer wanted; previews and checks say so."""
    regions: Regions = ()
    """Where it is served: `all`, or a list of region names; without it everywhere."""
    env: Env = {}
    """Environment variables of the server; no secrets."""
    args: tuple[Annotated[str, Field(max_length=4096)], ...] = ()
    """Further arguments of the runtime."""
    secrets: tuple[Secret, ...] = ()
    """Secrets mounted as files."""
    share_with: tuple[Name, ...] = ()
    """Other projects that may call a private model."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.batch and (self.rollout.candidate or self.access != "private"):
            raise refuse("E353", "a batch job has no route and no candidate; remove them")
        if self.scaling.scale_to_zero and self.access == "private":
            why = "scale_to_zero needs a gateway that sees the first request, got access private"
            raise refuse("E353", f"{why}; use permissive or public, or a schedule")
        if self.rollout.strategy in ("canary", "shadow") and self.access == "private":
            why = f"{self.rollout.strategy} splits requests at a gateway, got access private"
            raise refuse("E353", f"{why}; use permissive or public, or blue_green")
        return self


class Members(Part):
    """Groups of the identity provider, by what they may do in the project's namespace."""

    admins: tuple[str, ...] = ()
    """May change secrets and read everything."""
    developers: tuple[str, ...] = ()
    """May read everything but secrets, and restart pods."""
    viewers: tuple[str, ...] = ()
    """May read everything but secrets."""


class ProjectSpec(Part):
    """A tenant: who belongs to it, what it may use, whom it shares with."""

    members: Members = Members()
    """Who may do what."""
    gpu_quota: dict[str, Annotated[int, Field(ge=0, le=10_000)]] = {}
    """The most GPUs per machine type and region; a type that is not listed has none."""
    cpu_quota: Annotated[int, Field(ge=1, le=100_000)] = 64
    """The most CPU cores in one region."""
    memory_quota_gib: Annotated[int, Field(ge=1, le=1_000_000)] = 256
    """The most memory in one region."""
    share_with: tuple[Name, ...] = ()
    """Projects that may call every private model of this one."""
    cost_cap_usd_per_month: Annotated[float, Field(gt=0)] | None = None
    """The most the project's largest size may cost in one region and month."""


class ModelFacts(Part):
    """What the registry knows of one model version, recorded when it was pinned."""

    bytes: Annotated[int, Field(ge=1)]
    """The size of all its files."""
    files: Annotated[int, Field(ge=1)]
    """How many files."""


class ModelLock(Part):
    """models.lock.yaml of a project: facts by model address, so that a plan needs no registry."""

    models: dict[ModelAddress, ModelFacts]
    """Facts by pinned address."""


def is_expired(spec: ModelSpec, now: datetime) -> bool:
    """Whether the spec's `ttl` has passed at `now`."""
    return spec.ttl is not None and spec.ttl <= now
