"""People read and restart; whatever else a role gives is refused."""

from __future__ import annotations

from functools import partial
from typing import Any, Final

import pytest

from policies.resources import Resource
from policies.rights import RULES
from policies.rule import Rule
from tests.examples import REGIONS
from tests.policies.attacks import edited, made, messages
from tests.policies.cases import Failing
from tests.policies.estate import said

LEAST, BINDINGS = RULES
RBAC = "rbac.authorization.k8s.io"
OF_CHAT = {"isoserve.dev/project": "chat"}


def role(kind: str = "Role", **rule: Any) -> Resource:
    space = "chat" if kind == "Role" else ""
    rule = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"], **rule}
    return made(f"{RBAC}/v1", kind, space, "extra", OF_CHAT, rules=[rule])


def bound(scope: str, role: str, **subject: str) -> Resource:
    binding = "ClusterRoleBinding" if scope == "cluster" else "RoleBinding"
    space = "" if scope == "cluster" else "chat"
    to = {"kind": "Role" if scope == "Role" else "ClusterRole", "name": role}
    body: dict[str, Any] = {"subjects": [subject], "roleRef": to}
    return made(f"{RBAC}/v1", binding, space, "extra", OF_CHAT, **body)


LEADS = {"kind": "Group", "name": "chat-leads"}
FAILING: Final[Failing] = {
    LEAST.name: partial(said, LEAST, role(verbs=["*"])),
    BINDINGS.name: partial(said, BINDINGS, bound("cluster", "cluster-admin", **LEADS)),
}


@pytest.mark.parametrize("region", REGIONS)
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_the_examples_members_have_few_rights(rule: Rule, region: str) -> None:
    assert said(rule, region=region) == []


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ({"verbs": ["*"]}, "by wildcard"),
        ({"resources": ["*"]}, "by wildcard"),
        ({"resources": ["*/scale"]}, "by wildcard"),
        ({"apiGroups": ["*"]}, "by wildcard"),
        ({"resources": ["secrets"], "verbs": ["get"]}, "gives get on secrets"),
        ({"resources": ["secrets"], "verbs": ["list", "watch"]}, "gives list, watch on secrets"),
        ({"resources": ["secrets"], "verbs": ["patch"]}, "gives patch on secrets"),
        ({"resources": ["pods/exec"], "verbs": ["create"]}, "gives create on pods/exec"),
        ({"resources": ["pods/exec"]}, "gives get on pods/exec"),
        ({"resources": ["pods/attach"]}, "gives get on pods/attach"),
        ({"resources": ["pods/portforward"]}, "gives get on pods/portforward"),
        ({"resources": ["services/proxy"]}, "gives get on services/proxy"),
        ({"resources": ["serviceaccounts/token"], "verbs": ["create"]}, "serviceaccounts/token"),
        ({"verbs": ["create"]}, "gives create on pods"),
        ({"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["patch"]}, "gives patch"),
        ({"apiGroups": ["networking.k8s.io"], "resources": ["networkpolicies"],
          "verbs": ["delete"]}, "gives delete on networkpolicies"),
        ({"apiGroups": [RBAC], "resources": ["roles"], "verbs": ["escalate", "bind"]},
         "gives bind, escalate on roles"),
        ({"resources": ["users"], "verbs": ["impersonate"]}, "gives impersonate on users"),
        ({"apiGroups": ["admissionregistration.k8s.io"],
          "resources": ["validatingwebhookconfigurations"], "verbs": ["update"]}, "gives update"),
        ({"nonResourceURLs": ["/metrics"]}, "on URLs of the API server"),
        ({"apiGroups": ["apps"], "resources": ["pods"], "verbs": ["delete"]}, "gives delete"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["Role", "ClusterRole"])
def test_a_right_that_could_change_or_enter_anything_is_refused(
    kind: str, rule: dict[str, Any], words: str
) -> None:
    assert words in messages(said(LEAST, role(kind, **rule)))


@pytest.mark.parametrize(
    "rule",
    [
        {"resources": ["pods", "pods/log", "configmaps"], "verbs": ["get", "list", "watch"]},
        {"resources": ["pods"], "verbs": ["delete"]},
        {"resources": ["secrets"], "verbs": ["create", "delete", "update"]},
    ],
)
def test_reading_restarting_and_replacing_secrets_is_allowed(rule: dict[str, Any]) -> None:
    assert said(LEAST, role(**rule)) == []


def test_rights_from_elsewhere_are_refused() -> None:
    found = made(f"{RBAC}/v1", "ClusterRole", "", "sum", {}, aggregationRule={"a": 1})
    assert "made elsewhere" in messages(said(LEAST, found))


@pytest.mark.parametrize(
    ("binding", "words"),
    [
        (bound("cluster", "cluster-admin", **LEADS), "gives cluster-admin in every namespace"),
        (bound("cluster", "view", **LEADS), "gives view in every namespace"),
        (bound("ClusterRole", "cluster-admin", **LEADS), "so nobody judged it"),
        (bound("Role", "nobody-made-it", **LEADS), "which is not made here"),
        (bound("Role", "project-developer", kind="Group", name="system:authenticated"),
         "rights to system:authenticated"),
        (bound("Role", "project-developer", kind="Group", name="system:unauthenticated"),
         "rights to system:unauthenticated"),
        (bound("Role", "project-developer", kind="User", name="system:anonymous"),
         "rights to system:anonymous"),
    ],
)  # fmt: skip
def test_a_binding_beyond_a_project_is_refused(binding: Resource, words: str) -> None:
    assert words in messages(said(BINDINGS, binding))


def test_a_binding_to_a_role_of_the_project_is_allowed() -> None:
    assert said(BINDINGS, bound("Role", "project-developer", **LEADS)) == []


def test_a_finding_stands_where_members_are_listed() -> None:
    wide = edited("Role chat/project-developer", lambda v: v["rules"][0].update(verbs=["*"]))
    (finding,) = said(LEAST, wide)
    assert (finding.place.file, finding.place.path) == ("model_specs/chat/project.yaml", "members")


AGENTS: Final = {"kind": "ServiceAccount", "name": "cache-agent", "namespace": "isoserve-cache"}


def test_the_cache_agents_see_the_pods_of_every_project_that_they_hold_models_of() -> None:
    bound_to = made(
        f"{RBAC}/v1", "RoleBinding", "chat", "more", OF_CHAT,
        subjects=[AGENTS], roleRef={"kind": "Role", "name": "cache-agent"},
    )  # fmt: skip
    assert said(BINDINGS, bound_to) == []


@pytest.mark.parametrize("role", ["project-developer", "project-admin"])
def test_the_cache_agents_get_no_other_right_in_a_project(role: str) -> None:
    assert "more than to see which pods" in messages(said(BINDINGS, bound("Role", role, **AGENTS)))


def test_a_role_of_the_agents_that_grows_is_refused() -> None:
    wider = edited(
        "Role chat/cache-agent", lambda v: v["rules"][0].update(resources=["configmaps"])
    )
    assert "more than to see which pods" in messages(said(BINDINGS, wider))
