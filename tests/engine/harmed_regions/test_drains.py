"""Whatever is taken away drains first: pods behind their policies, and the route before its pods.

A machine follows a NetworkPolicy a moment later, and the gateway follows pods: so what is looked at
all the time is whether one is there that lets requests in to each pod, and not only what is lost.
In sandbox-onprem, as test_rollouts.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import pytest

from components.kube import Object
from tests.engine.harmed_regions.test_rollouts import ENOUGH, only_left, serving
from tests.engine.load import under_load, watching
from tests.engine.site import MODEL, Site, await_answers, name_of, until, without
from tests.engine.world import World

pytestmark = [pytest.mark.engine, pytest.mark.long]

POLICIES: Final = (
    "/apis/networking.k8s.io/v1/namespaces/search/networkpolicies"
    "?labelSelector=isoserve.dev/model%3Dranker"
)
ENDED: Final = ("Failed", "Succeeded")
WAITS: Final = "        if not left:\n"
NEVER_WAITS: Final = "        if True:\n"


@pytest.fixture(scope="module")
def site(world: World) -> Iterator[Site]:
    """The model with two replicas; one at the end."""
    made = Site(world)
    made.scale(2)
    yield made
    made.scale(1)


def unguarded(site: Site) -> set[str]:
    """Pods of the model that run or end, and that no policy lets requests in to."""
    pods = running(site)
    open_ports = {
        port["port"]
        for policy in site.objects(POLICIES)
        for rule in policy["spec"].get("ingress", ())
        for port in rule["ports"]
    }
    closed = [pod for pod in pods if port_of(pod) not in open_ports]
    # Who is there before and after the policies were read was there meanwhile.
    return {name_of(pod) for pod in closed} & {name_of(pod) for pod in running(site)}


def running(site: Site) -> list[Object]:
    """The pods whose programs have not ended; of one that has, the kubelet takes the rest away."""
    return [pod for pod in site.servers() if pod["status"].get("phase") not in ENDED]


def port_of(pod: Object) -> int:
    """Where a pod answers requests."""
    ports = pod["spec"]["containers"][0]["ports"]
    (found,) = [one["containerPort"] for one in ports if one["name"] == "http"]
    return int(found)


@contextmanager
def another_port(site: Site) -> Iterator[None]:
    """The runtime listens at another port, and says at another path that it is ready."""
    row = site.world.root / "model_specs" / "catalogue" / "runtimes" / "mlserver.yaml"
    text = changed = row.read_text()
    for old, new in (
        ("  port: 8080\n", "  port: 8090\n"),
        ('MLSERVER_DEBUG: "false"\n', 'MLSERVER_DEBUG: "false"\n    MLSERVER_HTTP_PORT: "8090"\n'),
        ("  ready_path: /v2/health/ready\n", "  ready_path: /v2/models/ranker/ready\n"),
    ):
        assert changed.count(old) == 1, old
        changed = changed.replace(old, new)
    try:
        row.write_text(changed)
        yield
    finally:
        row.write_text(text)


def test_a_runtime_that_changes_in_place_stays_reached_until_its_last_pod_has_ended(
    site: Site,
) -> None:
    expected, before = site.prediction(), serving(site)
    with under_load(site.request()) as load, watching(lambda: unguarded(site)) as seen:
        with another_port(site):
            site.must_up()
            until("the old pods are drained", lambda: only_left(site, serving(site)))
            await_answers(load, ENOUGH)
            assert {port_of(pod) for pod in site.servers()} == {8090}, "all listen elsewhere"
            assert site.prediction() == expected
            policies = [name_of(one) for one in site.objects(POLICIES)]
            assert policies == ["ranker--8082-8090"], "the policy of the old port is gone"
        assert not serving(site) & before
        assert not load.lost, "and nobody noticed"
        assert not set().union(*seen), "every pod was reached until it had ended"
        with without(site, "drains.py", WAITS, NEVER_WAITS):
            site.must_up()
        until("the old pods are drained", lambda: only_left(site, serving(site)))
    assert set().union(*seen), "or these looks would never notice one"


def test_a_model_is_removed_route_first_and_its_policies_stay_until_its_pods_have_ended(
    site: Site,
) -> None:
    spec = site.world.spec(MODEL)
    text = spec.read_text()
    try:
        with under_load(site.request()) as load, watching(lambda: unguarded(site)) as seen:
            asked = load.answered
            spec.unlink()
            site.must_up()
        assert set(load.lost) <= {"404"}, "there is no such route, or the request is answered"
        assert load.answered > asked, "it was asked when it went"
        assert not set().union(*seen), "every pod was reached until it had ended"
        assert site.objects(POLICIES) == [] == site.servers(), "`up` ends when they are gone"
        spec.write_text(text)
        site.must_up()
        site.scale(2)
        with watching(lambda: unguarded(site)) as seen:
            with without(site, "drains.py", WAITS, NEVER_WAITS):
                spec.unlink()
                site.must_up()
            until("the pods have ended", lambda: not site.servers())
        assert set().union(*seen), "or these looks would never notice one"
    finally:
        spec.write_text(text)
        site.must_up()
        site.scale(2)
