"""Whether the scheduler would put a pod on a node, by the pod's own words and the node's.

Sources: kubernetes.io, "Assigning Pods to Nodes" and "Taints and Tolerations"; kubernetes,
component-helpers/scheduling/corev1/nodeaffinity and api/core/v1/toleration.go. Resources and
preferences are not looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from components.kube import Object

_OF_NODE_LIFE: Final = ("node.kubernetes.io/", "node.cloudprovider.kubernetes.io/")
"""Taints of a node's present state. The DaemonSet controller tolerates most of them for its pods,
and the rest passes. Source: kubernetes.io, "DaemonSet", Taints and tolerations."""
_KEEPS_AWAY: Final = ("NoSchedule", "NoExecute")


@dataclass(frozen=True, slots=True, kw_only=True)
class Taint:
    """A taint that keeps pods away which do not tolerate it."""

    key: str
    value: str
    effect: str

    def __str__(self) -> str:
        value = f"={self.value}" if self.value else ""
        return f"{self.key}{value}:{self.effect}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A node, or one that a pool would have."""

    name: str
    labels: Mapping[str, str]
    taints: tuple[Taint, ...]


def lasting_taints(node: Object) -> tuple[Taint, ...]:
    """The taints of a node that keep pods away, without those of its present state."""
    return tuple(
        Taint(key=one["key"], value=one.get("value") or "", effect=one["effect"])
        for one in node.get("spec", {}).get("taints") or ()
        if one["effect"] in _KEEPS_AWAY and not one["key"].startswith(_OF_NODE_LIFE)
    )


def tolerates(toleration: Mapping[str, Any], taint: Taint) -> bool:
    """Whether one toleration matches a taint. An empty key needs `Exists` and matches every one."""
    if toleration.get("effect") and toleration["effect"] != taint.effect:
        return False
    key, operator = toleration.get("key") or "", toleration.get("operator") or "Equal"
    if key != taint.key and (key or operator != "Exists"):
        return False
    if operator == "Exists":
        return True
    return operator == "Equal" and (toleration.get("value") or "") == taint.value


def _number(text: str | None) -> int | None:
    try:
        return int(text or "")
    except ValueError:
        return None


def _compared(value: str | None, values: Sequence[str], by: Callable[[int, int], bool]) -> bool:
    """Both as whole numbers; what is none matches nothing."""
    left, right = _number(value), _number(values[0] if len(values) == 1 else None)
    return left is not None and right is not None and by(left, right)


_OPERATORS: Final[dict[str, Callable[[str | None, Sequence[str]], bool]]] = {
    "In": lambda value, values: value is not None and value in values,
    # Also true of a node without the label.
    "NotIn": lambda value, values: value is None or value not in values,
    "Exists": lambda value, values: value is not None,
    "DoesNotExist": lambda value, values: value is None,
    "Gt": lambda value, values: _compared(value, values, lambda left, right: left > right),
    "Lt": lambda value, values: _compared(value, values, lambda left, right: left < right),
}


def _meets(rows: Iterable[Mapping[str, Any]], known: Mapping[str, str]) -> bool:
    """Whether all expressions are true; one of an operator that we do not know is not."""
    return all(
        one["operator"] in _OPERATORS
        and _OPERATORS[one["operator"]](known.get(one["key"]), one.get("values") or ())
        for one in rows
    )


def _takes(term: Mapping[str, Any], place: Place) -> bool:
    """Whether a nodeSelectorTerm takes a node; an empty one takes none."""
    expressions, fields = term.get("matchExpressions") or (), term.get("matchFields") or ()
    if not expressions and not fields:
        return False
    return _meets(expressions, place.labels) and _meets(fields, {"metadata.name": place.name})


def selects(pod: Object, place: Place) -> bool:
    """Whether a pod spec's nodeSelector and required node affinity take a node."""
    wanted = pod.get("nodeSelector") or {}
    if any(place.labels.get(key) != value for key, value in wanted.items()):
        return False
    affinity = (pod.get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
    if required is None:
        return True
    return any(_takes(term, place) for term in required.get("nodeSelectorTerms") or ())


def untolerated(pod: Object, place: Place) -> Taint | None:
    """The first taint of a node that keeps a pod spec's pods away; None where there is none."""
    rows = pod.get("tolerations") or ()
    return next(
        (taint for taint in place.taints if not any(tolerates(one, taint) for one in rows)), None
    )
