"""A region whose pods run on real machines: all that it needs before `pulumi up`."""

from __future__ import annotations

from regions.sandbox import crds, nodes
from regions.sandbox.console import step
from regions.sandbox.kube import Cluster
from regions.sandbox.node import (
    example_images,
    image_policy,
    images,
    keda,
    own_images,
    prometheus,
    region,
    store,
)
from regions.sandbox.node.network import Network, network_of
from regions.sandbox.plans import plan_of
from regions.sandbox.toolchain import Say


def start(name: str) -> Cluster:
    """Bring the region up, or complete what an interrupted run has begun. Raises SandboxError."""
    with step(name, "machines") as running:
        machines = nodes.static_machines(name)
        cluster = region.start(name, machines, running.say)
        running.note = f"{cluster.url}, {len(machines)} machines"
    network = network_of(name)
    assert network is not None, "it is claimed by its start"
    with step(name, "crds") as running:
        running.note = crds.install(cluster, {"provided"})
    with step(name, "images") as running:
        built = _built(network, running.say)
        image_policy.apply(cluster, built)
        if renewed := image_policy.renew(cluster, built):
            running.note = f"{renewed} pods of other builds deleted, so that new ones come"
    has_keda = crds.KEDA in crds.bundles_of(name)
    if has_keda:
        with step(name, "keda"):
            keda.install(cluster, network)
    with step(name, "prometheus"):
        prometheus.install(cluster, network)
    with step(name, "object store"):
        _lead_to_store(cluster, network)
    with step(name, "nodes") as running:
        running.note = nodes.stand_up(cluster)
        nodes.start_joining(name)
    if has_keda:
        with step(name, "keda") as running:
            keda.await_serving(cluster)
            running.note = f"{keda.ROW.version} serves"
    return cluster


def stop(name: str) -> bool:
    """End the region and its machines; whether it had any. Raises SandboxError."""
    if network_of(name) is None:
        return False
    store.stop(name)
    region.stop(name)
    return True


def _built(network: Network, say: Say) -> dict[str, str]:
    """The path in the registry of each image that pods run, by its name."""
    made = own_images.push(network, say)
    for image in (*example_images.example_images(say), *prometheus.made_images()):
        path = images.pinned(image.name, images.push(image, network)).partition("/")[2]
        made[path.partition("@")[0].rpartition("/")[2]] = path
    return made


def _lead_to_store(cluster: Cluster, network: Network) -> None:
    """Make the Service that a profile names as its registry; AWS's own S3 is there without."""
    if endpoint := plan_of(cluster.region).registry.endpoint:
        store.serve(cluster.region, network)
        for made in store.objects(endpoint, network):
            region.apply(cluster, made)
