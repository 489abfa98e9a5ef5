"""A tenant's namespace bounds what runs in it, who reaches it, and what its people may do."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic_core import PydanticCustomError

from components.kube import Object
from components.project_space import objects
from model_specs.gpu_kinds import GPU_RESOURCES
from model_specs.names import check_name
from tests.builders import a_project
from tests.examples import (
    REGIONS,
    identity,
    objects_of,
    of_kind,
    plan_of,
    template,
    workloads,
)

every_region = pytest.mark.parametrize("region", REGIONS)
EVERYBODY = a_project(viewers=("oncall",))


def one(kind: str, name: str = "", **over: Any) -> Object:
    (made,) = (
        o
        for o in of_kind(kind, objects(a_project(**over)))
        if not name or o["metadata"]["name"] == name
    )
    found: Object = made
    return found


def rights() -> dict[str, set[tuple[str, str]]]:
    """By role, every pair of verb and resource."""
    return {
        identity(role).name: {
            (verb, resource)
            for rule in role["rules"]
            for verb in rule["verbs"]
            for resource in rule["resources"]
        }
        for role in of_kind("Role", objects(EVERYBODY))
    }


def test_the_namespace_holds_its_pods_to_restricted() -> None:
    labels = one("Namespace")["metadata"]["labels"]
    for mode in ("audit", "enforce", "warn"):
        assert labels[f"pod-security.kubernetes.io/{mode}"] == "restricted"
    assert labels["isoserve.dev/project"] == "search", "the gateways take routes by this label"


def test_a_namespace_that_is_not_ours_is_left_alone() -> None:
    found = objects(a_project(owns_namespace=False))
    assert not of_kind("Namespace", found)
    assert of_kind("ResourceQuota", found), "its bounds are ours all the same"


def test_the_quota_is_the_specs() -> None:
    hard = one("ResourceQuota", gpus={"nvidia.com/gpu": 3}, cpu=40, memory_gib=50)["spec"]["hard"]
    assert hard["requests.nvidia.com/gpu"] == "3"
    assert hard["requests.cpu"] == hard["limits.cpu"] == "40"
    assert hard["requests.memory"] == hard["limits.memory"] == "50Gi"
    assert hard["services.loadbalancers"] == hard["services.nodeports"] == "0", (
        "a way in beside the gateways has no sign-in and no limit"
    )


def test_a_project_without_gpus_may_have_none() -> None:
    found = one("ResourceQuota", gpus=dict.fromkeys(GPU_RESOURCES, 0))["spec"]["hard"]
    assert {name: found[f"requests.{name}"] for name in GPU_RESOURCES} == {
        "amd.com/gpu": "0",
        "aws.amazon.com/neuron": "0",
        "nvidia.com/gpu": "0",
    }, "an absent quota allows everything"


def test_a_pod_that_says_nothing_gets_little() -> None:
    (limit,) = one("LimitRange")["spec"]["limits"]
    assert limit["default"] == limit["defaultRequest"]
    assert set(limit["default"]) == {"cpu", "ephemeral-storage", "memory"}


def test_nothing_goes_in_or_out_unless_a_model_opens_it() -> None:
    spec = one("NetworkPolicy", "default-deny")["spec"]
    assert spec["podSelector"] == {}, "every pod, also those that people start by hand"
    assert spec["policyTypes"] == ["Egress", "Ingress"]
    assert "ingress" not in spec, "nobody comes in"
    (dns,) = spec["egress"]
    assert {port["port"] for port in dns["ports"]} == {53}
    assert dns["to"], "DNS to anywhere is a tunnel"


def test_a_projects_own_pods_call_whom_they_may() -> None:
    spec = one("NetworkPolicy", "default-callers", callee_namespaces=("a", "search"))["spec"]
    (way,) = spec["egress"]
    assert [peer["namespaceSelector"]["matchLabels"] for peer in way["to"]] == [
        {"kubernetes.io/metadata.name": "a"},
        {"kubernetes.io/metadata.name": "search"},
    ], "by the one label of a namespace that nobody chooses"
    assert set(way) == {"to"}, "the gateways' proxies listen on ports that are not known here"
    assert spec["policyTypes"] == ["Egress"], "it lets nobody in"
    assert "ingress" not in spec


def test_a_models_code_calls_nobody() -> None:
    selector = one("NetworkPolicy", "default-callers")["spec"]["podSelector"]
    no_model = {"key": "isoserve.dev/model", "operator": "DoesNotExist"}
    assert selector == {"matchExpressions": [no_model]}, "what it runs came with its files"


def test_no_model_can_take_the_place_of_a_projects_walls() -> None:
    for made in of_kind("NetworkPolicy", objects(a_project())):
        with pytest.raises(PydanticCustomError):
            check_name(identity(made).name)  # a model's wall has the model's name


@every_region
def test_the_pods_of_every_model_have_the_label_that_keeps_them_in(region: str) -> None:
    for made in workloads(objects_of(region)):
        labels = template(made)["metadata"]["labels"]
        role = labels.get("isoserve.dev/role", "")
        assert ("isoserve.dev/model" in labels) is role.startswith("model-"), identity(made)


@every_region
def test_every_project_has_its_default_deny(region: str) -> None:
    walls = {
        identity(made).namespace
        for made in of_kind("NetworkPolicy", objects_of(region))
        if made["spec"]["podSelector"] == {}
    }
    assert {project.namespace for project in plan_of(region).projects} <= walls


@every_region
def test_no_role_has_a_wildcard(region: str) -> None:
    roles = [o for o in objects_of(region) if o["kind"] in ("Role", "ClusterRole")]
    assert roles
    for role in roles:
        for rule in role["rules"]:
            for field in ("apiGroups", "resources", "verbs"):
                assert "*" not in rule[field], f"{identity(role)} grows with every new CRD"


def test_nobody_reads_secrets_or_enters_pods() -> None:
    for role, pairs in rights().items():
        read = {verb for verb, resource in pairs if resource == "secrets"}
        assert not read & {"get", "list", "watch", "patch"}, (
            f"{role} may read what is kept secret: a patch is answered with the whole object"
        )
        entered = {r for _, r in pairs if r.startswith("pods/")} - {"pods/log"}
        assert not entered, f"{role} may run what it likes as the model"
        made = {verb for verb, resource in pairs if resource in ("pods", "deployments")}
        assert not made & {"create", "update", "patch"}, (
            f"{role} could mount any secret of the namespace into a pod of its own"
        )
        climbing = {verb for verb, _ in pairs} & {"bind", "escalate", "impersonate"}
        assert not climbing, f"{role} could give itself more"


def test_each_role_may_do_what_the_one_below_may() -> None:
    viewer, developer, admin = (rights()[f"project-{r}"] for r in ("viewer", "developer", "admin"))
    assert viewer < developer < admin
    assert ("delete", "pods") in developer, "a developer restarts a pod"
    assert ("update", "secrets") in admin, "an admin replaces a secret"


def test_a_role_nobody_has_is_not_made() -> None:
    made = {identity(o).name for o in of_kind("Role", objects(a_project()))}
    assert made == {"project-admin", "project-developer"}, "a_project has no viewers"
    assert not of_kind("RoleBinding", objects(a_project(admins=(), developers=())))


def test_a_binding_binds_its_own_role_to_the_groups() -> None:
    for made in of_kind("RoleBinding", objects(EVERYBODY)):
        assert made["roleRef"]["kind"] == "Role", "a ClusterRole would carry further"
        assert made["roleRef"]["name"] == made["metadata"]["name"]
        assert all(subject["kind"] == "Group" for subject in made["subjects"])


@every_region
def test_no_right_reaches_beyond_its_namespace(region: str) -> None:
    kinds = {made["kind"] for made in objects_of(region)}
    assert not kinds & {"ClusterRole", "ClusterRoleBinding"}, "a tenant's people see their own"
