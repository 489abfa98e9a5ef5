"""The example on real machines: our programs, a model server and a job, each from its image.

No Pulumi: what the project renders for sandbox-onprem is applied as it is. GPU
models wait, since no machine here has a GPU. Three machines, of which kubelet says that each has
all of this machine: so the tree's row of the machine type asks for less.
"""

from __future__ import annotations

import json
import shlex
import subprocess
import time
from typing import Final

import pytest
import yaml

from components.kube import Object
from components.kube_client import KubeClient
from components.readiness import Target
from components.rollout_gate import GateError, wait
from regions.sandbox.node.example_images import MLSERVER, WORKING_DIR
from regions.sandbox.node.network import Network
from tests.engine.access_log import AccessLog
from tests.engine.real_example import (
    POST,
    RANKER_SPEC,
    asked,
    executed,
    metrics,
    ready_agents,
    ready_prober,
    ready_ranker,
    rendered,
)
from tests.engine.real_region import RealRegion, eventually, namespace
from tests.engine.served_regions import MACHINES
from tests.engine.world import path_of

pytestmark = pytest.mark.engine

DEPLOYMENT: Final = "/apis/apps/v1/namespaces/search/deployments/ranker"
_OBJECT: Final = """
from regions.sandbox import object_store
from regions.sandbox.plans import plan_of
bucket, store = plan_of("{region}").registry.bucket, object_store.client("s3")
rows = store.list_objects_v2(Bucket=bucket, Prefix="_datasets/search/scores/")
for row in rows.get("Contents", []):
    print(store.get_object(Bucket=bucket, Key=row["Key"])["Body"].read().decode())
"""
_LINE: Final = """
from regions.sandbox import curl
print(curl.commands("{region}")["search/ranker"])
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
        lines = metrics(region, ready_prober(region), 9090)
        right = [one for one in lines if one.startswith("probe_success") and one.endswith(" 1.0")]
        return right or None

    right = eventually(found, "a model answers its probe by the gateway", seconds=90)
    assert right == ['probe_success{model="ranker",project="search",track=""} 1.0'], "GPUs are none"
    assert "Traceback" not in region.log("search", ready_prober(region)["metadata"]["name"])


def test_the_host_gets_the_prediction_by_the_line_that_it_is_shown(region: RealRegion) -> None:
    pod = ready_ranker(region)["metadata"]
    line = region.run_program(_LINE)
    address = Network(region.number).gateway_address("internal")
    assert f":80:{address} " in line, "the address of the internal gateway"
    log = AccessLog(region.cluster)
    before = answered(log, f"search/{pod['name']}")
    done = subprocess.run(
        shlex.split(line), capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr + done.stdout
    assert f"{json.loads(done.stdout)['outputs'][0]['data'][0]:.2f}" == "2.80", "the right one"
    eventually(
        lambda: answered(log, f"search/{pod['name']}") > before or None,
        "the gateway has logged that the pod answered",
        seconds=60,
    )


def answered(log: AccessLog, pod: str) -> int:
    """How many requests a pod has answered well, by the gateways' logs."""
    return sum(n for one, n in log.counts().items() if (one.pod, one.status) == (pod, 200))


def test_another_project_asks_a_permissive_model_by_its_host(region: RealRegion) -> None:
    ready_ranker(region)
    (prober,) = ready_prober(region)["spec"]["containers"]
    *_, url = (word for word in region.run_program(_LINE).split() if word.startswith("http://"))
    spec = yaml.safe_load((region.world.root / RANKER_SPEC).read_text())
    body = json.dumps(spec["probe"]["request"]["body"])
    # An image that the project may run, which a machine has by now.
    container = {"image": prober["image"], "command": ["python"]}
    region.run("chat", "by-host", POST.format(url=url, body=body), container=container)
    assert region.said("chat", "by-host")["model_name"] == "ranker"


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
