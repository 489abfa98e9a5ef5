"""A new version comes, pods go, and users notice nothing: counted with the real programs.

In sandbox-onprem alone: its two machines stand from the start with room for every pod here, while
a node of sandbox-aws must join first. Route, gate, drain and gateway are the same everywhere.
The new version is the trained model with another text beside it, so it answers the same.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, Final

import pytest
import yaml

from components.kube import Object
from tests.engine.harm import gateway_controller, hanging
from tests.engine.load import Load, Request, under_load, watching
from tests.engine.pod_copies import copied_pods, pod_path
from tests.engine.site import (
    DEPLOYMENT,
    MODEL,
    REGION,
    Site,
    Version,
    await_answers,
    has_condition,
    name_of,
    until,
    without,
)
from tests.engine.world import World, begun

pytestmark = [pytest.mark.engine, pytest.mark.long]

METRICS_PORT: Final = 8082
STEPS: Final = [25, 60, 100]
WINDOW: Final = 2000
"""Requests from which a share is judged."""
ENOUGH: Final = 100
"""Requests during an event, of which some would have met a gap."""
LATE_SECONDS: Final = 3
"""Less than a pod goes on to serve for (`pre_stop_seconds`, regions/clocks.py)."""
SIGMAS: Final = 4
"""How far from its mean a fair coin comes once in 16 000 windows."""
USERS: Final = "httproute/search/ranker/rule/1"
"""The route's second rule; the first is the prober's."""
UP: Final = ("up", "--yes", "--skip-preview")
TAGGER: Final = "vision/tagger"
GPU_NODES: Final = "/api/v1/nodes?labelSelector=isoserve.dev%2Fmachine-type%3Dgpu.l4.1"
ROUTE: Final = "/apis/gateway.networking.k8s.io/v1/namespaces/{}/httproutes/{}"
CANDIDATE: Final = f"{MODEL}-candidate"


@pytest.fixture(scope="module")
def site(world: World) -> Iterator[Site]:
    """The model with two replicas; one, and its own version, at the end."""
    made = Site(world)
    text = world.spec(MODEL).read_text()
    try:
        made.scale(2)
        yield made
    finally:
        world.spec(MODEL).write_text(text)
        made.must_up()
        made.scale(1)


def serving(site: Site) -> set[str]:
    """The pods of the stable track that take traffic."""
    return {n for n, pod in site.ready().items() if version_of(pod) == "stable"}


def version_of(pod: Object) -> str:
    """Which of the two versions it serves, by the label on which Services select."""
    return str(pod["metadata"]["labels"]["isoserve.dev/version"])


def answers(site: Site, *, only: str = "httproute/search/ranker/") -> Counter[str]:
    """What the gateway has answered by each pod, and by each service; `only` by one of its rules.

    A candidate's pods are named after its Deployment, and its Service is too.
    """
    counts: Counter[str] = Counter()
    for one, count in site.answers().items():
        if one.rule.startswith(only) and one.pod:
            counts[one.pod.removeprefix("search/")] += count
            counts[CANDIDATE if one.pod.startswith(f"{CANDIDATE}-") else MODEL] += count
    return counts


def counted_by(site: Site, pod: Object) -> int:
    """What the server itself has counted."""
    return sum(
        int(sample.value)
        for sample in site.samples(pod, METRICS_PORT)
        if sample.name == "rest_server_requests_total" and "infer" in sample.labels["path"]
    )


def await_share(site: Site, load: Load, percent: int) -> None:
    """Wait until the candidate gets its share: the gateway hears of a new one a little later."""
    until(f"it gets {percent} %", lambda: deviation(site, load, percent) < SIGMAS)


def deviation(site: Site, load: Load, percent: int) -> float:
    """How many standard deviations the candidate's next requests lie from its share."""
    before = answers(site, only=USERS)
    await_answers(load, WINDOW)
    asked = answers(site, only=USERS) - before
    new, all_of_them = asked[CANDIDATE], asked[MODEL] + asked[CANDIDATE]
    share = percent / 100
    return abs(new - all_of_them * share) / math.sqrt(all_of_them * share * (1 - share))


def counted(site: Site) -> dict[str, Counter[str]]:
    """What the gateway and what the servers count, by pod."""
    at_servers = Counter({name: counted_by(site, pod) for name, pod in site.ready().items()})
    return {"gateway": answers(site), "servers": at_servers}


def agree(site: Site, before: dict[str, Counter[str]]) -> bool:
    """Whether the gateway and every server that runs have counted the same requests since then.

    Since then: a server that has outlived a fault may have one that its gateway gave up. The prober
    asks a candidate at its own Service too, past the gateway.
    """
    gateway, servers = (now - before[who] for who, now in counted(site).items())
    return all(
        gateway[name] <= servers[name]
        if version_of(pod) == "candidate"
        else 0 < gateway[name] == servers[name]
        for name, pod in site.ready().items()
    )


def roll_out(site: Site, version: Version, **rollout: Any) -> None:
    """Have the spec ask for a candidate of that version, and bring it up."""
    asks_for(site, version, **rollout)
    site.must_up()


def asks_for(site: Site, version: Version, **rollout: Any) -> None:
    """Have the spec ask for a candidate, which is to answer rightly once before it has users."""
    candidate = {"model": version.address}
    site.world.edit_spec(MODEL, rollout={"candidate": candidate, "right_answers": 1, **rollout})


def call_off(site: Site) -> None:
    """Have the spec ask for no candidate any more; wait until all that is left of it is gone."""
    site.world.edit_spec(MODEL, rollout={"strategy": "rolling"})
    site.must_up()
    until("the candidate is drained", lambda: only_left(site, serving(site)))


def users_answered_by(site: Site, before: Counter[str]) -> Counter[str]:
    """Whom users were led to since then."""
    return answers(site, only=USERS) - before


def settled(site: Site) -> Counter[str]:
    """Whom users were led to so far, once the log has told of the last one: Envoy writes it twice a
    second (the sandbox's profile)."""
    seen = users_answered_by(site, Counter())
    while True:
        time.sleep(2)
        later = users_answered_by(site, Counter())
        if later == seen:
            return seen
        seen = later


def all_at(site: Site, load: Load, service: str) -> bool:
    """Whether one of the model's Services has the next answers to users alone."""
    before = users_answered_by(site, Counter())
    await_answers(load, ENOUGH)
    asked = users_answered_by(site, before)
    return asked[service] == asked[MODEL] + asked[CANDIDATE]


def none_at(site: Site, load: Load, pods: set[str]) -> bool:
    """Whether none of these pods has one of the next answers to users."""
    before = users_answered_by(site, Counter())
    await_answers(load, ENOUGH)
    asked = users_answered_by(site, before)
    return sum(asked[pod] for pod in pods) == 0


def only_left(site: Site, pods: set[str]) -> bool:
    """Whether these are all the pods of the model, those that end included."""
    return {name_of(pod) for pod in site.servers()} == pods


def delete(site: Site, path: str) -> None:
    """What `kubectl delete pod` does; the pod ends when its drain is over."""
    site.world.cluster(REGION).delete(path)


def test_deleted_pod_loses_nothing_and_without_pre_stop_it_would(site: Site) -> None:
    with copied_pods(site) as copies, ExitStack() as stack:
        requests_of: dict[str, Request] = {"own": site.request(), **copies}
        victim = f"/api/v1/namespaces/search/pods/{min(serving(site))}"
        paths = {"own": victim, **{variant: pod_path(variant, 1) for variant in copies}}
        loads = {n: stack.enter_context(under_load(one)) for n, one in requests_of.items()}
        asked = {name: load.answered for name, load in loads.items()}
        # The gateway hears of it late, as where many pods change at once.
        with hanging(gateway_controller(site)):
            for path in paths.values():
                delete(site, path)
            time.sleep(LATE_SECONDS)
        cluster = site.world.cluster(REGION)
        until("they are gone", lambda: not any(map(cluster.get, paths.values())))
        asked = {name: load.answered - asked[name] for name, load in loads.items()}
        until("another serves in its place", lambda: len(serving(site)) == 2)
    assert min(asked.values()) > ENOUGH, f"each was asked while its pod ended: {asked}"
    assert not loads["own"].lost, "a model's pod ends only when nobody sends to it any more"
    assert not loads["with-pre-stop"].lost, "nor does its copy lose a request"
    assert loads["without-pre-stop"].lost, "or this load would never notice a lost one"


def test_new_version_comes_by_weights_and_takes_over_unnoticed(site: Site) -> None:
    version = site.push("v8", random_files=0, megabytes_each=0)
    expected, old, before = site.prediction(), serving(site), settled(site)
    at_first = counted(site)
    with under_load(site.request()) as load:
        for number, percent in enumerate(STEPS[:-1]):
            roll_out(site, version, strategy="canary", steps=STEPS, step=number)
            assert not load.lost, f"step {number}: users are led only to a candidate that serves"
            await_share(site, load, percent)
        (candidate,) = {version_of(pod) for pod in site.of_version(version)}
        assert candidate == "candidate", "the new version runs beside the old one"
    until("the gateway and the servers count the same", lambda: agree(site, at_first))
    all_loads = [load]
    with under_load(site.request()) as load:
        stem = site.world.spec(MODEL)
        site.world.edit_spec(MODEL, rollout={"strategy": "rolling"})
        site.want(version)
        assert "candidate" not in stem.read_text(), "promotion ends the canary"
        site.must_up()
        until("the old pods are drained", lambda: only_left(site, serving(site)))
    all_loads.append(load)
    lost = [one.lost for one in all_loads]
    assert lost == [{}, {}], "neither the weights nor the promotion cost a request"
    now = serving(site)
    assert {name_of(pod) for pod in site.of_version(version)} == now, "the new version alone serves"
    assert not now & old, "in pods of its own"
    sent = sum(one.answered for one in all_loads)

    def all_told() -> bool:
        asked = answers(site, only=USERS) - before
        return asked[MODEL] + asked[CANDIDATE] == sent

    # Envoy's log tells of an answer a moment later.
    until("every request that a user sent was answered by one of the two, once", all_told)
    assert site.prediction() == expected, "it has learned the same"
    assert all(has_condition(pod, "Ready") for pod in site.servers()), "and nothing is left behind"


def promoted_under_load(site: Site, version: Version) -> tuple[Load, Counter[str], set[str]]:
    """All users at a candidate, then the spec asks for its version alone.

    The load, whom it was answered by from then on, and the pods of the version before.
    """
    before = serving(site)
    roll_out(site, version, strategy="canary", steps=[100], step=0)
    with under_load(site.request()) as load:
        until("all are there", lambda: all_at(site, load, CANDIDATE))
        counts = answers(site, only=USERS)
        site.world.edit_spec(MODEL, rollout={"strategy": "rolling"})
        site.want(version)
        site.must_up()
        until("the old pods are drained", lambda: only_left(site, serving(site)))
        await_answers(load, ENOUGH)
    return load, answers(site, only=USERS) - counts, before


def test_promotion_serves_nobody_the_old_version_and_without_its_gate_it_would(site: Site) -> None:
    version = site.push("v9", random_files=0, megabytes_each=0)
    load, asked, old = promoted_under_load(site, version)
    assert not load.lost, "nobody notices"
    assert sum(asked[pod] for pod in old) == 0, "and nobody is answered by the version before"
    assert asked[MODEL] > ENOUGH, "while they were led back to the model's own Service"
    with without(site, "acts.py", "    return wanted + _of_shift(before, news)", "    return []"):
        version = site.push("v10", random_files=0, megabytes_each=0)
        _, asked, old = promoted_under_load(site, version)
    assert sum(asked[pod] for pod in old) > 0, "or this count would never notice one"


def test_a_candidate_that_answers_wrongly_gets_no_user(site: Site) -> None:
    version = site.push("wrong", random_files=0, megabytes_each=0, wrong=True)
    expected = site.prediction()
    with under_load(site.request()) as load:
        before = users_answered_by(site, Counter())
        asks_for(site, version, strategy="canary", steps=[50, 100], step=0)
        done = site.up()
        await_answers(load, ENOUGH)
        asked = users_answered_by(site, before)
    told = done.stdout + done.stderr
    assert done.returncode != 0
    assert f"{MODEL} candidate: 0 right answers in a row of 1" in told, told[-3000:]
    assert "Traceback" not in told
    assert len(site.of_version(version)) == 1, "it runs and says that it is ready"
    assert asked[CANDIDATE] == 0, "and is asked by the prober alone"
    assert not load.lost
    call_off(site)
    assert site.prediction() == expected


@contextmanager
def no_room(site: Site) -> Iterator[Callable[[], None]]:
    """No GPU node takes another pod, until what is given is called, or to the end."""
    cluster = site.world.cluster(REGION)
    nodes = [f"/api/v1/nodes/{name_of(one)}" for one in site.objects(GPU_NODES)]
    assert nodes, "or there is nothing to keep anybody from"

    def close(closed: bool) -> None:
        for path in nodes:
            change = {"spec": {"unschedulable": closed}}
            cluster.send("PATCH", path, change, "application/merge-patch+json")

    close(True)
    try:
        yield partial(close, False)
    finally:
        close(False)


def test_a_failed_candidate_of_one_project_keeps_no_other_from_its_promotion(site: Site) -> None:
    """The other's pods are there only when the first has failed: the failure must not end it."""
    world, tagger = site.world, site.world.spec(TAGGER)
    text, cluster = tagger.read_text(), site.world.cluster(REGION)
    promoted = yaml.safe_load(text)["rollout"]["candidate"]["model"]
    candidate = {"env": {"MLSERVER_DEBUG": "neither"}}  # it ends as it starts
    canary = {"strategy": "canary", "steps": [50, 100], "step": 0}
    world.edit_spec(MODEL, rollout={"candidate": candidate, **canary})
    world.edit_spec(TAGGER, model=promoted, rollout={"strategy": "rolling"})
    route = cluster.get(ROUTE.format("search", "ranker"))
    try:
        with no_room(site) as make_room, begun(world, REGION, *UP) as up:
            until("one has failed", lambda: up.ended() or f"{MODEL} stays" in up.told())
            assert not up.ended(), up.told()[-4000:]
            make_room()
            ended = up.wait()
        told, found = up.told(), cluster.get(ROUTE.format("vision", "tagger"))
        assert ended != 0, "what is asked for is not all there"
        assert "project search:" in told, "it names whose candidate failed"
        assert "project vision:" not in told, "and nobody else"
        assert "served: " in told
        assert "Traceback" not in told
        assert found is not None
        names = {ref["name"] for rule in found["spec"]["rules"] for ref in rule["backendRefs"]}
        assert names == {"tagger"}, "its users are at the version that was promoted"
        assert cluster.get(ROUTE.format("search", "ranker")) == route, "the other's where they were"
    finally:
        tagger.write_text(text)
        call_off(site)


def test_shadow_gets_copies_and_answers_nobody(site: Site) -> None:
    version = site.push("shadow", random_files=0, megabytes_each=0)
    before, at_first = users_answered_by(site, Counter()), counted(site)
    with under_load(site.request()) as load:
        roll_out(site, version, strategy="shadow", mirror_percent=50)
        (shadow,) = site.of_version(version)
        until("it gets copies", lambda: counted_by(site, shadow) > ENOUGH)
    until("the gateway and the servers count the same", lambda: agree(site, at_first))
    asked, copies = users_answered_by(site, before), site.copies()
    assert not load.lost, "users notice nothing of it"
    assert asked[MODEL] == load.answered, "the old version answers every one of them"
    assert asked[CANDIDATE] == 0, "and the shadow none"
    assert 0 < copies < load.answered, "it gets a share of what they ask"
    call_off(site)


def test_blue_green_leads_all_users_over_and_back_at_once(site: Site) -> None:
    version, old = site.push("green", random_files=0, megabytes_each=0), serving(site)
    with under_load(site.request()) as load:
        for number in (0, 1, 0):
            roll_out(site, version, strategy="blue_green", step=number)
            new = {name_of(pod) for pod in site.of_version(version)}
            (right, wrong) = (new, old) if number else (old, new)
            until("none is led elsewhere", partial(none_at, site, load, wrong))
            before = users_answered_by(site, Counter())
            await_answers(load, 2 * ENOUGH)
            asked = users_answered_by(site, before)
            assert sum(asked[pod] for pod in right) >= ENOUGH, f"step {number}: these answer"
            assert sum(asked[pod] for pod in wrong) == 0, "and none of the others"
        call_off(site)
    assert not load.lost, "neither way costs a request"


def test_rolling_restart_loses_nothing(site: Site) -> None:
    before = serving(site)
    with under_load(site.request()) as load:
        site.world.edit_spec(MODEL, env={"RESTARTED": "yes"})
        site.must_up()
        until("the old pods are drained", lambda: only_left(site, serving(site)))
    assert not serving(site) & before, "every pod was replaced"
    assert load.answered > ENOUGH, "while many asked"
    assert not load.lost, "a change of the spec costs no request"


def led_to_candidate(site: Site) -> tuple[int, int]:
    """The candidate's weight in the live route, and the replicas that are asked for of it."""
    cluster = site.world.cluster(REGION)
    route, candidate = (
        cluster.get(ROUTE.format("search", "ranker")),
        cluster.get(f"{DEPLOYMENT}-candidate"),
    )
    assert route is not None
    weights = {b["name"]: b["weight"] for b in route["spec"]["rules"][1]["backendRefs"]}
    return weights["ranker-candidate"], candidate["spec"]["replicas"] if candidate else 0


def stepped_back(site: Site, version: Version) -> tuple[Load, list[tuple[int, int]]]:
    """All users at a candidate of two pods, then a quarter of them at one: under load."""
    steps = {"strategy": "canary", "steps": STEPS}
    roll_out(site, version, step=2, **steps)
    with under_load(site.request()) as load:
        await_answers(load, ENOUGH)
        with watching(lambda: led_to_candidate(site)) as seen:
            roll_out(site, version, step=0, **steps)
        await_share(site, load, 25)
    return load, seen


def test_users_leave_a_candidate_before_its_pods_go_and_without_the_shift_they_would_not(
    site: Site,
) -> None:
    version = site.push("back", random_files=0, megabytes_each=0)
    site.world.edit_spec(MODEL, scaling={"min": 2, "max": 2})
    load, seen = stepped_back(site, version)
    assert not load.lost, "nobody notices"
    assert (seen[0], seen[-1]) == ((100, 2), (25, 1)), "both went down"
    assert (25, 2) in seen, "the users first"
    assert (100, 1) not in seen, "and never the pods"
    with without(site, "acts.py", '<= news["share"]:', "<= 100:"):
        _, seen = stepped_back(site, version)
    assert (100, 1) in seen, "or this count would never notice one"
    preview = site.world.steps(REGION)
    assert preview == {}, "and what was moved in between is nobody's"
    call_off(site)
