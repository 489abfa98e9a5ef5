"""Leads users away from a candidate before it has fewer pods, or others.

`up` changes the route when all pods are ready, and by then a candidate whose share shrinks would
have shrunk. So first, by the live objects alone: the candidate's weight is lowered, or the model's
own Service selects the stable pods, and nobody owns the fields any more: what `up` writes there a
moment later meets no conflict. Where an `up` ends in between and the spec is taken back, the
candidate keeps the fewer users until `pulumi up --refresh`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from components.gates.handover import Api, disown
from components.kube import Object
from components.model_network import LABEL_VERSION

_PATHS: Final = (
    "/apis/gateway.networking.k8s.io/v1/namespaces/{}/httproutes/{}",
    "/api/v1/namespaces/{}/services/{}",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """One model, the Service of its candidate, and the percentage of users that this keeps."""

    namespace: str
    model: str
    candidate: str
    share: int
    settle_seconds: int
    """How long proxies may go on sending to the candidate."""


def _fewer(backends: list[Object], what: Shift) -> list[Object]:
    """The candidate's weight, at most its share; the others get what it loses."""
    lost = sum(max(b["weight"] - what.share, 0) for b in backends if b["name"] == what.candidate)
    if not any(b["name"] != what.candidate for b in backends):
        return backends
    found, given = [], lost
    for backend in backends:
        weight = backend["weight"]
        if backend["name"] == what.candidate:
            weight = min(weight, what.share)
        else:
            weight, given = weight + given, 0
        found.append({**backend, "weight": weight})
    return found


def shifted(made: Object, what: Shift) -> Object:
    """An HTTPRoute or a Service of the model as it is after the shift."""
    spec = made["spec"]
    if "rules" in spec:
        rules = [
            {**rule, "backendRefs": _fewer(rule["backendRefs"], what)} for rule in spec["rules"]
        ]
        return {**made, "spec": {**spec, "rules": rules}}
    chosen = spec.get("selector", {})
    if made["metadata"]["name"] == what.model and LABEL_VERSION in chosen:
        return {**made, "spec": {**spec, "selector": {**chosen, LABEL_VERSION: "stable"}}}
    return made


def shift(api: Api, what: Shift, sleep: Callable[[float], None]) -> None:
    """Lead users away, free the fields, and wait until the proxies have followed."""
    lowered = [_lower(api, path, what) for path in _paths(what)]
    if any(lowered):
        sleep(what.settle_seconds)


def _paths(what: Shift) -> Iterator[str]:
    for path in _PATHS:
        yield path.format(what.namespace, what.model)


def _lower(api: Api, path: str, what: Shift) -> bool:
    """Whether there was anything to lower; tried again where somebody writes in between."""
    while (live := api.get(path)) is not None:
        after = shifted(live, what)
        body = {name: value for name, value in after["spec"].items() if value != live["spec"][name]}
        if not body:
            return False
        version = live["metadata"]["resourceVersion"]
        told = {"metadata": {"resourceVersion": version}, "spec": json.loads(json.dumps(body))}
        if api.patch(path, told) is not None:
            disown(api, path)
            return True
    return False
