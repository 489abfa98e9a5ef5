"""Requests at the gateway, by routes to pods, as Envoy would carry them."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from regions.sandbox.kube import Object
from regions.sandbox.traffic import admin
from regions.sandbox.traffic.propagation import PROPAGATION_SECONDS
from tests.regions.traffic_objects import (
    a_gateway,
    a_pod,
    a_route,
    a_rule,
    a_service,
    came,
)
from tests.regions.traffic_servers import (
    Answer,
    Home,
    Live,
    Served,
    a_home,
    carrying,
    says,
    serving,
    until,
)

PREFIX = {"path": {"type": "PathPrefix", "value": "/"}}
PROBE = {**PREFIX, "headers": [{"name": "x-isoserve-probe", "type": "Exact", "value": "true"}]}
CANDIDATE = a_service("ranker-candidate", selector={"model": "candidate"})
CLUSTER = "httproute/search/ranker/rule/0"


@pytest.fixture
def home() -> Home:
    return a_home()


def a_copy(percent: int) -> Object:
    backend = {"kind": "Service", "name": "ranker-candidate", "port": 80}
    mirror = {"backendRef": backend, "percent": percent}
    return {"requestMirror": mirror, "type": "RequestMirror"}


def split(stable: int, candidate: int) -> list[Object]:
    shares = {"ranker": stable, "ranker-candidate": candidate}
    return [{"kind": "Service", "name": n, "port": 80, "weight": w} for n, w in shares.items()]


@asynccontextmanager
async def one_pod(home: Home, answer: Answer, **rule: Any) -> AsyncIterator[tuple[Live, Served]]:
    """The model with one pod that gives `answer`, and one rule."""
    async with serving(f"{home.network}.16.1", answer) as pod, carrying(home) as live:
        route = a_route("ranker", a_rule(PREFIX, **rule))
        await live.know(a_service("ranker"), a_pod("one", pod.host, pod.port), route)
        yield live, pod


def run(body: Callable[[], Awaitable[None]]) -> None:
    async def whole() -> None:
        await body()

    asyncio.run(whole())


def test_a_request_arrives_as_it_was_sent_and_so_does_the_answer(home: Home) -> None:
    packed = gzip.compress(b"answer")

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        headers = {"Content-Encoding": "gzip", "X-Own": "1", "Connection": "X-Hop", "X-Hop": "1"}
        return web.Response(status=418, reason="Teapot", body=packed, headers=headers)

    async def body() -> None:
        async with one_pod(home, answer) as (_, pod):
            reader, writer = await asyncio.open_connection(home.gateway, home.port)
            writer.write(
                b"PATCH /a%2Fb/../c?x=%20&y HTTP/1.1\r\nHost: Ranker--search.internal.test:80\r\n"
                b"Content-Length: 3\r\nX-Forwarded-For: 10.1.1.1\r\nConnection: close, X-Mine\r\n"
                b"X-Mine: 1\r\nTE: trailers\r\nX-Kept: 1\r\n\r\nabc"
            )
            whole = await reader.read()
            writer.close()
            (asked,) = pod.asked
            assert (asked.method, asked.path, asked.body) == (
                "PATCH",
                "/a%2Fb/../c?x=%20&y",
                b"abc",
            )
            assert asked.headers == {
                "host": "Ranker--search.internal.test:80",
                "content-length": "3",
                "connection": "close",
                "x-forwarded-for": "10.1.1.1, 127.0.0.1",
                "x-kept": "1",
            }, "what is for one hop goes no further, and nothing is added"
            head, _, rest = whole.partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 418 Teapot\r\n"), head
            assert b"X-Own: 1" in head, head
            assert b"X-Hop" not in head, head
            assert rest == packed, "a packed answer stays packed"

    run(body)


def test_events_arrive_one_by_one_in_both_directions(home: Home) -> None:
    go_on = asyncio.Event()

    async def body() -> None:
        heard: asyncio.Queue[bytes] = asyncio.Queue()

        async def answer(request: web.BaseRequest) -> web.StreamResponse:
            events = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
            await events.prepare(request)
            await events.write(b"data: 1\n\n")
            await go_on.wait()
            await events.write(b"data: 2\n\n")
            return events

        async def upload() -> AsyncIterator[bytes]:
            yield b"first"
            heard.put_nowait(b"sent")
            yield b"second"

        async with one_pod(home, answer) as (live, pod):
            url = f"http://{home.gateway}:{home.port}/"
            headers = {"Host": "ranker--search.internal.test"}
            async with live.client.post(url, data=upload(), headers=headers) as got:
                assert await got.content.readuntil(b"\n\n") == b"data: 1\n\n"
                assert not go_on.is_set(), "the pod has said nothing more so far"
                go_on.set()
                assert await got.content.read() == b"data: 2\n\n"
            assert pod.asked[0].body == b"firstsecond"

    run(body)


def test_a_client_that_leaves_ends_the_pods_work(home: Home) -> None:
    async def body() -> None:
        ended = asyncio.Event()

        async def breaks_off(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            await reader.read()
            ended.set()
            writer.close()

        ip = f"{home.network}.16.1"
        server = await asyncio.start_server(breaks_off, ip, 0)
        port = server.sockets[0].getsockname()[1]
        async with server, carrying(home) as live:
            route = a_route("ranker", a_rule(PREFIX))
            await live.know(a_service("ranker"), a_pod("one", ip, port), route)
            _, writer = await asyncio.open_connection(home.gateway, home.port)
            writer.write(b"GET / HTTP/1.1\r\nHost: ranker--search.internal.test\r\n\r\n")
            await asyncio.sleep(0.1)
            writer.close()
            await until("the pod is left too", ended.is_set)
            assert ended.is_set(), "a GPU must not go on for nobody"

    run(body)


@pytest.mark.parametrize(
    ("why", "host", "status"),
    [
        ("its host", "ranker--search.internal.test", 200),
        ("with a port", "RANKER--search.internal.test:8080", 200),
        ("nobody's host", "other.internal.test", 404),
    ],
)
def test_the_host_decides(home: Home, why: str, host: str, status: int) -> None:
    async def body() -> None:
        async with one_pod(home, says("one")) as (live, _):
            assert (await live.ask(host=host))[0] == status, why

    run(body)


async def silent(request: web.BaseRequest) -> web.StreamResponse:
    await asyncio.sleep(3600)
    return web.Response()


async def half(request: web.BaseRequest) -> web.StreamResponse:
    """An answer that breaks off, without a length by which that could be seen."""
    answer = web.StreamResponse(headers={"Connection": "close"})
    await answer.prepare(request)
    await answer.write(b"half")
    await asyncio.sleep(3600)
    return answer


async def hangs_up(request: web.BaseRequest) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def talks_nonsense(request: web.BaseRequest) -> web.StreamResponse:
    assert isinstance(request.transport, asyncio.WriteTransport)
    request.transport.write(b"nonsense\r\n\r\n")
    request.transport.close()
    return web.Response()


QUICK: dict[str, Any] = {"timeouts": {"request": "100ms"}}


@pytest.mark.parametrize(
    ("answer", "rule", "status"),
    [
        (says("one"), {}, 200),
        (silent, QUICK, 504),
        (hangs_up, {}, 503),
        (talks_nonsense, {}, 502),
        (says("one"), {"backendRefs": []}, 500),
        (says("one"), {"backendRefs": split(0, 0)}, 500),
        (says("one"), {"backendRefs": [{"name": "nobody", "port": 80}]}, 500),
        (says("one"), {"filters": [{"type": "URLRewrite"}]}, 500),
    ],
)
def test_what_goes_wrong_has_envoys_status_and_is_counted(
    home: Home, answer: Answer, rule: Any, status: int
) -> None:
    async def body() -> None:
        async with one_pod(home, answer, **rule) as (live, pod):
            assert (await live.ask())[0] == status
            (row,) = live.traffic.counts.stats()
            assert row["code_class"] == str(status // 100)
            assert (row["cluster"], row["count"]) == (CLUSTER, 1)
            assert row["pod"] == ("" if status == 500 else "search/one")
            assert len(pod.asked) == (0 if status == 500 else 1), "nobody asks a second time"

    run(body)


def test_an_answer_that_is_late_after_its_start_is_broken_off(home: Home) -> None:
    async def body() -> None:
        async with one_pod(home, half, **QUICK) as (live, _):
            with pytest.raises(aiohttp.ClientError):
                await live.ask()
            assert live.traffic.counts.stats()[0]["code_class"] == "2", "its status was sent"

    run(body)


def test_a_service_without_ready_pod_is_unavailable_until_it_has_one(home: Home) -> None:
    async def body() -> None:
        async with one_pod(home, says("one")) as (live, pod):
            live.tell(came("pods", a_pod("one", pod.host, pod.port, ready="False")))
            await live.settle()
            assert await live.ask() == (503, "no healthy upstream\n")
            live.tell(came("pods", a_pod("one", pod.host, pod.port)))
            await live.settle()
            assert await live.ask() == (200, "one")
            metrics = live.traffic.counts.metrics()
            none = f'envoy_cluster_upstream_cx_none_healthy{{envoy_cluster_name="{CLUSTER}"}} 1'
            assert none in metrics, "a model that sleeps wakes by this"

    run(body)


def test_a_dead_pod_costs_its_requests_a_503_and_no_other_pod_is_asked(home: Home) -> None:
    async def body() -> None:
        async with serving(f"{home.network}.17.1", says("dead")) as dead:
            pass
        async with one_pod(home, says("one")) as (live, _):
            live.tell(came("pods", a_pod("dead", dead.host, dead.port)))
            await live.settle()
            statuses = Counter([(await live.ask())[0] for _ in range(60)])
            assert set(statuses) == {200, 503}, "Envoy Gateway's default tries nothing again"

    run(body)


def test_an_ending_pod_is_asked_until_propagation_and_never_after(home: Home) -> None:
    async def body() -> None:
        host = f"{home.network}.17.1"
        async with serving(host, says("two")) as two, one_pod(home, says("one")) as (live, one):
            live.tell(came("pods", a_pod("two", two.host, two.port)))
            await live.settle()
            live.tell(came("pods", a_pod("one", one.host, one.port, ending=True)))
            live.clock.advance(PROPAGATION_SECONDS * 0.99)
            before = {(await live.ask())[1] for _ in range(60)}
            assert before == {"one", "two"}, "proxies don't know yet"
            await live.settle()
            asked = len(one.asked)
            assert {(await live.ask())[1] for _ in range(60)} == {"two"}
            assert len(one.asked) == asked, "no connection was left over"

    run(body)


def test_weights_split_requests_and_zero_gets_none(home: Home) -> None:
    async def body() -> None:
        host = f"{home.network}.17.1"
        async with serving(host, says("two")) as two, one_pod(home, says("one")) as (live, _):
            candidate = a_pod("two", two.host, two.port, labels={"model": "candidate"})
            live.tell(came("services", CANDIDATE), came("pods", candidate))
            for shares, expected in (((50, 50), {"one", "two"}), ((100, 0), {"one"})):
                route = a_route("ranker", a_rule(PREFIX, backendRefs=split(*shares)))
                live.tell(came("httproutes", route))
                await live.settle()
                assert {(await live.ask())[1] for _ in range(60)} == expected, shares
            names = {row["service"] for row in live.traffic.counts.stats()}
            assert names == {"search/ranker", "search/ranker-candidate"}

    run(body)


def test_the_probers_requests_go_by_the_first_rule(home: Home) -> None:
    async def body() -> None:
        async with one_pod(home, says("one")) as (live, _):
            live.tell(came("httproutes", a_route("ranker", a_rule(PROBE), a_rule(PREFIX))))
            await live.settle()
            await live.ask(headers={"X-Isoserve-Probe": "true"})
            await live.ask()
            await live.ask()
            counted = {row["cluster"][-1]: row["count"] for row in live.traffic.counts.stats()}
            assert counted == {"0": 1, "1": 2}, "rule 1 is what wakes a model: users alone"

    run(body)


@pytest.mark.parametrize(("percent", "copies"), [(100, 3), (0, 0)])
def test_copies_go_to_the_candidate_and_its_answer_to_nobody(
    home: Home, percent: int, copies: int
) -> None:
    async def body() -> None:
        host = f"{home.network}.17.1"
        rule = {"filters": [a_copy(percent)]}
        async with (
            serving(host, silent if percent else says("two")) as two,
            one_pod(home, says("one"), **rule) as (live, one),
        ):
            candidate = a_pod("two", two.host, two.port, labels={"model": "candidate"})
            live.tell(came("services", CANDIDATE), came("pods", candidate))
            await live.settle()
            for _ in range(3):
                assert await live.ask(data=b"body") == (200, "one"), "nobody waits for a copy"
            await until("the copies come", lambda: len(two.asked) == copies)
            for asked in two.asked:
                assert (asked.method, asked.path, asked.body) == ("POST", "/", b"body")
                assert asked.headers["host"] == "ranker--search.internal.test-shadow"
            assert len(one.asked) == 3

    run(body)


def test_an_https_listener_is_not_served_and_the_log_says_why(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    async def body() -> None:
        async with one_pod(home, says("one")) as (live, _):
            live.tell(came("gateways", a_gateway(home.port, protocol="HTTPS")))
            await live.settle()
            with pytest.raises(aiohttp.ClientConnectorError):
                await live.ask()

    run(body)
    assert capsys.readouterr().out.count("listener on port") == 1, "said once"


def test_a_taken_port_is_said_once_and_tried_again(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    async def body() -> None:
        taken = await asyncio.start_server(lambda *_: None, home.gateway, home.port)
        async with one_pod(home, says("one")) as (live, _):
            live.tell(came("services", a_service("another")))
            await live.settle()
            taken.close()
            live.tell(came("services", a_service("third")))
            await live.settle()
            assert await live.ask() == (200, "one"), "it is free now"

    run(body)
    text = capsys.readouterr().out
    assert text.count("somebody else listens there") == 1, text
    assert text.count("well again") == 1, text


def test_the_admin_port_tells_readiness_and_counts(home: Home) -> None:
    async def body() -> None:
        async with (
            serving(f"{home.network}.16.1", says("one")) as pod,
            carrying(home) as live,
        ):
            told = await admin.serve(
                home.gateway, live.traffic.counts, lambda: live.traffic.is_ready
            )
            url = f"http://{home.gateway}:{admin.PORT}"
            async with live.client.get(f"{url}/healthz") as answer:
                assert answer.status == 503, "no list is in yet"
            route = a_route("ranker", a_rule(PREFIX))
            await live.know(a_service("ranker"), a_pod("one", pod.host, pod.port), route)
            async with live.client.get(f"{url}/metrics") as answer:
                total = f'upstream_rq_total{{envoy_cluster_name="{CLUSTER}"}} 0'
                assert total in await answer.text(), "so that the first request is an increase"
            await live.ask()
            async with live.client.get(f"{url}/healthz") as answer:
                assert answer.status == 200
            async with live.client.get(f"{url}/metrics") as answer:
                lines = (await answer.text()).splitlines()
            async with live.client.get(f"{url}/stats") as answer:
                rows = json.loads(await answer.text())
            await told.cleanup()
        assert rows == [
            {
                "cluster": CLUSTER,
                "service": "search/ranker",
                "pod": "search/one",
                "code_class": "2",
                "count": 1,
            }
        ]
        labels = f'{{envoy_cluster_name="{CLUSTER}",envoy_response_code_class="2"}}'
        assert f"envoy_cluster_upstream_rq_xx{labels} 1" in lines, "dashboards ask for this"
        own = 'isoserve_sandbox_requests_total{service="search/ranker",code_class="2"} 1'
        assert own in lines

    run(body)
