"""What lets the agents write Events and see their node's pods, and nothing else: a token as files,
roles, a way out."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from components.kube import Object, head
from model_specs.names import CACHE_ACCOUNT, CACHE_NAMESPACE, LABEL_PROJECT, LABEL_ROLE

FOLDER: Final = "/var/run/isoserve/api"
API_SERVICE_PORT: Final = 443
"""The port of the Service `kubernetes`, and of API servers that a cloud runs."""
API_PORT: Final = 6443
"""Where other API servers listen behind that Service."""
_GROUP: Final = "rbac.authorization.k8s.io"
_FIELDS: Final = ("name", "namespace")


def api_volume() -> Object:
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
    return {"name": "api", "projected": {"sources": sources}}


def event_rights(namespace: str) -> list[Object]:
    """A role that may create Events beside the agents, and who has it."""
    rule = {"apiGroups": [""], "resources": ["events"], "verbs": ["create"]}
    return _right(namespace, {LABEL_ROLE: CACHE_ACCOUNT}, rule)


def pod_rights(projects: Iterable[str]) -> list[Object]:
    """In each project's namespace a role that may see its pods, and who has it: the agents ask
    which pods stand on their node."""
    rule = {"apiGroups": [""], "resources": ["pods"], "verbs": ["list", "watch"]}
    rows = (
        _right(name, {LABEL_PROJECT: name, LABEL_ROLE: CACHE_ACCOUNT}, rule) for name in projects
    )
    return [made for row in rows for made in row]


def _right(namespace: str, labels: dict[str, str], rule: Object) -> list[Object]:
    role = head(f"{_GROUP}/v1", "Role", CACHE_ACCOUNT, namespace, labels, {})
    binding = head(f"{_GROUP}/v1", "RoleBinding", CACHE_ACCOUNT, namespace, labels, {})
    to = {"apiGroup": _GROUP, "kind": "Role", "name": CACHE_ACCOUNT}
    account = {"kind": "ServiceAccount", "name": CACHE_ACCOUNT, "namespace": CACHE_NAMESPACE}
    return [role | {"rules": [rule]}, binding | {"roleRef": to, "subjects": [account]}]
