"""A region on somebody else's cluster: an account with a Role in three namespaces applies it all.

The objects are seoul-dc1's, on a real API server without nodes; the engine's provider is played by
server-side apply, which is what it sends.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import pytest
import yaml

from components.gates.claims import taken
from components.gates.cluster_grants import look_for_grants
from components.gates.extra_objects import look
from components.kube import FIELD_MANAGER, Object
from components.kube_client import Forbidden, KubeClient
from regions.sandbox.kube import Cluster, connect, read_kubeconfig
from tests.engine.lone_server import lone_server
from tests.engine.world import body, path_of
from tests.examples import objects_of, plan_of

pytestmark = pytest.mark.engine

REGION, SERVER = "seoul-dc1", "sandbox-aws"
SPACES: Final = ("chat", "search", "vision")
ALL: Final = ["create", "delete", "get", "list", "patch", "update", "watch"]
READ: Final = ["get", "list", "watch"]
RULES: Final[list[Object]] = [
    {"apiGroups": [group], "resources": resources.split(), "verbs": verbs}
    for group, resources, verbs in (
        ("", "configmaps limitranges pods resourcequotas secrets serviceaccounts services", ALL),
        ("", "events pods/log", READ),
        ("", "events", ["create"]),
        ("apps", "deployments", ALL),
        ("apps", "daemonsets replicasets", READ),
        ("autoscaling", "horizontalpodautoscalers", ALL),
        ("apps", "deployments/scale", ["patch"]),
        ("batch", "cronjobs jobs", ALL),
        ("gateway.envoyproxy.io", "backendtrafficpolicies securitypolicies", ALL),
        ("gateway.networking.k8s.io", "httproutes", ALL),
        ("keda.sh", "scaledobjects", ALL),
        ("monitoring.coreos.com", "podmonitors prometheusrules", ALL),
        ("networking.k8s.io", "networkpolicies", ALL),
        ("policy", "poddisruptionbudgets", ALL),
        ("rbac.authorization.k8s.io", "rolebindings roles", ALL),
    )
]
"""All that README says such an account needs; it holds what it grants to members and agents."""
GROUP: Final = "rbac.authorization.k8s.io"
BEYOND: Final = (
    ("v1", "Namespace", "fourth"),
    ("scheduling.k8s.io/v1", "PriorityClass", "mine"),
    ("rbac.authorization.k8s.io/v1", "ClusterRole", "mine"),
)


@dataclass(frozen=True, slots=True)
class Guest:
    """The account on the API server, by a token of its own."""

    cluster: Cluster
    client: KubeClient

    def apply(self, made: Object) -> str:
        """What the API server says against an object; empty where it takes it."""
        answer = self.cluster.session.request(
            "PATCH",
            f"{self.cluster.url}{path_of(made)}?fieldManager={FIELD_MANAGER}&fieldValidation=Strict",
            json=made,
            headers={"Content-Type": "application/apply-patch+yaml"},
            timeout=30,
        )
        return "" if answer.ok else answer.text


def given_rights(cluster: Cluster) -> str:
    """What the cluster's owner makes: three namespaces, the account, and its Role in each."""
    made = [body("v1", "Namespace", name) for name in ("ci", *SPACES)]
    made.append(body("v1", "ServiceAccount", "isoserve", "ci"))
    for space in SPACES:
        made.append(body(f"{GROUP}/v1", "Role", "isoserve", space, rules=RULES))
        role = {"apiGroup": GROUP, "kind": "Role", "name": "isoserve"}
        who = [{"kind": "ServiceAccount", "name": "isoserve", "namespace": "ci"}]
        binding = body(f"{GROUP}/v1", "RoleBinding", "isoserve", space, roleRef=role, subjects=who)
        made.append(binding)
    for one in made:
        cluster.apply(path_of(one), one)
    path = "/api/v1/namespaces/ci/serviceaccounts/isoserve/token"
    asked = body("authentication.k8s.io/v1", "TokenRequest", "", spec={})
    told = cluster.send("POST", path, asked, "application/json")
    assert told is not None
    return str(told["status"]["token"])


@pytest.fixture(scope="module")
def guest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guest]:
    """A cluster of somebody else, in which we have an account."""
    root = tmp_path_factory.mktemp("guest")
    with lone_server(root / "tree", SERVER) as world:
        owner = world.cluster(SERVER)
        token = given_rights(owner)
        place = world.root / ".isoserve" / SERVER / "kubeconfig"
        config = read_kubeconfig(place)
        config["users"] = [
            {"name": row["name"], "user": {"token": token}} for row in config["users"]
        ]
        own = place.parent / "guest"
        own.write_text(yaml.safe_dump(config))
        context = str(config["contexts"][0]["name"])
        yield Guest(connect(SERVER, own), KubeClient(str(own), context))


def test_the_account_has_rights_in_its_namespaces_and_nowhere_else(guest: Guest) -> None:
    for version, kind, name in BEYOND:
        assert "forbidden" in guest.apply(body(version, kind, name)), "or this proves nothing"
    with pytest.raises(Forbidden):
        guest.client.get("/api/v1/nodes")


def test_everything_of_the_region_is_applied_by_it(guest: Guest) -> None:
    made = objects_of(REGION)
    assert {one["metadata"].get("namespace", "") for one in made} == set(SPACES), "and no other"
    said = {path_of(one): guest.apply(one) for one in made}
    assert {path: why for path, why in said.items() if why} == {}
    live = [guest.client.get(path) for path in said]
    assert all(live), "and is there"


def test_what_up_asks_before_and_after_is_answered(guest: Guest) -> None:
    names = [
        (one["apiVersion"], one["kind"], one["metadata"]["namespace"], one["metadata"]["name"])
        for one in objects_of(REGION)
    ]
    assert list(taken(names, REGION, guest.client.get)) == [], "all of it is the region's own"
    asked = {"names": names, "region": REGION}
    assert look(guest.client, asked, lambda live: True).extra == [], "others may add to theirs"
    assert look_for_grants(guest.client, asked).unseen == []
    for kind in ("CronJob", "DaemonSet", "Deployment", "Job", "Pod"):
        for space in SPACES:
            guest.client.listed(kind, space)


def test_every_lesser_form_is_the_named_one() -> None:
    told = {row.feature for row in plan_of(REGION).downgrades if row.capability == "cluster_scope"}
    assert told == {
        "admission guard",
        "gateways",
        "model cache",
        "namespaces",
        "node labels",
        "priority classes",
        "region dashboard",
    }
    kinds = {one["kind"] for one in objects_of(REGION)}
    assert not kinds & {"DaemonSet", "Namespace", "Node", "PersistentVolume", "PriorityClass"}
