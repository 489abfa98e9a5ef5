"""Decides what the nodes of each machine type may hold, and who sees it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

from model_specs.names import CACHE_NAMESPACE, LABEL_MACHINE
from regions.machines import MACHINES
from regions.model_plan import JobPlan, ServerPlan, WeightsPlan
from regions.plan import CachePlan, ClaimPlan, HeldModelPlan
from regions.profile import RegionProfile
from regions.servers import reader_role, role_arn
from regions.tracks import claim_name, tolerations


def held(servers: Iterable[ServerPlan], jobs: Iterable[JobPlan]) -> dict[str, list[HeldModelPlan]]:
    """By machine type, every version that its pods need, in order and once.

    One that two models name is pinned when either pins it.
    """
    rows: dict[str, dict[str, HeldModelPlan]] = defaultdict(dict)

    def add(machine: str, project: str, model: str, files: WeightsPlan) -> None:
        if files.mode == "cache":
            other = rows[machine].get(files.address)
            rows[machine][files.address] = HeldModelPlan(
                project=project,
                model=model,
                address=files.address,
                digest=files.digest,
                bytes=files.bytes,
                pinned=files.pinned or (other is not None and other.pinned),
            )

    for row in servers:
        for track in row.tracks:
            work = row.workload
            add(track.placement.machine_type, work.project, work.model, track.weights)
    for row_job in jobs:
        work = row_job.workload
        add(row_job.placement.machine_type, work.project, work.model, row_job.weights)
    return {machine: [kept[key] for key in sorted(kept)] for machine, kept in rows.items()}


def caches(
    profile: RegionProfile, region: str, wanted: Mapping[str, list[HeldModelPlan]]
) -> tuple[CachePlan, ...]:
    """One agent for each machine type whose nodes hold models."""
    found = []
    for machine, models in sorted(wanted.items()):
        offer, row = profile.machines[machine], MACHINES[machine]
        projects = sorted({model.project for model in models})
        slug = machine.replace(".", "-")
        found.append(
            CachePlan(
                name=f"cache-{slug}",
                namespace=CACHE_NAMESPACE,
                machine_type=machine,
                node_selector={LABEL_MACHINE: machine},
                tolerations=tolerations(row, offer),
                image=profile.agent_image,
                pull_secrets=(profile.pull_secret,) if profile.pull_secret else (),
                models=tuple(models),
                claims=tuple(
                    ClaimPlan(
                        name=claim_name(machine),
                        project=project,
                        namespace=project,
                    )
                    for project in projects
                ),
                disk_budget_gib=offer.cache_disk_gib,
                disk_free_percent=profile.cluster.disk_free_percent,
                registry_url=f"s3://{profile.registry.bucket}",
                registry_endpoint=profile.registry.endpoint,
                registry_region=profile.account.region,
                registry_secret=profile.registry.credentials_secret,
                registry_ports=profile.registry.ports,
                registry_addresses=profile.registry.addresses,
                scraper_namespace=profile.scraper_namespace,
                reader_role_arn=role_arn(profile, reader_role(region, CACHE_NAMESPACE)),
            )
        )
    return tuple(found)
