"""The example on a region's real machines: what the project renders, and what pods of it say."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import yaml

from components.kube import Object
from regions.sandbox import crds
from regions.sandbox.node.example_images import MLSERVER, SCORER
from tests.engine.real_images import built_images
from tests.engine.real_region import RealRegion, eventually
from tests.engine.site import has_condition
from tests.engine.world import path_of

STORE: Final = "http://s3.object-store.svc:9000"
FIRST_NODE: Final = "cpu-01"
"""Where the profile has the gateways."""
PROFILE: Final = "regions/sandbox-onprem.yaml"
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
cluster, network = connect("{region}", kubeconfig_of("{region}")), claimed(region_home("{region}"))
for made in store.objects(registry.endpoint, network):
    region.apply(cluster, made)
object_store.client("s3").create_bucket(Bucket=registry.bucket)
publish.publish("{region}", [], print, never)
registry_secret.apply(cluster, print, never)
data_keys.apply(cluster, print, never)
"""
_ADDONS: Final = """
from regions.sandbox import toolchain
from regions.sandbox.kube import connect
from regions.sandbox.layout import kubeconfig_of, region_home
from regions.sandbox.node import gateway
from regions.sandbox.node.network import claimed
tools = toolchain.prepare(print, own_clusters=False)
cluster, network = connect("{region}", kubeconfig_of("{region}")), claimed(region_home("{region}"))
gateway.install(tools, cluster, network, print)
"""
_END: Final = """
from regions.sandbox import object_store
from regions.sandbox.node import store
store.stop("{region}")
object_store.stop()
"""
_METRICS: Final = """
import json, urllib.request
told = urllib.request.urlopen("http://127.0.0.1:{port}/metrics").read().decode()
print(json.dumps(told.splitlines()))
"""
POST: Final = """
import urllib.request
made = urllib.request.Request("{url}", data='{body}'.encode(), method="POST")
made.add_header("Content-Type", "application/json")
print(urllib.request.urlopen(made, timeout=10).read().decode())
"""


@contextmanager
def example(region: RealRegion, storage: Path) -> Iterator[None]:
    """Everything applied, the model in the registry, and keys where pods want them.

    `storage` is the image builder's.
    """
    try:
        digests = json.loads(region.run_program(_BEGIN).splitlines()[-1])
        pin(region.world.root, region.machines, digests, built_images(region, storage))
        crds.install(region.cluster, {"provided"})
        region.run_program(_ADDONS)
        for one in rendered(region):
            region.cluster.apply(path_of(one), one)
        region.run_program(_FILL)
        yield
    finally:
        region.run_program(_END)


def pin(
    root: Path, machines: tuple[str, ...], digests: dict[str, str], ours: dict[str, str]
) -> None:
    """Name the images that were built, as `isoserve image pin` does, and machines of this size."""

    def edit(name: str, **fields: Any) -> None:
        path = root / name
        path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), **fields}))

    def address(image: str) -> str:
        path = image.partition("/")[2].partition(":")[0]
        return f"registry.example.com/{path}@{digests[image]}"

    rows = yaml.safe_load((root / PROFILE).read_text())["machines"]
    nodes = {"node_names": list(machines), "on_demand": {"min": 0, "max": len(machines)}}
    rows["cpu.4"] |= nodes
    agent, prober = (ours[name].partition("/")[2] for name in ("cache-agent", "prober"))
    profile = yaml.safe_load((root / PROFILE).read_text())
    registry, values = profile["registry"], json.dumps(profile["addon_values"])
    edit(
        PROFILE,
        addon_values=json.loads(values.replace(FIRST_NODE, machines[0])),
        machines=rows,
        registry={**registry, "endpoint": STORE},
        agent_image=f"registry.example.com/{agent}",
        prober_image=f"registry.example.com/{prober}",
    )
    edit(
        "model_specs/catalogue/runtimes/mlserver.yaml",
        image=address(MLSERVER),
    )
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
    nodes = [
        one for one in rest if one["kind"] != "Node" or one["metadata"]["name"] in region.machines
    ]
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
    return ready(region, "isoserve-cache", "isoserve.dev/machine-type=cpu.4", len(region.machines))


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


def metrics(region: RealRegion, pod: Object, port: int) -> list[str]:
    """The lines that a pod's program tells Prometheus."""
    told: list[str] = executed(region, pod, _METRICS.format(port=port))
    return told


def asked(region: RealRegion) -> Any:
    """What the model answers its project's prober to the spec's example request."""
    spec = yaml.safe_load((region.world.root / RANKER_SPEC).read_text())
    request = spec["probe"]["request"]
    url, body = f"http://ranker.search.svc{request['path']}", json.dumps(request["body"])
    return executed(region, ready_prober(region), POST.format(url=url, body=body))
