"""Guarded rules about a tenant's walls: its namespace, its network, its people's rights."""

from __future__ import annotations

from typing import Final

from components.admission_row import ANY, OF_A_PROJECT, OURS, SPACES, Check, Row, kinds
from model_specs.names import CACHE_NAMESPACE, LABEL_PROJECT, LABEL_ROLE, MANAGED_BY, PROBER

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

_OUTWARD: Final = Row(
    rule="P28",
    name="egress-allow-list",
    namespaces=SPACES,
    objects=ANY,
    kinds=(kinds("networking.k8s.io", "v1", "networkpolicies"),),
    judged="spec",
    variables={
        "rules": "object.spec.?egress.orValue([])",
        "prober": f"object.spec.?podSelector.?matchLabels[?'{LABEL_ROLE}'].orValue('')"
        f" == '{PROBER}'",
    },
    checks=(
        Check(
            holds="variables.rules.all(e, variables.prober || (e.?ports.orValue([]).size() > 0"
            " && e.ports.all(p, !has(p.endPort) && (p.?port.orValue(0) in [443, 9000]"
            " || (p.?port.orValue(0) == 53 && e.?to.orValue([]).size() > 0 && e.to.all(t,"
            f" t.?namespaceSelector.?matchLabels[?'{_SPACE}'].orValue('') == 'kube-system'))))))",
            fault="pods would get out to more than DNS and the registry",
            cure="a model has what it needs in its files and its image",
        ),
        Check(
            holds="variables.rules.all(e, e.?to.orValue([]).all(t, !has(t.ipBlock)"
            " || '169.254.0.0/16' in t.ipBlock.?except.orValue([])))"
            " && (!variables.prober || variables.rules.all(e, e.?to.orValue([]).size() > 0))",
            fault="pods would get at the cloud's credentials of their node",
            cure="a prober asks what its models' routes say",
        ),
    ),
)


def _rights(name: str, resource: str, variables: dict[str, str], *checks: Check) -> Row:
    return Row(
        rule="P29", name=name, namespaces=OF_A_PROJECT, objects=ANY, judged="",
        kinds=(kinds("rbac.authorization.k8s.io", "v1", resource),), variables=variables,
        checks=checks,
    )  # fmt: skip


_ROLES: Final = _rights(
    "rbac-least",
    "roles",
    {"rules": "object.?rules.orValue([])"},
    Check(
        holds="variables.rules.all(r, (r.verbs + r.?resources.orValue([])"
        " + r.?apiGroups.orValue([])).all(x, !x.contains('*')))",
        fault="a wildcard gives rights that nobody has thought of",
        cure="a project's roles are made for its members",
    ),
    Check(
        # To patch a secret is to read it: the answer is the whole object.
        holds="variables.rules.all(r, r.?resources.orValue([]).all(s, r.verbs.all(v,"
        " v in ['get', 'list', 'watch'] ? s == 'pods/log' || !(s == 'secrets' || s.contains('/'))"
        " : (s == 'pods' && v == 'delete')"
        " || (s == 'secrets' && v in ['create', 'delete', 'update']))))",
        fault="people could read secrets, enter pods or change what specs decide",
        cure="a project's roles are made for its members",
    ),
)
_BINDINGS: Final = _rights(
    "rbac-bindings",
    "rolebindings",
    {},
    Check(
        holds="object.?subjects.orValue([]).all(s, !s.name.startsWith('system:'))",
        fault="rights would go to everybody",
        cure="name the group under the project's `members`",
    ),
    Check(
        holds="object.roleRef.kind == 'Role'",
        fault="a role of the cluster gives more than a project's roles do",
        cure="name the group under the project's `members`",
    ),
)

ROWS: Final[tuple[Row, ...]] = (_NAMESPACE, _NETWORK, _OUTWARD, _ROLES, _BINDINGS)
"""In the order of the catalogue."""
