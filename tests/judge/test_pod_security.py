"""The real API server with Pod Security admission: no pod of ours is refused or warned about.

Pod Security refuses pods only, and at a workload it merely warns. So each template is tried as a
bare pod too, and a warning is as bad as a refusal. Everything but namespaces, accounts and
priorities is a dry run; one control plane without controllers' work to wait for is enough.
"""

from __future__ import annotations

import copy
import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from components.kube import Object
from components.platform_space import namespace
from regions.sandbox.kube import Cluster
from regions.sandbox.layout import TOOLCHAIN
from regions.sandbox.toolchain import module_folder
from tests.engine.world import copy_tree
from tests.examples import identity, of_kind, template, workloads
from tests.judge.corpus import Corpus, resource_of
from tests.judge.programs import built, keep
from tests.judge.verdict import Finding, Verdict, Waiver, settle

pytestmark = [pytest.mark.judge, pytest.mark.engine]

REGION: Final = "sandbox-aws"
START: Final = (
    "from regions.sandbox import control_plane, ports;"
    "ports.choose_ports(anything_runs=False);"
    f"control_plane.start(control_plane.on_loopback('{REGION}'))"
)
FIXTURES: Final = "k8s.io/pod-security-admission"
PATHS: Final = {
    "CronJob": "/apis/batch/v1/namespaces/{}/cronjobs",
    "DaemonSet": "/apis/apps/v1/namespaces/{}/daemonsets",
    "Deployment": "/apis/apps/v1/namespaces/{}/deployments",
    "Job": "/apis/batch/v1/namespaces/{}/jobs",
    "Namespace": "/api/v1/namespaces",
    "Pod": "/api/v1/namespaces/{}/pods",
    "PriorityClass": "/apis/scheduling.k8s.io/v1/priorityclasses",
    "ServiceAccount": "/api/v1/namespaces/{}/serviceaccounts",
}
UNSOUND: Final = {"procmount0", "procmount1"}
"""Kubernetes' own failing pods that are refused before: as such they are no valid pods any more."""
_LIMIT_SECONDS: Final = 60


@dataclass(frozen=True, slots=True)
class Server:
    """One API server that holds the namespaces, accounts and priorities of all regions."""

    cluster: Cluster

    def create(self, made: Object, query: str = "") -> Any:
        """The plain answer to a creation; a client library would hide its warnings."""
        space = made["metadata"].get("namespace", "")
        address = self.cluster.url + PATHS[made["kind"]].format(space)
        return self.cluster.session.post(
            f"{address}?fieldValidation=Strict{query}",
            data=json.dumps(made),
            headers={"Content-Type": "application/json"},
            timeout=30,
        )

    def objections(self, made: Object) -> list[tuple[str, str]]:
        """What it has against an object that is not really created: rule and text."""
        answer = self.create(made, "&dryRun=All")
        # requests joins headers of one name into one text.
        warned = answer.headers.get("Warning")
        refused = [] if answer.ok else [("refused", answer.json()["message"])]
        return refused + ([("warning", warned)] if warned else [])


def bare(made: Object) -> Object:
    """The pod that a workload would make."""
    inside = template(made)
    name, space = identity(made).name, identity(made).namespace
    metadata = {**inside["metadata"], "name": name, "namespace": space}
    spec = inside["spec"] | {"restartPolicy": inside["spec"].get("restartPolicy", "Always")}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def grounds(corpus: Corpus) -> list[Object]:
    """What pods stand on in any region: namespaces first, each named once."""
    found: dict[Any, Object] = {}
    for kind in ("Namespace", "PriorityClass", "ServiceAccount"):
        for objects in corpus.objects.values():
            for made in of_kind(kind, objects):
                known = found.setdefault(identity(made), made)
                # Accounts differ by the cloud role in their annotations; nothing else may.
                same = known["metadata"]["labels"] == made["metadata"]["labels"]
                assert same, f"{identity(made)} is not the same in every region"
    return list(found.values())


@pytest.fixture(scope="module")
def server(corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A control plane of its own, with the grounds that pods stand on."""
    built("kube-apiserver")
    world = copy_tree(tmp_path_factory.mktemp("judge") / "tree")
    try:
        done = world.run(sys.executable, "-c", START)
        assert done.returncode == 0, f"the control plane does not start:\n{done.stderr[-3000:]}"
        made = Server(world.cluster(REGION))
        for one in grounds(corpus):
            answer = made.create(one)
            assert answer.ok or answer.status_code == 409, answer.text
        wait_for_priorities(made, corpus)
        yield made
    finally:
        world.sandbox("down")


def wait_for_priorities(server: Server, corpus: Corpus) -> None:
    """Admission reads priorities from a cache that lags; only its being late is waited for."""
    pods = [bare(made) for objects in corpus.objects.values() for made in workloads(objects)]
    named = {pod["spec"].get("priorityClassName"): pod for pod in pods}
    deadline = time.monotonic() + _LIMIT_SECONDS
    for pod in named.values():
        while any("no PriorityClass" in text for _, text in server.objections(pod)):
            assert time.monotonic() < deadline, "the API server never sees its priorities"
            time.sleep(0.1)


def test_no_pod_is_refused_or_warned_about(
    server: Server,
    corpus: Corpus,
    waivers: list[Waiver],
    announce: Callable[[Verdict], None],
) -> None:
    findings: list[Finding] = []
    judged: list[str] = []
    for region, objects in corpus.objects.items():
        for workload in workloads(objects):
            for made in (bare(workload), workload):
                name = resource_of(*identity(made))
                judged.append(f"{region}: {name}")
                findings += [Finding(rule, name, region, text)
                             for rule, text in server.objections(made)]  # fmt: skip
    keep("pod-security.json", json.dumps({"judged": judged, "findings": findings}, indent=1))
    verdict = settle("pod-security", len(judged), findings, waivers)
    announce(verdict)
    assert len(judged) > 120, "each template of all regions, as a workload and as a bare pod"
    verdict.check()


def test_only_the_caches_namespace_is_exempt(corpus: Corpus) -> None:
    levels = {
        (identity(made).name, label): made["metadata"]["labels"][f"{SECURITY}/{label}"]
        for made in grounds(corpus)
        if made["kind"] == "Namespace"
        for label in ("enforce", "warn")
    }
    exempt = {name for (name, _), level in levels.items() if level != "restricted"}
    assert exempt == {"isoserve-cache"}, "tenants are held to `restricted`, in the rendered labels"


SECURITY: Final = "pod-security.kubernetes.io"


@pytest.fixture(scope="module")
def tenant(server: Server) -> str:
    """A namespace like a tenant's, for pods of strangers."""
    name = "strangers"
    assert server.create(namespace(name, {}, "restricted")).ok
    account = {"apiVersion": "v1", "kind": "ServiceAccount",
               "metadata": {"name": "default", "namespace": name}}  # fmt: skip
    answer = server.create(account)
    assert answer.ok or answer.status_code == 409, answer.text
    return name


def fixtures(verdict: str) -> list[Object]:
    """The pods by which Kubernetes tests its newest `restricted` itself."""
    root = module_folder(TOOLCHAIN / "control-plane", FIXTURES) / "test/testdata/restricted"
    newest = max(root.iterdir(), key=lambda path: int(path.name.rpartition(".")[2]))
    paths = sorted((newest / verdict).glob("*.yaml"))
    assert len(paths) > 5, f"{newest.name} has pods that {verdict}"
    return [yaml.safe_load(Path(path).read_text()) for path in paths]


def refusals(server: Server, tenant: str, verdict: str) -> dict[str, str]:
    """Why the server refuses Kubernetes' own pods, by their names; empty where it does not."""
    said = {}
    for pod in fixtures(verdict):
        name = pod["metadata"]["name"].replace("_", "-")  # with `_` it is refused for its name
        pod["metadata"] |= {"name": name, "namespace": tenant}
        said[name] = dict(server.objections(pod)).get("refused", "")
    return said


def test_it_refuses_every_pod_that_kubernetes_itself_wants_refused(
    server: Server, tenant: str
) -> None:
    said = refusals(server, tenant, "fail")
    assert len(said) > 60, "of every field that `restricted` is about"
    assert all(said.values()), "a judge that lets one in is none"
    others = {name for name, text in said.items() if "violates PodSecurity" not in text}
    assert others == UNSOUND, "all others are refused by Pod Security and not by accident"


def test_it_takes_every_pod_that_kubernetes_itself_wants_taken(server: Server, tenant: str) -> None:
    said = refusals(server, tenant, "pass")
    assert not any(said.values()), f"a judge that refuses everything is none either: {said}"


def test_it_refuses_our_own_pod_without_its_bounds_and_warns_at_the_workload(
    server: Server, corpus: Corpus
) -> None:
    made = copy.deepcopy(workloads(corpus.objects[REGION])[-1])
    assert identity(made).namespace != "isoserve-cache", "it stands in a tenant's namespace"
    del template(made)["spec"]["containers"][0]["securityContext"]
    ((rule, text),) = server.objections(bare(made))
    assert rule == "refused", text
    assert "allowPrivilegeEscalation != false" in text, "the reason names the field"
    ((rule, text),) = server.objections(made)
    assert rule == "warning", "this is why a warning counts: the workload itself is taken"
    assert "would violate PodSecurity" in text
