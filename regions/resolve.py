"""Brings what is wanted and what a region gives to one plan, or says per model what is lacking."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Final

from model_specs.errors import SpecError, SpecErrors, nearest, shown
from model_specs.gpu_kinds import GPU_RESOURCES
from model_specs.load import Model, Specs
from model_specs.moment import written
from model_specs.names import (
    CACHE_ACCOUNT,
    CACHE_NAMESPACE,
    GATEWAY_NAMESPACE,
    SYSTEM_NAMESPACE,
)
from model_specs.pinned import image_host
from regions.abilities import Abilities
from regions.caches import caches as caches_of
from regions.caches import held
from regions.calls import way
from regions.clashes import clashes
from regions.clocks import arrival_seconds
from regions.exposure import balancer_annotations
from regions.gpu_memory import fits_memory
from regions.limits import (
    over_budget,
    over_capacity,
    over_quota,
    unknown_machines,
    unnamed_machines,
)
from regions.machines import MACHINES, machine_of
from regions.model_plan import JobPlan, ServerPlan, WorkloadPlan
from regions.node_disks import over_disk
from regions.offers import Offer
from regions.plan import (
    AccountPlan,
    CachePlan,
    ClusterPlan,
    ExpiredPlan,
    GatewayPlan,
    GrantPlan,
    ProberPlan,
    ProjectPlan,
    PrometheusPlan,
    RegionPlan,
    RegistryPlan,
    ReplicaPlan,
)
from regions.pools import demand, fallen, nodes_of, pools, with_surge
from regions.profile import RegionProfile
from regions.servers import job as job_of
from regions.servers import pull_secrets, reader_role, server
from regions.tracks import version, versions

_SYSTEM_NAMESPACES: Final = (CACHE_NAMESPACE, GATEWAY_NAMESPACE, SYSTEM_NAMESPACE)
_PRIORITIES: Final = (
    ("isoserve-preemptible", 1000),
    ("isoserve-standard", 1_000_000),
)
_PROBER_CPU: Final = 1
_PROBER_GIB: Final = 1
"""Two probers during its rollout, far below this."""


def _wanted(models: Iterable[Model], region: str) -> tuple[Model, ...]:
    return tuple(model for model in models if model.spec.is_in(region))


def _expired(specs: Specs, region: str) -> tuple[ExpiredPlan, ...]:
    return tuple(
        ExpiredPlan(model=model.id, ttl=written(model.spec.ttl))
        for model in _wanted(specs.expired, region)
        if model.spec.ttl is not None
    )


def _holds_replicas(abilities: Abilities, offer: Offer, model: Model) -> None:
    """Record that a server's replicas have no room on the region's nodes."""
    wish = model.spec.machine_type
    nodes = offer.on_demand.max + (offer.spot.max if model.spec.capacity.spot else 0)
    most = nodes * offer.replicas_per_node
    if model.spec.scaling.max > most:
        reason = (
            f"max is {model.spec.scaling.max} and region {abilities.region} holds {most} replicas "
            f"of {wish}; lower max"
        )
        abilities.lack(model.id, "scaling.max", "E302", reason)
    rest = model.spec.scaling.max - model.spec.capacity.on_demand_base
    room = offer.spot.max * offer.replicas_per_node
    _holds_fallback(abilities, offer, model, model.spec.scaling.max)
    if model.spec.capacity.spot and room and rest > room:
        reason = (
            f"{rest} replicas above on_demand_base would stand on spot nodes and region "
            f"{abilities.region} holds {room}; raise capacity.on_demand_base"
        )
        abilities.lack(model.id, "capacity.on_demand_base", "E302", reason)


def _holds_fallback(abilities: Abilities, offer: Offer, model: Model, most: int) -> None:
    """Record that the on-demand nodes do not hold all `most` pods when no spot node is there."""
    room = offer.on_demand.max * offer.replicas_per_node
    falls = model.spec.capacity.spot_fallback == "on_demand" and offer.spot.max
    if falls and most > room:
        reason = (
            f"without spot nodes {most} pods would stand on on-demand nodes and region "
            f"{abilities.region} holds {room} of {model.spec.machine_type}; ask for fewer, or "
            f"write none"
        )
        abilities.lack(model.id, "capacity.spot_fallback", "E302", reason)


def _holds_pods(abilities: Abilities, offer: Offer, model: Model) -> None:
    """Record that a job's pods, all on one kind of node, have no room at once."""
    spec = model.spec
    assert spec.batch is not None, "the caller has looked"
    kind = "spot" if spec.capacity.spot and offer.spot.max else "on_demand"
    room = nodes_of(offer, kind).max * offer.replicas_per_node
    _holds_fallback(abilities, offer, model, spec.batch.parallelism)
    if spec.batch.parallelism > room:
        reason = (
            f"parallelism is {spec.batch.parallelism} and region {abilities.region} holds {room} "
            f"pods of {spec.machine_type} on {kind} nodes; lower it"
        )
        abilities.lack(model.id, "batch.parallelism", "E302", reason)


def _has_time(specs: Specs, abilities: Abilities, model: Model) -> None:
    """Record that a job's run would be given up before it has its model."""
    batch = model.spec.batch
    assert batch is not None, "the caller has looked"
    what = version(specs, model.spec, None)
    needed = arrival_seconds(machine_of(model.spec), what.bytes)
    if batch.deadline_seconds <= needed:
        reason = (
            f"{what.bytes / 1024**3:.1f} GiB may take {needed} s to come and to load, and a run "
            f"is given up after {batch.deadline_seconds} s; raise it"
        )
        abilities.lack(model.id, "batch.deadline_seconds", "E302", reason)


def _fits(specs: Specs, abilities: Abilities, profile: RegionProfile, model: Model) -> None:
    """Record what of the model's machine this region lacks."""
    wish = model.spec.machine_type
    offer = profile.machines.get(wish)
    if offer is None:
        reason = f"region {abilities.region} has no {wish}; {nearest(wish, profile.machines)}"
        abilities.lack(model.id, "machine_type", "E333", reason)
        return
    if model.spec.batch is None:
        _holds_replicas(abilities, offer, model)
    else:
        _holds_pods(abilities, offer, model)
        _has_time(specs, abilities, model)
    for role, what in versions(specs, model.spec).items():
        host = image_host(what.image)
        if host not in profile.image_hosts:
            path = "image" if role == "stable" else f"rollout.{role}"
            allowed = ", ".join(profile.image_hosts)
            why = f"region {abilities.region} runs images of {allowed}, got {shown(host)}"
            abilities.lack(model.id, path, "E333", f"{why}; mirror the image there")
        reason = fits_memory(MACHINES[wish], what)
        if reason:
            path = "model" if role == "stable" else f"rollout.{role}"
            abilities.lack(model.id, path, "E334", reason)


def _account(profile: RegionProfile) -> AccountPlan:
    account = profile.account
    return AccountPlan(
        region=account.region,
        partition=account.partition.name,
        dns_suffix=account.partition.dns_suffix,
        account_id=account.account_id,
        profile=account.profile,
        config_file=account.config_file,
        credentials_file=account.credentials_file,
        s3_compatible=profile.provider != "aws",
        subnet_ids=account.subnet_ids,
        node_security_group_ids=account.node_security_group_ids,
    )


def _grants(
    profile: RegionProfile, region: str, projects: Iterable[str], jobs: Iterable[JobPlan]
) -> Iterator[GrantPlan]:
    """A role for the agents, for each project's own downloads, and for each job with data."""
    if profile.provider != "aws":
        return
    yield GrantPlan(
        name=f"reader-{CACHE_NAMESPACE}",
        role=reader_role(region, CACHE_NAMESPACE),
        namespace=CACHE_NAMESPACE,
        service_account=CACHE_ACCOUNT,
        reads=("",),
        writes=(),
    )
    for project in projects:
        yield GrantPlan(
            name=f"reader-{project}",
            role=reader_role(region, project),
            namespace=project,
            service_account="*",
            reads=(f"{project}/",),
            writes=(),
        )
    for job in jobs:
        if job.data.role:
            yield _grant_of(job)


def _grant_of(job: JobPlan) -> GrantPlan:
    """The role of a job's pods, which replaces the project's: what downloads needs that part too.

    Two hyphens in the logical name keep it apart from a project's.
    """
    work, data = job.workload, job.data
    models = f"{work.project}/" if job.weights.mode == "download" else ""
    return GrantPlan(
        name=f"job-{work.project}--{work.model}",
        role=data.role,
        namespace=work.namespace,
        service_account=work.model,
        reads=tuple(prefix for prefix in (models, data.input_prefix) if prefix),
        writes=(data.output_prefix,) if data.output_prefix else (),
    )


def _registry(
    profile: RegionProfile,
    abilities: Abilities,
    region: str,
    projects: Iterable[str],
    jobs: Iterable[JobPlan],
) -> RegistryPlan:
    registry = profile.registry
    copied = abilities.allow("registry replication", "", "registry")
    has_keys = abilities.allow("registry key", "", "registry")
    return RegistryPlan(
        bucket=registry.bucket,
        url=f"s3://{registry.bucket}",
        endpoint=registry.endpoint,
        ports=registry.ports,
        addresses=profile.registry.addresses,
        region=profile.account.region,
        kms=has_keys,
        key_alias=f"alias/isoserve-{region}-models",
        partition=profile.account.partition.name,
        dns_suffix=profile.account.partition.dns_suffix,
        access_control=abilities.allow("registry walls", "", "registry"),
        replicate_to=tuple(
            ReplicaPlan(
                region=copy.region, bucket=copy.bucket, key_arn=copy.key_arn if has_keys else ""
            )
            for copy in registry.replicate_to
            if copied
        ),
        oidc_issuer=profile.cluster.oidc_issuer,
        account_id=profile.account.account_id,
        grants=tuple(_grants(profile, region, projects, jobs)),
    )


def _has_gateways(abilities: Abilities) -> bool:
    """Whether models have routes here, be the gateways ours or somebody else's."""
    return {"gateway_api", "envoy_gateway"} <= abilities.present


def _callees(
    profile: RegionProfile, abilities: Abilities, servers: Iterable[ServerPlan]
) -> dict[str, set[str]]:
    """By project, where it may call: the gateways' proxies, and wherever a server lets it in."""
    gateways = {*profile.proxy_namespaces} if _has_gateways(abilities) else set()
    found: dict[str, set[str]] = defaultdict(lambda: {*gateways})
    for row in servers:
        for caller in row.access.caller_namespaces:
            found[caller].add(row.workload.namespace)
    return found


def _projects(
    specs: Specs,
    profile: RegionProfile,
    abilities: Abilities,
    names: Iterable[str],
    servers: Iterable[ServerPlan],
) -> tuple[ProjectPlan, ...]:
    """The tenants. A rollout's surge stands on top of the quota, or the quota would stall it."""
    owns = abilities.allow("namespaces", "", "project")
    callees = _callees(profile, abilities, servers)
    surge: dict[str, Counter[str]] = defaultdict(Counter)
    for row in servers:
        for track in row.tracks:
            place, sums = track.placement, surge[row.workload.project]
            sums["cpu"] += track.surge * place.cpu
            sums["memory"] += track.surge * place.memory_gib
            sums[place.gpu_resource] += track.surge * place.gpus
    found = []
    for name in names:
        spec = specs.projects[name].spec
        sums = surge[name]
        for machine, gpus in spec.gpu_quota.items():
            sums[MACHINES[machine].kind.resource] += gpus
        found.append(
            ProjectPlan(
                name=name,
                namespace=name,
                owns_namespace=owns,
                admins=spec.members.admins,
                developers=spec.members.developers,
                viewers=spec.members.viewers,
                gpus={resource: sums[resource] for resource in GPU_RESOURCES},
                cpu=spec.cpu_quota + sums["cpu"] + _PROBER_CPU,
                memory_gib=spec.memory_quota_gib + sums["memory"] + _PROBER_GIB,
                pods=500,
                claims=20,
                callee_namespaces=tuple(sorted({name, *callees[name]})),
            )
        )
    return tuple(found)


def _gateways(profile: RegionProfile, abilities: Abilities) -> tuple[GatewayPlan, ...]:
    if not _has_gateways(abilities):
        return ()
    if not abilities.allow("gateways", "", "access"):
        return ()
    entrances = [("internal", f"*.internal.{profile.domain}", "")]
    if profile.sign_in is not None:
        entrances.append(("public", f"*.{profile.domain}", profile.tls_secret))
    return tuple(
        GatewayPlan(
            name=name,
            namespace=GATEWAY_NAMESPACE,
            gateway_class=profile.gateway_class,
            hostname=host,
            tls_secret=secret,
            tls_issuer=profile.tls_issuer if secret else "",
            annotations=balancer_annotations(
                profile.provider, name, getattr(profile.gateways, name).annotations
            ),
            proxy_namespaces=profile.proxy_namespaces,
        )
        for name, host, secret in entrances
    )


def _refused(abilities: Abilities, model: Model, region: str, before: int) -> Iterator[SpecError]:
    """The gaps that came after `before`, as errors where the spec names the region.

    Their paths are then those of the file, below the region where that says the field.
    """
    for index, gap in enumerate(abilities.gaps[before:], start=before):
        error = model.source.error(tuple(gap.path.split(".")), gap.code, gap.reason)
        abilities.gaps[index] = replace(gap, path=error.path)
        if model.spec.names(region):
            yield error


def resolve(specs: Specs, profile: RegionProfile, region: str) -> RegionPlan:
    """The plan of `region`: pure, total and the same for the same input.

    Raises SpecErrors for what no single model can mend: unknown machine types, a model that names
    this region and cannot be served in it, quotas, node and disk capacity.
    """
    errors = [*unnamed_machines(specs)]  # those that every region replaces too
    specs = specs.here(region)
    errors += unknown_machines(specs)
    if errors:
        raise SpecErrors(errors)
    abilities = Abilities(region, frozenset(profile.all_capabilities))
    servers: list[ServerPlan] = []
    jobs: list[JobPlan] = []
    for model in _wanted(specs.models, region):
        before = len(abilities.gaps)
        _fits(specs, abilities, profile, model)
        if len(abilities.gaps) == before and model.spec.batch is not None:
            job = job_of(specs, abilities, profile, region, model)
            jobs += [job] if len(abilities.gaps) == before else []
        elif len(abilities.gaps) == before:
            made = server(specs, abilities, profile, region, model)
            servers += [made] if len(abilities.gaps) == before else []
        errors += _refused(abilities, model, region, before)
    wanted = demand(servers, jobs)
    caches = caches_of(profile, region, held(servers, jobs))
    errors += clashes(specs, profile, servers, jobs)
    errors += over_quota(specs, region, servers, jobs)
    errors += over_budget(specs, profile, region, servers, jobs)
    errors += over_capacity(profile, region, wanted, fallen(servers, jobs))
    errors += over_disk(profile, region, servers, jobs, caches)
    if errors:
        raise SpecErrors(errors)
    return _plan(specs, profile, region, abilities, (servers, jobs, caches))


def _cluster(profile: RegionProfile) -> ClusterPlan:
    cluster = profile.cluster
    return ClusterPlan(name=cluster.name, kubeconfig=cluster.kubeconfig, context=cluster.context)


def _prometheus(profile: RegionProfile) -> PrometheusPlan:
    return PrometheusPlan(
        url=profile.prometheus_url,
        namespace=profile.scraper_namespace,
        labels=profile.prometheus_labels,
    )


def _probers(
    specs: Specs, profile: RegionProfile, servers: Iterable[ServerPlan]
) -> tuple[ProberPlan, ...]:
    """One prober for each project that has servers."""
    asked: dict[str, list[str]] = defaultdict(list)
    for row in servers:
        asked[row.workload.project].append(row.workload.id)
    return tuple(
        ProberPlan(
            project=name,
            namespace=name,
            image=profile.prober_image,
            pull_secrets=pull_secrets(specs, profile, name),
            servers=tuple(asked[name]),
            proxy_namespaces=profile.proxy_namespaces,
            scraper_namespace=profile.scraper_namespace,
            tls_ca=profile.tls_ca,
        )
        for name in sorted(asked)
    )


def _used(specs: Specs, region: str, workloads: Iterable[WorkloadPlan]) -> list[str]:
    """The projects that this region has something of.

    One whose models have expired keeps its namespace and what people put there: a later ttl brings
    the models back.
    """
    expired = {model.project for model in _wanted(specs.expired, region)}
    return sorted({work.project for work in workloads} | expired)


_Parts = tuple[list[ServerPlan], list[JobPlan], tuple[CachePlan, ...]]


def _plan(
    specs: Specs, profile: RegionProfile, region: str, abilities: Abilities, parts: _Parts
) -> RegionPlan:
    """All parts together, in their fixed order."""
    servers, jobs, caches = parts
    wanted, guests = demand(servers, jobs), fallen(servers, jobs)
    servers = [with_surge(row, profile, wanted, guests) for row in servers]
    names = _used(specs, region, [*(s.workload for s in servers), *(j.workload for j in jobs)])
    abilities.allow("admission guard", "", "access")
    whole = abilities.allow("region dashboard", "", "slo")  # and all else with cluster rights
    return RegionPlan(
        region=region,
        provider=profile.provider,
        zones=profile.zones,
        domain=profile.domain,
        capabilities=tuple(sorted(profile.all_capabilities)),
        cluster=_cluster(profile),
        account=_account(profile),
        registry=_registry(profile, abilities, region, names, jobs),
        grafana_url=profile.grafana_url,
        prometheus=_prometheus(profile),
        proxy_namespaces=profile.proxy_namespaces,
        image_hosts=tuple(profile.image_hosts),
        pull_secret=profile.pull_secret,
        reachable=tuple(map(way, profile.reachable)),
        addon_objects=tuple((one.kind, one.name) for one in profile.addon_objects),
        system_namespaces=_SYSTEM_NAMESPACES if whole else (),
        priority_classes=_PRIORITIES if whole else (),
        projects=_projects(specs, profile, abilities, names, servers),
        pools=pools(profile, abilities, wanted),
        caches=caches,
        gateways=_gateways(profile, abilities),
        servers=tuple(servers),
        jobs=tuple(jobs),
        probers=_probers(specs, profile, servers),
        expired=_expired(specs, region),
        downgrades=abilities.replaced(),
        gaps=tuple(abilities.gaps),
    )
