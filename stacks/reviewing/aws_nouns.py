"""What AWS would be told of a plan, in the shape of objects, so that two plans can be compared.

Not all that `up` makes: the node groups, their templates, and of the registry what holds models,
who may read them and where they are copied. The rest follows from these.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from components.kube import Object
from components.parts import Part
from regions.plan import PoolPlan, RegionPlan


def _made(kind: str, name: str, spec: dict[str, Any]) -> Object:
    return {"apiVersion": "aws", "kind": kind, "metadata": {"name": name}, "spec": spec}


def _pool(pool: PoolPlan, plan: RegionPlan) -> Iterator[Object]:
    yield _made(
        "LaunchTemplate",
        pool.name,
        {
            "volume_gib": pool.volume_gib,
            "security_groups": list(plan.account.node_security_group_ids),
            "tags": pool.labels,
        },
    )
    for group in pool.groups:
        yield _made(
            "NodeGroup",
            f"{pool.name}-{group.capacity.replace('_', '-')}",
            {
                "ami_type": pool.ami_type,
                "cluster": plan.cluster.name,
                "instance_types": list(pool.instance_types),
                "labels": pool.labels,
                "max": group.max,
                "min": group.min,
                "subnets": list(plan.account.subnet_ids),
                "tags": pool.tags,
                "taints": [asdict(taint) for taint in group.taints],
            },  # the first size is left out: an autoscaler owns it
        )


def _registry(plan: RegionPlan) -> Iterator[Object]:
    registry = plan.registry
    yield _made("Bucket", "models", {"bucket": registry.bucket, "region": registry.region})
    if registry.kms:
        yield _made("Key", "models", {"account": registry.account_id, "region": registry.region})
    for copy in registry.replicate_to:
        yield _made("BucketReplication", copy.region, {"bucket": copy.bucket})
    for grant in registry.grants:
        yield _made("Role", grant.name, asdict(grant))


def nouns(plan: RegionPlan) -> Iterator[Part]:
    """The parts of a region that are no Kubernetes objects."""
    if plan.provider == "aws":
        for pool in plan.pools:
            objects = list(_pool(pool, plan))
            yield Part(noun="GpuNodePool", name=pool.name, model="", objects=objects)
    yield Part(noun="ModelRegistry", name="models", model="", objects=list(_registry(plan)))
