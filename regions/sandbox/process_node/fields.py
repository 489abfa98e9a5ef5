"""The downward API: what a pod may know of itself."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Final

from regions.sandbox.kube import Object

_UNITS: Final = {
    "": Decimal(1),
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    **{unit: Decimal(1000) ** (power + 1) for power, unit in enumerate("kMGTPE")},
    **{f"{unit}i": Decimal(1024) ** (power + 1) for power, unit in enumerate("KMGTPE")},
}
_KEYED: Final = re.compile(r"metadata\.(labels|annotations)\['([^']+)'\]")
_PLAIN: Final[Mapping[str, Callable[[Object], str]]] = {
    "metadata.name": lambda pod: pod["metadata"]["name"],
    "metadata.namespace": lambda pod: pod["metadata"]["namespace"],
    "metadata.uid": lambda pod: pod["metadata"]["uid"],
    "spec.nodeName": lambda pod: pod["spec"]["nodeName"],
    "spec.serviceAccountName": lambda pod: pod["spec"].get("serviceAccountName", "default"),
    "status.hostIP": lambda pod: pod["status"]["hostIP"],
    "status.hostIPs": lambda pod: pod["status"]["hostIP"],
    "status.podIP": lambda pod: pod["status"]["podIP"],
    "status.podIPs": lambda pod: pod["status"]["podIP"],
}


class UnknownField(ValueError):
    """The pod has no such field, or no pod may ask for it."""


def field(pod: Object, path: str) -> str:
    """The value of a `fieldRef`; a label or annotation that isn't there is empty.

    Raises UnknownField.
    """
    keyed = _KEYED.fullmatch(path)
    if keyed:
        return str(pod["metadata"].get(keyed[1], {}).get(keyed[2], ""))
    if path not in _PLAIN:
        raise UnknownField(f"fieldPath {path} isn't one that a pod can ask for")
    return _PLAIN[path](pod)


def resource(container: Object, allocatable: Mapping[str, str], reference: Object) -> str:
    """The value of a `resourceFieldRef`, rounded up; without a limit it is the node's whole.

    Raises UnknownField.
    """
    kind, _, name = str(reference["resource"]).partition(".")
    resources = container.get("resources") or {}
    given = (resources.get(kind) or {}).get(name)
    if kind not in ("limits", "requests") or not name:
        raise UnknownField(f"resource {reference['resource']} isn't limits.* or requests.*")
    if given is None:
        given = allocatable.get(name, "0") if kind == "limits" else "0"
    divisor = quantity(str(reference.get("divisor") or "1")) or Decimal(1)
    return str(math.ceil(quantity(str(given)) / divisor))


def quantity(text: str) -> Decimal:
    """`1500m`, `2Gi`, `1e3` as a number. Raises UnknownField when it is none."""
    found = re.fullmatch(r"([+-]?[0-9.]+(?:[eE][+-]?[0-9]+)?)([a-zA-Z]*)", text)
    try:
        if found is None:
            raise KeyError(text)
        return Decimal(found[1]) * _UNITS[found[2]]
    except (KeyError, InvalidOperation) as reason:
        raise UnknownField(f"{text!r} isn't a quantity") from reason
