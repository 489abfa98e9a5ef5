"""AdmissionGuard: the rules a hand edit could undo, held by the API server itself.

A policy judges what is written and never who writes: what Pulumi and the controllers send passes
because it is right. Deletions are not judged, since `pulumi destroy` deletes as the same person
does, and neither is what only several objects show together: drift detection finds both.
A policy takes a second to come into force: what only a changed one allows (a looser rule; another
domain, registry port, host of images, namespace of proxies or of Prometheus, another thing that
models may call) may need a second `up`.
"""

from __future__ import annotations

from typing import Final

from components.admission_pods import ROWS as POD_ROWS
from components.admission_rights import ROWS as RIGHT_ROWS
from components.admission_routes import ROWS as ROUTE_ROWS
from components.admission_row import Check, Kinds, Row
from components.admission_serving import ROWS as SERVING_ROWS
from components.admission_walls import ROWS as WALL_ROWS
from components.kube import Object, head
from regions.plan import RegionPlan

ROWS: Final[tuple[Row, ...]] = (
    *POD_ROWS,
    *WALL_ROWS,
    *RIGHT_ROWS,
    *ROUTE_ROWS,
    *SERVING_ROWS,
)
"""All rules that are guarded, one policy each."""

_API: Final = "admissionregistration.k8s.io/v1"


def _rule(kinds: Kinds) -> Object:
    return {
        "apiGroups": [kinds.group],
        "apiVersions": [kinds.version],
        "operations": ["CREATE", "UPDATE"],
        "resources": list(kinds.resources),
        "scope": "*",
    }


def _changes(judged: str) -> list[Object]:
    """Only a change of what is judged is judged.

    Else an object from before the guard could not even be emptied of its finalizers, nor an old
    ReplicaSet's pods be cleaned away by their controllers; and a guard that has become stricter
    would refuse the patch by which the provider, before it applies what is right, takes over the
    fields as they are (fixCSAFieldManagers in provider/pkg/await/await.go of pulumi-kubernetes).
    """
    other = f"oldObject == null || dyn(object).{judged} != dyn(oldObject).{judged}"
    return [{"expression": other, "name": "changed"}]


def _validation(check: Check) -> Object:
    text = f"{check.fault}; {check.cure}: change the spec, not the cluster"
    return {"expression": check.holds, "message": text}


def _reachable(plan: RegionPlan) -> dict[str, list[list[str]]]:
    """By place and port that models may call, the labels that choose the pods of each row there.

    A map, in which CEL finds a place at the cost of one step however many there are: a request may
    cost so much only.
    """
    found: dict[str, list[list[str]]] = {}
    for call in plan.reachable:
        for place in call.networks or (call.namespace,):
            labels = ["=".join(label) for label in call.pods]
            found.setdefault(f"{place}:{call.port}", []).append(labels)
    return found


def _places(plan: RegionPlan) -> dict[str, str]:
    """CEL variables: what differs from region to region."""
    return {
        "domain": f"'{plan.domain}'",
        "provider": f"'{plan.provider}'",
        "registry": str([*plan.registry.ports]),
        "addresses": str([*plan.registry.addresses]),
        "hosts": str([*plan.image_hosts]),
        "reachable": str(_reachable(plan)),
        "proxies": str([*plan.proxy_namespaces]),
        "scraper": f"'{plan.prometheus.namespace}'",
    }


def _policy(row: Row, name: str, labels: dict[str, str], places: dict[str, str]) -> Object:
    known = {**places, **row.variables}
    used = " ".join([check.holds for check in row.checks] + list(row.variables.values()))
    variables = [
        {"expression": expression, "name": variable}
        for variable, expression in known.items()
        if f"variables.{variable}" in used
    ]
    lists = {"matchConditions": _changes(row.judged), "variables": variables}
    return head(_API, "ValidatingAdmissionPolicy", name, "", labels, {}) | {
        "spec": {
            **{field: found for field, found in lists.items() if found},
            "failurePolicy": "Fail",
            "matchConstraints": {
                "matchPolicy": "Equivalent",
                "namespaceSelector": row.namespaces,
                "objectSelector": row.objects,
                "resourceRules": [_rule(kinds) for kinds in row.kinds],
            },
            "validations": [_validation(check) for check in row.checks],
        }
    }


def _pair(row: Row, places: dict[str, str]) -> list[Object]:
    """The policy and what puts it into force; the cluster may hold policies of others."""
    name = f"isoserve-{row.name}"
    labels = {"isoserve.dev/rule": row.rule}
    binding = head(_API, "ValidatingAdmissionPolicyBinding", name, "", labels, {})
    force = {"policyName": name, "validationActions": ["Deny"]}
    return [_policy(row, name, labels, places), binding | {"spec": force}]


def objects(plan: RegionPlan) -> list[Object]:
    """Policies and bindings; none where the region gives namespace rights only.

    The same in every region: a rule about a kind that a cluster lacks never comes into play.
    """
    if "cluster_scope" not in plan.capabilities:
        return []
    places = _places(plan)
    return [made for row in ROWS for made in _pair(row, places)]
