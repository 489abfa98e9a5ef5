"""What a model team may write: every field of a model spec and a project, and every default.

This is the only file with defaults; whatever else a rendered object holds is derived from these
fields, a region profile and the catalogues.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import islice
from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from model_specs.addresses import Image, ModelAddress
from model_specs.batch_fields import BATCH_FIELDS, NOT_OF_BATCH
from model_specs.batching import Batching, unbatched
from model_specs.callers import Callers, Origins, uncalled
from model_specs.calls import Call
from model_specs.contradictions import (
    args_of_another,
    candidate_as_it_is,
    cut_answers,
    limit_of_the_prober,
    uncounted_answers,
    unsaid_server,
)
from model_specs.data_paths import DataPath, nested
from model_specs.errors import refuse, refuse_all, repeated, shown
from model_specs.field_types import (
    Argument,
    Cron,
    Env,
    Percent,
    Replicas,
    Ttl,
    Zone,
)
from model_specs.names import Name
from model_specs.own_server import RuntimeName, Server, contract
from model_specs.part import Part
from model_specs.per_region import (
    Gib,
    Here,
    MachineName,
    Rates,
    Regions,
    differing,
    faults,
    merged,
    named,
    only,
)
from model_specs.probe import Probe
from model_specs.runtimes import RUNTIMES, Runtime, misused_arguments, misused_variables
from model_specs.scaling import Scaling
from model_specs.served_names import ServedNames, unserved_names
from model_specs.source import MAX_ERRORS

MAX_TTL: Final = timedelta(days=731)
"""What shall stay for longer needs no `ttl`."""
TTL_NOTICE: Final = timedelta(days=7)
"""How long before its `ttl` a model's team is told."""
CANDIDATE_INTERVAL_SECONDS: Final = 15
"""How often a candidate is asked at least, so that it has answered within minutes."""

_CANDIDATE: Final = ("rollout", "candidate")
_MOST_ITEMS: Final = 100
_MOST_FINDINGS: Final = MAX_ERRORS + 1
"""Nobody is told more, and each takes a look at a long list of names."""
"""More of them, with their owners, would outgrow the 1.5 MiB that etcd takes of one object."""


class Capacity(Part):
    """What kind of nodes the replicas may stand on."""

    spot: bool = False
    """Replicas above `on_demand_base` run on interruptible nodes."""
    on_demand_base: Annotated[int, Field(ge=0, le=1000)] = 1
    """With `spot`: replicas that always stand on on-demand nodes."""
    spot_fallback: Literal["none", "on_demand"] = "none"
    """With `spot`: `on_demand` lets the pods of spot nodes stand on on-demand nodes too, where no
    spot node has come after the region's cluster.node_autoscaler.provision_timeout_seconds."""
    priority: Literal["standard", "preemptible"] = "standard"
    """`preemptible` gives its GPUs up to `standard` models when a pool is full."""


class Candidate(Part):
    """The next version beside the one that serves; what is left out stays the same."""

    image: Image | None = None
    """Its runtime or pinned image."""
    model: ModelAddress | None = None
    """Its model address."""
    args: tuple[Argument, ...] | None = None
    """Its further arguments; needed where it runs another runtime and the model has `args`."""
    env: Env | None = None
    """Its environment variables; no secrets."""

    @model_validator(mode="after")
    def _differs(self) -> Self:
        if all(value is None for value in (self.image, self.model, self.args, self.env)):
            why = "a candidate changes image, model, args or env; write at least one"
            raise refuse("E203", why)
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
    right_answers: Annotated[int, Field(ge=1, le=100)] = 3
    """Answers to `probe.request` that a candidate gives rightly, in a row, before it gets users."""

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


class Slo(Part):
    """The promise that alerts hold the model to, over 28 days."""

    availability: Annotated[float, Field(gt=0.5, lt=1)] = 0.995
    """The share of requests answered rightly."""
    latency_seconds: Annotated[float, Field(gt=0, le=600)] = 5.0
    """The 95th percentile, shown on the dashboard."""


class Batch(Part):
    """A job over the model instead of a server."""

    command: Annotated[tuple[Argument, ...], Field(min_length=1)]
    """The program and its arguments; never a shell line."""
    schedule: Cron | None = None
    """When it runs, five cron fields; without it once per change of the spec."""
    timezone: Zone = "UTC"
    """An IANA time zone, in which `schedule` is read."""
    parallelism: Replicas = 1
    """Pods at the same time."""
    completions: Replicas = 1
    """Pods that must succeed."""
    retries: Annotated[int, Field(ge=0, le=20)] = 2
    """Failed pods that are tried again."""
    deadline_seconds: Annotated[int, Field(ge=60, le=604_800)] = 14_400
    """When a run is given up."""
    input: DataPath | None = None
    """What it reads: a folder of the project's data in the registry's bucket, which its program
    finds as the URL in ISOSERVE_INPUT. Its pods may read there and nowhere else."""
    output: DataPath | None = None
    """Where it writes: another folder, in ISOSERVE_OUTPUT. Its pods may write there alone."""

    @model_validator(mode="after")
    def _keeps_what_it_reads(self) -> Self:
        if self.input and self.output and nested(self.input, self.output):
            why = f"a run would read what it writes, got {shown(self.output)}"
            cure = f"write to a folder outside input, {shown(self.input)}"
            refuse_all([(("output",), "E353", f"{why}; {cure}")])
        return self

    @model_validator(mode="after")
    def _reads_a_schedule(self) -> Self:
        if "timezone" in self.model_fields_set and self.schedule is None:
            why = "it says how schedule is read, and there is none; write schedule, or remove it"
            refuse_all([(("timezone",), "E353", why)])
        return self


class Secret(Part):
    """A Kubernetes Secret of the project, mounted as files; values never stand in a spec."""

    name: Name
    """The Secret's name."""
    mount: Annotated[str, Field(pattern=r"^/secrets/[a-z0-9-]+$")]
    """The directory where its keys appear as files, under /secrets/."""


class ModelSpec(Part):
    """A model in every region. Three fields make an endpoint; the rest is optional."""

    machine_type: MachineName
    """A row of the machine catalogue, e.g. `gpu.l4.1` (`isoserve machines`)."""
    image: Image
    """A runtime of the catalogue (`vllm`), or an image pinned as registry/name@sha256:...; a tag
    before the @ is a remark."""
    runtime: RuntimeName | None = None
    """With an image of one's own: the runtime whose contract it keeps, its mirror or build."""
    batching: Batching | None = None
    """Requests that are answered together, where the runtime is told so by the platform."""
    server: Server | None = None
    """With an image of one's own: what it serves, where and how."""
    model: ModelAddress
    """The registry address, project/model:version@sha256:<manifest digest>."""
    access: Literal["private", "permissive", "public"] = "private"
    """`private`: own project only. `permissive`: any project. `public`: internet, signed in."""
    callers: Callers | None = None
    """Who may call a public model, by groups or by keys; without it everybody who signs in."""
    cors_origins: Origins = ()
    """The web pages (https://host) whose scripts may call a public model from browsers."""
    served_names: ServedNames = ()
    """By which names callers ask for the model, where the runtime is told them; the first stands in
    answers. Without it the file's name."""
    requests_per_minute: Annotated[int, Field(ge=1, le=1_000_000)] = 600
    """`public`: the quota of one caller. `permissive`: the limit of all callers together."""
    timeout_seconds: Annotated[int, Field(ge=1, le=86_400)] = 300
    """How long the gateway waits for an answer to its end, a stream too, before it gives up."""
    stream_idle_seconds: Annotated[int, Field(ge=1, le=86_400)] | None = None
    """For how long nothing may come of a request or its answer, before its first byte too; by the
    gateway, of Envoy Gateway 1.9 or later, and for models that stream. Without it an hour, or
    `timeout_seconds` where that is more."""
    drain_seconds: Annotated[int, Field(ge=1, le=3600)] | None = None
    """How long a server that must go may finish what it has begun; at most 80 with spot nodes.
    Without it as the runtime's row says."""
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
    """`auto`: on nodes that its pods are on, and others with room (below 2 GiB as `never`).
    `always`: on every node of the machine type. `never`: each pod downloads the files."""
    batch: Batch | None = None
    """A job instead of a server."""
    ttl: Ttl | None = None
    """The moment from which the model is no longer wanted and planned nowhere. `14d` is taken by
    `isoserve model pin`, which writes the moment that is 14 days away (`12h`, `2w`)."""
    regions: Regions = ()
    """Where it is served: `all`, or a list of region names; without it everywhere. What differs in
    a region stands below its name, in the list, or in a map of these regions alone: then it is
    served everywhere."""
    rates: Rates = Rates()
    """How fast its files come."""
    tmp_gib: Gib = 4
    """The size of /tmp, which alone a pod may write to beside /dev/shm; of its node's disk."""
    shared_memory_gib: Gib | None = None
    """The size of /dev/shm; what is written there counts as the pod's memory, of which it is at
    most half. Without it 8, or that half."""
    env: Env = Field(default={})
    """Environment variables of the server; no secrets, and none that a loader or an SDK reads."""
    args: tuple[Argument, ...] = ()
    """Further arguments; of a runtime those of a closed list (`flags` of its row)."""
    secrets: Annotated[tuple[Secret, ...], Field(max_length=_MOST_ITEMS)] = ()
    """Secrets mounted as files."""
    calls: Annotated[tuple[Call, ...], Field(max_length=_MOST_ITEMS)] = ()
    """What the model's own code calls: its only ways out, each listed by the regions' profiles."""
    share_with: tuple[Name, ...] = ()
    """Other projects that may call a private model."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        refuse_all([*self._contradictions(), *islice(self._owned(), _MOST_FINDINGS)])
        return self

    @model_validator(mode="after")
    def _holds_in_each_region(self) -> Self:
        refuse_all(islice(faults(self), _MOST_FINDINGS))
        return self

    def _contradictions(self) -> Iterator[tuple[tuple[str | int, ...], str, str]]:
        """Fields that are right alone and wrong together."""
        mounts = [secret.mount for secret in self.secrets]
        called = [f"{call.target}:{call.port}" for call in self.calls]
        for index in repeated(called):
            got = f"got {shown(called[index])} of calls[{called.index(called[index])}] again"
            yield ("calls", index), "E301", f"a call is named once, {got}; remove one"
        for index in repeated(mounts):
            why = f"two secrets at one place, got {mounts[index]}; mount one elsewhere"
            yield ("secrets", index, "mount"), "E353", why
        for index in repeated([secret.name for secret in self.secrets]):
            why = f"one secret at two places, got {shown(self.secrets[index].name)}; mount it once"
            yield ("secrets", index, "name"), "E353", why
        if self.capacity.spot_fallback != "none" and not self.capacity.spot:
            why = "pods of spot nodes fall back, and spot is false; write spot: true, or none"
            yield ("capacity", "spot_fallback"), "E353", why
        if self.batch:
            yield from self._not_of_batch()
            return
        if self.scaling.scale_to_zero and self.access == "private":
            why = "scale_to_zero needs a gateway that sees the first request, got access private"
            yield (), "E353", f"{why}; use permissive or public, or a schedule"
        if self.rollout.strategy in ("canary", "shadow") and self.access == "private":
            why = f"{self.rollout.strategy} splits requests at a gateway, got access private"
            yield (), "E353", f"{why}; use permissive or public, or blue_green"
        yield from uncounted_answers(self.rollout, self.probe)
        yield from args_of_another(self)
        yield from (*unsaid_server(self), *unbatched(self), *unserved_names(self))
        often = self.probe.interval_seconds
        yield from (*cut_answers(self), *uncalled(self))
        yield from limit_of_the_prober(self.access, self.requests_per_minute, often)
        yield from candidate_as_it_is(self.rollout.candidate, self)

    def _owned(self) -> Iterator[tuple[tuple[str | int, ...], str, str]]:
        """Arguments and variables that would move what the platform sets of either version."""
        for where, args in self.arguments.items():
            runtime = self._runtime_of(where[:-1])
            for index, why in misused_arguments(runtime, args) if runtime else ():
                yield (*where, index), "E343", why
        # A job runs a command of its own, so that its variables are its own too.
        for place, where, env in () if self.batch else self._environments():
            runtime = self._runtime_of(place)
            for name, why in misused_variables(runtime, env) if runtime else ():
                yield (*where, name), "E342", why

    @property
    def only_in(self) -> tuple[str, ...]:
        """The regions outside of which it is not served; empty: everywhere."""
        return only(self.regions)

    @property
    def differs(self) -> dict[str, Here]:
        """What differs, by region."""
        return {name: here for _, name, here in named(self.regions) if here is not None}

    def is_in(self, region: str) -> bool:
        """Whether it is served in a region."""
        return not self.only_in or region in self.only_in

    def names(self, region: str) -> bool:
        """Whether the region stands in the spec, so that it must be able to serve the model."""
        return any(name == region for _, name, _ in named(self.regions))

    def said_of(self, region: str) -> tuple[str, ...]:
        """The fields that differ in a region, by their paths."""
        here = self.differs.get(region)
        return tuple(".".join(path) for path in differing(here)) if here else ()

    def here(self, region: str) -> ModelSpec:
        """The spec as it is in a region."""
        differs = self.differs.get(region)
        if differs is None:
            return self
        return merged(self, differs).model_copy(update={"regions": self.regions})

    def contract_of(self, image: str) -> Runtime:
        """By what row one of `images` is started, asked, measured and ended."""
        row = contract(image, self.runtime, self.server, self.batching)
        return replace(row, shutdown_seconds=self.drain_seconds) if self.drain_seconds else row

    def contract_at(self, place: tuple[str, ...]) -> Runtime:
        """The contract of the version whose fields are at `place`.

        A candidate that names no image keeps the model's.
        """
        return self.contract_of(self.images.get((*place, "image"), self.image))

    def _runtime_of(self, place: tuple[str, ...]) -> Runtime | None:
        """The catalogue's row of the version whose fields are at `place`, else None.

        A candidate that names no image keeps the model's.
        """
        images = self.images
        return self.runtimes.get((*place, "image") if (*place, "image") in images else ("image",))

    def _environments(self) -> Iterator[tuple[tuple[str, ...], tuple[str, ...], Env]]:
        """The variables of either version: of which one, and the field that holds them."""
        yield (), ("env",), self.env
        candidate = self.rollout.candidate
        if candidate and candidate.env is not None:
            yield _CANDIDATE, (*_CANDIDATE, "env"), candidate.env
        elif candidate and candidate.image is not None:
            yield _CANDIDATE, ("env",), self.env

    def _not_of_batch(self) -> Iterator[tuple[tuple[str | int, ...], str, str]]:
        """Fields of a server, which a job would ignore."""
        for name in sorted(self.model_fields_set - BATCH_FIELDS):
            yield (name,), "E353", f"it does not apply to batch: {NOT_OF_BATCH[name]}"
        if "on_demand_base" in self.capacity.model_fields_set:
            why = "it does not apply to batch: a job's pods stand on one kind of node; remove it"
            yield ("capacity", "on_demand_base"), "E353", why

    @property
    def arguments(self) -> dict[tuple[str, ...], tuple[Argument, ...]]:
        """The further arguments of either version, by the field that holds them."""
        candidate = self.rollout.candidate
        its = candidate.args if candidate else None
        return {("args",): self.args, **({(*_CANDIDATE, "args"): its} if its else {})}

    @property
    def images(self) -> dict[tuple[str, ...], str]:
        """The images that serve this model, by the field that names them."""
        candidate = self.rollout.candidate
        its = candidate.image if candidate else None
        return {("image",): self.image, **({("rollout", "candidate", "image"): its} if its else {})}

    @property
    def runtimes(self) -> dict[tuple[str, ...], Runtime]:
        """The rows of those of `images` that are of the catalogue, or keep a row's contract."""
        known = (*RUNTIMES, *(self.images.values() if self.runtime else ()))
        return {w: self.contract_of(name) for w, name in self.images.items() if name in known}


def is_expired(spec: ModelSpec, now: datetime) -> bool:
    """Whether the spec's `ttl` has passed at `now`."""
    return spec.ttl is not None and spec.ttl <= now
