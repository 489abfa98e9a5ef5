"""`isoserve doctor` asks a real API server by GET alone, and prints for people and for programs."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from components.kube import Object
from components.kube_client import Unanswered
from stacks.doctor import command
from stacks.doctor.checks import CHECKS
from stacks.doctor.command import Patience
from stacks.doctor.findings import Finding, Unseen
from stacks.images.registry import Registries
from tests.components.test_kube_client import Quiet, kubeconfig, serving
from tests.stacks.conftest import Isoserve
from tests.stacks.doctor_site import TLS, World, good

PATHS = {"/version", "/api/v1/nodes", "/apis/apps/v1/daemonsets"}


@contextmanager
def served(world: World, asked: list[tuple[str, str]]) -> Iterator[str]:
    """The API server of a world, which notes method and path of each request."""

    class Handler(Quiet):
        def _serve(self) -> None:
            asked.append((self.command, self.path))
            found = world.objects.get(self.path)
            body = json.dumps(found).encode()
            self.send_response(404 if found is None else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve

    with serving(Handler) as url:
        yield url


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """A good region, whose hosts and images are asked of nobody outside."""
    made = good()
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(Registries, "digest", lambda _, image: made.digest(str(image)))
    monkeypatch.setattr(command, "resolve", lambda host: frozenset(made.hosts.get(host, ())))
    return made


def project(root: Path, world: World, url: str) -> None:
    """A project with the profile of a world, whose kubeconfig lies in it."""
    (root / "Pulumi.yaml").touch()
    kubeconfig(root, url)
    cluster = world.profile.cluster.model_copy(update={"kubeconfig": "kubeconfig"})
    cluster = cluster.model_copy(update={"context": "here"})
    world.change(cluster=cluster)
    (root / "regions").mkdir()
    text = json.dumps(world.profile.model_dump(mode="json"))
    (root / "regions" / "us-east-1.yaml").write_text(text)


def test_a_cluster_is_examined_through_its_api_server_and_only_read(
    world: World, here: Path, isoserve: Isoserve
) -> None:
    world.objects["/version"]["minor"] = "35"
    asked: list[tuple[str, str]] = []
    with served(world, asked) as url:
        project(here, world, url)
        answer = isoserve("doctor", "-r", "us-east-1", "--json")
    assert answer.code == 1, "there are findings"
    found = {one["check"]: one["what"] for one in answer.data["findings"]}
    assert found.keys() >= {"cluster", "placeholders"}, "of the cluster, and of the catalogue"
    assert "1.35" in found["cluster"], "the API server has said so"
    # A certificate of the test ends as its clock says, and here the clock is the machine's.
    assert found.keys() <= {"cluster", "placeholders", "secrets"}, "everything else is well"
    assert answer.data["not_looked_at"] == [], "all of it could be read"
    assert {method for method, _ in asked} == {"GET"}, "a doctor changes nothing"
    assert {path for _, path in asked} >= PATHS, "it has looked"


def test_a_kubeconfig_that_leads_nowhere_is_said_once_a_check(
    world: World, here: Path, isoserve: Isoserve
) -> None:
    project(here, world, "http://127.0.0.1:1")
    (here / "kubeconfig").unlink()
    answer = isoserve("doctor", "-r", "us-east-1")
    assert "cluster: not looked at: " in answer.out, "the check names itself"
    assert "no usable context" in answer.out, "and says why"
    lines = answer.out.count("not looked at: ")
    assert lines == len(CHECKS) - 2, "all but those of the profile itself"
    assert answer.code == 1, "the catalogue's images are still an example's"


def test_an_api_server_that_is_away_is_waited_for_once(
    world: World, here: Path, isoserve: Isoserve
) -> None:
    project(here, world, "http://127.0.0.1:1")
    unseen = isoserve("doctor", "-r", "us-east-1", "--json").data["not_looked_at"]
    assert {one["why"] for one in unseen} == {"connection refused (get /version)"}, "one request"
    assert len(unseen) == len(CHECKS) - 2, "stands for all checks of the cluster"


def test_profiles_of_another_folder_are_examined(
    world: World, here: Path, isoserve: Isoserve
) -> None:
    project(here, world, "http://127.0.0.1:1")
    (here / "regions").rename(here / "others")
    answer = isoserve("doctor", "-r", "us-east-1", "--regions", here / "others", "--json")
    assert answer.data["region"] == "us-east-1", "the profile was found"
    assert "connection refused" in answer.out, "and the project's own kubeconfig"


def test_a_region_without_a_profile_is_refused(here: Path, isoserve: Isoserve) -> None:
    (here / "regions").mkdir()
    (here / "Pulumi.yaml").touch()
    answer = isoserve("doctor", "-r", "nowhere")
    assert answer.code == 2, "an error of the command line"
    assert "no such region, got 'nowhere'" in answer.err, "it is named"


def test_a_folder_of_profiles_that_is_not_there_is_refused(isoserve: Isoserve) -> None:
    answer = isoserve("doctor", "-r", "us-east-1", "--regions", "nowhere")
    assert answer.code == 2, "an error of the command line"
    assert "nowhere: no such directory" in answer.err, "it is named"


FINDING = Finding(check="dns", what="no pod is Ready", mend="kubectl describe pods")
UNSEEN = Unseen(check="series", why="403 Forbidden (get /x)")


def test_people_read_what_was_found_what_mends_it_and_what_was_not_looked_at() -> None:
    told = command.answer("here", [FINDING], [UNSEEN])
    assert "".join(told.text) == (
        "dns: no pod is Ready\n"
        "  mend: kubectl describe pods\n"
        "series: not looked at: 403 Forbidden (get /x)\n"
        f"here: {len(CHECKS)} checks, 1 finding, 1 not looked at\n"
    ), "one finding and one gap"
    assert told.code == 1, "a finding ends with 1"


def test_programs_read_the_same() -> None:
    told = command.answer("here", [FINDING], [UNSEEN])
    assert json.loads(json.dumps(told.data)) == {
        "region": "here",
        "findings": [{"check": "dns", "what": "no pod is Ready", "mend": "kubectl describe pods"}],
        "not_looked_at": [{"check": "series", "why": "403 Forbidden (get /x)"}],
        "checks": list(CHECKS),
    }, "with the names of all checks"


def test_what_was_not_looked_at_is_no_finding() -> None:
    told = command.answer("here", [], [UNSEEN])
    assert told.code == 0, "nothing was found"
    assert list(told.text)[-1] == f"here: {len(CHECKS)} checks, 0 findings, 1 not looked at\n"
    assert list(command.answer("here", [], []).text) == [
        f"here: {len(CHECKS)} checks, 0 findings\n"
    ]


def test_no_value_of_a_secret_is_printed(world: World, here: Path, isoserve: Isoserve) -> None:
    world.objects[TLS]["data"]["tls.crt"] = "c2VjcmV0LWNlcnQ="
    with served(world, []) as url:
        project(here, world, url)
        answer = isoserve("doctor", "-r", "us-east-1")
    assert "tls.crt is no certificate" in answer.out, "the Secret was read"
    for value in ("c2VjcmV0LWtleQ==", "secret-key", "c2VjcmV0LWNlcnQ=", "secret-cert"):
        assert value not in answer.out + answer.err, "what is in it stays there"


def test_a_host_that_nobody_knows_has_no_address() -> None:
    assert command.resolve("127.0.0.1") == {"127.0.0.1"}, "an address is its own"
    assert command.resolve("a..b") == frozenset(), "a name that cannot be asked for"


@dataclass
class Hanging:
    """An API server that answers one path alone, and else nothing in time."""

    asked: list[str] = field(default_factory=list)

    def get(self, path: str) -> Object | None:
        return self.get_as(path, "")

    def get_as(self, path: str, form: str) -> Object | None:
        self.asked.append(path)
        if path != "/version":
            raise Unanswered("timed out", passes=True)
        return {"major": "1", "minor": "36"}


def test_an_api_server_that_hangs_is_waited_for_once() -> None:
    server = Hanging()
    api = Patience(client=server, until=time.monotonic() + 60)
    assert api.get("/version") is not None
    for path in ("/api/v1/nodes", "/apis/keda.sh/v1alpha1"):
        with pytest.raises(Unanswered, match="timed out"):
            api.get(path)
    assert server.asked == ["/version", "/api/v1/nodes"], "each check would wait again"


def test_a_look_ends_in_time() -> None:
    server = Hanging()
    api = Patience(client=server, until=time.monotonic() - 1)
    with pytest.raises(Unanswered, match="no time is left"):
        api.get("/version")
    assert server.asked == []


def test_what_several_checks_look_at_is_asked_once() -> None:
    server = Hanging()
    api = Patience(client=server, until=time.monotonic() + 60)
    assert api.get("/version") == api.get("/version")
    api.get_as("/version", "application/yaml")
    assert server.asked == ["/version"] * 2, "once in each form"
