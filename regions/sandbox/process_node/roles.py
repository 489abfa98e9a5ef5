"""Roles of AWS for pods of the AWS-shaped region, as the webhook and agent of EKS give them.

On EKS a pod whose ServiceAccount names a role gets a token and exchanges it at STS for credentials.
The address of STS has to be https, and the local AWS has none: so the exchange is made by the
node's agent (credentials.py), and the pod asks it as it would ask the EKS Pod Identity Agent.
"""

from __future__ import annotations

from typing import Final

from regions.sandbox.kube import Object

AUDIENCE: Final = "sts.amazonaws.com"
CREDENTIALS_PORT: Final = 9911
CREDENTIALS_PATH: Final = "/v1/credentials"
OUTSIDE_PORT: Final = 9000
ROLE: Final = "eks.amazonaws.com/role-arn"
ROLELESS: Final = "eks.amazonaws.com/skip-containers"
_FOLDER: Final = "/var/run/secrets/eks.amazonaws.com/serviceaccount"
_VOLUME: Final = "aws-iam-token"
_TOKEN_SECONDS: Final = 86400


def role_of(account: Object) -> str:
    """The role that a ServiceAccount's pods take on; empty when it has none."""
    return str((account["metadata"].get("annotations") or {}).get(ROLE, ""))


def with_role(pod: Object, aws_region: str, node_address: str, outside_address: str) -> Object:
    """The pod with what its containers need to get the credentials of their account's role.

    Nothing that a container says itself is changed, and nothing of those that it names as roleless.
    """
    noted = (pod["metadata"].get("annotations") or {}).get(ROLELESS, "")
    roleless = {name.strip() for name in noted.split(",")}
    wanted = {
        "AWS_ALLOW_HTTP": "true",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": f"{_FOLDER}/token",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": (
            f"http://{node_address}:{CREDENTIALS_PORT}{CREDENTIALS_PATH}"
        ),
        # AWS itself is not reachable from here: this is how a VPC endpoint would be named.
        "AWS_ENDPOINT_URL": f"http://{outside_address}:{OUTSIDE_PORT}",
        "AWS_REGION": aws_region,
    }
    token = {"audience": AUDIENCE, "expirationSeconds": _TOKEN_SECONDS, "path": "token"}
    volume = {"name": _VOLUME, "projected": {"sources": [{"serviceAccountToken": token}]}}
    spec = pod["spec"]
    changed = {
        key: [one if one["name"] in roleless else _with(one, wanted) for one in spec[key]]
        for key in ("initContainers", "containers")
        if spec.get(key)
    }
    volumes = [*(spec.get("volumes") or ()), volume]
    return {**pod, "spec": {**spec, **changed, "volumes": volumes}}


def _with(container: Object, wanted: dict[str, str]) -> Object:
    own = container.get("env") or []
    present = {entry["name"] for entry in own}
    added = [{"name": name, "value": wanted[name]} for name in wanted if name not in present]
    mount = {"mountPath": _FOLDER, "name": _VOLUME, "readOnly": True}
    mounts = [*(container.get("volumeMounts") or ()), mount]
    return {**container, "env": [*own, *added], "volumeMounts": mounts}
