"""Guarded rules about the rights of a tenant's people, and of the cache agents."""

from __future__ import annotations

from typing import Final

from components.admission_row import ANY, SPACES, Check, Row, kinds
from model_specs.names import CACHE_ACCOUNT, CACHE_NAMESPACE


def _rights(
    name: str, resource: str, judged: str, variables: dict[str, str], *checks: Check
) -> Row:
    return Row(
        rule="P29", name=name, namespaces=SPACES, objects=ANY, judged=judged,
        kinds=(kinds("rbac.authorization.k8s.io", "v1", resource),), variables=variables,
        checks=checks,
    )  # fmt: skip


_ROLES: Final = _rights(
    "rbac-least",
    "roles",
    "?rules",
    {
        "agents": f"object.metadata.namespace == '{CACHE_NAMESPACE}'",
        "rules": "object.?rules.orValue([])",
    },
    Check(
        holds="variables.rules.all(r, (r.verbs + r.?resources.orValue([])"
        " + r.?apiGroups.orValue([])).all(x, !x.contains('*')))",
        fault="a wildcard gives rights that nobody has thought of",
        cure="a project's roles are made for its members",
    ),
    Check(
        # To patch or to delete a secret is to read it: the answer is the whole object.
        holds="variables.agents || variables.rules.all(r,"
        " r.?resources.orValue([]).all(s, r.verbs.all(v,"
        " v in ['get', 'list', 'watch'] ? s == 'pods/log' || !(s == 'secrets' || s.contains('/'))"
        " : (s == 'pods' && v == 'delete')"
        " || (s == 'secrets' && v in ['create', 'update']))))",
        fault="people could read secrets, enter pods or change what specs decide",
        cure="a project's roles are made for its members",
    ),
    Check(
        holds=f"variables.agents || object.metadata.name != '{CACHE_ACCOUNT}'"
        " || variables.rules.all(r,"
        " r.?resources.orValue([]).all(s, s == 'pods')"
        " && r.verbs.all(v, v in ['get', 'list', 'watch']))",
        fault="the cache agents would do more than see which pods their nodes have",
        cure="they read models from the registry and need nothing else of a project",
    ),
    Check(
        holds=f"!variables.agents || (object.metadata.name == '{CACHE_ACCOUNT}'"
        " && variables.rules.all(r, r.?resources.orValue([]).all(s, s == 'events')"
        " && r.verbs.all(v, v == 'create')))",
        fault="whoever has it would act among the cache agents",
        cure="they write Events there, and nobody else has a right",
    ),
)
_BINDINGS: Final = _rights(
    "rbac-bindings",
    "rolebindings",
    "?subjects",
    {},
    Check(
        holds="object.?subjects.orValue([]).all(s, s.kind == 'Group'"
        " ? object.roleRef.name.startsWith('project-') && !s.name.startsWith('system:')"
        f" : object.roleRef.name == '{CACHE_ACCOUNT}' && s.kind == 'ServiceAccount'"
        f" && s.namespace == '{CACHE_NAMESPACE}' && s.name == '{CACHE_ACCOUNT}')",
        fault="rights would go to everybody, or to what runs in a pod",
        cure="name the group under the project's `members`",
    ),
    Check(
        holds="object.roleRef.kind == 'Role' && object.roleRef.name == object.metadata.name",
        fault="it gives another role than that of its name",
        cure="name the group under the project's `members`",
    ),
)

ROWS: Final[tuple[Row, ...]] = (_ROLES, _BINDINGS)
"""In the order of the catalogue."""
