"""What members, accounts and strangers may do, asked of a real API server that holds everything."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any, Final

import pytest
from urllib3 import HTTPHeaderDict, PoolManager

from tests.engine.guarded_server import OBJECTS, Server
from tests.examples import identity, of_kind, specs

pytestmark = pytest.mark.engine

Right = tuple[str, str, str]
REVIEW: Final = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"
READ: Final = ("get", "list", "watch")


def rights(verbs: tuple[str, ...], group: str, *resources: str) -> frozenset[Right]:
    return frozenset((group, name, verb) for name, verb in product(resources, verbs))


VIEWER: Final = (
    rights(READ, "", "configmaps", "events", "pods", "pods/log", "services")
    | rights(READ, "apps", "deployments", "replicasets")
    | rights(READ, "batch", "cronjobs", "jobs")
    | rights(READ, "autoscaling", "horizontalpodautoscalers")
)
DEVELOPER: Final = VIEWER | rights(("delete",), "", "pods")
ADMIN: Final = DEVELOPER | rights(("create", "update"), "", "secrets")
EVERYBODYS: Final = rights(
    ("create",), "authorization.k8s.io", "selfsubjectaccessreviews", "selfsubjectrulesreviews"
) | rights(("create",), "authentication.k8s.io", "selfsubjectreviews")
"""What Kubernetes gives whoever is signed in: to ask who he is and what he may do."""


@dataclass(frozen=True)
class Subject:
    """Somebody who asks, and by namespace what he may do beyond EVERYBODYS."""

    name: str
    groups: tuple[str, ...]
    may: Mapping[str, frozenset[Right]]

    def __str__(self) -> str:
        return " ".join((self.name, *self.groups[:1]))


AGENTS: Final = {
    "isoserve-cache": rights(("create",), "", "events"),
    **dict.fromkeys(specs().projects, rights(("list", "watch"), "", "pods")),
}
"""What the cache agents may do: say what they did, and see which pods their nodes have."""


def members() -> Iterator[Subject]:
    """One person of each group of each project."""
    for project, found in specs().projects.items():
        its = found.spec.members
        for groups, may in (
            (its.admins, ADMIN),
            (its.developers, DEVELOPER),
            (its.viewers, VIEWER),
        ):
            for group in groups:
                yield Subject("somebody", (group, "system:authenticated"), {project: may})


def accounts() -> Iterator[Subject]:
    """Every ServiceAccount that is rendered, and each namespace's own `default`."""
    made = {identity(o)[1:] for o in of_kind("ServiceAccount", OBJECTS.values())}
    for space, name in sorted(made | {(space, "default") for space, _ in made}):
        groups = ("system:serviceaccounts", f"system:serviceaccounts:{space}")
        may = AGENTS if name == "cache-agent" else {}
        who = f"system:serviceaccount:{space}:{name}"
        yield Subject(who, (*groups, "system:authenticated"), may)


STRANGER: Final = Subject("somebody", ("search-lead", "system:authenticated"), {})
ANONYMOUS: Final = Subject("system:anonymous", ("system:unauthenticated",), {})
SUBJECTS: Final = (*members(), *accounts(), STRANGER)
NAMESPACES: Final = (
    *sorted({identity(made).name for made in of_kind("Namespace", OBJECTS.values())}),
    "default",
    "kube-system",
)


@dataclass(frozen=True)
class Answer:
    """What the API server said."""

    status: int
    text: str


def ask(
    server: Server, subject: Subject, method: str, path: str, body: Any = None, form: str = "json"
) -> Answer:
    """A request of the subject's."""
    session = server.cluster.session
    headers = HTTPHeaderDict({"Content-Type": f"application/{form}"})
    headers["Authorization"] = str(session.headers["Authorization"])
    headers["Impersonate-User"] = subject.name
    for group in subject.groups:
        headers.add("Impersonate-Group", group)
    with PoolManager(ca_certs=str(session.verify)) as pool:
        # A deletion with any body at all does not look at its query.
        sent = None if body is None else json.dumps(body)
        url = server.cluster.url + path
        answer = pool.request(method, url, body=sent, headers=headers, timeout=30)
    return Answer(answer.status, answer.data.decode())


def may(server: Server, subject: Subject, namespace: str) -> set[Right]:
    """All that the API server says a subject may do in a namespace, and outside of them."""
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectRulesReview",
        "spec": {"namespace": namespace},
    }
    answer = ask(server, subject, "POST", REVIEW, review)
    if answer.status == 403:
        return set()
    status = json.loads(answer.text)["status"]
    assert not status["incomplete"], "the list is all that there is"
    found: set[Right] = set()
    for rule in status["resourceRules"]:
        assert "resourceNames" not in rule, f"a right to one object: {rule}"
        found |= set(product(rule["apiGroups"], rule["resources"], rule["verbs"]))
    return found


@pytest.mark.parametrize("subject", SUBJECTS, ids=str)
def test_everybody_may_do_what_the_table_says_and_nothing_else(
    server: Server, subject: Subject
) -> None:
    for namespace in NAMESPACES:
        beyond = may(server, subject, namespace) - EVERYBODYS
        assert beyond == subject.may.get(namespace, frozenset()), f"{subject} in {namespace}"


def test_whoever_has_not_signed_in_may_do_nothing(server: Server) -> None:
    for namespace in NAMESPACES:
        assert may(server, ANONYMOUS, namespace) == set(), namespace
        for path in ("pods", "secrets", "services", "configmaps"):
            answer = ask(server, ANONYMOUS, "GET", f"/api/v1/namespaces/{namespace}/{path}")
            assert answer.status == 403, f"{path} of {namespace}"


SECRET: Final = base64.b64encode(b"nobody-reads-this").decode()
SPACE: Final = "/api/v1/namespaces/search/secrets"
OWN: Final = f"{SPACE}/theirs"
HELD: Final = {
    "apiVersion": "v1",
    "data": {"key": SECRET},
    "kind": "Secret",
    "metadata": {"name": "theirs", "namespace": "search"},
}
EMPTY: Final = {"apiVersion": "v1", "kind": "Secret", "metadata": HELD["metadata"]}
PATCHES: Final = ("merge-patch+json", "strategic-merge-patch+json", "apply-patch+yaml")
DELETIONS: Final = tuple(
    f"{path}?{'&'.join(filter(None, options))}"
    for path in (OWN, SPACE)
    for options in product(
        ("", "dryRun=All"),
        ("", *(f"propagationPolicy={p}" for p in ("Background", "Foreground", "Orphan"))),
    )
)
READINGS: Final[tuple[tuple[str, str, Any, str], ...]] = (
    ("GET", OWN, None, "json"),
    ("GET", SPACE, None, "json"),
    ("GET", f"{SPACE}?watch=true&timeoutSeconds=1", None, "json"),
    ("GET", "/api/v1/secrets", None, "json"),
    *(
        ("PATCH", f"{OWN}?fieldManager=x&{dry}", EMPTY, form)
        for dry in ("", "dryRun=All")
        for form in PATCHES
    ),
    ("PATCH", f"{OWN}?dryRun=All", [], "json-patch+json"),
    *(("DELETE", path, None, "json") for path in DELETIONS),
)
"""Every request whose answer could hold a Secret."""


@pytest.fixture
def held(server: Server) -> Iterator[None]:
    """A Secret that somebody made in project search."""
    answer = server.apply(HELD)
    assert answer.ok, answer.text
    yield
    server.cluster.delete(OWN)


@pytest.mark.usefixtures("held")
def test_an_administrator_of_the_cluster_reads_it_by_each_of_these(server: Server) -> None:
    """The control: without it, a request that reads nothing would pass for a refused one."""
    root = Subject("root", ("system:masters",), {})
    for method, path, body, form in READINGS:
        shows = OWN in path and "dryRun" in path and ("Foreground" in path or "Orphan" in path)
        if method == "DELETE" and not shows:
            continue  # it is answered with a Status, or would end the Secret
        answer = ask(server, root, method, path, body, form)
        assert SECRET in answer.text, f"{method} {path} {form}: {answer}"


@pytest.mark.usefixtures("held")
@pytest.mark.parametrize("subject", [*SUBJECTS, ANONYMOUS], ids=str)
def test_nobody_reads_a_secret_by_any_verb(server: Server, subject: Subject) -> None:
    for method, path, body, form in READINGS:
        answer = ask(server, subject, method, path, body, form)
        assert answer.status == 403, f"{method} {path} {form}: {answer}"
        assert SECRET not in answer.text
    live = server.cluster.get(OWN)
    assert live is not None, "nor did anybody delete it"
    assert live["data"] == HELD["data"], "nor change it"


@pytest.mark.usefixtures("held")
def test_an_admin_replaces_a_secret_without_being_told_what_it_held(server: Server) -> None:
    admin = Subject("somebody", ("search-leads", "system:authenticated"), {})
    for query in ("?dryRun=All", ""):
        answer = ask(server, admin, "PUT", OWN + query, {**EMPTY, "data": {"other": ""}})
        assert answer.status == 200, answer
        assert SECRET not in answer.text, "a replacement is answered with itself"
    live = server.cluster.get(OWN)
    assert live is not None
    assert live["data"] == {"other": ""}, "so that a key that leaked can be taken away"
