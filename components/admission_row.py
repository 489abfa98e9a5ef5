"""What a guarded rule is: which objects it looks at, and what must hold of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from components.kube import Object
from model_specs.names import GATEWAY_NAMESPACE, LABEL_PROJECT, MANAGED_BY

ANY: Final[Object] = {}
OURS: Final[Object] = {"matchLabels": MANAGED_BY}
"""Objects of ours. A selector meets the object before a change too: to unlabel it is no way out."""
OF_A_PROJECT: Final[Object] = {
    "matchExpressions": [{"key": LABEL_PROJECT, "operator": "Exists"}],
}
"""Namespaces of tenants, and what else belongs to one."""
SPACES: Final[Object] = {
    # The gateways' proxies are another controller's pods, and its images are its own affair.
    "matchExpressions": [
        {"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": [GATEWAY_NAMESPACE]}
    ],
    **OURS,
}
"""Namespaces of tenants and our own, where all that runs is ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kinds:
    """Resources of one API group, by their plural names."""

    group: str
    version: str
    resources: tuple[str, ...]


def kinds(group: str, version: str, *resources: str) -> Kinds:
    """Resources of one API group in a line."""
    return Kinds(group=group, version=version, resources=resources)


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """A CEL expression that must be true; what is wrong where it is not, and what to do."""

    holds: str
    fault: str
    cure: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One rule. `rule` is its row of the policies' catalogue, `name` the name it has there.

    `namespaces` and `objects` are label selectors; `judged` the field whose change is judged, `?`
    before one that may be absent; `variables` CEL expressions that the checks share.
    """

    rule: str
    name: str
    namespaces: Object
    objects: Object
    kinds: tuple[Kinds, ...]
    judged: str
    variables: dict[str, str]
    checks: tuple[Check, ...]
