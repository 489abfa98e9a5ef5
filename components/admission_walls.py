"""Guarded rules about a tenant's walls: its namespace and its network."""

from __future__ import annotations

from typing import Final

from components.admission_row import ANY, OURS, SPACES, Check, Row, kinds
from components.kube import ADDRESSES_V4, ADDRESSES_V6
from components.model_cache.agent_pod import PEER_PORT
from components.model_cache.api_access import API_PORT, API_SERVICE_PORT
from model_specs.names import (
    CACHE_NAMESPACE,
    LABEL_MODEL,
    LABEL_PROJECT,
    LABEL_ROLE,
    MANAGED_BY,
    PROBER,
    RESERVED,
)

_SPACE: Final = "kubernetes.io/metadata.name"
_PSS: Final = "pod-security.kubernetes.io/enforce"
_IDENTITY: Final = [*MANAGED_BY, "isoserve.dev/platform", LABEL_PROJECT]

_NAMESPACE: Final = Row(
    rule="P01",
    name="pss-namespace",
    namespaces=ANY,
    objects=OURS,
    kinds=(kinds("", "v1", "namespaces"),),
    judged="metadata.labels",
    variables={"labels": "object.metadata.?labels.orValue({})"},
    checks=(
        Check(
            holds=f"object.metadata.name == '{CACHE_NAMESPACE}'"
            f" || variables.labels[?'{_PSS}'].orValue('') == 'restricted'"
            f" && variables.labels[?'{_PSS}-version'].orValue('') == 'latest'",
            fault="the namespace would no longer hold its pods to Pod Security `restricted`",
            cure="only the cache agents need more, and have a namespace of their own",
        ),
        Check(
            holds=f"oldObject == null || {_IDENTITY}.all(k, !(k in oldObject.metadata.labels)"
            " || variables.labels[?k].orValue('') == oldObject.metadata.labels[k])",
            fault="without its labels the namespace is unguarded, and unknown to the gateways",
            cure="a namespace changes hands by a new project",
        ),
    ),
)

_NETWORK: Final = Row(
    rule="P28",
    name="netpol-default-deny",
    namespaces=SPACES,
    objects=ANY,
    kinds=(kinds("networking.k8s.io", "v1", "networkpolicies"),),
    judged="spec",
    variables={
        "inward": "object.spec.?ingress.orValue([])",
        "chosen": "object.spec.?podSelector.?matchLabels.orValue({})",
    },
    checks=(
        Check(
            holds="object.metadata.name != 'default-deny' || (variables.chosen.size() == 0"
            " && !object.spec.?podSelector.?matchExpressions.hasValue()"
            " && ['Egress', 'Ingress'].all(t, t in object.spec.policyTypes)"
            " && variables.inward.size() == 0)",
            fault="default-deny would no longer shut every pod of the namespace",
            cure="open what a model needs by its `access`",
        ),
        Check(
            holds="variables.inward.all(i, i.?from.orValue([]).size() > 0 && i.from.all(f,"
            f" f.?namespaceSelector.?matchLabels[?'{_SPACE}'].hasValue()))",
            fault="pods of any namespace, or addresses, would get in",
            cure="name each caller's project under `share_with`",
        ),
    ),
)


def _is_platforms(name: str) -> str:
    """CEL: whether a namespace is one that no project's can be."""
    return f"({name} == variables.scraper || {name}.split('-')[0] in {[*RESERVED]})"


# Which projects share with this one follows the specs, and what follows them is not guarded (see
# the top of admission_guard.py): a project that shares nothing, named here by hand, lets nobody in
# by its own models' walls; the policies' rule of this name and drift detection see it.
_TO: Final = f"t.?namespaceSelector.?matchLabels[?'{_SPACE}'].orValue('default')"
_TO_CALLEES: Final = (
    f"e.?to.orValue([]).size() > 0 && e.to.all(t, {_TO} in variables.proxies"
    f" || !{_is_platforms(_TO)})"
)

_TO_AGENTS: Final = f"e.?to.orValue([]).size() > 0 && e.to.all(t, {_TO} == '{CACHE_NAMESPACE}')"

_HOLES: Final = {
    family: peer["ipBlock"]["except"]
    for family, peer in (("v4", ADDRESSES_V4), ("v6", ADDRESSES_V6))
}

_TO_REGISTRY: Final = (
    "((variables.agents || variables.model) && p.?port.orValue(0) in variables.registry"
    " && (variables.addresses.size() == 0"
    " || e.?to.orValue([]).size() > 0"
    " && e.to.all(t, t.?ipBlock.?cidr.orValue('') in variables.addresses)))"
)
_OF_PROBER: Final = (
    "variables.prober && e.?to.orValue([]).size() > 0 && (e.to.all(t, !has(t.ipBlock)"
    f" && (!has(t.namespaceSelector) || {_TO} in variables.proxies))"
    " || (e.to.all(t, has(t.ipBlock)) && e.?ports.orValue([]).size() > 0"
    " && e.ports.all(p, !has(p.endPort) && p.?port.orValue(0) in [80, 443])))"
)
_CHOSEN: Final = "t.?podSelector.?matchLabels.orValue({})"
_AT: Final = (
    "(has(t.ipBlock) ? t.ipBlock.cidr"
    f" : t.?namespaceSelector.?matchLabels[?'{_SPACE}'].orValue(''))"
    " + ':' + string(p.?port.orValue(0))"
)
# Which of them a model calls follows its spec, and what follows specs is not guarded (see the top
# of admission_guard.py): the spec's own wall would come in the same `up` as the guard that allows
# it, and be refused by the one before, which is in force for another second. So a wall by hand may
# lead a model to what its region lists; the policies' rule of this name and drift detection see it.
_TO_CALLED: Final = (
    "(variables.model && e.?to.orValue([]).size() > 0 && e.to.all(t,"
    f" variables.reachable[?{_AT}].orValue([]).exists(r,"
    f" r.all(x, x in {_CHOSEN}.map(k, k + '=' + {_CHOSEN}[k])))))"
)
_OUTWARD: Final = Row(
    rule="P28",
    name="egress-allow-list",
    namespaces=SPACES,
    objects=ANY,
    kinds=(kinds("networking.k8s.io", "v1", "networkpolicies"),),
    judged="spec",
    variables={
        "rules": "object.spec.?egress.orValue([])",
        "agents": f"object.metadata.namespace == '{CACHE_NAMESPACE}'",
        "prober": f"object.spec.?podSelector.?matchLabels[?'{LABEL_ROLE}'].orValue('')"
        f" == '{PROBER}'",
        # A model's own wall, by its name too (see model_network.wall_name): what somebody changes
        # is what the next `up` sets right, and no other beside it.
        "model": f"!{_is_platforms('object.metadata.namespace')}"
        f" && object.spec.?podSelector.?matchLabels[?'{LABEL_MODEL}'].hasValue()"
        f" && [object.spec.podSelector.matchLabels['{LABEL_MODEL}']].exists(m, m != ''"
        " && object.metadata.name.matches('^' + m + '(--[0-9]+(-[0-9]+)*)?$'))",
        # A project's own pods, and none of a model: its code goes where its spec says.
        "caller": f"!{_is_platforms('object.metadata.namespace')}"
        " && object.spec.?podSelector.?matchExpressions.orValue([]).exists(e,"
        f" e.key == '{LABEL_MODEL}' && e.operator == 'DoesNotExist')",
    },
    checks=(
        Check(
            holds=f"variables.rules.all(e, ({_OF_PROBER}) || (variables.caller && {_TO_CALLEES})"
            " || (e.?ports.orValue([]).size() > 0"
            " && e.ports.all(p, !has(p.endPort)"
            " && (p.?port.orValue(0) == 53 || p.?protocol.orValue('TCP') == 'TCP')"
            f" && ({_TO_REGISTRY} || {_TO_CALLED}"
            f" || (variables.agents && (p.?port.orValue(0) in [{API_SERVICE_PORT}, {API_PORT}]"
            f" || p.?port.orValue(0) == {PEER_PORT} && {_TO_AGENTS}))"
            " || (p.?port.orValue(0) == 53 && e.?to.orValue([]).size() > 0 && e.to.all(t,"
            f" t.?namespaceSelector.?matchLabels[?'{_SPACE}'].orValue('') == 'kube-system'))))))",
            fault="pods would get out to more than DNS and the registry",
            cure="a model has what it needs in its files and its image",
        ),
        Check(
            holds="variables.rules.all(e, e.?to.orValue([]).all(t, !has(t.ipBlock)"
            " || t.ipBlock.cidr in variables.addresses"
            " || e.?ports.orValue([]).exists(p,"
            " t.ipBlock.cidr + ':' + string(p.?port.orValue(0)) in variables.reachable)"
            f" || {_HOLES}[t.ipBlock.cidr.contains(':') ? 'v6' : 'v4']"
            ".all(h, h in t.ipBlock.?except.orValue([]))))"
            " && variables.rules.all(e, e.?to.orValue([]).size() > 0 || !(variables.prober"
            " || e.?ports.orValue([]).exists(p, p.?port.orValue(0) == 80)))",
            fault="pods would get at the cloud's credentials of their node",
            cure="what they need is in a project, on the routes or in the registry",
        ),
    ),
)

ROWS: Final[tuple[Row, ...]] = (_NAMESPACE, _NETWORK, _OUTWARD)
"""In the order of the catalogue."""
