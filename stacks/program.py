"""Hands one region's plan to the engine: providers, parts, the AWS nouns, the gate, the outputs."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pulumi
import pulumi_kubernetes as kubernetes

from components import aws
from components.engine import register
from components.model_registry.account import Account
from components.model_registry.engine import ModelRegistry
from components.parts import parts
from components.rollout_gate import RolloutGate, stop_if_incomplete
from components.service_dashboard import dashboard_uid, dashboard_url
from model_specs.moment import VARIABLE, written
from regions.plan import AccountPlan, ClusterPlan, RegionPlan
from regions.profile import Cluster


def located(root: Path, path: str) -> str:
    """`path` from the project's root, since the engine runs programs elsewhere; `~` is home."""
    return str(root / Path(path).expanduser()) if path else ""


def _account(root: Path, plan: AccountPlan) -> AccountPlan:
    return replace(
        plan,
        config_file=located(root, plan.config_file),
        credentials_file=located(root, plan.credentials_file),
    )


def with_known_profile(root: Path, plan: RegionPlan) -> RegionPlan:
    """The plan without an AWS profile that this machine has not, since the provider refuses one.

    An S3-compatible store's profile stays: it says where the store is, and without it AWS itself
    would be asked.
    """
    if plan.provider != "aws" or not plan.account.profile:
        return plan
    from components.model_registry.sdk import has_profile  # late: the SDK takes 50 ms

    account = _account(root, plan.account)
    named = Account(
        region=account.region,
        profile=account.profile,
        config_file=account.config_file,
        credentials_file=account.credentials_file,
    )
    if has_profile(named):
        return plan
    pulumi.log.info(
        f"no AWS profile {account.profile!r} on this machine: the environment's credentials are "
        f"used, for account {account.account_id} alone"
    )
    return replace(plan, account=replace(plan.account, profile=""))


def models(plan: RegionPlan) -> list[dict[str, object]]:
    """The stack output `models`: what a person asks first about each endpoint."""
    return [
        {
            "dashboard": dashboard_url(
                plan.grafana_url, dashboard_uid(server.workload.project, server.workload.model)
            ),
            "deployments": [
                {"name": track.name, "namespace": server.workload.namespace}
                for track in server.tracks
            ],
            "endpoint": server.access.endpoint,
            "model": server.workload.model,
            "pool": server.tracks[0].placement.machine_type,
            "project": server.workload.project,
            "registry": f"{plan.registry.url}/{server.tracks[0].weights.address}",
        }
        for server in plan.servers
    ]


def cluster(found: ClusterPlan | Cluster, root: Path) -> kubernetes.Provider:
    """A stack's one Kubernetes provider, which never follows the current context."""
    return kubernetes.Provider(
        "cluster",
        # The path and not the text: with a fixed identifier a new token replaces nothing.
        kubeconfig=located(root, found.kubeconfig),
        context=found.context,
        cluster_identifier=found.name,
        # Else a changed ConfigMap is deleted and made anew, under pods that mount it by name.
        enable_config_map_mutable=True,
    )


def aws_part(plan: RegionPlan, root: Path) -> ModelRegistry:
    """Everything that goes through the AWS provider; offline rules judge it too (recorded.py)."""
    account = aws.provider(_account(root, plan.account))
    registry = ModelRegistry(plan.registry, account)
    if plan.provider == "aws":
        role = aws.NodeRole(plan, account)
        for pool in plan.pools:
            aws.GpuNodePool(pool, plan, role, account)
    return registry


def tell(plan: RegionPlan, at: datetime) -> None:
    """Say for which moment was planned, and which models that leaves out."""
    pulumi.log.info(f"planned for {written(at)}; {VARIABLE}={written(at)} plans the same again")
    for row in plan.expired:
        pulumi.log.info(f"{row.model} is planned no more: its ttl passed on {row.ttl}")


def build(plan: RegionPlan, root: Path) -> None:
    """Register everything of `plan`; paths in it are taken from `root`."""
    registry = aws_part(with_known_profile(root, plan), root)
    rendered = list(parts(plan))
    kubeconfig = located(root, plan.cluster.kubeconfig)
    made = register(rendered, plan, cluster(plan.cluster, root), kubeconfig, registry.readers)
    gate = RolloutGate(rendered, plan, kubeconfig, made.resources, made.faults, made.taken)
    stop_if_incomplete(gate)
    pulumi.export("models", models(plan))
    pulumi.export("downgrades", [f"{d.model} {d.feature}: {d.outcome}" for d in plan.downgrades])
    pulumi.export("expired", [f"{row.model}: ttl passed on {row.ttl}" for row in plan.expired])
    pulumi.export("gaps", [f"{gap.model} {gap.code}: {gap.reason}" for gap in plan.gaps])
    # The home region's profile names it, so that S3 may copy models to here.
    pulumi.export("registry_key_arn", registry.key.arn if registry.key else "")
