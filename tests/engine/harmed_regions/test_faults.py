"""What breaks under the real programs, and what users notice of it: as little as can be.

In sandbox-onprem alone: its agents reach the registry by keys, so that a store that hangs is all
that hangs. What is looked at here (agent, gate, gateway) is the same program in every region. What
a lost machine costs is in tests/engine/served_regions/test_small_disks.py.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from tests.engine.harm import (
    first_process,
    hanging,
    replace_agent,
    resize_disk,
    restarts,
    small_disks,
    used_bytes,
    watched,
)
from tests.engine.load import under_load
from tests.engine.site import (
    MODEL,
    NODES,
    REGION,
    Site,
    Version,
    await_answers,
    name_of,
    sha256_of,
    until,
)
from tests.engine.world import World

pytestmark = [pytest.mark.engine, pytest.mark.long]

MB = 1_000_000
LARGE: dict[str, Any] = {"random_files": 5, "megabytes_each": 30}
SMALL: dict[str, Any] = {"random_files": 1, "megabytes_each": 0}


@pytest.fixture(scope="module")
def site(world: World) -> Iterator[Site]:
    """The model with a replica on each node; one, and its own version, at the end."""
    made = Site(world)
    text = world.spec(MODEL).read_text()
    try:
        world.edit_spec(MODEL, scaling={"min": 2})
        made.must_up()
        until("there are two replicas", lambda: len(made.ready()) == 2)
        places = {pod["spec"]["nodeName"] for pod in made.ready().values()}
        assert places == set(NODES), "anti-affinity has put a replica on each node"
        yield made
    finally:
        world.spec(MODEL).write_text(text)
        made.must_up()
        made.scale(1)


def counts_failure(site: Site, node: str, reason: str) -> None:
    """Wait until the node's agent says that something failed for that reason."""
    until(f"{node} counts {reason}", lambda: site.failures(node, reason) > 0)


def nothing_is_there(site: Site, node: str, version: Version) -> bool:
    """Whether neither pods nor the agent have anything of a version on the node."""
    return not site.shown(node, version).exists() and not site.hidden(node, "partials")


def test_an_agent_killed_while_it_fetches_shows_no_half_of_a_version(site: Site) -> None:
    victim = NODES[0]
    version = site.push("killed-agent", **LARGE)
    agent = site.agent(victim)
    process, before = first_process(agent, "agent"), restarts(agent)
    places = [site.shown(node, version) for node in NODES]
    with (
        under_load(site.request()) as load,
        watched(places, version) as wrong,
        ThreadPoolExecutor() as pool,
    ):
        site.want(version)
        up = pool.submit(site.up)
        until("it fetches", lambda: site.hidden(victim, "partials"), every_seconds=0.002)
        os.kill(process, signal.SIGKILL)
        assert not site.shown(victim, version).exists(), "it was killed before it was done"
        until("the agent was started again", lambda: restarts(site.agent(victim)) > before)
        done = up.result()
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    assert wrong == [], "a version appears with all of its files, or not at all"
    for place in places:
        found = {one.name: sha256_of(one) for one in place.iterdir()}
        assert found == version.files, "every byte is what was pushed"
    assert load.answered > 50, "or nobody would have noticed anything"
    assert load.lost == {}, "servers don't lean on the agent"


def test_cached_models_start_without_a_registry_and_others_say_that_it_is_away(site: Site) -> None:
    old, right = set(site.ready()), site.prediction()
    version = site.push("registry-away", **SMALL)
    cluster = site.world.cluster(REGION)
    with ThreadPoolExecutor() as pool:
        with hanging(site.daemon("moto")):
            with pytest.raises(requests.Timeout):
                requests.get(site.store_url(), timeout=2)
            site.want(version)
            up = pool.submit(site.up)
            until("the rollout begins", lambda: site.of_version(version))
            for node in NODES:
                replace_agent(site, node)
            for name in old:
                cluster.delete(f"/api/v1/namespaces/search/pods/{name}")
            until("both come back", lambda: len(site.ready().keys() - old) == 2)
            until("the gateway knows", lambda: site.request().send()[0] == "200")
            assert site.prediction() == right, "they have it from the cache"
            waiting = site.of_version(version)
            for node in {pod["spec"]["nodeName"] for pod in waiting}:
                counts_failure(site, node, "registry")
            assert not any(name_of(pod) in site.ready() for pod in waiting), "it is not cached"
            until(
                "who waits is told what for",
                lambda: all("cannot be reached" in site.log(pod, "model") for pod in waiting),
            )
            assert not up.done(), "`up` waits for it: a registry comes back"
            with pytest.raises(requests.Timeout):
                requests.get(site.store_url(), timeout=2)
        done = up.result()
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    assert len(site.of_version(version)) >= 2, "it is served as soon as it can be had"
    assert site.prediction() == right


def test_corrupt_content_is_never_served_and_the_gate_says_so(site: Site) -> None:
    version = site.push("corrupt", **SMALL)
    name = "label.txt"
    old = set(site.ready())
    site.want(version)
    with site.other_content(version.files[name]) as wrong, under_load(site.request()) as load:
        refused = site.up()
    assert refused.returncode != 0, "a finished `up` serves, so this one must not end well"
    said = refused.stdout + refused.stderr
    (pod,) = site.of_version(version)
    assert f"Deployment search/ranker: pod {name_of(pod)}: container model" in said, said[-4000:]
    assert f"{name}: its blob is corrupt" in said, said[-4000:]
    assert load.answered > 50, "or nobody would have noticed anything"
    assert (load.lost, set(site.ready())) == ({}, old), "the old version serves on"
    node = pod["spec"]["nodeName"]
    assert not site.shown(node, version).exists(), "visible means verified"
    (held,) = site.hidden(node, "quarantine")
    assert held.read_bytes() == wrong, "who asks why finds what came"
    assert site.failures(node, "corrupt") > 0, "an alert can be made of it"

    for node in NODES:
        replace_agent(site, node)  # else it asks again in ten minutes
    site.must_up()
    assert len(site.of_version(version)) >= 2, "with the right content it is a version like others"


def test_a_full_disk_refuses_new_models_and_touches_nothing_that_runs(site: Site) -> None:
    """First too full for the agent's reserve, then one that is full in the midst of a write."""
    version = site.push("full-disk", **LARGE)
    old = set(site.ready())
    places = [site.shown(one, version) for one in NODES]
    with (
        under_load(site.request()) as load,
        watched(places, version) as wrong,
        small_disks(site, NODES, 512 * MB),
    ):
        site.want(version)
        refused = site.up()
        assert refused.returncode != 0, "a finished `up` serves, so this one must not end well"
        said = refused.stdout + refused.stderr
        assert "container model" in said, said[-4000:]
        assert "the node lacks" in said, said[-4000:]
        needed = [one for one in NODES if site.failures(one, "disk_full") > 0]
        assert needed, "where its pods wait; elsewhere it is only what might fit"
        assert all(nothing_is_there(site, one, version) for one in NODES)

        node = needed[0]
        resize_disk(site, node, 2000 * MB)
        replace_agent(site, node)
        until("it fetches", lambda: site.hidden(node, "partials"), every_seconds=0.002)
        resize_disk(site, node, used_bytes(site, node) + 4 * MB)
        counts_failure(site, node, "disk_full")
        until("what came of it goes", lambda: nothing_is_there(site, node, version))
        log = site.log(site.agent(node), "agent")
        # Pods that the agent comes to know interrupt what it fetches, and then its reserve refuses.
        assert "No space left on device" in log or "the node lacks" in log, log[-3000:]
        await_answers(load, 50)
    assert wrong == [], "not even for a moment"
    assert (load.lost, set(site.ready())) == ({}, old), "who runs has its model mounted"
    for pod in site.of_version(version):  # it has the disk mounted that is gone
        site.world.cluster(REGION).delete(f"/api/v1/namespaces/search/pods/{name_of(pod)}")
    site.must_up()
    assert len(site.of_version(version)) >= 2, "with room it is a version like others"
