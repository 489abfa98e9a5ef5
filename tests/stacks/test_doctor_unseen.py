"""What the doctor cannot look at is said, and what is none of our business is no finding."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest

from components.kube_client import ApiError, Forbidden
from stacks.doctor.checks import CHECKS
from stacks.images.errors import ImageError
from stacks.images.reference import reference
from stacks.images.registry import Registries
from tests.image_registry import Reply, registry
from tests.stacks.doctor_cases import RELEASES
from tests.stacks.doctor_site import (
    CONTROLLER,
    ENVOY,
    GATEWAYS,
    NODES,
    OF_GATEWAY,
    OURS,
    PROBED,
    PROMETHEUSES,
    SETS,
    SPACES,
    TLS,
    Break,
    World,
    a_list,
    a_plugin,
    good,
    seen,
)

ASKS_NO_API = {"images", "placeholders"}
FORBIDDEN = Forbidden("403 Forbidden (get /x)", passes=False)
AWAY = ApiError("connection refused (get /x)", passes=True)


# -- no right, no answer, another answer -----------------------------------------------------


@pytest.mark.parametrize("error", [FORBIDDEN, AWAY], ids=["no right", "no answer"])
def test_where_nothing_answers_every_check_says_so_and_none_passes(error: ApiError) -> None:
    world = good()
    world.faults["/"] = error
    findings, unseen = seen(world)
    assert findings == [], "nothing was found, since nothing was seen"
    assert set(unseen) == set(CHECKS) - ASKS_NO_API, "each check names itself"
    assert all(str(error) in why for why in unseen.values()), "and says why"


class Hidden(NamedTuple):
    check: str
    path: str


@pytest.mark.parametrize(
    "case",
    [
        Hidden("cluster", "/version"),
        Hidden("definitions", "/apis/keda.sh"),
        Hidden("device-plugins", SETS),
        Hidden("eviction", "/l4-1/proxy/configz"),
        Hidden("prometheus", PROMETHEUSES),
        Hidden("series", PROBED),
        Hidden("gateways", f"/api/v1/pods?{OF_GATEWAY}"),
        Hidden("envoy-gateway", ENVOY),
        Hidden("workloads", "/namespaces/keda/deployments/keda-operator"),
        Hidden("workloads", "/envoy-gateway-system/secrets"),
        Hidden("secrets", TLS),
        Hidden("secrets", "/search/secrets/pull"),
        Hidden("dns", "/kube-system/pods"),
    ],
    ids=lambda case: case.path,
)
def test_one_thing_that_may_not_be_read_is_named_and_the_rest_is_looked_at(case: Hidden) -> None:
    world = good()
    world.faults[case.path] = FORBIDDEN
    findings, unseen = seen(world)
    assert findings == [], "a missing right is no finding"
    assert list(unseen) == [case.check], "all other checks have looked"
    assert "403 Forbidden" in unseen[case.check], "who asked lacks a right"


def test_a_finding_stays_where_the_rest_of_its_check_is_not_seen() -> None:
    world = good()
    world.objects[TLS]["type"] = "Opaque"
    world.faults["/search/secrets/pull"] = FORBIDDEN
    findings, unseen = seen(world)
    assert len(findings) == 1, "what was found before is told"
    assert "secrets" in unseen, "and what was not seen is, too"


@pytest.mark.parametrize(
    "strange",
    [{"items": ["text"]}, {"items": {"a": 1}}, {"items": [{"spec": 7, "metadata": []}]}, [], 7],
    ids=str,
)
def test_an_answer_of_another_form_is_not_looked_at(strange: Any) -> None:
    for path in (NODES, SETS, PROMETHEUSES, SPACES, ENVOY, f"/api/v1/services?{OF_GATEWAY}"):
        world = good()
        world.objects[path] = strange
        findings, unseen = seen(world)
        assert findings == [], f"{path} says nothing of the region"
        assert unseen, f"{path} is not passed in silence, nor by a traceback"


def test_a_list_of_metadata_alone_may_be_empty() -> None:
    """As an API server of 1.36 writes an empty PartialObjectMetadataList."""
    world = good()
    world.objects[RELEASES] = {"kind": "PartialObjectMetadataList", "items": None}
    assert seen(world) == ([], {})


# -- what is not there, and need not be ------------------------------------------------------


def gone(*paths: str) -> Break:
    return lambda world: [world.objects.pop(path) for path in paths]


def before_the_first_up(world: World) -> None:
    for name in ("internal", "public"):
        world.objects.pop(f"{GATEWAYS}/{name}")


def no_space(world: World) -> None:
    for path in (f"{SPACES}/isoserve-gateway", TLS):
        world.objects.pop(path)


def built_in(world: World) -> None:
    world.items(SETS).pop(0)


def no_workload(world: World) -> None:
    world.items(f"/apis/apps/v1/deployments?{OURS}").clear()
    world.objects[PROBED]["data"]["result"] = []


def amd_alone(world: World) -> None:
    """AMD's plugin, whose image is called as NVIDIA's, in its place."""
    image = "docker.io/rocm/k8s-device-plugin:1.31.0"
    world.items(SETS)[0] = a_plugin("kube-system", "gpu-plugin", image, "nvidia.com/gpu")


def unused_pool(world: World) -> None:
    del world.items(NODES)[2:]


def other_prometheus(world: World) -> None:
    world.items(PROMETHEUSES).clear()


def by_digest(world: World) -> None:
    image = {"image": f"mirror.acme.dev/gateway@sha256:{'1' * 64}"}
    world.objects[CONTROLLER]["spec"]["template"]["spec"]["containers"] = [image]


def private_zone(world: World) -> None:
    world.hosts.pop("doctor.internal.use1.models.acme.dev")


def merged(world: World) -> None:
    world.items(f"/api/v1/pods?{OF_GATEWAY}").clear()


def outside(world: World) -> None:
    world.change(prometheus_url="https://prom.acme.dev", prometheus_namespace="monitoring")


def unreached(world: World) -> None:
    world.images[world.profile.agent_image] = "registry.acme.dev cannot be reached from here; look"


@pytest.mark.parametrize(
    ("check", "why", "spoil"),
    [
        ("gateways", "first `pulumi up`", before_the_first_up),
        ("secrets", "the namespace is not there", no_space),
        ("device-plugins", "nodes of gpu.l4.1 offer GPUs", built_in),
        ("series", "probe_success: nothing of ours", no_workload),
        ("series", "no Service of the cluster", outside),
        ("allocatable", "no node of cpu.4", unused_pool),
        ("prometheus", "no Prometheus object", other_prometheus),
        ("envoy-gateway", "no ConfigMap envoy-gateway-config", gone(ENVOY)),
        ("envoy-gateway", "says its version", by_digest),
        ("names", "does not resolve doctor.internal", private_zone),
        ("gateways", "no pod has the label", merged),
        ("images", "cannot be reached from here", unreached),
        ("cluster", "does not say major and minor", lambda w: w.objects["/version"].clear()),
        ("cluster", "does not say major and minor", lambda w: w.objects["/version"].pop("minor")),
        ("device-plugins", "by no DaemonSet that is known", amd_alone),
    ],
)
def test_what_is_not_there_to_look_at_is_said(check: str, why: str, spoil: Break) -> None:
    world = good()
    spoil(world)
    findings, unseen = seen(world)
    assert findings == [], "it is no fault of the region"
    assert why in unseen[check], "people read why it was not looked at"


# -- registries -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reply", "is_finding"),
    [
        (Reply(code=404), True),
        (Reply(headers={"Content-Type": "text/html"}), True),
        (Reply(code=500), False),
        (Reply(code=403), False),
        (Reply(code=429), False),
    ],
)
def test_a_registry_that_has_no_such_image_is_told_from_one_that_does_not_answer(
    reply: Reply, is_finding: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    asking = Registries(lambda *_: None, plain_http=True)
    with registry(lambda _: reply) as served, asking, pytest.raises(ImageError) as error:
        asking.digest(reference(f"{served.host}/team/agent:v1"))
    world = good()
    world.images[world.profile.prober_image] = str(error.value)
    findings, unseen = seen(world)
    assert bool(findings) is is_finding, "only an answer about the image is one"
    assert bool(unseen) is not is_finding, "all else may be so from this machine alone"


def test_a_gateway_in_a_list_of_nothing_has_no_address() -> None:
    world = good()
    world.objects[f"{GATEWAYS}/public"]["status"]["addresses"] = []
    findings, unseen = seen(world)
    assert findings == ["Gateway isoserve-gateway/public has no address"], "it is programmed"
    assert "no address that is known here" in unseen["names"], "so its name leads nowhere yet"


def test_only_the_first_kubelets_of_a_pool_are_asked() -> None:
    world = good()
    nodes = world.items(NODES)
    for number in range(3, 9):
        name = f"l4-{number}"
        nodes.append({**nodes[0], "metadata": {**nodes[0]["metadata"], "name": name}})
        world.objects[f"{NODES}/{name}/proxy/configz"] = {"kubeletconfig": {}}
    world.examined()
    asked = [path for path, _ in world.asked if "configz" in path and "/l4-" in path]
    assert len(asked) == 3, "a thousand nodes of a pool have one configuration"


def test_a_list_of_no_items_is_no_fault() -> None:
    world = good()
    world.objects[f"/api/v1/services?{OF_GATEWAY}"] = a_list()
    assert seen(world) == ([], {}), "a Gateway may be given its address by other means"
