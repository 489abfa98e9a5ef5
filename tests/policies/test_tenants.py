"""What a project has leads to nothing of another's."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

import pytest

from policies.resources import Resource
from policies.rule import Rule
from policies.tenants import RULES
from tests.examples import REGIONS
from tests.policies.attacks import (
    GATEWAY_API,
    edited,
    made,
    messages,
    route,
)
from tests.policies.cases import Failing
from tests.policies.estate import said

ISOLATION, VOLUMES, WEIGHTS, ROLES, HOSTS = RULES
OF_CHAT = {"isoserve.dev/project": "chat"}
GROUP = "rbac.authorization.k8s.io"


@pytest.mark.parametrize("region", REGIONS)
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_the_examples_keep_to_themselves(rule: Rule, region: str) -> None:
    assert said(rule, region=region) == []


def act_as_admin(values: Any) -> None:
    notes = {"eks.amazonaws.com/role-arn": "arn:aws:iam::000000000000:role/admin"}
    values["metadata"]["annotations"] = notes


def grant(namespace: str) -> Resource:
    spec = {"from": [{"group": GATEWAY_API, "kind": "HTTPRoute", "namespace": "chat"}],
            "to": [{"group": "", "kind": "Service"}]}  # fmt: skip
    api = f"{GATEWAY_API}/v1beta1"
    return made(api, "ReferenceGrant", namespace, "open", {}, spec=spec)


def binding(**subject: str) -> Resource:
    return made(f"{GROUP}/v1", "RoleBinding", "chat", "extra", OF_CHAT, subjects=[subject],
                roleRef={"kind": "Role", "name": "project-admin"})  # fmt: skip


FAILING: Final[Failing] = {
    ISOLATION.name: partial(said, ISOLATION, grant("search")),
    VOLUMES.name: partial(said, VOLUMES, without="PersistentVolume chat-models-gpu-l4-1"),
    ROLES.name: lambda: said(ROLES, edited("ServiceAccount chat/helper", act_as_admin)),
    HOSTS.name: partial(said, HOSTS, route("chat/assistant", "public", hostnames=[])),
}
CROSS = [{"backendRefs": [{"kind": "Service", "name": "embedder", "namespace": "search"}]}]
MONITORING = "monitoring.coreos.com/v1"


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (route("chat/assistant", "public", rules=CROSS), "names namespace search in backendRefs"),
        (route("chat/assistant", "public", parentRefs=[{"name": "x", "namespace": "search"}]),
         "names namespace search in parentRefs"),
        (grant("search"), "lets other namespaces use what is in its own"),
        (grant("isoserve-gateway"), "names namespace chat in from"),
        (binding(kind="ServiceAccount", name="prober", namespace="search"),
         "names namespace search in subjects"),
        (made(MONITORING, "PodMonitor", "chat", "all", OF_CHAT,
              spec={"namespaceSelector": {"any": True}}), "names namespace * in namespaceSelector"),
        (made(MONITORING, "PodMonitor", "chat", "all", OF_CHAT,
              spec={"namespaceSelector": {"matchNames": ["search"]}}),
         "names namespace search in matchNames"),
        (made("v1", "ConfigMap", "default", "stray", {}), "namespace default, which is no project"),
        (made("v1", "ConfigMap", "", "stray", {}), "in whichever namespace is the default"),
    ],
)  # fmt: skip
def test_a_way_into_another_namespace_is_refused(other: Resource, words: str) -> None:
    assert words in messages(said(ISOLATION, other))


@pytest.mark.parametrize(
    "own",
    [
        route("chat/assistant", "public", rules=[{"backendRefs": [{"name": "assistant",
              "namespace": "chat"}]}]),
        binding(kind="ServiceAccount", name="prober", namespace="chat"),
        made(f"{GROUP}/v1", "RoleBinding", "isoserve-system", "own", {}, subjects=[]),
    ],
    ids=str,
)  # fmt: skip
def test_what_stays_in_its_own_namespace_is_allowed(own: Resource) -> None:
    assert said(ISOLATION, own) == []


@pytest.mark.parametrize(
    ("label", "change", "words"),
    [
        ("PersistentVolume chat-models-gpu-l4-1",
         lambda s: s["local"].update(path="/var/lib/isoserve/search"),
         "shows chat the files in /var/lib/isoserve/search"),
        ("PersistentVolume chat-models-gpu-l4-1",
         lambda s: s["local"].update(path="/var/lib/isoserve"), "the files in /var/lib/isoserve;"),
        ("PersistentVolume chat-models-gpu-l4-1",
         lambda s: s["local"].update(path="/var/lib/isoserve/chat/../search"), "shows chat"),
        ("PersistentVolume chat-models-gpu-l4-1",
         lambda s: s["claimRef"].update(namespace="search"), "shows search the files in"),
        ("PersistentVolume chat-models-gpu-l4-1", lambda s: s.pop("claimRef"),
         "may be claimed by anybody"),
        ("PersistentVolume chat-models-gpu-l4-1", lambda s: s.update(hostPath={"path": "/"}),
         "holds hostPath, which nobody here can judge"),
        ("PersistentVolume chat-models-gpu-l4-1",
         lambda s: s.update(accessModes=["ReadWriteMany"]), "may be written"),
        ("PersistentVolumeClaim chat/models-gpu-l4-1",
         lambda s: s.update(volumeName="search-models-gpu-l4-1"),
         "claims a volume that is not bound to it"),
        ("PersistentVolumeClaim chat/models-gpu-l4-1", lambda s: s.pop("volumeName"),
         "claims a volume that is not bound to it"),
        ("Deployment chat/helper", lambda s: s["template"]["spec"]["volumes"][0]
         .update(persistentVolumeClaim={"claimName": "ghost"}), "mounts claim chat/ghost"),
    ],
)  # fmt: skip
def test_files_of_another_project_are_refused(
    label: str, change: Callable[[Any], object], words: str
) -> None:
    found = said(VOLUMES, edited(label, lambda values: change(values["spec"])))
    assert words in messages(found)


def acting_as(role: str, region: str) -> list[str]:
    notes = {"eks.amazonaws.com/role-arn": role}
    account = edited("ServiceAccount chat/helper",
                     lambda v: v["metadata"].update(annotations=notes), region)  # fmt: skip
    return [finding.resource for finding in said(ROLES, account, region=region)]


@pytest.mark.parametrize(
    ("account", "role", "may"),
    [
        ("111122223333", "isoserve.us-east-1.chat", True),
        ("111122223333", "isoserve.us-east-1.search", False),
        ("111122223333", "isoserve.us-east-1.isoserve-cache", False),
        ("111122223333", "isoserve.eu-central-1.chat", False),
        ("999900001111", "isoserve.us-east-1.chat", False),
        ("111122223333", "admin", False),
    ],
)
def test_an_account_acts_as_its_own_projects_role(account: str, role: str, may: bool) -> None:
    found = acting_as(f"arn:aws:iam::{account}:role/{role}", "us-east-1")
    assert found == ([] if may else ["ServiceAccount chat/helper"])


def test_where_there_is_no_aws_no_account_has_a_role() -> None:
    own = "arn:aws:iam::000000000000:role/isoserve.seoul-dc1.chat"
    assert acting_as(own, "seoul-dc1") == ["ServiceAccount chat/helper"]


@pytest.mark.parametrize(
    "host",
    [
        "embedder--search.aws.sandbox.example.com",
        "assistant--chat.internal.aws.sandbox.example.com",
        "ghost--chat.aws.sandbox.example.com",
        "*.aws.sandbox.example.com",
        "login.example.com",
    ],
)
def test_a_route_cannot_take_another_models_requests(host: str) -> None:
    taken = route("chat/assistant", "public", hostnames=[host])
    (finding,) = said(HOSTS, taken)
    assert f"answers for {host};" in finding.place.message
    assert finding.place.file == "model_specs/chat/assistant.yaml"


@pytest.mark.parametrize("kind", ["HTTPRoute", "GRPCRoute", "TLSRoute"])
def test_a_route_without_a_host_takes_everybodys_requests(kind: str) -> None:
    catch_all = route("chat/assistant", "public", kind=kind, hostnames=[])
    assert "answers for every host" in messages(said(HOSTS, catch_all))


def test_a_second_route_of_the_same_model_may_have_its_host() -> None:
    assert said(HOSTS, route("chat/assistant", "public")) == []
