"""ClusterRoleBindings that give pods of our namespaces rights in the whole cluster."""

from __future__ import annotations

from typing import Any

import pytest

from components.gates.cluster_grants import look_for_grants
from components.kube import Object
from components.kube_client import ApiError, Forbidden

NAMES = [["v1", "Namespace", "", "search"], ["v1", "ConfigMap", "search", "prober"]]
ASKED: dict[str, Any] = {"names": NAMES}


def binding(name: str, *subjects: Object, **metadata: Any) -> Object:
    fields = [{"manager": "kubectl-create", "operation": "Update"}]
    return {
        "metadata": {"managedFields": fields, "name": name, **metadata},
        "roleRef": {"kind": "ClusterRole", "name": "view"},
        "subjects": list(subjects),
    }


def account(space: str) -> Object:
    return {"kind": "ServiceAccount", "name": "default", "namespace": space}


class Server:
    """Holds ClusterRoleBindings, or answers by an error."""

    def __init__(self, *held: Object, error: ApiError | None = None) -> None:
        self.held, self.error = list(held), error
        self.asked: list[str] = []

    def get(self, path: str) -> Object | None:
        self.asked.append(path)
        if self.error is not None:
            raise self.error
        return {"items": self.held}


@pytest.mark.parametrize(
    "subject",
    [
        account("search"),
        {"kind": "Group", "name": "system:serviceaccounts:search"},
        {"kind": "User", "name": "system:serviceaccount:search:prober"},
    ],
    ids=["an account", "all accounts of the namespace", "an account as a user"],
)
def test_whoever_of_our_namespaces_has_rights_everywhere_is_named(subject: Object) -> None:
    server = Server(binding("seen", account("other"), subject))
    assert look_for_grants(server, ASKED).extra == [
        "ClusterRoleBinding seen is in no plan, made by kubectl-create: it gives accounts of "
        "search ClusterRole view in the whole cluster; `up` leaves it, "
        "`kubectl delete clusterrolebinding seen` takes that away"
    ]


@pytest.mark.parametrize(
    "held",
    [
        binding("a", account("other")),
        binding("a", {"kind": "Group", "name": "system:serviceaccounts"}),
        binding("a", {"kind": "Group", "name": "system:serviceaccounts:searching"}),
        binding("a", {"kind": "User", "name": "system:serviceaccount:searching:a"}),
        binding("a"),
        binding("a", account("search"), deletionTimestamp="now"),
        {**binding("a"), "subjects": None},
    ],
    ids=["of another", "everybody's", "a longer name", "a longer user", "of nobody", "going",
         "null"],
)  # fmt: skip
def test_what_is_nobodys_of_ours_is_not(held: Object) -> None:
    assert look_for_grants(Server(held), ASKED).extra == []


def test_a_binding_of_the_plan_is_no_extra_one() -> None:
    ours = [*NAMES, ["rbac.authorization.k8s.io/v1", "ClusterRoleBinding", "", "seen"]]
    assert look_for_grants(Server(binding("seen", account("search"))), {"names": ours}).extra == []


def test_without_namespaces_of_ours_nothing_is_asked() -> None:
    server = Server(binding("seen", account("search")))
    found = look_for_grants(server, {"names": NAMES[1:]})
    assert (found.extra, found.unseen, server.asked) == ([], [], []), "its owner may give rights"


def test_without_the_right_to_list_it_is_said() -> None:
    found = look_for_grants(Server(error=Forbidden("403 Forbidden", passes=False)), ASKED)
    assert found.unseen == ["ClusterRoleBindings: no right to list them"]
