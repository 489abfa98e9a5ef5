"""The example on real machines: our programs, a model server and a job, each from its image.

No Pulumi and no gateway: what the project renders for sandbox-onprem is applied as it is. GPU
models wait, since no machine here has a GPU. Three machines, of which kubelet says that each has
all of this machine: so the tree's row of the machine type asks for less.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from components.kube import Object
from components.kube_client import KubeClient
from components.readiness import Target
from components.rollout_gate import GateError, wait
from regions.sandbox import crds
from regions.sandbox.node.example_images import MLSERVER, SCORER, WORKING_DIR
from tests.engine.real_images import built_images
from tests.engine.real_region import RealRegion, eventually, namespace, real_region
from tests.engine.site import has_condition
from tests.engine.world import path_of

pytestmark = pytest.mark.engine

MACHINES: Final = ("cpu-01", "cpu-02", "cpu-03")
STORE: Final = "http://s3.object-store.svc:9000"
DEPLOYMENT: Final = "/apis/apps/v1/namespaces/search/deployments/ranker"
RANKER_SPEC: Final = "model_specs/search/ranker.yaml"
RANKER: Final = "isoserve.dev/model=ranker"
_BEGIN: Final = """
import json
from pathlib import Path
from regions.sandbox import object_store, ports
from regions.sandbox.layout import region_home
from regions.sandbox.node import example_images, images, store
from regions.sandbox.node.network import claimed
network = claimed(region_home("{region}"))
ports.choose_ports(anything_runs=False)
object_store.start()
store.serve("{region}", network)
made = example_images.example_images(lambda told: None)
print(json.dumps({{one.name: images.push(one, network) for one in made}}))
"""
_FILL: Final = """
import json, threading
from regions.sandbox import object_store
from regions.sandbox.example import data_keys, publish, registry_secret
from regions.sandbox.kube import connect
from regions.sandbox.layout import kubeconfig_of, region_home
from regions.sandbox.node import region, store
from regions.sandbox.node.network import claimed
from regions.sandbox.plans import plan_of
registry, never = plan_of("{region}").registry, threading.Event()
cluster = connect("{region}", kubeconfig_of("{region}"))
for made in store.objects(registry.endpoint, claimed(region_home("{region}"))):
    region.apply(cluster, made)
object_store.client("s3").create_bucket(Bucket=registry.bucket)
publish.publish("{region}", [], print, never)
registry_secret.apply(cluster, print, never)
data_keys.apply(cluster, print, never)
"""
_END: Final = """
from regions.sandbox import object_store
from regions.sandbox.node import store
store.stop("{region}")
object_store.stop()
"""
_OBJECT: Final = """
from regions.sandbox import object_store
from regions.sandbox.plans import plan_of
bucket, store = plan_of("{region}").registry.bucket, object_store.client("s3")
rows = store.list_objects_v2(Bucket=bucket, Prefix="_datasets/search/scores/")
for row in rows.get("Contents", []):
    print(store.get_object(Bucket=bucket, Key=row["Key"])["Body"].read().decode())
"""
_POST: Final = """
import urllib.request
made = urllib.request.Request("{url}", data='{body}'.encode(), method="POST")
made.add_header("Content-Type", "application/json")
print(urllib.request.urlopen(made, timeout=10).read().decode())
"""
_SELF: Final = """
import json, os
status = dict(line.split(":", 1) for line in open("/proc/1/status"))
limits = ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory.max")
limit = next(int(open(path).read()) for path in limits if os.path.exists(path))
def may_write(folder):
    try:
        open(folder + "/written", "w").close()
        return True
    except OSError:
        return False
folders = ["/models/current", "/opt/mlserver", "/", "/tmp", "/dev/shm"]
print(json.dumps({
    "uid": os.getuid(),
    "seccomp": status["Seccomp"].strip(),
    "capabilities": status["CapEff"].strip(),
    "memory_limit_gib": limit >> 30,
    "writable": [folder for folder in folders if may_write(folder)],
    "working_dir": os.readlink("/proc/1/cwd"),
}))
"""
_METRICS: Final = """
import json, urllib.request
told = urllib.request.urlopen("http://127.0.0.1:9090/metrics").read().decode()
print(json.dumps(told.splitlines()))
"""


@pytest.fixture(scope="module")
def region(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealRegion]:
    """Everything applied, the model in the registry, and keys where pods want them."""
    with real_region(tmp_path_factory.mktemp("serving") / "tree", MACHINES) as made:
        try:
            digests = json.loads(made.run_program(_BEGIN).splitlines()[-1])
            ours = built_images(made, tmp_path_factory.mktemp("buildah"))
            pin(made.world.root, digests, ours)
            crds.install(made.cluster)
            for one in rendered(made):
                made.cluster.apply(path_of(one), one)
            made.run_program(_FILL)
            yield made
        finally:
            made.run_program(_END)


def pin(root: Path, digests: dict[str, str], ours: dict[str, str]) -> None:
    """Name the images that were built, as `isoserve image pin` does, and machines of this size."""

    def edit(name: str, **fields: Any) -> None:
        path = root / name
        path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), **fields}))

    def address(image: str) -> str:
        path = image.partition("/")[2].partition(":")[0]
        return f"registry.example.com/{path}@{digests[image]}"

    profile = "regions/sandbox-onprem.yaml"
    machines = yaml.safe_load((root / profile).read_text())["machines"]
    nodes = {"node_names": list(MACHINES), "on_demand": {"min": 0, "max": len(MACHINES)}}
    machines["cpu.4"] |= nodes
    agent, prober = (ours[name].partition("/")[2] for name in ("cache-agent", "prober"))
    registry = yaml.safe_load((root / profile).read_text())["registry"]
    edit(
        profile,
        machines=machines,
        registry={**registry, "endpoint": STORE},
        agent_image=f"registry.example.com/{agent}",
        prober_image=f"registry.example.com/{prober}",
    )
    edit(
        "model_specs/catalogue/runtimes/mlserver.yaml",
        image=address(MLSERVER),
    )
    edit(RANKER_SPEC, access="private")  # else the prober asks by the gateway, which is not here
    edit("model_specs/search/scores.yaml", image=address(SCORER))
    edit("model_specs/catalogue/machine_types/cpu.4.yaml", cpu=1, memory_gib=2)


def rendered(region: RealRegion) -> list[Object]:
    """What the project renders, in an order that API servers take; without nodes that have GPUs."""
    done = region.world.run(
        sys.executable, "-m", "stacks.cli", "render", "-r", region.name, "-o", "rendered"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    made = [
        one
        for path in sorted((region.world.root / "rendered").rglob("*.yaml"))
        for one in yaml.safe_load_all(path.read_text())
    ]
    kinds = ("Namespace", "PriorityClass", "ServiceAccount", "ConfigMap", "Role")
    first = [one for kind in kinds for one in made if one["kind"] == kind]
    rest = [one for one in made if one["kind"] not in kinds]
    nodes = [one for one in rest if one["kind"] != "Node" or one["metadata"]["name"] in MACHINES]
    return [*first, *nodes]


def pods(region: RealRegion, namespace: str, selector: str) -> list[Object]:
    """The pods of a selector that are not ending."""
    query = selector.replace("=", "%3D").replace("/", "%2F")
    found = region.cluster.get(f"/api/v1/namespaces/{namespace}/pods?labelSelector={query}")
    assert found is not None
    return [one for one in found["items"] if "deletionTimestamp" not in one["metadata"]]


def ready(region: RealRegion, namespace: str, selector: str, number: int) -> list[Object]:
    """The pods of a selector, once so many are ready."""

    def so_many() -> list[Object] | None:
        found = [one for one in pods(region, namespace, selector) if has_condition(one, "Ready")]
        return found if len(found) == number else None

    return eventually(so_many, f"{number} pods of {selector} are ready", seconds=180)


def ready_agents(region: RealRegion) -> list[Object]:
    return ready(region, "isoserve-cache", "isoserve.dev/machine-type=cpu.4", len(MACHINES))


def ready_ranker(region: RealRegion) -> Object:
    (found,) = ready(region, "search", RANKER, 1)
    return found


def ready_prober(region: RealRegion) -> Object:
    (found,) = ready(region, "search", "isoserve.dev/role=prober", 1)
    return found


def executed(region: RealRegion, pod: Object, program: str) -> Any:
    """What a Python program says, as JSON, in a pod's first container."""
    metadata = pod["metadata"]
    told = region.execute(metadata["namespace"], metadata["name"], "python", "-c", program)
    return json.loads(told)


def test_every_machine_has_a_cache_agent_that_serves(region: RealRegion) -> None:
    assert {one["spec"]["nodeName"] for one in ready_agents(region)} == set(MACHINES)


def test_a_model_that_came_before_its_machines_agent_waits_and_is_served(
    region: RealRegion,
) -> None:
    """The registry's keys come last of all, so every agent begins after the pods that need it."""
    found = ready_ranker(region)
    (agent,) = (
        one for one in ready_agents(region) if one["spec"]["nodeName"] == found["spec"]["nodeName"]
    )
    (status,) = agent["status"]["containerStatuses"]
    began = status["state"]["running"]["startedAt"]
    assert found["metadata"]["creationTimestamp"] < began, "its volume was not there yet"
    answer = asked(region)
    assert f"{answer['outputs'][0]['data'][0]:.2f}" == "2.80", "what exactly this version finds"


def asked(region: RealRegion) -> Any:
    """What the model answers its project's prober to the spec's example request."""
    spec = yaml.safe_load((region.world.root / RANKER_SPEC).read_text())
    request = spec["probe"]["request"]
    url, body = f"http://ranker.search.svc{request['path']}", json.dumps(request["body"])
    return executed(region, ready_prober(region), _POST.format(url=url, body=body))


def test_a_model_server_has_what_its_spec_gives_and_no_more(region: RealRegion) -> None:
    told = executed(region, ready_ranker(region), _SELF)
    assert told == {
        "uid": 10001,
        "seccomp": "2",
        "capabilities": "0000000000000000",
        "memory_limit_gib": 2,
        "writable": ["/tmp", "/dev/shm"],
        "working_dir": "/tmp",
    }, "weights and image are read-only; what the runtime's row names can be written"


def test_mlserver_does_not_start_in_its_images_own_working_directory(region: RealRegion) -> None:
    region.make("namespaces", namespace("control"))
    container = {
        "image": MLSERVER,
        "command": ["mlserver", "start", "/tmp"],
        "args": [],
        "workingDir": WORKING_DIR,
        "resources": {"limits": {"memory": "512Mi"}},
    }
    region.run("control", "own-folder", "", container=container)

    def failed() -> str | None:
        is_over = region.pod("control", "own-folder")["status"]["phase"] == "Failed"
        return region.log("control", "own-folder") if is_over else None

    told = eventually(failed, "it has ended: our user may look at nothing there", seconds=90)
    assert "Permission denied: " in told, "so the runtime's row names another one"


def test_a_prober_finds_the_model_that_answers_rightly_and_no_other(region: RealRegion) -> None:
    ready_ranker(region)

    def found() -> list[str] | None:
        lines = executed(region, ready_prober(region), _METRICS)
        right = [one for one in lines if one.startswith("probe_success") and one.endswith(" 1.0")]
        return right or None

    right = eventually(found, "a model answers its probe", seconds=90)
    assert right == ['probe_success{model="ranker",project="search",track=""} 1.0'], "GPUs are none"
    assert "Traceback" not in region.log("search", ready_prober(region)["metadata"]["name"])


def test_a_job_reads_its_input_with_its_own_keys_and_writes_its_output(region: RealRegion) -> None:
    def ended() -> Object | None:
        found = region.cluster.get("/apis/batch/v1/namespaces/search/jobs")
        assert found is not None
        (job,) = found["items"]
        return job if job["status"].get("succeeded") else None

    eventually(ended, "the job has ended well", seconds=180)
    scores = region.run_program(_OBJECT).split()
    pairs = (region.world.root / "regions/sandbox/example/pairs.csv").read_text().split()
    assert len(scores) == len(pairs) > 0, "a score a pair"


def test_a_server_over_its_memory_limit_is_told_by_the_gate(region: RealRegion) -> None:
    ready_ranker(region)
    live = region.cluster.get(DEPLOYMENT)
    assert live is not None
    (kept,) = (
        one
        for one in rendered(region)
        if (one["kind"], one["metadata"]["name"]) == ("Deployment", "ranker")
    )
    small = json.loads(json.dumps(kept))
    resources = small["spec"]["template"]["spec"]["containers"][0]["resources"]
    for bound in resources.values():
        bound["memory"] = "64Mi"
    target = Target("Deployment", "search", "ranker", 1, 180, "search", "", 0)
    client = KubeClient(str(region.home / "kubeconfig"), region.name)
    region.cluster.apply(path_of(small), small)
    try:
        with pytest.raises(GateError, match="OOMKilled: it went over its memory limit of 64Mi"):
            wait([target], client.listed, time.monotonic, time.sleep, lambda told: None, ())
    finally:
        region.cluster.apply(path_of(kept), kept)
    ready_ranker(region)


def test_a_drained_machine_gives_its_model_away_and_takes_it_back(region: RealRegion) -> None:
    before = ready_ranker(region)
    machine = before["spec"]["nodeName"]
    cordon(region, machine, is_off=True)
    try:
        evict(region, before)
        after = ready_ranker(region)
        assert after["spec"]["nodeName"] != machine, "another machine's agent had it, or fetched it"
        assert asked(region)["model_name"] == "ranker"
    finally:
        cordon(region, machine, is_off=False)


def cordon(region: RealRegion, machine: str, *, is_off: bool) -> None:
    """Let the scheduler put no more pods there, or again."""
    change = {"spec": {"unschedulable": is_off}}
    region.cluster.send("PATCH", f"/api/v1/nodes/{machine}", change, "application/merge-patch+json")


def evict(region: RealRegion, pod: Object) -> None:
    """Ask for the pod's eviction, as a drain does: its PodDisruptionBudget may refuse."""
    metadata = pod["metadata"]
    where = {name: metadata[name] for name in ("name", "namespace")}
    made = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": where}
    path = f"/api/v1/namespaces/{where['namespace']}/pods/{where['name']}/eviction"
    region.cluster.send("POST", path, made, "application/json")
