"""What lets the agents write Events, and nothing else: a token as files, a role, a way out."""

from __future__ import annotations

from typing import Final

from components.kube import Object, head
from model_specs.names import CACHE_ACCOUNT, LABEL_ROLE

FOLDER: Final = "/var/run/isoserve/events"
API_SERVICE_PORT: Final = 443
"""The port of the Service `kubernetes`, and of API servers that a cloud runs."""
API_PORT: Final = 6443
"""Where other API servers listen behind that Service."""
_GROUP: Final = "rbac.authorization.k8s.io"
_FIELDS: Final = ("name", "namespace")


def events_volume() -> Object:
    """The token, whose it is, and by what the API server is known."""
    fields = [{"fieldRef": {"fieldPath": f"metadata.{name}"}, "path": name} for name in _FIELDS]
    trust = {
        "items": [{"key": "ca.crt", "path": "ca.crt"}],
        "name": "kube-root-ca.crt",
        "optional": True,
    }
    sources = [
        {"serviceAccountToken": {"expirationSeconds": 3600, "path": "token"}},
        {"configMap": trust},
        {"downwardAPI": {"items": fields}},
    ]
    return {"name": "events", "projected": {"sources": sources}}


def events_rights(namespace: str) -> list[Object]:
    """A role that may create Events beside the agents, and who has it."""
    labels = {LABEL_ROLE: "cache-agent"}
    role = head(f"{_GROUP}/v1", "Role", CACHE_ACCOUNT, namespace, labels, {})
    binding = head(f"{_GROUP}/v1", "RoleBinding", CACHE_ACCOUNT, namespace, labels, {})
    account = {"kind": "ServiceAccount", "name": CACHE_ACCOUNT, "namespace": namespace}
    return [
        role | {"rules": [{"apiGroups": [""], "resources": ["events"], "verbs": ["create"]}]},
        binding
        | {
            "roleRef": {"apiGroup": _GROUP, "kind": "Role", "name": CACHE_ACCOUNT},
            "subjects": [account],
        },
    ]
