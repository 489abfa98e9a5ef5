"""What is right in another way is no finding, and what is not claimed is not looked for."""

from __future__ import annotations

from dataclasses import replace

import pytest

from components.kube_client import Forbidden
from regions.machines import MACHINES
from tests.stacks.doctor_site import (
    CONTROLLER,
    DNS,
    ENVOY,
    GATEWAYS,
    NODES,
    OF_GATEWAY,
    PROJECTS,
    PROMETHEUSES,
    SETS,
    SPACES,
    TLS,
    Break,
    World,
    a_list,
    a_plugin,
    change,
    good,
    made,
    seen,
    told,
)

FORBIDDEN = Forbidden("403 Forbidden (get /x)", passes=False)


def healthy(*spoils: Break) -> World:
    world = good()
    for spoil in spoils:
        spoil(world)
    return world


def operator_of_nvidia(world: World) -> None:
    chosen = {"nvidia.com/gpu.deploy.device-plugin": "true"}
    image = "nvcr.io/nvidia/k8s-device-plugin:v0.20.0"
    name = "nvidia-device-plugin-daemonset"
    found = a_plugin("gpu-operator", name, image, "nvidia.com/gpu", nodeSelector=chosen)
    world.items(SETS)[0] = found


def discovery_first(world: World) -> None:
    """Another DaemonSet of the plugin's image, which looks for other nodes."""
    image = "nvcr.io/nvidia/k8s-device-plugin:v0.20.0"
    away = {"nvidia.com/mps.capable": "true"}
    other = a_plugin("gpus", "nvdp-mps", image, "nvidia.com/gpu", nodeSelector=away)
    other["spec"]["template"]["spec"]["containers"][0]["command"] = ["mps-control-daemon"]
    world.items(SETS).insert(0, other)


def amd_first(world: World) -> None:
    """AMD's plugin, whose image is called as NVIDIA's and which tolerates no taint of theirs."""
    image = "docker.io/rocm/k8s-device-plugin:1.31.0"
    world.items(SETS).insert(0, a_plugin("kube-system", "amdgpu-dp", image, "amd.com/gpu"))


def other_architecture_first(world: World) -> None:
    """A DaemonSet of the same plugin for other nodes."""
    chosen = {"kubernetes.io/arch": "arm64"}
    image = "nvcr.io/nvidia/k8s-device-plugin:v0.20.0"
    found = a_plugin("gpus", "nvdp-arm64", image, "nvidia.com/gpu", nodeSelector=chosen)
    world.items(SETS).insert(0, found)


def controller_elsewhere(world: World) -> None:
    """Envoy Gateway in a namespace of its owner's choice, with the proxies beside it."""
    addons = {**world.profile.addons, "envoy-gateway": "provided"}
    world.change(addons=addons)
    for path in (ENVOY, CONTROLLER):
        world.objects[path.replace("envoy-gateway-system", "edge")] = world.objects.pop(path)
    for pod in world.items(f"/api/v1/pods?{OF_GATEWAY}"):
        pod["metadata"]["namespace"] = "edge"
    world.change(proxy_namespaces=("edge",))


def oldest_controller(world: World) -> None:
    image = {"image": "docker.io/envoyproxy/gateway:v1.7.2"}
    world.objects[CONTROLLER]["spec"]["template"]["spec"]["containers"] = [image]


def threshold_as_said(world: World) -> None:
    config = world.objects[f"{NODES}/l4-1/proxy/configz"]["kubeletconfig"]
    config["evictionHard"]["nodefs.available"] = "20%"


def one_resolver_down(world: World) -> None:
    world.items(DNS).insert(0, made("kube-system", "coredns-2", status=told("Ready", "False")))


def no_public_models(world: World) -> None:
    """A certificate is named, and nobody needs it."""
    world.change(sign_in=None)
    world.objects.pop(TLS)


def mirrored(world: World) -> None:
    """Plugins whose images have been given other names, told by those of their DaemonSets."""
    for one in world.items(SETS):
        one["spec"]["template"]["spec"]["containers"][0]["image"] = "mirror.acme.dev/amd64/plugin:7"
    world.items(SETS)[0]["metadata"]["name"] = "nvidia-device-plugin"


def headless(world: World) -> None:
    """Prometheus by the name of one of its pods."""
    host = "kps-0.prometheus.monitoring.svc.cluster.local"
    world.change(prometheus_url=f"http://{host}:9090")


def second_prometheus(world: World) -> None:
    """One of somebody else beside ours, that selects nothing of ours."""
    world.items(PROMETHEUSES).insert(0, made("monitoring", "theirs", spec={}))


def by_expressions(world: World) -> None:
    rows = [{"key": "release", "operator": "In", "values": ["kps", "other"]}]
    world.items(PROMETHEUSES)[0]["spec"]["podMonitorSelector"] = {"matchExpressions": rows}


def two_of_three_addresses(world: World) -> None:
    world.hosts["doctor.use1.models.acme.dev"] = {"52.1.2.3"}


def nodes_of_kwok(world: World) -> None:
    offer = world.profile.machines["gpu.l4.1"].model_copy(update={"simulated": True})
    world.change(machines={**world.profile.machines, "gpu.l4.1": offer})
    world.objects[f"{NODES}/l4-1/proxy/configz"] = None
    world.items(SETS).pop(0)


@pytest.mark.parametrize(
    "spoil",
    [
        operator_of_nvidia,
        discovery_first,
        amd_first,
        other_architecture_first,
        controller_elsewhere,
        oldest_controller,
        threshold_as_said,
        one_resolver_down,
        no_public_models,
        mirrored,
        headless,
        second_prometheus,
        by_expressions,
        two_of_three_addresses,
        nodes_of_kwok,
        change(sign_in=None, tls_secret=""),
        change(proxy_namespaces=("envoy-gateway-system", "isoserve-gateway")),
    ],
)
def test_what_is_right_in_another_way_is_no_finding(spoil: Break) -> None:
    findings, unseen = seen(healthy(spoil))
    assert findings == [], "these regions serve as well"
    assert unseen == {}, "and everything was looked at"


def test_a_region_without_add_ons_is_not_asked_for_them() -> None:
    world = healthy(change(addons={}, capabilities=(), sign_in=None, pull_secret=""))
    for path in list(world.objects):
        if "gateway" in path or "monitoring.coreos.com" in path or "keda" in path:
            world.objects.pop(path)
    findings, unseen = seen(world)
    assert findings == [], "what a profile does not claim need not be there"
    assert unseen == {}, "nor is it looked for"


def test_a_gateway_that_we_may_not_make_is_a_finding_where_it_is_missing() -> None:
    world = healthy(change(capabilities=("custom_metrics",)))
    world.objects.pop(f"{GATEWAYS}/public")
    findings, _ = seen(world)
    assert findings == ["there is no Gateway isoserve-gateway/public, which we may not make here"]


def test_keys_of_the_registry_are_looked_for_where_pods_name_them() -> None:
    registry_ = good().profile.registry.model_copy(update={"credentials_secret": "keys"})
    world = healthy(change(registry=registry_))
    assert world.examined() == ([], []), "nobody names them"
    named = {"jobTemplate": {"spec": {"volumes": [{"secret": {"secretName": "keys"}}]}}}
    for space in ("isoserve-cache", "search"):
        found = a_list(made(space, "maker", spec=named))
        world.objects[f"/apis/batch/v1/namespaces/{space}/cronjobs"] = found
    world.objects[f"{SPACES}/isoserve-cache/secrets/keys"] = made("isoserve-cache", "keys")
    findings, _ = world.examined()
    assert [one.mend for one in findings] == [
        "kubectl -n search create secret generic keys --from-literal access_key_id=... "
        "--from-literal secret_access_key=..."
    ], "the project has none"


def test_projects_that_may_not_be_listed_are_not_passed() -> None:
    world = good()
    world.faults[PROJECTS] = FORBIDDEN
    findings, unseen = seen(world)
    assert findings == [], "nothing is known of them"
    assert "403" in unseen["secrets"], "their pull secrets were not looked at"


def test_proxies_are_looked_at_while_one_gateway_is_still_to_come() -> None:
    world = healthy(change(proxy_namespaces=("edge",)))
    world.objects.pop(f"{GATEWAYS}/public")
    findings, _ = seen(world)
    assert any("proxies stand in envoy-gateway-system" in one for one in findings), "of internal"


def test_a_device_plugin_of_an_unknown_vendor_is_not_looked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    row = MACHINES["gpu.l4.1"]
    other = replace(row, kind=replace(row.kind, vendor="habana"))
    monkeypatch.setitem(MACHINES, "gpu.l4.1", other)
    findings, unseen = seen(good())
    assert findings == [], "nothing is known of it"
    assert "habana" in unseen["device-plugins"], "its vendor is named"


def test_a_plugin_of_amd_is_none_of_nvidia() -> None:
    image = "nvcr.io/nvidia/k8s-device-plugin:v0.20.0"
    world = good()
    offer = world.profile.machines["gpu.l4.1"].model_copy(
        update={"instance_types": (), "node_names": ("mi-1",)}
    )
    world.change(machines={"gpu.mi300x.8": offer}, provider="on_prem")
    node = made("", "mi-1", status={**told("Ready"), "allocatable": {}}, spec={})
    world.items(NODES)[:] = [node]
    world.objects[f"{NODES}/mi-1/proxy/configz"] = {"kubeletconfig": {}}
    world.items(SETS)[:] = [a_plugin("gpus", "nvdp", image, "nvidia.com/gpu")]
    findings, _ = seen(world)
    assert any("no DaemonSet is the device plugin of amd" in one for one in findings), "NVIDIA's is"
    world.items(SETS)[0] = a_plugin("gpus", "plugin", "rocm/k8s-device-plugin:1", "amd.com/gpu")
    findings, _ = seen(world)
    assert not any("device plugin" in one for one in findings), "a node without taints takes it"


def test_keys_that_the_api_server_shows_to_anybody_may_be_read() -> None:
    world = healthy()
    own = "https://kubernetes.default.svc/openid/v1/jwks"
    world.change(cluster=world.profile.cluster.model_copy(update={"jwks": (), "jwks_uri": own}))
    binding = made("", "discovery") | {
        "roleRef": {"name": "system:service-account-issuer-discovery"},
        "subjects": [{"kind": "Group", "name": "system:unauthenticated"}],
    }
    world.objects["/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"] = a_list(binding)
    found, unseen = world.examined()
    assert found == [], "whether proxies trust its certificate nobody sees from here"
    assert ["shown to anybody" in one.why for one in unseen if one.check == "keys"] == [True]
