"""Brings what is wanted and what a region gives to one plan, or says per model what is lacking."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from model_specs.errors import SpecError, SpecErrors, nearest
from model_specs.load import Model, Specs
from model_specs.source import Where
from regions.abilities import Abilities
from regions.machines import MACHINES
from regions.plan import (
    AccountPlan,
    CachePlan,
    ClaimPlan,
    ClusterPlan,
    GatewayPlan,
    HeldModelPlan,
    JobPlan,
    ProberPlan,
    ProjectPlan,
    ReaderPlan,
    RegionPlan,
    RegistryPlan,
    ServerPlan,
    WeightsPlan,
)
from regions.pools import demand, pools, with_surge
from regions.profile import RegionProfile
from regions.servers import job, reader_role, role_arn, server
from regions.tracks import claim_name, fits_memory, taints, versions

_GIB: Final = 1024**3
_DISK_SLACK: Final = 1.2  # room for a download beside what is held
_SYSTEM_NAMESPACES: Final = ("isoserve-cache", "isoserve-gateway", "isoserve-system")
_PRIORITIES: Final = (
    ("isoserve-node", 2_000_000),
    ("isoserve-preemptible", 1000),
    ("isoserve-standard", 1_000_000),
)
_CACHE_ACCOUNT: Final = "cache-agent"


def _wanted(specs: Specs, region: str) -> tuple[Model, ...]:
    return tuple(m for m in specs.models if not m.spec.regions or region in m.spec.regions)


def unknown_regions(specs: Specs, regions: Iterable[str]) -> Iterator[SpecError]:
    """Regions that a spec names and no profile describes."""
    known = tuple(regions)
    for model in specs.models:
        for index, name in enumerate(model.spec.regions):
            if name not in known:
                message = f"no such region, got {name!r}; {nearest(name, known)}"
                yield model.source.error(("regions", index), "E333", message)


def unknown_machines(specs: Specs) -> Iterator[SpecError]:
    """Machine types that are in no row of the catalogue."""
    for model in specs.models:
        wish = model.spec.machine_type
        if wish not in MACHINES:
            message = f"no such machine type, got {wish!r}; {nearest(wish, MACHINES)}"
            yield model.source.error(("machine_type",), "E331", message)
    for project in specs.projects.values():
        for wish in project.spec.gpu_quota:
            if wish not in MACHINES:
                message = f"no such machine type, got {wish!r}; {nearest(wish, MACHINES)}"
                yield project.source.error(("gpu_quota", wish), "E331", message)


def _fits(specs: Specs, abilities: Abilities, profile: RegionProfile, model: Model) -> None:
    """Record what of the model's machine this region lacks."""
    wish = model.spec.machine_type
    offer = profile.machines.get(wish)
    if offer is None:
        reason = f"region {abilities.region} has no {wish}; {nearest(wish, profile.machines)}"
        abilities.lack(model.id, "machine_type", "E333", reason)
        return
    nodes = offer.on_demand.max + (offer.spot.max if model.spec.capacity.spot else 0)
    most = nodes * offer.replicas_per_node
    if model.spec.scaling.max > most:
        reason = (
            f"max is {model.spec.scaling.max} and region {abilities.region} holds {most} replicas "
            f"of {wish}; lower max"
        )
        abilities.lack(model.id, "scaling.max", "E302", reason)
    for what in versions(specs, model.spec).values():
        reason = fits_memory(MACHINES[wish], what.bytes)
        if reason:
            abilities.lack(model.id, "model", "E334", reason)


def _account(profile: RegionProfile) -> AccountPlan:
    account = profile.account
    return AccountPlan(
        region=account.region,
        account_id=account.account_id,
        profile=account.profile,
        config_file=account.config_file,
        credentials_file=account.credentials_file,
        s3_compatible=profile.provider != "aws",
        subnet_ids=account.subnet_ids,
        node_security_group_ids=account.node_security_group_ids,
    )


def _held(servers: Iterable[ServerPlan], jobs: Iterable[JobPlan]) -> dict[str, list[HeldModelPlan]]:
    """By machine type, every version its nodes keep, in order and once."""
    rows: dict[str, dict[str, HeldModelPlan]] = defaultdict(dict)

    def add(machine: str, project: str, model: str, files: WeightsPlan) -> None:
        if files.mode == "cache":
            rows[machine][files.address] = HeldModelPlan(
                project=project,
                model=model,
                address=files.address,
                digest=files.digest,
                bytes=files.bytes,
            )

    for row in servers:
        for track in row.tracks:
            work = row.workload
            add(track.placement.machine_type, work.project, work.model, track.weights)
    for row_job in jobs:
        work = row_job.workload
        add(row_job.placement.machine_type, work.project, work.model, row_job.weights)
    return {machine: [held[key] for key in sorted(held)] for machine, held in rows.items()}


def _caches(
    profile: RegionProfile, region: str, held: Mapping[str, list[HeldModelPlan]]
) -> tuple[CachePlan, ...]:
    found = []
    for machine, models in sorted(held.items()):
        offer, row = profile.machines[machine], MACHINES[machine]
        projects = sorted({model.project for model in models})
        slug = machine.replace(".", "-")
        found.append(
            CachePlan(
                name=f"cache-{slug}",
                namespace=_SYSTEM_NAMESPACES[0],
                machine_type=machine,
                node_selector={"isoserve.dev/machine-type": machine},
                tolerations=taints(row),
                image=profile.agent_image,
                models=tuple(models),
                claims=tuple(
                    ClaimPlan(
                        name=claim_name(machine),
                        project=project,
                        namespace=project,
                        gib=offer.cache_disk_gib,
                    )
                    for project in projects
                ),
                disk_budget_gib=offer.cache_disk_gib,
                registry_url=f"s3://{profile.registry.bucket}",
                registry_endpoint=profile.registry.endpoint,
                registry_region=profile.account.region,
                reader_role_arn=role_arn(profile, reader_role(region, _SYSTEM_NAMESPACES[0])),
            )
        )
    return tuple(found)


def _readers(profile: RegionProfile, region: str, projects: Iterable[str]) -> list[ReaderPlan]:
    """One role for the agents, one for each project's own downloads."""
    if profile.provider != "aws":
        return []
    agents = ReaderPlan(
        role=reader_role(region, _SYSTEM_NAMESPACES[0]),
        namespace=_SYSTEM_NAMESPACES[0],
        service_account=_CACHE_ACCOUNT,
        prefix="",
    )
    return [
        agents,
        *(
            ReaderPlan(
                role=reader_role(region, project),
                namespace=project,
                service_account="*",
                prefix=f"{project}/",
            )
            for project in projects
        ),
    ]


def _registry(
    profile: RegionProfile, abilities: Abilities, region: str, projects: Iterable[str]
) -> RegistryPlan:
    registry = profile.registry
    abilities.allow("registry replication", "", "registry")
    return RegistryPlan(
        bucket=registry.bucket,
        url=f"s3://{registry.bucket}",
        endpoint=registry.endpoint,
        region=profile.account.region,
        kms=abilities.allow("registry key", "", "registry"),
        replicate_to=tuple((copy.region, copy.bucket) for copy in registry.replicate_to),
        oidc_issuer=profile.cluster.oidc_issuer,
        account_id=profile.account.account_id,
        readers=tuple(_readers(profile, region, projects)),
    )


def _projects(specs: Specs, abilities: Abilities, names: Iterable[str]) -> tuple[ProjectPlan, ...]:
    owns = abilities.allow("namespaces", "", "project")
    found = []
    for name in names:
        spec = specs.projects[name].spec
        found.append(
            ProjectPlan(
                name=name,
                namespace=name,
                owns_namespace=owns,
                admins=spec.members.admins,
                developers=spec.members.developers,
                viewers=spec.members.viewers,
                gpus=sum(spec.gpu_quota.values()),
                cpu=spec.cpu_quota,
                memory_gib=spec.memory_quota_gib,
                pods=500,
                claims=20,
            )
        )
    return tuple(found)


def _gateways(profile: RegionProfile, abilities: Abilities) -> tuple[GatewayPlan, ...]:
    if not {"gateway_api", "envoy_gateway"} <= abilities.present:
        return ()
    if not abilities.allow("gateways", "", "access"):
        return ()
    entrances = [("internal", f"*.internal.{profile.domain}", "")]
    if profile.sign_in is not None:
        entrances.append(("public", f"*.{profile.domain}", profile.tls_secret))
    return tuple(
        GatewayPlan(
            name=name,
            namespace=_SYSTEM_NAMESPACES[1],
            gateway_class=profile.gateway_class,
            hostname=host,
            tls_secret=secret,
        )
        for name, host, secret in entrances
    )


def _use(servers: Iterable[ServerPlan], jobs: Iterable[JobPlan]) -> Iterator[tuple[str, str, int]]:
    """Project, machine type and the most replicas, for each workload."""
    for row in servers:
        for track in row.tracks:
            yield row.workload.project, track.placement.machine_type, track.scaler.max
    for row_job in jobs:
        yield row_job.workload.project, row_job.placement.machine_type, row_job.parallelism


def _over_quota(
    specs: Specs, region: str, servers: Iterable[ServerPlan], jobs: Iterable[JobPlan]
) -> Iterator[SpecError]:
    """Projects whose models together may ask for more GPUs of a type than their quota."""
    used: dict[tuple[str, str], int] = defaultdict(int)
    for project, machine, replicas in _use(servers, jobs):
        used[project, machine] += replicas * MACHINES[machine].gpus
    for (project, machine), gpus in sorted(used.items()):
        quota = specs.projects[project].spec.gpu_quota.get(machine, 0)
        if gpus > quota:
            who = ", ".join(
                model.name
                for model in _wanted(specs, region)
                if model.project == project and model.spec.machine_type == machine
            )
            where: Where = ("gpu_quota", machine)
            yield specs.projects[project].source.error(
                where,
                "E381",
                f"{who} may use {gpus} GPUs of {machine} in {region}, got a quota of {quota}; "
                f"raise it or lower scaling.max",
            )


def _over_capacity(
    profile: RegionProfile,
    region: str,
    plan_rows: Mapping[tuple[str, str], tuple[int, int, int]],
    caches: Iterable[CachePlan],
) -> Iterator[SpecError]:
    """Pools whose nodes cannot hold the least replicas, disks that cannot hold the models."""
    for (machine, capacity), (least, _, _) in sorted(plan_rows.items()):
        offer = profile.machines[machine]
        nodes = offer.spot if capacity == "spot" else offer.on_demand
        slots = nodes.max * offer.replicas_per_node
        if least > slots:
            message = (
                f"all models together keep {least} {capacity} replicas of {machine}, got room for "
                f"{slots}; add nodes or lower scaling.min"
            )
            yield _region_error(region, f"machines.{machine}", message)
    for cache in caches:
        need = math.ceil(_DISK_SLACK * sum(model.bytes for model in cache.models) / _GIB)
        if need > cache.disk_budget_gib:
            message = (
                f"the cached models of {cache.machine_type} need {need} GiB of every node, got "
                f"{cache.disk_budget_gib}; give larger disks or cache fewer (`cache: never`)"
            )
            yield _region_error(region, f"machines.{cache.machine_type}.cache_disk_gib", message)


def _region_error(region: str, path: str, message: str) -> SpecError:
    return SpecError(
        file=f"regions/{region}.yaml", line=1, column=1, path=path, code="E381", message=message
    )


def resolve(specs: Specs, profile: RegionProfile, region: str) -> RegionPlan:
    """The plan of `region`: pure, total and the same for the same input.

    Raises SpecErrors for what no single model can mend: unknown machine types, a model that names
    this region and cannot be served in it, quotas, node and disk capacity.
    """
    errors = [*unknown_machines(specs)]
    if errors:
        raise SpecErrors(errors)
    abilities = Abilities(region, frozenset(profile.capabilities))
    servers: list[ServerPlan] = []
    jobs: list[JobPlan] = []
    for model in _wanted(specs, region):
        before = len(abilities.gaps)
        _fits(specs, abilities, profile, model)
        if len(abilities.gaps) == before and model.spec.batch is not None:
            jobs.append(job(specs, abilities, profile, region, model))
        elif len(abilities.gaps) == before:
            made = server(specs, abilities, profile, region, model)
            if len(abilities.gaps) == before:
                servers.append(made)
        if model.spec.regions:
            errors += [
                model.source.error(tuple(gap.path.split(".")), gap.code, gap.reason)
                for gap in abilities.gaps[before:]
            ]
    wanted = demand(servers, jobs)
    caches = _caches(profile, region, _held(servers, jobs))
    errors += _over_quota(specs, region, servers, jobs)
    errors += _over_capacity(profile, region, wanted, caches)
    if errors:
        raise SpecErrors(errors)
    return _plan(specs, profile, region, abilities, (servers, jobs, caches))


def _plan(
    specs: Specs,
    profile: RegionProfile,
    region: str,
    abilities: Abilities,
    parts: tuple[list[ServerPlan], list[JobPlan], tuple[CachePlan, ...]],
) -> RegionPlan:
    """All parts together, in their fixed order."""
    servers, jobs, caches = parts
    wanted = demand(servers, jobs)
    used = {row.workload.project for row in servers} | {row.workload.project for row in jobs}
    names = sorted(used)
    whole = abilities.allow("region dashboard", "", "slo")  # and all else with cluster rights
    return RegionPlan(
        region=region,
        provider=profile.provider,
        zones=profile.zones,
        domain=profile.domain,
        capabilities=tuple(sorted(profile.capabilities)),
        cluster=ClusterPlan(
            name=profile.cluster.name,
            kubeconfig=profile.cluster.kubeconfig,
            context=profile.cluster.context,
        ),
        account=_account(profile),
        registry=_registry(profile, abilities, region, names),
        grafana_url=profile.grafana_url,
        prometheus_url=profile.prometheus_url,
        system_namespaces=_SYSTEM_NAMESPACES if whole else (),
        priority_classes=_PRIORITIES if whole else (),
        projects=_projects(specs, abilities, names),
        pools=pools(profile, abilities, wanted),
        caches=caches,
        gateways=_gateways(profile, abilities),
        servers=tuple(with_surge(row, profile, wanted) for row in servers),
        jobs=tuple(jobs),
        probers=tuple(
            ProberPlan(
                project=name,
                namespace=name,
                image=profile.prober_image,
                servers=tuple(r.workload.id for r in servers if r.workload.project == name),
            )
            for name in names
            if any(r.workload.project == name for r in servers)
        ),
        downgrades=abilities.replaced(),
        gaps=tuple(abilities.gaps),
    )
