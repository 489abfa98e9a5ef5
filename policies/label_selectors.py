"""Which labels a Kubernetes label selector takes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Final

Labels = Mapping[str, str]
Selector = Mapping[str, Any]

_OPERATORS: Final[dict[str, Callable[[str, Labels, Collection[str]], bool]]] = {
    "DoesNotExist": lambda key, labels, values: key not in labels,
    "Exists": lambda key, labels, values: key in labels,
    "In": lambda key, labels, values: key in labels and labels[key] in values,
    # As the API has it: who lacks the label is not in the list either.
    "NotIn": lambda key, labels, values: key not in labels or labels[key] not in values,
}
_PARTS: Final = frozenset({"matchExpressions", "matchLabels"})


def _expressions(selector: Selector) -> Iterable[Mapping[str, Any]]:
    """Its expressions. Raises ValueError for what no selector has: a judge must not guess."""
    found = selector.get("matchExpressions") or ()
    if not found and selector.keys() <= _PARTS:
        return ()
    strange = set(selector) - _PARTS
    strange |= {str(one.get("operator")) for one in found} - set(_OPERATORS)
    if strange:
        raise ValueError(f"a label selector has no {', '.join(sorted(strange))}")
    return found


def takes(selector: Selector, labels: Labels) -> bool:
    """Whether it takes something with these labels; one without conditions takes all."""
    for key, value in (selector.get("matchLabels") or {}).items():
        if labels.get(key) != value:
            return False
    return all(
        _OPERATORS[one["operator"]](one["key"], labels, one.get("values") or ())
        for one in _expressions(selector)
    )


def takes_none_with(selector: Selector, key: str) -> bool:
    """Whether it takes nothing that has label `key`, whatever its value."""
    return any(
        (one["key"], one["operator"]) == (key, "DoesNotExist") for one in _expressions(selector)
    )


def only_values(selector: Selector, key: str) -> frozenset[str] | None:
    """The values of label `key` that it takes; None when it may take any other."""
    same = selector.get("matchLabels") or {}
    lists = [{same[key]}] if key in same else []
    lists += [
        set(one.get("values") or ())
        for one in _expressions(selector)
        if (one["key"], one["operator"]) == (key, "In")
    ]
    return frozenset(set.intersection(*lists)) if lists else None
