"""The Secrets with the keys of jobs that have data and no role.

In a real region people make them. Here each is of a user of its own, whom the store holds to the
job's rights.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any

from components.aws_policies import granted
from regions.plan import GrantPlan, RegionPlan
from regions.sandbox import object_store
from regions.sandbox.example.registry_secret import await_namespace
from regions.sandbox.kube import Cluster
from regions.sandbox.plans import plan_of
from regions.sandbox.toolchain import Say


def apply(cluster: Cluster, say: Say, given_up: threading.Event) -> None:
    """Apply a Secret with new keys for each such job of the region; none where jobs have roles.

    Waits for the namespaces, which the stack makes, unless it is `given_up`. Raises SandboxError
    when they don't come.
    """
    plan = plan_of(cluster.region)
    for grant in _keyed(plan):
        if not await_namespace(cluster, grant.namespace, given_up):
            return
        metadata = {"name": f"{grant.service_account}--data", "namespace": grant.namespace}
        secret = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": metadata,
            "stringData": {"credentials": _credentials(plan, grant)},
        }
        path = f"/api/v1/namespaces/{grant.namespace}/secrets/{metadata['name']}"
        cluster.apply(path, secret)
        say(f"keys of {grant.name} for its data")


def _keyed(plan: RegionPlan) -> Iterator[GrantPlan]:
    """What the user of each job without a role may do; its name stands in the role's place."""
    for job in plan.jobs:
        work, data = job.workload, job.data
        if (data.input_prefix or data.output_prefix) and not data.role:
            yield GrantPlan(
                name=work.id,
                role=f"{plan.region}.{work.project}.{work.model}",
                namespace=work.namespace,
                service_account=work.model,
                reads=tuple(filter(None, [data.input_prefix])),
                writes=tuple(filter(None, [data.output_prefix])),
            )


def _credentials(plan: RegionPlan, grant: GrantPlan) -> str:
    """New keys of the job's user, as the file that the AWS SDKs read."""
    iam: Any = object_store.client("iam")
    user = {"UserName": grant.role}
    if grant.role not in {one["UserName"] for one in iam.list_users()["Users"]}:
        iam.create_user(**user)
    document = json.dumps(granted(plan.registry, grant))
    iam.put_user_policy(**user, PolicyName="data", PolicyDocument=document)
    for old in iam.list_access_keys(**user)["AccessKeyMetadata"]:
        iam.delete_access_key(**user, AccessKeyId=old["AccessKeyId"])
    key = iam.create_access_key(**user)["AccessKey"]
    return (
        "[default]\n"
        f"aws_access_key_id = {key['AccessKeyId']}\n"
        f"aws_secret_access_key = {key['SecretAccessKey']}\n"
    )
