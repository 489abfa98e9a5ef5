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


def role(**rule: Any) -> Resource:
    """The developers' role with one rule more."""
    rule = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"], **rule}
    return edited("Role chat/project-developer", lambda values: values["rules"].append(rule))


def bound(scope: str, role: str, **subject: str) -> Resource:
    binding = "ClusterRoleBinding" if scope == "cluster" else "RoleBinding"
    space = "" if scope == "cluster" else "chat"
    to = {"apiGroup": RBAC, "kind": "Role" if scope == "Role" else "ClusterRole", "name": role}
    body: dict[str, Any] = {"subjects": [{"apiGroup": RBAC, **subject}], "roleRef": to}
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
        ({"verbs": ["*"]}, "gives * on pods"),
        ({"resources": ["*"]}, "gives get on *"),
        ({"resources": ["*/scale"]}, "gives get on */scale"),
        ({"apiGroups": ["*"]}, "gives get on pods of *"),
        ({"resources": ["secrets"], "verbs": ["get"]}, "gives get on secrets"),
        ({"resources": ["secrets"], "verbs": ["list", "watch"]}, "gives list, watch on secrets"),
        ({"resources": ["secrets"], "verbs": ["patch"]}, "gives patch on secrets"),
        ({"resources": ["secrets"], "verbs": ["delete"]}, "gives delete on secrets"),
        ({"resources": ["secrets"], "verbs": ["deletecollection"]}, "gives deletecollection"),
        ({"resources": ["secrets"], "verbs": ["update"]}, "gives update on secrets"),
        ({"resources": ["pods/exec"], "verbs": ["create"]}, "gives create on pods/exec"),
        ({"resources": ["pods/exec"]}, "gives get on pods/exec"),
        ({"resources": ["pods/attach"]}, "gives get on pods/attach"),
        ({"resources": ["pods/portforward"]}, "gives get on pods/portforward"),
        ({"resources": ["pods/ephemeralcontainers"], "verbs": ["patch"]}, "gives patch on pods/"),
        ({"resources": ["services/proxy"]}, "gives get on services/proxy"),
        ({"resources": ["nodes"]}, "gives get on nodes"),
        ({"resources": ["serviceaccounts/token"], "verbs": ["create"]}, "serviceaccounts/token"),
        ({"verbs": ["create"]}, "gives create on pods"),
        ({"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["patch"]}, "gives patch"),
        ({"apiGroups": ["networking.k8s.io"], "resources": ["networkpolicies"],
          "verbs": ["delete"]}, "gives delete on networkpolicies of networking.k8s.io"),
        ({"apiGroups": [RBAC], "resources": ["roles"], "verbs": ["escalate", "bind"]},
         "gives bind, escalate on roles"),
        ({"resources": ["users"], "verbs": ["impersonate"]}, "gives impersonate on users"),
        ({"apiGroups": ["admissionregistration.k8s.io"],
          "resources": ["validatingwebhookconfigurations"], "verbs": ["update"]}, "gives update"),
        ({"nonResourceURLs": ["/metrics"]}, "gives rights by nonResourceURLs"),
        ({"resourceNames": ["hub"], "resources": ["secrets"]}, "gives rights by resourceNames"),
        ({"apiGroups": ["apps"], "resources": ["pods"], "verbs": ["delete"]}, "gives delete"),
    ],
)  # fmt: skip
def test_a_right_that_could_change_or_enter_anything_is_refused(
    rule: dict[str, Any], words: str
) -> None:
    assert words in messages(said(LEAST, role(**rule)))


@pytest.mark.parametrize(
    ("label", "rule"),
    [
        ("Role chat/project-developer", {"resources": ["pods", "pods/log", "configmaps"]}),
        ("Role chat/project-developer", {"resources": ["pods"], "verbs": ["delete"]}),
        ("Role chat/project-admin", {"resources": ["secrets"], "verbs": ["create", "update"]}),
    ],
)
def test_reading_restarting_and_replacing_secrets_is_allowed(
    label: str, rule: dict[str, Any]
) -> None:
    more = {"apiGroups": [""], "verbs": ["get", "list", "watch"], **rule}
    assert said(LEAST, edited(label, lambda values: values["rules"].append(more))) == []


@pytest.mark.parametrize(
    ("kind", "space", "name"),
    [
        ("ClusterRole", "", "project-viewer"),
        ("Role", "chat", "extra"),
        ("Role", "isoserve-cache", "project-admin"),
        ("Role", "isoserve-system", "project-viewer"),
        ("Role", "kube-system", "project-viewer"),
    ],
)
def test_a_role_that_nobody_needs_is_refused(kind: str, space: str, name: str) -> None:
    rule = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}
    found = made(f"{RBAC}/v1", kind, space, name, OF_CHAT, rules=[rule])
    assert "is no role of a project's members or agents" in messages(said(LEAST, found))


def test_rights_from_elsewhere_are_refused() -> None:
    found = edited("Role chat/project-admin", lambda values: values.update(aggregationRule={}))
    assert "takes its rights from elsewhere" in messages(said(LEAST, found))


@pytest.mark.parametrize(
    ("binding", "words"),
    [
        (bound("cluster", "cluster-admin", **LEADS), "gives cluster-admin in every namespace"),
        (bound("cluster", "view", **LEADS), "gives view in every namespace"),
        (bound("ClusterRole", "cluster-admin", **LEADS), "so nobody judged it"),
        (bound("Role", "nobody-made-it", **LEADS), "which is not made here"),
        (bound("Role", "project-developer", kind="Group", name="system:authenticated"),
         "gives project-developer to Group system:authenticated"),
        (bound("Role", "project-developer", kind="User", name="system:anonymous"),
         "to User system:anonymous, no member by it"),
        (bound("Role", "project-admin", kind="Group", name="chat-ml"),
         "gives project-admin to Group chat-ml"),
        (bound("Role", "project-admin", kind="User", name="chat-leads"), "to User chat-leads"),
        (bound("Role", "project-developer", kind="Group", name="search-leads"),
         "to Group search-leads"),
        (bound("Role", "project-admin", kind="ServiceAccount", name="assistant", namespace="chat"),
         "to ServiceAccount assistant"),
        (bound("Role", "project-admin", kind="ServiceAccount", name="ranker", namespace="search"),
         "to ServiceAccount ranker"),
    ],
)  # fmt: skip
def test_a_binding_beyond_those_whom_a_role_is_for_is_refused(
    binding: Resource, words: str
) -> None:
    assert words in messages(said(BINDINGS, binding))


def test_the_agents_role_is_for_their_own_account_alone() -> None:
    wide = edited(
        "RoleBinding isoserve-cache/cache-agent",
        lambda values: values["subjects"].append({"apiGroup": RBAC, **LEADS}),
    )
    assert "gives cache-agent to Group chat-leads" in messages(said(BINDINGS, wide))


def test_a_binding_to_the_groups_of_its_role_is_allowed() -> None:
    assert said(BINDINGS, bound("Role", "project-admin", **LEADS)) == []


def test_a_finding_stands_where_members_are_listed() -> None:
    wide = edited("Role chat/project-developer", lambda v: v["rules"][0].update(verbs=["*"]))
    (finding, *_) = said(LEAST, wide)
    assert (finding.place.file, finding.place.path) == ("model_specs/chat/project.yaml", "members")


AGENTS: Final = {"kind": "ServiceAccount", "name": "cache-agent", "namespace": "isoserve-cache"}


@pytest.mark.parametrize("role", ["project-developer", "project-admin"])
def test_the_cache_agents_get_no_other_right_in_a_project(role: str) -> None:
    wide = edited(f"RoleBinding chat/{role}", lambda values: values["subjects"].append({**AGENTS}))
    assert f"gives {role} to ServiceAccount cache-agent" in messages(said(BINDINGS, wide))


def test_nobody_but_the_cache_agents_has_their_role_in_a_project() -> None:
    other = {**AGENTS, "name": "assistant", "namespace": "chat"}
    wide = edited("RoleBinding chat/cache-agent", lambda values: values["subjects"].append(other))
    assert "gives cache-agent to ServiceAccount assistant" in messages(said(BINDINGS, wide))


@pytest.mark.parametrize(
    ("field", "value"), [("resources", ["configmaps"]), ("verbs", ["get"]), ("apiGroups", ["*"])]
)
def test_a_role_of_the_agents_that_grows_is_refused(field: str, value: list[str]) -> None:
    wider = edited("Role chat/cache-agent", lambda v: v["rules"][0].update({field: value}))
    assert "gives " in messages(said(LEAST, wider))
