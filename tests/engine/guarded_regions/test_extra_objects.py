"""Objects that a hand adds to our namespaces on a real API server: named, with who and how to
remove them; and what the cluster's own controllers make there is not."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Final

import pytest

from components.gates.claims import claims, folder, is_ours
from components.gates.extra_objects import look
from components.kube import Object
from components.kube_client import KubeClient
from components.parts import parts
from tests.engine.extra_objects import EXTRA
from tests.engine.guarded_server import BEFORE, REGION, Server
from tests.engine.site import until
from tests.examples import identity, plan_of

pytestmark = pytest.mark.engine

HAND: Final = "kubectl-create"


def asked() -> list[Mapping[str, Any]]:
    plan = plan_of(REGION)
    return [gate.asked for gate in claims(list(parts(plan)), plan)]


ASKED: Final = asked()


def named(api: KubeClient) -> list[str]:
    """What is found but the Deployment from before, which everybody finds."""
    found = [look(api, gate, partial(is_ours, region=REGION)) for gate in ASKED]
    assert [line for one in found for line in one.unseen] == []
    before = f"{BEFORE.kind} {BEFORE.namespace}/{BEFORE.name} is in no plan, made by isoserve: "
    lines = [line for one in found for line in one.extra]
    (old,) = (line for line in lines if line.startswith(before))
    assert "an `up` that ends well does it where this region made it" in old
    return [line for line in lines if line != old]


def test_what_controllers_make_is_not_named(server: Server, api: KubeClient) -> None:
    slices = "/apis/discovery.k8s.io/v1/namespaces/chat/endpointslices"
    pods = "/api/v1/namespaces/search/pods"

    def made() -> bool:
        return all((server.cluster.get(path) or {}).get("items") for path in (slices, pods))

    until("pods and slices are there", made)
    assert named(api) == []


@pytest.mark.parametrize("made", EXTRA, ids=lambda made: f"{made['kind']} {made['metadata']}")
def test_what_a_hand_makes_is_named_with_who_and_how_to_remove_it(
    server: Server, api: KubeClient, made: Object
) -> None:
    name, space = made["metadata"]["name"], made["metadata"]["namespace"]
    where = folder(made["apiVersion"], made["kind"], space)
    answer = server.send("POST", f"{where}?fieldManager={HAND}", made, "json")
    assert answer.ok, answer.text
    try:
        of = identity(made)
        (line,) = named(api)
        assert line.startswith(f"{of.kind} {space}/{name} is in no plan, made by {HAND}")
        assert f"`kubectl delete -n {of.namespace} " in line
        assert f"/{of.name}` removes it" in line
    finally:
        gone = server.cluster.session.delete(
            f"{server.cluster.url}{where}/{name}?propagationPolicy=Background", timeout=30
        )
        assert gone.ok, gone.text
    until("it is gone", lambda: server.cluster.get(f"{where}/{name}") is None)
