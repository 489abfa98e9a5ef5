"""A server's Deployments, Services, budget and wall, over all examples and for each cause."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from components.kube import Object, role_named
from components.model_server import objects
from regions.model_plan import ServerPlan, StartupPlan, TrackPlan
from regions.networks import METADATA
from tests.builders import a_server, a_track, a_workload, an_access
from tests.examples import (
    REGIONS,
    a_model,
    a_profile,
    identity,
    objects_of,
    of_kind,
    plan_of,
    planned,
    selects,
    template,
)

every_region = pytest.mark.parametrize("region", REGIONS)
CANDIDATE = {"strategy": "canary", "candidate": {"image": "triton"}}


def one(kind: str, found: list[Object]) -> Object:
    (made,) = of_kind(kind, found)
    return made


def deployments_of(region: str) -> list[tuple[ServerPlan, TrackPlan, Object]]:
    rows = []
    for server in plan_of(region).servers:
        made = {identity(o).name: o for o in of_kind("Deployment", objects(server))}
        assert set(made) == {track.name for track in server.tracks}, "one Deployment a track"
        rows += [(server, track, made[track.name]) for track in server.tracks]
    assert rows, "a region without servers proves nothing"
    return rows


def served(**fields: Any) -> ServerPlan:
    (server,) = planned(a_model(**fields)).servers
    return server


def pod_labels(made: Object) -> dict[str, str]:
    labels: dict[str, str] = template(made)["metadata"]["labels"]
    return labels


def receivers(service: Object, found: list[Object]) -> list[str]:
    """Names of the Deployments whose pods get the Service's requests."""
    selector = service["spec"]["selector"]
    return [
        identity(o).name for o in of_kind("Deployment", found) if selects(selector, pod_labels(o))
    ]


# -- Deployment ------------------------------------------------------------------------------


@every_region
def test_a_deployment_begins_with_the_least_and_one_at_least(region: str) -> None:
    for _, track, made in deployments_of(region):
        assert made["spec"]["replicas"] == max(track.scaler.min, 1), (
            "a field that is left out goes back to one, whatever runs"
        )


@every_region
def test_the_startup_probe_lasts_as_long_as_the_budget_and_ends_before_the_deadline(
    region: str,
) -> None:
    for _, track, made in deployments_of(region):
        probe = template(made)["spec"]["containers"][0]["startupProbe"]
        lasts = probe["periodSeconds"] * probe["failureThreshold"]
        assert lasts >= track.startup.budget_seconds, "a slow load would be restarted for ever"
        assert lasts < made["spec"]["progressDeadlineSeconds"], (
            "the Deployment would give up on a pod that may still load"
        )


@pytest.mark.parametrize("budget", [300, 301, 309, 4242])
def test_a_budget_between_two_periods_is_rounded_up(budget: int) -> None:
    clocks = StartupPlan(
        budget_seconds=budget,
        progress_deadline_seconds=2 * budget,
        gate_timeout_seconds=3 * budget,
    )
    made = one("Deployment", objects(a_server(tracks=(a_track(startup=clocks),))))
    probe = template(made)["spec"]["containers"][0]["startupProbe"]
    assert budget <= probe["periodSeconds"] * probe["failureThreshold"] < budget + 10


@every_region
def test_a_pod_drains_before_it_stops(region: str) -> None:
    for _, track, made in deployments_of(region):
        pod = template(made)["spec"]
        (main,) = pod["containers"]
        sleep = main["lifecycle"]["preStop"]["sleep"]["seconds"]
        assert sleep == track.drain.pre_stop_seconds > 0, "balancers send for a while yet"
        assert pod["terminationGracePeriodSeconds"] > sleep + track.drain.shutdown_seconds, (
            "requests in flight would be killed"
        )


@every_region
def test_a_rollout_takes_what_the_plan_gives_it(region: str) -> None:
    for _, track, made in deployments_of(region):
        strategy = made["spec"]["strategy"]
        assert strategy["type"] == "RollingUpdate"
        assert strategy["rollingUpdate"] == {
            "maxSurge": track.surge,
            "maxUnavailable": track.unavailable,
        }, "Kubernetes' own 25 % deadlocks a full GPU pool"


@every_region
def test_a_pod_stands_where_its_track_stands(region: str) -> None:
    for _, track, made in deployments_of(region):
        pod = template(made)["spec"]
        assert pod["nodeSelector"] == track.placement.node_selector
        assert [
            (t["key"], t.get("value", ""), t["effect"]) for t in pod.get("tolerations", [])
        ] == [(t.key, t.value, "NoSchedule") for t in track.placement.tolerations]


@every_region
def test_replicas_spread_over_zones_without_insisting(region: str) -> None:
    for server, _, made in deployments_of(region):
        spread = template(made)["spec"].get("topologySpreadConstraints", [])
        assert bool(spread) == server.spread_zones
        for constraint in spread:
            assert constraint["whenUnsatisfiable"] == "ScheduleAnyway", (
                "a GPU in the wrong zone is better than none"
            )
            assert constraint["matchLabelKeys"] == ["pod-template-hash"], (
                "old and new pods counted together push the new into one zone"
            )
            assert selects(constraint["labelSelector"]["matchLabels"], pod_labels(made))


@every_region
def test_replicas_prefer_nodes_of_their_own_without_insisting(region: str) -> None:
    for server, _, made in deployments_of(region):
        away = template(made)["spec"]["affinity"]["podAntiAffinity"]
        assert set(away) == {"preferredDuringSchedulingIgnoredDuringExecution"}, (
            "a pool may have a single node"
        )
        (wish,) = away["preferredDuringSchedulingIgnoredDuringExecution"]
        wanted = wish["podAffinityTerm"]
        assert wanted["topologyKey"] == "kubernetes.io/hostname", "a node that dies takes one"
        for track in deployments_of(region):
            same = track[0].workload.id == server.workload.id
            assert selects(wanted["labelSelector"]["matchLabels"], pod_labels(track[2])) is same, (
                "of this model all tracks, and of other models none"
            )


def test_a_change_of_the_model_is_a_change_of_the_pod() -> None:
    digests = {
        template(one("Deployment", objects(served(model=f"search/m:v1@sha256:{n:064x}"))))[
            "metadata"
        ]["annotations"]["isoserve.dev/model-digest"]
        for n in (1, 2)
    }
    assert len(digests) == 2, "a new model under an unchanged template would never be loaded"


@every_region
def test_the_version_is_no_part_of_the_selector(region: str) -> None:
    for _, track, made in deployments_of(region):
        assert pod_labels(made)["isoserve.dev/version"] == track.role
        assert "isoserve.dev/version" not in made["spec"]["selector"]["matchLabels"], (
            "a selector cannot be changed once it is made"
        )


@every_region
def test_ports_are_opened_once_each(region: str) -> None:
    for _, track, made in deployments_of(region):
        ports = template(made)["spec"]["containers"][0]["ports"]
        numbers = [port["containerPort"] for port in ports]
        assert sorted(numbers) == sorted({track.listen.port, track.listen.metrics_port}), (
            "a port that is listed twice is two endpoints of one server"
        )
        assert {p["name"]: p["containerPort"] for p in ports}["http"] == track.listen.port


# -- Services --------------------------------------------------------------------------------


@every_region
def test_a_models_service_reaches_exactly_the_live_version(region: str) -> None:
    for server in plan_of(region).servers:
        found = objects(server)
        services = {identity(o).name: o for o in of_kind("Service", found)}
        own = services[server.workload.model]
        live = [track.name for track in server.tracks if track.role == server.live_role]
        assert receivers(own, found) == live, "callers get the version that is in force"


@every_region
def test_a_service_reaches_no_pod_of_another_model(region: str) -> None:
    everything = objects_of(region)
    services = of_kind("Service", everything)
    for service in (o for o in services if "isoserve.dev/model" in o["metadata"]["labels"]):
        namespace = service["metadata"]["namespace"]
        here = [o for o in everything if o["metadata"].get("namespace") == namespace]
        model = service["metadata"]["labels"]["isoserve.dev/model"]
        hit = receivers(service, here)
        assert hit, f"{identity(service)} reaches nobody"
        assert all(name == model or name.startswith(f"{model}-") for name in hit)


def test_spot_replicas_get_their_share() -> None:
    found = objects(served(scaling={"max": 3}, capacity={"spot": True}))
    assert receivers(one("Service", found), found) == ["sentiment", "sentiment-spot"]


def test_a_canary_has_a_service_of_its_own() -> None:
    found = objects(served(access="permissive", rollout=CANDIDATE, capacity={"spot": True}))
    reached = {identity(o).name: receivers(o, found) for o in of_kind("Service", found)}
    assert reached == {
        "sentiment": ["sentiment", "sentiment-spot"],
        "sentiment-candidate": ["sentiment-candidate"],
    }, "the route splits by Service, so no pod may stand behind both"


def test_a_shadow_has_a_service_of_its_own() -> None:
    rollout = {"strategy": "shadow", "candidate": {"image": "triton"}}
    found = objects(served(access="permissive", rollout=rollout))
    reached = {identity(o).name: receivers(o, found) for o in of_kind("Service", found)}
    assert reached["sentiment-candidate"] == ["sentiment-candidate"]
    assert reached["sentiment"] == ["sentiment"], "a shadow answers nobody"


@pytest.mark.parametrize(("step", "live"), [(0, "sentiment"), (1, "sentiment-candidate")])
def test_blue_green_moves_the_one_service(step: int, live: str) -> None:
    rollout = {"strategy": "blue_green", "candidate": {"image": "triton"}, "step": step}
    found = objects(served(rollout=rollout))
    reached = {identity(o).name: receivers(o, found) for o in of_kind("Service", found)}
    assert reached["sentiment"] == [live]
    assert reached["sentiment-candidate"] == ["sentiment-candidate"], "it is asked by itself"


def test_a_blue_green_switch_touches_no_pod() -> None:
    rollout = {"strategy": "blue_green", "candidate": {"image": "triton"}}
    before, after = (objects(served(rollout={**rollout, "step": step})) for step in (0, 1))
    changed = [identity(a).kind for a, b in zip(before, after, strict=True) if a != b]
    assert changed == ["Service"], "a switch that restarts pods is an outage"


# -- budget ----------------------------------------------------------------------------------


@every_region
def test_a_drain_takes_one_pod_at_a_time_and_always_ends(region: str) -> None:
    for server in plan_of(region).servers:
        most = sum(track.scaler.max for track in server.tracks)
        budgets = of_kind("PodDisruptionBudget", objects(server))
        assert len(budgets) == (1 if most > 1 else 0)
        for budget in budgets:
            spec = budget["spec"]
            assert spec["maxUnavailable"] == 1, "0 would block every drain of its node"
            assert "minAvailable" not in spec, "at the least replicas it blocks every drain"
            assert spec["unhealthyPodEvictionPolicy"] == "AlwaysAllow", (
                "a broken pod would hold its node for ever"
            )
            for made in of_kind("Deployment", objects(server)):
                assert selects(spec["selector"]["matchLabels"], pod_labels(made))


def test_a_single_pod_has_no_budget() -> None:
    assert not of_kind("PodDisruptionBudget", objects(served(scaling={"min": 1, "max": 1}))), (
        "a budget over one pod only stops people from draining its node"
    )


# -- wall ------------------------------------------------------------------------------------


def named_namespaces(wall: Object) -> set[str]:
    return {
        source["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"]
        for rule in wall["spec"]["ingress"]
        for source in rule["from"]
    }


@every_region
def test_every_server_stands_behind_a_wall(region: str) -> None:
    for server in plan_of(region).servers:
        found = objects(server)
        wall = one("NetworkPolicy", found)
        assert wall["spec"]["policyTypes"] == ["Egress", "Ingress"], "both ways, or it is half"
        for made in of_kind("Deployment", found):
            assert selects(wall["spec"]["podSelector"]["matchLabels"], pod_labels(made))


@every_region
def test_only_callers_the_gateway_and_metrics_come_in(region: str) -> None:
    for server in plan_of(region).servers:
        wall = one("NetworkPolicy", objects(server))
        wanted = {*server.access.caller_namespaces, "monitoring"}
        wanted |= {"envoy-gateway-system"} if server.access.gateway else set()
        assert named_namespaces(wall) == wanted, f"{server.workload.id} lets in whom it should not"
        ports = {p["port"] for rule in wall["spec"]["ingress"] for p in rule["ports"]}
        listens = [track.listen for track in server.tracks]
        assert ports == {p for one in listens for p in (one.port, one.metrics_port)}


def test_a_private_model_lets_in_its_callers_and_not_the_gateway() -> None:
    access = an_access(caller_namespaces=("chat", "search"))
    wall = one("NetworkPolicy", objects(a_server(access=access)))
    assert named_namespaces(wall) == {"chat", "search", "monitoring"}


@every_region
def test_a_source_is_never_everybody(region: str) -> None:
    for wall in of_kind("NetworkPolicy", objects_of(region)):
        if identity(wall).name == "prober":
            continue  # whoever scrapes may read what a probe found; see test_synthetic_probe.py
        for rule in wall["spec"].get("ingress", ()):
            assert rule["from"], "an empty list of sources is everybody"
            assert all(source not in ({}, {"namespaceSelector": {}}) for source in rule["from"])


def test_a_store_at_port_80_opens_no_credentials_of_the_node() -> None:
    server = a_server(workload=a_workload(registry_ports=(80, 8080)))
    egress = one("NetworkPolicy", objects(server))["spec"]["egress"]
    (web,) = [rule for rule in egress if {"port": 80, "protocol": "TCP"} in rule["ports"]]
    blocks = [peer["ipBlock"] for peer in web["to"] if "ipBlock" in peer]
    assert [block["cidr"] for block in blocks] == ["0.0.0.0/0", "::/0"]
    holes = {*blocks[0]["except"], *blocks[1]["except"]}
    assert holes == {*METADATA}, "a cloud, whichever it is, answers every pod there at port 80"
    assert {"namespaceSelector": {}} in web["to"], "a CNI that tells pods from addresses"


@pytest.mark.parametrize("registry_ports", [(443,), (80, 8080)])
def test_a_server_reaches_the_registry_and_nothing_else(registry_ports: tuple[int, ...]) -> None:
    work = a_workload(registry_ports=registry_ports)
    wall = one("NetworkPolicy", objects(a_server(workload=work)))
    ports = [port for rule in wall["spec"]["egress"] for port in rule["ports"]]
    assert {p["port"] for p in ports} == {*registry_ports}, "the store listens there alone"


def test_the_account_has_the_readers_role_where_pods_download_on_aws() -> None:
    roles = {
        (like, cache): role_named(
            one("ServiceAccount", objects(planned(model, profile=a_profile(like)).servers[0]))
        )
        for like in ("us-east-1", "sandbox-onprem")
        for cache in ("always", "never")
        for model in (a_model(cache=cache),)
    }
    assert roles == {
        ("us-east-1", "always"): "",
        ("us-east-1", "never"): "isoserve.test-region.search",
        ("sandbox-onprem", "always"): "",
        ("sandbox-onprem", "never"): "",
    }


@pytest.mark.parametrize(
    ("cache", "roleless"), [("always", "model,model-server"), ("never", "model-server")]
)
def test_a_models_own_code_gets_no_role(cache: str, roleless: str) -> None:
    (server,) = planned(a_model(cache=cache)).servers
    notes = one("Deployment", objects(server))["spec"]["template"]["metadata"]["annotations"]
    assert notes["eks.amazonaws.com/skip-containers"] == roleless


def test_a_model_that_the_node_brings_goes_nowhere() -> None:
    (server,) = planned(a_model(cache="always")).servers
    wall = one("NetworkPolicy", objects(server))["spec"]
    assert "egress" not in wall
    assert "Egress" in wall["policyTypes"], "so nothing goes out but to DNS"


def test_a_candidate_that_downloads_gives_the_version_beside_it_no_role() -> None:
    kept = a_server().tracks[0]
    other = replace(
        kept, track="candidate", role="candidate", name="sentiment-candidate",
        weights=replace(kept.weights, mode="download"),
    )  # fmt: skip
    made = objects(a_server(tracks=(kept, other)))
    noted = {
        one["metadata"]["name"]: one["spec"]["template"]["metadata"]["annotations"][
            "eks.amazonaws.com/skip-containers"
        ]
        for one in made
        if one["kind"] == "Deployment"
    }
    assert noted == {"sentiment": "model,model-server", "sentiment-candidate": "model-server"}


def test_where_the_stores_networks_are_known_pods_get_out_to_them_alone() -> None:
    work = a_workload(registry_ports=(443, 8080), registry_addresses=("10.0.8.0/24",))
    wall = one("NetworkPolicy", objects(a_server(workload=work)))
    assert wall["spec"]["egress"] == [
        {
            "ports": [{"port": 443, "protocol": "TCP"}, {"port": 8080, "protocol": "TCP"}],
            "to": [{"ipBlock": {"cidr": "10.0.8.0/24"}}],
        }
    ]
