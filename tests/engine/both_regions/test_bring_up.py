"""The whole path on the real engine: from the example specs to running objects in two regions."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Final

import boto3
import pytest
from botocore.config import Config

from components.kube import Object
from components.ownership import left_alone, targeted
from components.parts import parts
from model_specs.load import load
from regions.plan import RegionPlan
from regions.profile import load_profiles
from regions.resolve import resolve
from tests.engine.real_region import eventually
from tests.engine.world import REGIONS, World, copy_tree, path_of

pytestmark = pytest.mark.engine

MACHINE = "isoserve.dev/machine-type"
RANKER: Final = "search/ranker"
PREDICTION: Final = 2.803466796875
"""What the trained example model answers to its spec's request, exact to the last bit."""


def plan_of(world: World, region: str) -> RegionPlan:
    profile = load_profiles(world.root / "regions", (region,))[region]
    return resolve(load(world.root / "model_specs"), profile, region)


def bare(live: Object) -> Object:
    """An object without what the API server keeps for itself and controllers report."""
    kept = ("managedFields", "resourceVersion")
    metadata = {k: v for k, v in live["metadata"].items() if k not in kept}
    return {**live, "metadata": metadata, "status": None}


def get(world: World, region: str, path: str) -> Object:
    found = world.cluster(region).get(path)
    assert found is not None, f"{region} has no {path}"
    return found


def patch(world: World, region: str, path: str, change: Any) -> None:
    """What `kubectl patch` does."""
    cluster = world.cluster(region)
    answer = cluster.session.patch(
        cluster.url + path,
        data=json.dumps(change),
        headers={"Content-Type": "application/merge-patch+json"},
        timeout=30,
    )
    assert answer.ok, answer.text


def shared_or_of(model: str, urn: str) -> bool:
    """Whether a URN belongs to `model`, or to what lists all models by its nature."""
    name = urn.rsplit("::", 1)[1]
    project = model.split("/")[0]
    gates = (f"{project}/ForeignFields", f"{project}/NameClaim")
    of_project = (*gates, f"{project}/prober", f"{project}/project")
    lists = (*of_project, "isoserve-cache/cache-", "isoserve-sandbox-", "rollout")
    return name == model or name.startswith((f"{model}-", f"{model}/", *lists))


def test_every_model_is_ready_in_both_regions(world: World) -> None:
    rows = world.status()
    assert {row["region"] for row in rows} == set(REGIONS), "two regions were asked for"
    assert len(rows) == 12, "six servers in each region"
    late = [row for row in rows if row["ready_replicas"] != row["desired_replicas"]]
    assert not late, "a finished `up` serves: the RolloutGate promises it"


@pytest.fixture(scope="module")
def told(world: World) -> str:
    """What a second `up` prints."""
    return world.up()


def test_second_up_changes_nothing_and_says_so(told: str) -> None:
    assert "nothing changed" in told, "the same specs must render the same objects"


def test_the_table_says_who_answers_and_who_is_simulated(told: str) -> None:
    table = {}
    for line in told.splitlines():
        match line.split():
            case [region, model, _ready, probe, *_] if region in REGIONS and "/" in model:
                table[region, model] = probe
    assert len(table) == 12, "a row for each model of each region"
    answering = {key for key, probe in table.items() if probe == "passes"}
    assert answering == {(region, RANKER) for region in REGIONS}, "the model that runs for real"
    assert set(table.values()) == {"passes", "simulated"}, "of the others none seems to answer"


@pytest.mark.parametrize("region", REGIONS)
def test_the_printed_curl_line_prints_the_prediction(told: str, region: str) -> None:
    lines = told.splitlines()
    (title,) = [n for n, line in enumerate(lines) if line.startswith(f"# {RANKER} in {region}")]
    command = lines[title + 1]
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, f"{command}\n{done.stderr}\n{done.stdout}"
    (output,) = json.loads(done.stdout)["outputs"]
    assert output["data"] == [PREDICTION], "the answer of the trained model, and of no other"


def manifest_of(world: World, region: str, digest: str) -> dict[str, str]:
    """The published files of search/ranker with their SHA-256, as the region's bucket has them."""
    ports = json.loads((world.root / ".isoserve" / "sandbox.json").read_text())
    store = boto3.client(
        "s3", endpoint_url=f"http://127.0.0.1:{ports['moto']}", region_name="us-east-1",
        aws_access_key_id="sandbox", aws_secret_access_key="sandbox",
        config=Config(proxies={}, s3={"addressing_style": "path"}),
    )  # fmt: skip
    key = f"search/manifests/sha256/{digest}"
    text = store.get_object(Bucket=f"isoserve-models-{region}", Key=key)["Body"].read()
    assert hashlib.sha256(text).hexdigest() == digest, "a manifest's name is its digest"
    return {row["path"]: row["sha256"] for row in json.loads(text)["files"]}


def there(path: Path) -> bool | None:
    return path.exists() or None


def pinned_digest(world: World) -> str:
    text = world.spec(RANKER).read_text()
    return text.partition("@sha256:")[2].split()[0]


def caches(world: World, region: str) -> dict[str, Path]:
    """The cache on the disk of each machine of the model's machine type."""
    nodes = get(world, region, f"/api/v1/nodes?labelSelector={MACHINE}%3Dcpu.4")["items"]
    home = world.root / ".isoserve" / region / "machines"
    names = [node["metadata"]["name"] for node in nodes]
    return {name: home / name / "disk" / "var" / "lib" / "isoserve" / "search" for name in names}


@pytest.mark.parametrize("region", REGIONS)
def test_every_cache_holds_exactly_the_published_version(world: World, region: str) -> None:
    digest = pinned_digest(world)
    published = manifest_of(world, region, digest)
    assert len(published) == 3, "the model and what MLServer reads beside it"
    found = caches(world, region)
    # In the AWS-shaped region there are as many as the pool has grown to.
    assert found, "the model stands on a node of its machine type"
    for node, cache in found.items():
        eventually(partial(there, cache), f"{node} has its cache", seconds=120)
        assert [one.name for one in cache.iterdir()] == [digest], f"{node}: this and no other"
        held = {
            str(file.relative_to(cache / digest)): hashlib.sha256(file.read_bytes()).hexdigest()
            for file in (cache / digest).rglob("*")
            if file.is_file()
        }
        assert held == published, f"{node} holds what was published, byte for byte"


@pytest.mark.parametrize("region", REGIONS)
def test_the_server_runs_from_its_nodes_cache_and_cannot_write_there(
    world: World, region: str
) -> None:
    path = "/api/v1/namespaces/search/pods?labelSelector=isoserve.dev/model%3Dranker"
    (pod,) = get(world, region, path)["items"]
    cached = caches(world, region)[pod["spec"]["nodeName"]] / pinned_digest(world)
    processes = world.server_processes(region)
    assert processes, "the pod's container is a process of this machine"
    for process in processes:
        seen = Path(f"/proc/{process}/root") / "models" / "current"
        assert seen.samefile(cached), "the very folder of the cache, no copy"
        assert (seen / "model.joblib").samefile(cached / "model.joblib")
        assert os.statvfs(seen).f_flag & os.ST_RDONLY, "its mount is read-only, for root too"


@pytest.mark.parametrize("region", REGIONS)
def test_plain_preview_expects_no_changes(world: World, region: str) -> None:
    done = world.pulumi("preview", "--expect-no-changes", "-s", region)
    assert done.returncode == 0, f"plain pulumi always suffices:\n{done.stdout[-3000:]}"


@pytest.mark.parametrize("region", REGIONS)
def test_every_model_pod_runs_on_a_node_of_its_machine_type(world: World, region: str) -> None:
    nodes = {n["metadata"]["name"]: n for n in get(world, region, "/api/v1/nodes")["items"]}
    query = "/api/v1/pods?labelSelector=isoserve.dev/role%3Dmodel-server"
    pods = get(world, region, query)["items"]
    assert len(pods) >= 7, "every server has pods, the canary two tracks"
    machines = {t.name: t.placement.machine_type
                for s in plan_of(world, region).servers for t in s.tracks}  # fmt: skip
    for pod in pods:
        owner = pod["metadata"]["ownerReferences"][0]["name"].rsplit("-", 1)[0]
        node = nodes[pod["spec"]["nodeName"]]
        assert pod["status"]["phase"] == "Running", pod["metadata"]["name"]
        assert node["metadata"]["labels"][MACHINE] == machines[owner], "a pool is one machine type"


def applied_again(world: World, region: str, made: Object, scaled: bool) -> bool | None:
    """Whether applying what is rendered, strictly validated and as a dry run, changes nothing.

    Without its replicas where it is `scaled`. None where somebody else has changed it meanwhile,
    such as an autoscaler.
    """
    cluster, path = world.cluster(region), path_of(made)
    before = bare(get(world, region, path))
    spec = {key: said for key, said in made.get("spec", {}).items() if key != "replicas"}
    answer = cluster.session.patch(
        f"{cluster.url}{path}?fieldManager=isoserve&dryRun=All&fieldValidation=Strict&force=true",
        data=json.dumps(made | {"spec": spec} if scaled else made),
        headers={"Content-Type": "application/apply-patch+yaml"},
        timeout=30,
    )
    assert answer.ok, f"{path} is refused by the real schema: {answer.text}"
    assert "Warning" not in answer.headers, f"{path}: {answer.headers.get('Warning')}"
    if bare(get(world, region, path)) != before:
        return None
    return bare(answer.json()) == before


@pytest.mark.parametrize("region", REGIONS)
def test_api_server_holds_exactly_what_render_writes(world: World, region: str) -> None:
    objects = [made for part in parts(plan_of(world, region)) for made in part.objects]
    assert len(objects) > 120, "all nouns are rendered"
    targets = targeted(objects)
    different = []
    for made in objects:
        scaled = "spec.replicas" in left_alone(made, targets)
        look = partial(applied_again, world, region, made, scaled)
        if not eventually(look, "nobody else writes", seconds=60):
            different.append(path_of(made))
    assert not different, "`pulumi up` applies the same dicts that `isoserve render` writes"


def test_region_without_keda_gets_no_keda_object(world: World) -> None:
    groups = {
        region: {g["name"] for g in get(world, region, "/apis")["groups"]} for region in REGIONS
    }
    of_keda = {"external.metrics.k8s.io", "keda.sh"}
    assert of_keda <= groups["sandbox-aws"], "the AWS-shaped region has it, and its metrics"
    assert not of_keda & groups["sandbox-onprem"], "the on-prem-shaped one lacks it"
    path = "/apis/autoscaling/v2/horizontalpodautoscalers"
    scalers = get(world, "sandbox-onprem", path)["items"]
    assert scalers, "its declared downgrade is the HorizontalPodAutoscaler"


def test_edit_by_hand_is_seen_and_restored(world: World) -> None:
    region, path = "sandbox-aws", "/apis/apps/v1/namespaces/search/deployments/sentiment"
    before = get(world, region, path)["spec"]["progressDeadlineSeconds"]
    patch(world, region, path, {"spec": {"progressDeadlineSeconds": before + 7}})
    seen = world.pulumi("preview", "--refresh", "--expect-no-changes", "-s", region)
    assert seen.returncode != 0, "drift must not pass a check that expects no changes"
    world.must_apply(region, "--refresh")
    now = get(world, region, path)["spec"]["progressDeadlineSeconds"]
    assert now == before, "every field that is rendered is ours"


def test_scaling_by_an_autoscaler_is_no_drift(world: World) -> None:
    region, path = "sandbox-aws", "/apis/apps/v1/namespaces/search/deployments/ranker"
    patch(world, region, path, {"spec": {"replicas": 2}})
    seen = world.pulumi("preview", "--refresh", "--expect-no-changes", "-s", region)
    assert seen.returncode == 0, f"KEDA owns the replicas:\n{seen.stdout[-3000:]}"
    patch(world, region, path, {"spec": {"replicas": 1}})


def test_added_model_changes_only_its_own_objects_and_goes_without_a_trace(world: World) -> None:
    text = world.spec("search/ranker").read_text()
    world.spec("search/second").write_text(text)
    for region in REGIONS:
        steps = world.steps(region)
        strangers = [urn for urn in steps if not shared_or_of("search/second", urn)]
        assert not strangers, "no other model's objects may move"
        created = [urn for urn, op in steps.items() if op == "create"]
        assert len(created) >= 9, "the model gets all of its nouns"
        assert not {op for op in steps.values()} - {"create", "update"}, "nothing is replaced"
    with ThreadPoolExecutor() as pool:
        list(pool.map(world.must_apply, REGIONS))
    assert get(world, REGIONS[1], "/apis/apps/v1/namespaces/search/deployments/second")
    world.spec("search/second").unlink()
    for region in REGIONS:
        gone = {urn for urn, op in world.steps(region).items() if op == "delete"}
        assert gone, "its objects go"
        assert all(shared_or_of("search/second", urn) for urn in gone), "and nobody else's"
    with ThreadPoolExecutor() as pool:
        list(pool.map(world.must_apply, REGIONS))
    path = "/apis/apps/v1/namespaces/search/deployments/second"
    assert world.cluster(REGIONS[0]).get(path) is None, "a removed model leaves nothing running"


def test_protected_bucket_refuses_deletion(world: World) -> None:
    stack = json.loads(world.pulumi("stack", "export", "-s", "sandbox-aws").stdout)
    rows = {r["urn"]: r for r in stack["deployment"]["resources"]}
    (bucket,) = [urn for urn, row in rows.items() if row["type"] == "aws:s3/bucket:Bucket"]
    kept = [row for row in rows.values() if row["type"].startswith(("aws:s3/", "aws:kms/"))]
    assert len(kept) >= 9, "the bucket, its key and its walls"
    bare_ones = [r["urn"] for r in kept if not (r.get("protect") and r.get("retainOnDelete"))]
    assert not bare_ones, (
        "what holds models is protected and retained, unconditionally, and its walls with it"
    )
    done = world.pulumi(
        "destroy", "--yes", "--skip-preview", "--target", bucket, "--target-dependents",
        "-s", "sandbox-aws",
    )  # fmt: skip
    assert done.returncode != 0, "the engine must refuse"
    assert "protect" in done.stdout + done.stderr, "and say why"
    assert world.steps("sandbox-aws") == {}, "nothing was deleted on the way to the refusal"


def test_rollout_gate_names_the_broken_pod_and_fails_up(world: World) -> None:
    region, model = "sandbox-onprem", "search/embedder"
    path = "/apis/apps/v1/namespaces/search/deployments/embedder"
    before = world.spec(model).read_text()
    fails = {"metadata": {"annotations": {"isoserve.dev/sandbox-fail": "ImagePullBackOff"}}}
    patch(world, region, path, {"spec": {"template": fails}})
    world.edit_spec(model, env={"LEVEL": "1"})
    done = world.sandbox("up", "--region", region)
    assert done.returncode == 2, "a model that does not serve must fail `up`"
    told = done.stdout + done.stderr
    assert "Deployment search/embedder: pod embedder-" in told, told[-2000:]
    assert "ImagePullBackOff" in told, "the reason is the pod's own"
    assert "Traceback" not in told, "people need the reason, not our call stack"
    world.spec(model).write_text(before)
    heals = {"metadata": {"annotations": {"isoserve.dev/sandbox-fail": None}}}
    patch(world, region, path, {"spec": {"template": heals}})
    world.must_apply(region)


def test_existing_cluster_is_used_instead_of_a_built_one(
    world: World, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = copy_tree(tmp_path_factory.mktemp("adopting") / "tree")
    cluster = world.root / ".isoserve" / "sandbox-onprem" / "kubeconfig"
    try:
        given = f"sandbox-onprem={cluster}:sandbox-onprem"
        told = other.up("--region", "sandbox-onprem", "--kubeconfig", given)
        started = [line for line in other.processes() if "kube-apiserver" in line]
        assert not started, "a region with a given cluster needs no control plane of ours"
        assert world.cluster("sandbox-onprem").url in told, "it works on the cluster it was given"
        assert all(row["ready_replicas"] for row in other.status()), "and its models serve there"
    finally:
        other.sandbox("down")
    assert world.steps("sandbox-onprem") == {}, "the same objects, whoever applies"
