"""Decides everything of one model but its tracks: who reaches it, how it is probed, what it has."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import replace
from typing import Final

from model_specs.load import Model, Specs
from model_specs.names import DATA
from model_specs.runtimes import Runtime
from model_specs.schema import CANDIDATE_INTERVAL_SECONDS, ModelSpec
from model_specs.served_names import pattern
from regions.abilities import Abilities
from regions.calls import calls
from regions.jwks import document
from regions.machines import MACHINES
from regions.model_plan import (
    AccessPlan,
    BackendPlan,
    DataPlan,
    JobPlan,
    ProbePlan,
    SecretPlan,
    ServerPlan,
    SloPlan,
    WorkloadPlan,
)
from regions.profile import RegionProfile
from regions.tracks import (
    candidate_share,
    container,
    fallback_seconds,
    labels_of,
    placement,
    tracks,
    version,
    weights,
)

_LONGEST_ROLE: Final = 64
_DATA_SECRET_MOUNT: Final = "/var/run/isoserve/data"
GATEWAYS: Final = {"private": "", "permissive": "internal", "public": "public"}


def hostname(model: Model, profile: RegionProfile) -> str:
    """The route's host. Names hold no `--`, so no two models share one; private has none."""
    label = f"{model.name}--{model.project}"
    return {
        "private": "",
        "permissive": f"{label}.internal.{profile.domain}",
        "public": f"{label}.{profile.domain}",
    }[model.spec.access]


def endpoint(model: Model, profile: RegionProfile) -> str:
    """The base URL for callers."""
    host = hostname(model, profile)
    scheme = "https" if model.spec.access == "public" else "http"
    return f"{scheme}://{host}" if host else f"http://{model.name}.{model.project}.svc"


def role_arn(profile: RegionProfile, role: str) -> str:
    """The ARN of one of our reader roles; empty where there is no AWS IAM."""
    if profile.provider != "aws":
        return ""
    account = profile.account
    return f"arn:{account.partition.name}:iam::{account.account_id}:role/{role}"


def reader_role(region: str, project: str) -> str:
    """The IAM role by which a project's pods download; agents are project `isoserve-cache`."""
    return f"isoserve.{region}.{project}"


def job_role(region: str, project: str, model: str) -> str:
    """The IAM role of one job. A digest keeps apart what 64 characters, IAM's most, cut alike."""
    digest = hashlib.sha256(f"{project}/{model}".encode()).hexdigest()[:8]
    stem = f"isoserve.{region}.{project}.{model}"
    return f"{stem[: _LONGEST_ROLE - len(digest) - 1]}.{digest}"


def data_prefix(project: str, path: str | None) -> str:
    """Where a folder of the project's data stands in the bucket; empty for none."""
    return f"{DATA}/{project}/{path}/" if path else ""


def backends(model: Model) -> tuple[BackendPlan, ...]:
    """The Services behind the route with their weights, which always sum to 100."""
    if model.spec.rollout.strategy != "canary":
        return (BackendPlan(service=model.name, role=live_role(model), weight=100),)
    share = candidate_share(model.spec)
    return (
        BackendPlan(service=model.name, role="stable", weight=100 - share),
        BackendPlan(service=candidate_service(model), role="candidate", weight=share),
    )


def live_role(model: Model) -> str:
    """Whom the model's own Service selects: a blue-green swap is a change of this one word."""
    rollout = model.spec.rollout
    return "candidate" if rollout.strategy == "blue_green" and rollout.step else "stable"


def access(specs: Specs, abilities: Abilities, profile: RegionProfile, model: Model) -> AccessPlan:
    """Who reaches the model; what the region lacks for it becomes a gap."""
    spec = model.spec
    if spec.access != "private" and abilities.allow("route", model.id, "access"):
        abilities.allow("route policies", model.id, "access")
    if spec.access == "public" and profile.sign_in is None:
        reason = f"region {abilities.region} has no sign_in, which public models need"
        abilities.lack(model.id, "access", "E333", f"{reason}; leave it out of regions")
    shared = {*spec.share_with, *specs.projects[model.project].spec.share_with}
    sign_in = profile.sign_in if spec.access == "public" else None
    callers = spec.callers if sign_in else None
    by_token = sign_in if not (callers and callers.keys) else None
    shadow = spec.rollout.strategy == "shadow"
    return AccessPlan(
        mode=spec.access,
        endpoint=endpoint(model, profile),
        hostname=hostname(model, profile),
        gateway=GATEWAYS[spec.access],
        proxy_namespaces=profile.proxy_namespaces if GATEWAYS[spec.access] else (),
        caller_namespaces=tuple(sorted({model.project, *shared})),
        requests_per_minute=spec.requests_per_minute,
        timeout_seconds=spec.timeout_seconds,
        stream_idle_seconds=spec.stream_idle_seconds or 0,
        backends=backends(model),
        mirror_service=candidate_service(model) if shadow else "",
        mirror_percent=spec.rollout.mirror_percent if shadow else 0,
        issuer=by_token.issuer if by_token else "",
        jwks_uri=by_token.jwks_uri if by_token else "",
        audience=sign_in.audience if sign_in else "",
        cors_origins=spec.cors_origins if sign_in else (),
        jwks=document(by_token.jwks) if by_token else "",
        groups_claim=by_token.groups_claim if by_token and callers else "",
        groups=callers.groups if callers else (),
        keys=callers.keys if callers else (),
        prober_issuer=f"https://{profile.cluster.oidc_issuer}" if sign_in else "",
        prober_jwks_uri=profile.cluster.jwks_uri if sign_in else "",
        prober_jwks=document(profile.cluster.jwks) if sign_in else "",
    )


def candidate_service(model: Model) -> str:
    """The name by which a candidate is asked by itself."""
    return f"{model.name}-candidate"


def _right_answers(abilities: Abilities, profile: RegionProfile, model: Model) -> int:
    """How often a candidate must answer rightly before it has users; 0 where nobody can ask it."""
    rollout = model.spec.rollout
    if rollout.candidate is None or model.spec.probe.request is None:
        return 0
    real = not profile.machines[model.spec.machine_type].simulated
    asked = abilities.allow_if(real, "answers of a candidate", model.id, "rollout.right_answers")
    return rollout.right_answers if asked else 0


def probe(
    abilities: Abilities, profile: RegionProfile, model: Model, runtime: Runtime
) -> ProbePlan:
    """The spec's own example request, else the runtime's readiness question: the user's path.

    Only what the spec wrote is asked of a candidate too: readiness its gate looks at already.
    """
    request, expect = model.spec.probe.request, model.spec.probe.expect
    own = f"http://{candidate_service(model)}.{model.project}.svc"
    interval = model.spec.probe.interval_seconds
    often = max(CANDIDATE_INTERVAL_SECONDS, math.ceil(expect.latency_seconds))
    names_model = bool(runtime.probe_json_path) and request is None
    return ProbePlan(
        url=endpoint(model, profile) + (request.path if request else runtime.probe_path),
        method="POST" if request else "GET",
        body=request.body if request else {},
        status=expect.status,
        json_path=runtime.probe_json_path if names_model else expect.json_path,
        length=expect.length,
        matches=pattern(model.served_names[0]) if names_model else expect.matches,
        latency_seconds=expect.latency_seconds,
        interval_seconds=interval,
        written=request is not None,
        needs_token=model.spec.access == "public",
        candidate_url=own + request.path if request and model.spec.rollout.candidate else "",
        candidate_interval_seconds=min(interval, often),
        right_answers=_right_answers(abilities, profile, model),
    )


def workload(
    specs: Specs,
    abilities: Abilities,
    profile: RegionProfile,
    region: str,
    model: Model,
    *,
    reads: bool,
) -> WorkloadPlan:
    """What a server and a job of `model` have in common.

    `reads` says whether any of its pods reads the registry: no others have a role, and a way out.
    """
    spec = model.spec
    ranked = abilities.allow("priority classes", "", "capacity.priority")
    return WorkloadPlan(
        id=model.id,
        project=model.project,
        model=model.name,
        namespace=model.project,
        labels=labels_of(model),
        differs=spec.said_of(region),
        secrets=tuple(SecretPlan(name=s.name, mount=s.mount) for s in spec.secrets),
        priority_class=f"isoserve-{spec.capacity.priority}" if ranked else "",
        agent_image=profile.agent_image,
        pull_secrets=pull_secrets(specs, profile, model.project),
        registry_url=f"s3://{profile.registry.bucket}",
        registry_endpoint=profile.registry.endpoint,
        registry_region=profile.account.region,
        registry_secret=profile.registry.credentials_secret,
        registry_ports=profile.registry.ports if reads else (),
        registry_addresses=profile.registry.addresses if reads else (),
        calls=calls(specs, abilities, profile.reachable, model),
        reader_role_arn=role_arn(profile, reader_role(region, model.project)) if reads else "",
        scraper_namespace=profile.scraper_namespace,
    )


def pull_secrets(specs: Specs, profile: RegionProfile, project: str) -> tuple[str, ...]:
    """The Secrets that pull what runs in a project: the region's, and its own beside it."""
    named = (profile.pull_secret, specs.projects[project].spec.pull_secret)
    return tuple(dict.fromkeys(filter(None, named)))


def server(
    specs: Specs, abilities: Abilities, profile: RegionProfile, region: str, model: Model
) -> ServerPlan:
    """One model as an endpoint."""
    runtime = model.spec.contract_of(model.spec.image)
    abilities.allow("alert rules", "", "slo")  # without, its outcome is recorded, nothing is lost
    made = tracks(specs, abilities, profile, model)
    reads = any(track.weights.mode == "download" for track in made)
    return ServerPlan(
        workload=workload(specs, abilities, profile, region, model, reads=reads),
        live_role=live_role(model),
        tracks=made,
        access=access(specs, abilities, profile, model),
        probe=probe(abilities, profile, model, runtime),
        slo=SloPlan(
            availability=model.spec.slo.availability,
            latency_seconds=model.spec.slo.latency_seconds,
            runbook_url=profile.runbook_url,
        ),
        spread_zones=len(profile.zones) > 1,
    )


def run_id(spec: ModelSpec) -> str:
    """What tells a single run from the next: 8 hexadecimal digits of all that the spec says of it.

    Defaults are left out: the same words are the same run when the platform gets a new field. So
    are `rates`, `regions` and `ttl`, which say how fast, where and how long, not what.
    """
    said = spec.model_dump_json(exclude={"rates", "regions", "ttl"}, exclude_defaults=True)
    return hashlib.sha256(json.dumps(json.loads(said), sort_keys=True).encode()).hexdigest()[:8]


def _data(abilities: Abilities, profile: RegionProfile, region: str, model: Model) -> DataPlan:
    """What the job reads and writes, and by whose rights."""
    batch = model.spec.batch
    assert batch is not None, "the caller has looked"
    read, written = (data_prefix(model.project, one) for one in (batch.input, batch.output))
    has_roles = profile.provider == "aws" and not profile.registry.endpoint
    has_role = bool(read or written) and abilities.allow_if(
        has_roles, "role of a job", model.id, "batch"
    )
    if written:
        copies = {copy.region for copy in profile.registry.replicate_to}
        also = copies & {*model.spec.only_in} if model.spec.only_in else copies
        abilities.allow_if(not also, "results of each region", model.id, "batch.output")
    return DataPlan(
        input_prefix=read,
        output_prefix=written,
        role=job_role(region, model.project, model.name) if has_role else "",
    )


def _data_env(work: WorkloadPlan, data: DataPlan) -> dict[str, str]:
    """How the job's program finds its data: URLs, and what every SDK of S3 reads by itself.

    Python's reads AWS_DEFAULT_REGION (botocore/configprovider.py of 1.44.5), the others AWS_REGION
    (docs.aws.amazon.com/sdkref/latest/guide/feature-region.html).
    """
    if not data.is_any:
        return {}
    told = {
        "AWS_DEFAULT_REGION": work.registry_region,
        "AWS_ENDPOINT_URL_S3": work.registry_endpoint,
        "AWS_REGION": work.registry_region,
        "AWS_SHARED_CREDENTIALS_FILE": "" if data.role else f"{_DATA_SECRET_MOUNT}/credentials",
        "ISOSERVE_INPUT": data.input_prefix and f"{work.registry_url}/{data.input_prefix}",
        "ISOSERVE_OUTPUT": data.output_prefix and f"{work.registry_url}/{data.output_prefix}",
    }
    return {name: value for name, value in told.items() if value}


def _with_data(work: WorkloadPlan, profile: RegionProfile, data: DataPlan) -> WorkloadPlan:
    """The job's own rights in the place of the project's, or its keys where there are no roles."""
    if data.role:
        return replace(work, reader_role_arn=role_arn(profile, data.role))
    if not data.is_any:
        return work
    # No name that a spec writes holds two hyphens, so this is no Secret of `secrets`.
    keys = SecretPlan(name=f"{work.model}--data", mount=_DATA_SECRET_MOUNT)
    return replace(work, secrets=(*work.secrets, keys))


def job(
    specs: Specs, abilities: Abilities, profile: RegionProfile, region: str, model: Model
) -> JobPlan:
    """One model as a batch job."""
    spec, batch = model.spec, model.spec.batch
    assert batch is not None, "the caller has looked"
    what = version(specs, spec, None)
    files = weights(abilities, model, what)
    offer = profile.machines[spec.machine_type]
    spot = spec.capacity.spot and abilities.allow_if(
        offer.spot.max > 0, "spot nodes", model.id, "capacity.spot"
    )
    capacity = "spot" if spot else "on_demand"
    data = _data(abilities, profile, region, model)
    reads = files.mode == "download" or data.is_any
    work = workload(specs, abilities, profile, region, model, reads=reads)
    work = _with_data(work, profile, data)
    own = container(what, MACHINES[spec.machine_type], model)
    return JobPlan(
        workload=work,
        container=replace(own, command=batch.command, args=(), env=own.env | _data_env(work, data)),
        weights=files,
        placement=placement(
            offer,
            spec,
            capacity,
            what.bytes,
            files.mode == "cache",
            fallback_seconds(abilities, profile, model, capacity),
        ),
        capacity=capacity,
        run=run_id(spec),
        schedule=batch.schedule or "",
        timezone=batch.timezone,
        parallelism=batch.parallelism,
        completions=batch.completions,
        retries=batch.retries,
        deadline_seconds=batch.deadline_seconds,
        data=data,
    )
