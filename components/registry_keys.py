"""The keys of an S3-compatible registry in a pod: a Secret that people make, mounted as files.

In a project's namespace everybody who may read its Secrets has these keys: the store must let them
read below the project's own prefix and nowhere else. A model's own container never sees them.
"""

from __future__ import annotations

from typing import Final

from components.kube import Object

CREDENTIALS: Final = "/var/run/isoserve/registry"
"""What ISOSERVE_REGISTRY_CREDENTIALS tells the agent's program."""
_VOLUME: Final = "registry-credentials"


def credentials_volumes(secret: str) -> list[Object]:
    """The pod's volume; none without a `secret`."""
    return [{"name": _VOLUME, "secret": {"secretName": secret}}] if secret else []


def credentials_mounts(secret: str) -> list[Object]:
    """Where a container finds it."""
    where = {"mountPath": CREDENTIALS, "name": _VOLUME, "readOnly": True}
    return [where] if secret else []
