"""The pod that holds a model: how the files come in, what it may do, what it may use."""

from __future__ import annotations

from typing import Final

from components.kube import (
    RESTRICTED_CONTAINER,
    Object,
    pulled_by,
    restricted_pod,
    spot_first,
    tolerations,
)
from components.registry_keys import CREDENTIALS, credentials_mounts, credentials_volumes
from model_specs.names import DOMAIN, MODEL_PATH, SCRATCH
from model_specs.runtimes import USER_NAME
from regions.model_plan import ContainerPlan, PlacementPlan, WeightsPlan, WorkloadPlan

NEEDED: Final = f"{DOMAIN}/model-digest"
"""The annotation by which the cache agent of a pod's node knows which version the pod needs."""
_POLL: Final = "/models/project"
_FETCHER, SERVER = "model", "model-server"
_ROLELESS: Final = "eks.amazonaws.com/skip-containers"
"""The pod's annotation by which EKS gives no role to some containers, initContainers too. Source:
aws/amazon-eks-pod-identity-webhook, README.md and pkg/handler/handler.go, read 2026-11-29."""


def resources(plan: PlacementPlan) -> Object:
    """Requests equal limits: a GPU pod that is throttled or evicted costs more than it shares."""
    size: Object = {
        "cpu": str(plan.cpu),
        "ephemeral-storage": f"{plan.ephemeral_gib}Gi",
        "memory": f"{plan.memory_gib}Gi",
    }
    if plan.gpus:
        size[plan.gpu_resource] = str(plan.gpus)
    return {"limits": size, "requests": size}


def literal(text: str) -> str:
    """`text` as it must be written to arrive unchanged: Kubernetes reads `$$` as one dollar."""
    return text.replace("$", "$$")


def _environment(work: WorkloadPlan, env: dict[str, str]) -> list[Object]:
    values = {
        **env,
        "HF_HUB_OFFLINE": "1",  # a model comes from the registry, never from a hub at run time
        "HOME": SCRATCH,
        "ISOSERVE_MODEL": work.model,
        "ISOSERVE_MODEL_DIR": MODEL_PATH,
        "ISOSERVE_PROJECT": work.project,
        # Whoever asks for the user's name reads these first; no passwd file has the uid.
        "LOGNAME": USER_NAME,
        "USER": USER_NAME,
    }
    return [{"name": name, "value": literal(values[name])} for name in sorted(values)]


def _mounts(work: WorkloadPlan, weights: WeightsPlan) -> list[Object]:
    return [
        {
            "mountPath": MODEL_PATH,
            "name": "models",
            "readOnly": True,
            "subPath": weights.digest,
        },
        {"mountPath": SCRATCH, "name": "tmp"},
        {"mountPath": "/dev/shm", "name": "shared-memory"},
        *(
            {"mountPath": secret.mount, "name": f"secret-{secret.name}", "readOnly": True}
            for secret in work.secrets
        ),
    ]


def _secret(work: WorkloadPlan, weights: WeightsPlan) -> str:
    """The Secret with the registry's keys, of which only a pod that downloads has a use."""
    return work.registry_secret if weights.mode == "download" else ""


def _volumes(work: WorkloadPlan, weights: WeightsPlan, placement: PlacementPlan) -> list[Object]:
    models: dict[str, Object] = {
        "cache": {"persistentVolumeClaim": {"claimName": weights.claim, "readOnly": True}},
        "download": {"emptyDir": {"sizeLimit": f"{placement.ephemeral_gib}Gi"}},
    }
    return [
        {"name": "models", **models[weights.mode]},
        {"emptyDir": {"sizeLimit": f"{placement.tmp_gib}Gi"}, "name": "tmp"},
        {
            "emptyDir": {
                "medium": "Memory",
                "sizeLimit": f"{placement.shared_memory_gib}Gi",
            },
            "name": "shared-memory",
        },
        *(
            {"name": f"secret-{secret.name}", "secret": {"secretName": secret.name}}
            for secret in work.secrets
        ),
        *credentials_volumes(_secret(work, weights)),
    ]


def _fetch(work: WorkloadPlan, weights: WeightsPlan) -> Object:
    """The init container: waits for the node's copy, or downloads its own. Both verify."""
    verb: dict[str, list[str]] = {
        "cache": ["wait", "--digest", weights.digest, "--root", _POLL],
        "download": ["pull", "--address", weights.address, "--root", _POLL],
    }
    secret = _secret(work, weights)
    registry = {
        "AWS_REGION": work.registry_region,
        "ISOSERVE_REGISTRY": work.registry_url,
        "ISOSERVE_REGISTRY_CREDENTIALS": CREDENTIALS if secret else "",
        "ISOSERVE_REGISTRY_ENDPOINT": work.registry_endpoint,
    }
    size = {"cpu": "1", "ephemeral-storage": "64Mi", "memory": "512Mi"}
    return {
        "name": _FETCHER,
        "image": work.agent_image,
        "imagePullPolicy": "Always",
        "args": verb[weights.mode],
        "env": [{"name": name, "value": value} for name, value in registry.items() if value],
        "resources": {"limits": size, "requests": size},
        "securityContext": RESTRICTED_CONTAINER,
        "volumeMounts": [
            {"mountPath": _POLL, "name": "models"}
            | ({"readOnly": True} if weights.mode == "cache" else {}),
            {"mountPath": SCRATCH, "name": "tmp"},
            *credentials_mounts(secret),
        ],
    }


def notes(weights: WeightsPlan, *, has_data: bool) -> dict[str, str]:
    """The annotations of the pod: its model, and the containers that get no role of IAM.

    The download gets one, a model's own code only where it is a job with data. It is said whether
    or not the account names a role now: another version's download may bring one.
    """
    uses = {_FETCHER: weights.mode == "download", SERVER: has_data}
    idle = [name for name, used in uses.items() if not used]
    return {NEEDED: weights.digest, **({_ROLELESS: ",".join(idle)} if idle else {})}


def container(
    work: WorkloadPlan, own: ContainerPlan, placement: PlacementPlan, weights: WeightsPlan
) -> Object:
    """The model's own container, to which the caller adds how it is probed and stopped."""
    stated: Object = {
        "args": [literal(word) for word in own.args],
        "command": [literal(word) for word in own.command],
        "workingDir": own.working_dir,
    }
    return {
        **{field: value for field, value in stated.items() if value},
        "name": SERVER,
        "image": own.image,
        # A node's copy is no proof of a tenant's right to pull; a digest makes the check cheap.
        "imagePullPolicy": "Always",
        "env": _environment(work, own.env),
        "resources": resources(placement),
        "securityContext": RESTRICTED_CONTAINER,
        "volumeMounts": _mounts(work, weights),
    }  # fmt: skip


def pod(
    work: WorkloadPlan,
    own: ContainerPlan,
    placement: PlacementPlan,
    weights: WeightsPlan,
    main: Object,
) -> Object:
    """The pod around `main`, its `own` rendered, in the bounds of Pod Security `restricted`."""
    priority = {"priorityClassName": work.priority_class} if work.priority_class else {}
    # What the API server keeps no value of is left out where it says nothing.
    stated = {
        "affinity": spot_first(placement),
        "runtimeClassName": placement.runtime_class,
        "tolerations": tolerations(placement.tolerations),
    }
    return {
        **priority,
        **pulled_by(work.pull_secrets),
        **{field: value for field, value in stated.items() if value},
        "automountServiceAccountToken": False,
        "containers": [main],
        "enableServiceLinks": False,
        "initContainers": [_fetch(work, weights)],
        "nodeSelector": placement.node_selector,
        "securityContext": restricted_pod(own.user, own.group),
        "serviceAccountName": work.model,
        "volumes": _volumes(work, weights, placement),
    }
