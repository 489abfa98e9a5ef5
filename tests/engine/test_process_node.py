"""A process node runs its pods for real: the real control plane, the real agent, real processes."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator

import boto3
import pytest
import requests
from moto.server import ThreadedMotoServer

from components.kube import Object
from tests.engine.process_nodes import (
    ACCOUNTS,
    LIMIT_SECONDS,
    NODE,
    PODS,
    RECORD,
    REGION,
    START,
    Bench,
    a_bench,
    container,
    pod_spec,
    processes_with,
    record_of,
)

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with a_bench(tmp_path_factory.mktemp("nodes") / "tree") as made:
        yield made


def test_the_node_has_a_lease_that_it_owns(bench: Bench) -> None:
    path = f"/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/{NODE}"
    bench.until(lambda: bench.cluster.get(path), "the node has a lease")
    lease = bench.pod(path)
    assert lease["spec"]["holderIdentity"] == NODE
    assert lease["metadata"]["ownerReferences"][0]["kind"] == "Node"


def test_a_pod_is_ready_only_when_its_probe_passes(bench: Bench) -> None:
    path = bench.run(
        "probed",
        "sleep 600",
        readinessProbe={"exec": {"command": ["test", "-f", "/gate/open"]}, "periodSeconds": 1},
        volumeMounts=[{"mountPath": "/gate", "name": "gate"}],
        volumes=[{"name": "gate", "emptyDir": {}}],
    )
    bench.until(lambda: bench.phase(path) == "Running", "the pod runs")
    bench.until(lambda: "Unhealthy" in bench.events("probed"), "its probe has been asked")
    assert bench.condition(path, "Ready") == "False", "its probe can't have passed yet"
    assert bench.main(path)["started"] is True, "it has no startup probe to wait for"
    uid = bench.pod(path)["metadata"]["uid"]
    gate = bench.home() / "pods" / uid / "writable" / "gate" / "open"
    gate.touch()
    bench.until(lambda: bench.condition(path, "Ready") == "True", "the pod becomes ready")
    gate.unlink()
    bench.until(lambda: bench.condition(path, "Ready") == "False", "the pod is no longer ready")
    assert bench.condition(path, "PodScheduled") in ("", "True"), "others' conditions stay"
    assert bench.main(path)["restartCount"] == 0, "readiness restarts nothing"


def test_a_crashing_container_is_counted_and_waits_longer_each_time(bench: Bench) -> None:
    path = bench.run("crashing", "echo no weights > /dev/termination-log; exit 3")

    def waits() -> bool:
        state = bench.main(path).get("state", {}).get("waiting", {})
        return bool(state.get("reason") == "CrashLoopBackOff")

    bench.until(lambda: bench.main(path).get("restartCount", 0) >= 2 and waits(), "it backs off")
    last = bench.main(path)["lastState"]["terminated"]
    assert (last["exitCode"], last["reason"]) == (3, "Error")
    assert last["message"].strip() == "no weights", "its last words are kept"
    assert bench.phase(path) == "Running", "a pod that will be restarted has not failed"
    assert "BackOff" in bench.events("crashing")


def test_a_failing_init_container_keeps_the_others_waiting(bench: Bench) -> None:
    path = bench.run(
        "uninitialized",
        "echo I must not run",
        initContainers=[container("fails", "exit 1"), container("second", "echo nor I")],
    )

    def restarts() -> int:
        rows = bench.pod(path).get("status", {}).get("initContainerStatuses") or [{}]
        return int(rows[0].get("restartCount", 0))

    bench.until(lambda: restarts() >= 1, "the init container is tried again")
    assert bench.main(path)["state"] == {"waiting": {"reason": "PodInitializing"}}
    assert bench.condition(path, "Initialized") == "False"
    assert bench.phase(path) == "Pending"
    assert bench.log("uninitialized") + bench.log("uninitialized", "second") == "", "nothing ran"


def test_a_sidecar_runs_before_the_container_and_ends_after_it(bench: Bench) -> None:
    side = "trap 'echo side ends >> /record/order; exit 0' TERM; echo side >> /record/order"
    path = bench.run(
        "accompanied",
        "echo main >> /record/order",
        restartPolicy="Never",
        initContainers=[
            {**container("side", f"{side}; while :; do sleep 0.1; done", **RECORD),
             "restartPolicy": "Always",
             "startupProbe": {"exec": {"command": ["test", "-s", "/record/order"]},
                              "periodSeconds": 1}},
        ],
        volumes=record_of("accompanied"),
        **RECORD,
    )  # fmt: skip
    bench.until(lambda: bench.phase(path) == "Succeeded", "the pod is done though it has a sidecar")
    order = bench.home() / "disk" / "records" / "accompanied" / "order"
    bench.until(lambda: "side ends" in order.read_text(), "the sidecar is ended")
    assert order.read_text().splitlines() == ["side", "main", "side ends"]


@pytest.mark.parametrize(
    ("name", "on_term", "code"),
    [("stubborn", "echo term", 137), ("polite", "echo term; exit 0", 0)],
)
def test_a_deleted_pod_gets_its_hook_then_sigterm_then_sigkill(
    bench: Bench, name: str, on_term: str, code: int
) -> None:
    script = f"trap '{on_term}' TERM; echo begin; while :; do sleep 0.1; done"
    hook = {"exec": {"command": ["/bin/sh", "-c", "echo hook >> /record/order"]}}
    path = bench.run(
        name,
        f"exec >> /record/order; {script}",
        finalizers=["isoserve.dev/read-me-first"],
        lifecycle={"preStop": hook},
        terminationGracePeriodSeconds=3 if code else 600,
        volumes=record_of(name),
        **RECORD,
    )
    order = bench.home() / "disk" / "records" / name / "order"
    bench.until(lambda: order.exists() and "begin" in order.read_text(), "the container runs")
    bench.remove(path)
    bench.until(lambda: "terminated" in bench.main(path).get("state", {}), "the container ended")
    assert order.read_text().split() == ["begin", "hook", "term"]
    assert bench.main(path)["state"]["terminated"]["exitCode"] == code, "killed only if it must be"
    bench.cluster.session.patch(
        f"{bench.cluster.url}{path}",
        data='{"metadata": {"finalizers": null}}',
        headers={"Content-Type": "application/merge-patch+json"},
        timeout=10,
    )
    bench.until(lambda: bench.cluster.get(path) is None, "the pod is gone")


def test_a_pod_deleted_by_force_is_killed_though_it_is_not_known_any_more(bench: Bench) -> None:
    stays = "trap '' TERM; while :; do sleep 86425; done"
    path = bench.run("forced", stays, terminationGracePeriodSeconds=600)
    bench.until(lambda: processes_with("sleep 86425"), "the container runs")
    bench.remove(f"{path}?gracePeriodSeconds=0")
    bench.until(lambda: not processes_with("sleep 86425"), "nothing of it runs")
    assert bench.cluster.get(path) is None


def test_a_pod_that_runs_for_too_long_fails(bench: Bench) -> None:
    path = bench.run("slow", "exec sleep 86426", activeDeadlineSeconds=1)
    bench.until(lambda: bench.phase(path) == "Failed", "the pod has failed")
    assert bench.pod(path)["status"]["reason"] == "DeadlineExceeded"
    bench.until(lambda: not processes_with("sleep 86426"), "its container is ended")
    bench.until(lambda: "terminated" in bench.main(path)["state"], "its container is shown so")


def test_a_server_that_hangs_is_restarted(bench: Bench) -> None:
    hangs = (
        "import os, socket, time; s = socket.create_server((os.environ['POD_IP'], 8000)); "
        "print('listening', flush=True); time.sleep(600)"
    )
    path = bench.run(
        "wedged",
        f'exec {sys.executable} -c "{hangs}"',
        env=[{"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}],
        ports=[{"containerPort": 8000, "name": "http"}],
        livenessProbe={
            "httpGet": {"path": "/live", "port": "http"},
            "periodSeconds": 1,
            "failureThreshold": 2,
        },
    )
    bench.until(lambda: bench.main(path).get("restartCount", 0) >= 1, "it is restarted")
    assert bench.main(path)["lastState"]["terminated"]["exitCode"] == 128 + signal.SIGTERM
    bench.until(lambda: bench.log("wedged").count("listening") >= 2, "it runs a second time")
    assert {"Unhealthy", "Killing"} <= bench.events("wedged")


def test_a_job_completes(bench: Bench) -> None:
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "once"},
        "spec": {
            "template": {
                "spec": {**pod_spec(NODE, container("main", "echo done")), "restartPolicy": "Never"}
            }
        },
    }
    path = "/apis/batch/v1/namespaces/default/jobs/once"
    bench.cluster.apply(path, job)
    bench.until(lambda: bench.condition(path, "Complete") == "True", "the job is complete")
    assert bench.pod(path)["status"]["succeeded"] == 1


def test_an_image_without_a_program_and_a_missing_key_are_said(bench: Bench) -> None:
    bench.cluster.apply(
        "/api/v1/namespaces/default/configmaps/poor",
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "poor"}, "data": {"a": "b"}},
    )
    missing = {"configMapKeyRef": {"name": "poor", "key": "absent"}}
    unset = bench.run("unset", "true", env=[{"name": "X", "valueFrom": missing}])
    strange = f"{PODS}/strange"
    main = {"name": "main", "image": "example.com/unknown@sha256:" + "1" * 64}
    head = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "strange"}}
    bench.cluster.apply(strange, head | {"spec": pod_spec(NODE, main)})

    def reason(path: str) -> Object:
        return dict(bench.main(path).get("state", {}).get("waiting", {}))

    bench.until(lambda: reason(strange).get("reason") == "ImagePullBackOff", "no such image")
    assert "example.com/unknown" in reason(strange)["message"]
    bench.until(lambda: reason(unset).get("reason") == "CreateContainerConfigError", "no such key")
    assert "absent" in reason(unset)["message"]


def test_a_changed_config_map_reaches_the_running_container(bench: Bench) -> None:
    path = "/api/v1/namespaces/default/configmaps/words"
    head = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "words"}}
    bench.cluster.apply(path, head | {"data": {"word": "first"}})
    pod = bench.run(
        "reader",
        "while :; do cat /config/word; echo; sleep 0.2; done",
        volumeMounts=[{"mountPath": "/config", "name": "words"}],
        volumes=[{"name": "words", "configMap": {"name": "words"}}],
    )
    bench.until(lambda: "first" in bench.log("reader"), "it reads the file")
    bench.cluster.apply(path, head | {"data": {"word": "second"}})
    bench.until(lambda: "second" in bench.log("reader"), "it sees the change")
    assert bench.main(pod)["restartCount"] == 0


def test_a_pod_knows_itself(bench: Bench) -> None:
    def of(path: str) -> Object:
        return {"fieldRef": {"fieldPath": path}}

    limit = {"resourceFieldRef": {"resource": "limits.memory", "divisor": "1Mi"}}
    path = bench.run(
        "knowing",
        'echo "$ADDRESS $NODE $MARK $LIMIT $HOSTNAME $0 $1"',
        annotations={"mark": "x y"},
        restartPolicy="Never",
        args=["$(NODE)", "$$(NODE)"],
        env=[
            {"name": "ADDRESS", "valueFrom": of("status.podIP")},
            {"name": "NODE", "valueFrom": of("spec.nodeName")},
            {"name": "MARK", "valueFrom": of("metadata.annotations['mark']")},
            {"name": "LIMIT", "valueFrom": limit},
        ],
        resources={"limits": {"cpu": "100m", "memory": "64Mi"}},
    )
    bench.until(lambda: bench.phase(path) == "Succeeded", "the pod is done")
    address = bench.pod(path)["status"]["podIP"]
    assert address.startswith(f"{bench.network()}.16."), "the first node has the first pod network"
    assert bench.log("knowing") == f"{address} {NODE} x y 64 knowing {NODE} $(NODE)\n"


def test_a_pod_reads_a_bucket_with_its_accounts_role(bench: Bench) -> None:
    address = f"{bench.network()}.0.2"
    role = {"eks.amazonaws.com/role-arn": "arn:aws:iam::123456789012:role/reader"}
    for name, notes in (("reader", role), ("nobody", {})):
        head = {"apiVersion": "v1", "kind": "ServiceAccount"}
        about = {"metadata": {"name": name, "annotations": notes}}
        bench.cluster.apply(f"{ACCOUNTS}/{name}", head | about)
    read = (
        "from components.model_registry.store import Store; "
        "print(Store('s3://weights', '', 'us-east-1', None).read('a'))"
    )
    moto = ThreadedMotoServer(ip_address=address, port=9000, verbose=False)
    moto.start()
    try:
        keys = {"aws_access_key_id": "x", "aws_secret_access_key": "x"}
        url, region = f"http://{address}:9000", "us-east-1"
        s3 = boto3.client("s3", endpoint_url=url, region_name=region, **keys)
        s3.create_bucket(Bucket="weights")
        s3.put_object(Bucket="weights", Key="a", Body=b"of the model")
        script = f'exec {sys.executable} -c "{read}"'
        path = bench.run("with-role", script, serviceAccountName="reader", restartPolicy="Never")
        bench.until(lambda: bench.phase(path) in ("Succeeded", "Failed"), "the pod is done")
        with requests.Session() as session:
            session.trust_env = False
            stranger = session.get(
                f"http://{bench.network()}.16.255:9911/v1/credentials",
                headers={"Authorization": "made up"},
                timeout=10,
            )
    finally:
        moto.stop()
    without = bench.run(
        "without-role",
        "env | grep -c ^AWS_; true",
        serviceAccountName="nobody",
        restartPolicy="Never",
    )
    bench.until(lambda: bench.phase(without) == "Succeeded", "the other pod is done")
    assert "b'of the model'" in bench.log("with-role"), bench.log("with-role")
    assert stranger.status_code == 403, "only a token of the cluster is worth something"
    assert bench.log("without-role").strip() == "0", "an account without a role gets nothing"


def test_an_agent_that_was_killed_begins_its_pods_anew(bench: Bench) -> None:
    bench.add_node("machine-2")
    agent = bench.begin_agent("machine-2")
    path = bench.run("survivor", "exec sleep 86421", node="machine-2")
    bench.until(lambda: processes_with("sleep 86421"), "the container runs")
    bench.until(lambda: bench.condition(path, "Ready") == "True", "the pod is ready")
    before = processes_with("sleep 86421")
    agent.kill()
    agent.wait()
    assert processes_with("sleep 86421") == before, "a dead agent can end nothing"
    bench.begin_agent("machine-2")
    bench.until(
        lambda: processes_with("sleep 86421") and processes_with("sleep 86421") != before,
        "the container runs anew",
    )
    assert not set(processes_with("sleep 86421")) & set(before), "the old process is ended"
    # Not at once: while a process takes on its program, its command line is empty for a moment.
    bench.until(lambda: len(processes_with("sleep 86421")) == 1, "it runs once")


def test_an_agent_that_is_ended_leaves_no_process_and_its_pods_to_the_cluster(
    bench: Bench,
) -> None:
    bench.add_node("machine-3")
    agent = bench.begin_agent("machine-3")
    script = "trap '' TERM; while :; do sleep 86422; done"
    path = bench.run("switched-off", script, node="machine-3", terminationGracePeriodSeconds=600)
    bench.until(lambda: processes_with("sleep 86422"), "the container runs")
    agent.terminate()
    assert agent.wait(LIMIT_SECONDS) == 0
    assert processes_with("sleep 86422") == [], "a stubborn container is gone too"
    assert "deletionTimestamp" not in bench.pod(path)["metadata"], "the pod still belongs there"


def test_the_pods_of_a_deleted_node_are_gone_with_its_disk(bench: Bench) -> None:
    bench.add_node("machine-4")
    agent = bench.begin_agent("machine-4")
    bench.run(
        "lost",
        "touch /record/x; exec sleep 86423",
        node="machine-4",
        volumes=record_of("lost"),
        **RECORD,
    )
    bench.until(lambda: processes_with("exec sleep 86423") or processes_with("sleep 86423"), "runs")
    claims = bench.world.root / ".isoserve" / REGION / "subnets"
    assert "machine-4" in {one.read_text() for one in claims.iterdir()}
    bench.remove("/api/v1/nodes/machine-4")
    assert agent.wait(LIMIT_SECONDS) == 0, "the agent of a deleted node ends well"
    assert processes_with("sleep 86423") == []
    assert not (bench.home("machine-4") / "disk").exists(), "its disk went with it"
    assert "machine-4" not in {one.read_text() for one in claims.iterdir()}, "its network is free"


def test_containers_outlive_an_api_server_that_is_away(bench: Bench) -> None:
    path = bench.run("lasting", "exec sleep 86424")
    bench.until(lambda: bench.condition(path, "Ready") == "True", "the pod is ready")
    before = processes_with("sleep 86424")
    pid = int(
        (bench.world.root / f".isoserve/run/{REGION}.kube-apiserver.pid").read_text().split()[0]
    )
    os.kill(pid, signal.SIGKILL)
    bench.until(lambda: not bench.cluster.is_ready(), "the API server is away")
    begun = bench.world.run(sys.executable, "-c", START.replace("False", "True"))
    assert begun.returncode == 0, begun.stderr
    assert processes_with("sleep 86424") == before, "the container was left alone"
    later = bench.run("later", "sleep 600")
    bench.until(lambda: bench.condition(later, "Ready") == "True", "new pods run again")
    assert bench.main(path)["restartCount"] == 0
