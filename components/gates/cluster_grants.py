"""Finds ClusterRoleBindings in no plan by which pods of our namespaces have rights everywhere.

They are in no namespace, so nobody who looks at one sees them, and isoserve makes none for the
pods of projects. A refresh names each, with what it grants; `up` leaves it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Final, Protocol

from components.gates.acts import Asked
from components.gates.extra_objects import Found, makers, spaces
from components.kube import Object
from components.kube_client import Forbidden

_BINDINGS: Final = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"
_KIND: Final = "ClusterRoleBinding"


class Api(Protocol):
    """What is asked of an API server (components.kube_client.KubeClient)."""

    def get(self, path: str) -> Object | None:
        """What is at a path; None where there is nothing. Raises Forbidden without the right to
        it, ApiError where there is no answer."""


def _spaces_of(subject: Object, ours: Collection[str]) -> Iterator[str]:
    """The namespaces of ours whose accounts a subject of a binding stands for; all accounts of the
    cluster (`system:serviceaccounts`) are nobody's of ours alone."""
    kind, name = subject.get("kind"), str(subject.get("name", ""))
    for space in ours:
        is_account = kind == "ServiceAccount" and subject.get("namespace") == space
        is_group = kind == "Group" and name == f"system:serviceaccounts:{space}"
        is_user = kind == "User" and name.startswith(f"system:serviceaccount:{space}:")
        if is_account or is_group or is_user:
            yield space


def look_for_grants(api: Api, asked: Asked) -> Found:
    """Every binding that is not among `asked["names"]` and gives accounts of a namespace that these
    make the rights of a ClusterRole in the whole cluster; one question. Raises ApiError."""
    names = [tuple(name) for name in asked["names"]]
    ours = spaces(names)
    known = {name for _, kind, _, name in names if kind == _KIND}
    try:
        listed = (api.get(_BINDINGS) or {}).get("items") or () if ours else ()
    except Forbidden:
        return Found(extra=[], unseen=[f"{_KIND}s: no right to list them"])
    extra: list[str] = []
    for live in listed:
        name = live["metadata"]["name"]
        found = {one for row in live.get("subjects") or () for one in _spaces_of(row, ours)}
        if found and name not in known and "deletionTimestamp" not in live["metadata"]:
            rights = f"{live['roleRef']['kind']} {live['roleRef']['name']}"
            extra.append(
                f"{_KIND} {name} is in no plan, made by {makers(live)}: it gives accounts of "
                f"{', '.join(sorted(found))} {rights} in the whole cluster; `up` leaves it, "
                f"`kubectl delete clusterrolebinding {name}` takes that away"
            )
    return Found(extra=extra, unseen=[])
