"""The region sandbox-onprem as the fault tests see it: its model, its agents, its machines."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import boto3
import yaml
from botocore.config import Config
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from components.kube import Object
from components.model_cache.volumes import ROOT as CACHE
from model_specs.load import load
from regions.profile import load_profiles
from regions.resolve import resolve
from regions.sandbox import servers
from regions.sandbox.errors import SandboxError
from regions.sandbox.kube import execute
from regions.sandbox.processes import Identity
from tests.engine.access_log import AccessLog, Answered
from tests.engine.load import Load, Request
from tests.engine.world import World

REGION: Final = "sandbox-onprem"
NODES: Final = ("cpu-01", "cpu-02")
MODEL: Final = "search/ranker"
DEPLOYMENT: Final = "/apis/apps/v1/namespaces/search/deployments/ranker"
METRICS_PORT: Final = 9091
LIMIT_SECONDS: Final = 300
_PODS: Final = "/api/v1/namespaces/{}/pods?labelSelector={}"
_SERVERS: Final = _PODS.format("search", "isoserve.dev%2Fmodel%3Dranker")
_AGENTS: Final = _PODS.format("isoserve-cache", "isoserve.dev%2Fmachine-type%3Dcpu.4")
_GATEWAYS: Final = "envoy-gateway-system"
_INTERNAL_PROXY: Final = _PODS.format(
    _GATEWAYS, "gateway.envoyproxy.io%2Fowning-gateway-name%3Dinternal"
)
_SENT: Final = "envoy_cluster_upstream_rq_total"
_MB: Final = 1_000_000
_READ: Final = """
import urllib.request
print(urllib.request.urlopen("{}", timeout=10).read().decode())
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """A pushed version: its address with the digest, and the SHA-256 of each of its files."""

    address: str
    files: Mapping[str, str]

    @property
    def digest(self) -> str:
        """The digest of its manifest, 64 hex digits."""
        return self.address.rpartition(":")[2]


@dataclass(frozen=True, slots=True)
class Site:
    """The region in a world that is up."""

    world: World

    # -- what people do ------------------------------------------------------------------------

    def push(
        self, label: str, *, random_files: int, megabytes_each: int, wrong: bool = False
    ) -> Version:
        """Push the trained model with random content beside it as another version of it; a `wrong`
        one answers every request with another number."""
        label = f"{label}-{os.urandom(4).hex()}"  # a version never moves
        folder = self.world.root / ".isoserve" / "test-models" / label
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self.world.root / ".isoserve" / "example" / "ranker", folder)
        (folder / "label.txt").write_text(label)
        if wrong:
            spoil(folder / "model.joblib")
        for number in range(random_files):
            (folder / f"weights-{number}.bin").write_bytes(os.urandom(megabytes_each * _MB))
        where = ("--region", REGION, "--endpoint", self.store_url())
        words = ("model", "push", str(folder), f"{MODEL}:{label}", *where, "--json")
        done = self.world.run(sys.executable, "-m", "stacks.cli", *words)
        assert done.returncode == 0, done.stdout + done.stderr
        address = str(json.loads(done.stdout)["address"])
        files = {one.name: sha256_of(one) for one in folder.iterdir()}
        shutil.rmtree(folder)
        return Version(address=address, files=files)

    def want(self, version: Version) -> None:
        """Have the spec ask for a version."""
        spec = self.world.spec(MODEL)
        fields = yaml.safe_load(spec.read_text()) | {"model": version.address}
        spec.write_text(yaml.safe_dump(fields))

    def up(self) -> subprocess.CompletedProcess[str]:
        """`pulumi up` of the region alone."""
        return self.world.apply(REGION)

    def must_up(self) -> None:
        """The same, and it ends well."""
        self.world.must_apply(REGION)

    def scale(self, replicas: int) -> None:
        """What an autoscaler does; in the sandbox nobody measures load, so the number stays."""
        change = {"spec": {"replicas": replicas}}
        merge = "application/merge-patch+json"
        self.world.cluster(REGION).send("PATCH", f"{DEPLOYMENT}/scale", change, merge)

        def is_so() -> bool:
            return len(self.ready()) == len(self.servers()) == replicas

        until(f"{replicas} pods serve", is_so)

    # -- what the API server says --------------------------------------------------------------

    def objects(self, path: str) -> list[Object]:
        """What a list of the API server holds."""
        found = self.world.cluster(REGION).get(path)
        assert found is not None, path
        items: list[Object] = found["items"]
        return items

    def servers(self) -> list[Object]:
        """All pods of the model, those that end too."""
        return self.objects(_SERVERS)

    def ready(self) -> dict[str, Object]:
        """The pods of the model that take traffic, by name."""
        return {
            name_of(pod): pod
            for pod in self.servers()
            if "deletionTimestamp" not in pod["metadata"] and has_condition(pod, "Ready")
        }

    def of_version(self, version: Version) -> list[Object]:
        """The pods of the model's template that has a version."""
        key = "isoserve.dev/model-digest"
        return [p for p in self.servers() if p["metadata"]["annotations"][key] == version.digest]

    def agents(self) -> dict[str, Object]:
        """The pods of the cache agents, by their nodes."""
        return {one["spec"].get("nodeName", ""): one for one in self.objects(_AGENTS)}

    def agent(self, node: str) -> Object:
        """The pod of a node's cache agent."""
        return self.agents()[node]

    # -- what its parts say themselves ---------------------------------------------------------

    def request(self) -> Request:
        """The spec's own example request."""
        profile = load_profiles(self.world.root / "regions", (REGION,))[REGION]
        plan = resolve(load(self.world.root / "model_specs"), profile, REGION)
        (server,) = [one for one in plan.servers if one.workload.id == MODEL]
        url = urlsplit(server.probe.url)
        return Request(
            address=self.world.network(REGION).gateway_address("internal"),
            host=str(url.hostname),
            path=url.path,
            body=json.dumps(server.probe.body),
        )

    def prediction(self) -> Any:
        """What the model answers to it."""
        status, body = self.request().send()
        assert status == "200", f"{status}: {body}"
        return json.loads(body)["outputs"]

    def answers(self) -> Counter[Answered]:
        """What the gateway has answered so far, pods that have gone included."""
        return _access_log(self.world).counts()

    def copies(self) -> int:
        """How many copies of requests the gateway has sent for the model, by its own statistics."""
        name = f'envoy_cluster_name="httproute/{MODEL}/rule/1-mirror-0"'
        program = _READ.format("http://127.0.0.1:19001/stats/prometheus")
        (proxy,) = self.objects(_INTERNAL_PROXY)
        place = (_GATEWAYS, name_of(proxy))
        text = execute(self._home() / "kubeconfig", *place, "python3", "-c", program)
        lines = [one for one in text.splitlines() if one.startswith(_SENT) and name in one]
        return sum(int(one.rpartition(" ")[2]) for one in lines)

    def samples(self, pod: Object, port: int) -> list[Sample]:
        """The metrics of a pod, read inside it: only Prometheus may ask from outside."""
        metadata = pod["metadata"]
        program = _READ.format(f"http://{pod['status']['podIP']}:{port}/metrics")
        place = (metadata["namespace"], metadata["name"])
        text = execute(self._home() / "kubeconfig", *place, "python", "-c", program)
        families = text_string_to_metric_families(text)
        return [sample for family in families for sample in family.samples]

    def failures(self, node: str, reason: str) -> float:
        """How often the node's agent could not hold a version for that reason, since it runs."""
        try:
            samples = self.samples(self.agent(node), METRICS_PORT)
        except (KeyError, SandboxError):
            return 0.0  # it is being started
        return sum(
            sample.value
            for sample in samples
            if sample.name == "isoserve_cache_failures_total"
            and (sample.labels["project"], sample.labels["reason"]) == ("search", reason)
        )

    def log(self, pod: Object, container: str) -> str:
        """What a container of a pod has printed so far, as `kubectl logs` has it."""
        cluster, metadata = self.world.cluster(REGION), pod["metadata"]
        path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}/log"
        answer = cluster.session.get(f"{cluster.url}{path}?container={container}", timeout=30)
        return answer.text if answer.ok else ""

    # -- where things lie ----------------------------------------------------------------------

    def daemon(self, name: str) -> Identity:
        """The process of a daemon of the sandbox, as its pid file has it."""
        text = (self.world.root / ".isoserve" / "run" / f"{name}.pid").read_text()
        pid, ticks = text.split()
        return Identity(int(pid), int(ticks))

    def machine(self, node: str) -> int:
        """Process 1 of a node's machine, by this machine's ids."""
        parent = self.daemon(f"{REGION}.machine-{NODES.index(node) + 1}").pid
        return int(Path(f"/proc/{parent}/task/{parent}/children").read_text())

    def cache(self, node: str) -> Path:
        """The cache on the disk of a node, as its machine has it mounted."""
        return Path(f"/proc/{self.machine(node)}/root{CACHE}")

    def shown(self, node: str, version: Version) -> Path:
        """Where pods of the node see a version, if it is there."""
        return self.cache(node) / "search" / version.digest

    def hidden(self, node: str, what: str) -> list[Path]:
        """What the node's agent has out of sight: partials, quarantine..."""
        return sorted((self.cache(node) / ".isoserve" / "search" / what).glob("*"))

    def store_url(self) -> str:
        """The registry's store, as this machine reaches it."""
        ports = json.loads((self.world.root / ".isoserve" / "sandbox.json").read_text())
        return f"http://127.0.0.1:{ports['moto']}"

    @contextmanager
    def other_content(self, sha256: str) -> Iterator[bytes]:
        """While it lasts, the registry has other content of equal length under that digest."""
        where = {"Bucket": f"isoserve-models-{REGION}", "Key": f"search/blobs/sha256/{sha256}"}
        store = boto3.client(
            "s3",
            endpoint_url=self.store_url(),
            region_name="us-east-1",
            aws_access_key_id="sandbox",
            aws_secret_access_key="sandbox",
            config=Config(proxies={}, s3={"addressing_style": "path"}),
        )
        right = store.get_object(**where)["Body"].read()
        wrong = bytes(255 - byte for byte in right)
        store.put_object(**where, Body=wrong)
        try:
            yield wrong
        finally:
            store.put_object(**where, Body=right)

    def _home(self) -> Path:
        return self.world.root / ".isoserve" / REGION


@cache
def _access_log(world: World) -> AccessLog:
    return AccessLog(world.cluster(REGION))


def name_of(made: Object) -> str:
    """The object's name."""
    return str(made["metadata"]["name"])


def has_condition(made: Object, kind: str) -> bool:
    """Whether an object's condition is True."""
    found: Iterable[Object] = made.get("status", {}).get("conditions") or ()
    return any(one["type"] == kind and one["status"] == "True" for one in found)


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hex digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def spoil(model: Path) -> None:
    """Have the model answer with one more than it has learned, by the program that trained it."""
    change = "m = joblib.load(p); m.intercept_ += 1.0; joblib.dump(m, p)"
    program = f"import joblib, sys; p = sys.argv[1]; {change}"
    subprocess.run([str(servers.PYTHON), "-I", "-c", program, str(model)], check=True, timeout=60)


def until(what: str, holds: Callable[[], Any], *, every_seconds: float = 0.2) -> None:
    """Wait until something holds; fail with what it was else."""
    deadline = time.monotonic() + LIMIT_SECONDS
    while not holds():
        assert time.monotonic() < deadline, f"not within {LIMIT_SECONDS} s: {what}"
        time.sleep(every_seconds)


def await_answers(load: Load, more: int) -> None:
    """Wait until so many more right answers have come."""
    wanted = load.answered + more
    until(f"{more} more answers", lambda: load.answered >= wanted)


@contextmanager
def without(site: Site, file: str, line: str, instead: str) -> Iterator[None]:
    """The tree with one line of the gates changed."""
    path = site.world.root / "components" / "gates" / file
    text = path.read_text()
    assert text.count(line) == 1, f"{file} has that line once"
    try:
        path.write_text(text.replace(line, instead))
        yield
    finally:
        path.write_text(text)
