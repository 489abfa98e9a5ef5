"""Every query of every dashboard and rule, asked of the real Prometheus: what it reads is there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import pytest

from components.kube import Object
from model_specs.names import LABEL_MODEL, LABEL_PROJECT
from model_specs.runtimes import RUNTIMES
from tests.components.test_service_dashboard import expressions
from tests.engine.both_regions.test_prometheus import asked, eventually, every_region, series
from tests.engine.world import World

pytestmark = pytest.mark.engine

DASHBOARDS: Final = "/api/v1/configmaps?labelSelector=grafana_dashboard%3D1"
RULES: Final = "/apis/monitoring.coreos.com/v1/prometheusrules"
ABSENT: Final = {
    "DCGM_": "no machine has a GPU, or an exporter that measures one",
    "kube_": "kube-state-metrics is to be had neither as a Go module nor as an image",
}
"""How the names of series begin that no sandbox has, and why."""
OF_REAL_PODS: Final = {
    "isoserve_cache_held_bytes",
    *(row.queue_metric for row in RUNTIMES.values()),
    *(row.running_metric for row in RUNTIMES.values()),
}
"""What servers say, and caches of the nodes where these are: simulated ones say nothing."""
REAL: Final = ("search", "ranker")
SEEN_SECONDS: Final = 240.0  # the slowest rules take their turn every 2 minutes, after the others


class Query(NamedTuple):
    """An expression, and the object that it stands in."""

    where: str
    expr: str
    is_simulated: bool
    """Whether it is of a model of which no pod runs."""


@every_region
def test_what_dashboards_and_rules_read_is_there(world: World, region: str) -> None:
    wanted = list(queries(world, region))
    assert len({one.where for one in wanted}) == 13, "two objects a model, and one of the region"

    def wrong() -> list[str]:
        return [told for one in wanted for told in complaints(world, region, one)]

    eventually(lambda: not wrong(), SEEN_SECONDS, lambda: "\n".join(wrong()))


def queries(world: World, region: str) -> Iterator[Query]:
    """All that the region's own objects ask."""
    cluster = world.cluster(region)
    for path in (DASHBOARDS, RULES):
        listed = cluster.get(path)
        assert listed is not None
        for made in listed["items"]:
            metadata = made["metadata"]
            model = tuple(metadata["labels"].get(one) for one in (LABEL_PROJECT, LABEL_MODEL))
            where = f"{path.split('/')[-1][:12]} {metadata['namespace']}/{metadata['name']}"
            for expr in asks(made):
                yield Query(where, expr, model not in (REAL, (None, None)))


def asks(made: Object) -> list[str]:
    """The expressions of a dashboard or of rules."""
    if "data" in made:
        (text,) = made["data"].values()
        return expressions(text)
    return [rule["expr"] for group in made["spec"]["groups"] for rule in group["rules"]]


def complaints(world: World, region: str, one: Query) -> Iterator[str]:
    """What is wrong with a query: series are missing without a reason, or are there against it."""
    parsed = asked(world, region, "parse_query", query=one.expr)
    found = {selector: bool(series(world, region, selector)) for selector in selectors(parsed)}
    for selector, is_there in found.items():
        reason = why_absent(selector.partition("{")[0], one)
        if is_there == bool(reason) and not comes_and_goes(selector, one):
            yield f"{one.where}: {selector} has series: {is_there}; {reason or 'no reason'}"
    may_be_empty = any(map(leaves_out, nodes(parsed))) or not all(found.values())
    if not may_be_empty and not series(world, region, one.expr):
        yield f"{one.where}: nothing comes of {one.expr}"


def why_absent(metric: str, one: Query) -> str:
    """Why series of this name are missing here; empty where they must be there."""
    if one.is_simulated and metric in OF_REAL_PODS:
        return "simulated pods say nothing"
    return next((why for begin, why in ABSENT.items() if metric.startswith(begin)), "")


def comes_and_goes(selector: str, one: Query) -> bool:
    """Whether series are there at times: alerts that fire, answers of a gateway that are errors or
    callers', of whom there may be none, and all that it has of models that no pod serves, to some
    of which it has no route.
    """
    of_gateway = selector.startswith("envoy_cluster_upstream_rq_xx{")
    some = "rule/1" in selector or 'envoy_response_code_class=~"5"' in selector
    return selector.startswith("ALERTS{") or (of_gateway and (one.is_simulated or some))


def nodes(parsed: Any) -> Iterator[dict[str, Any]]:
    """The parts of a query, as Prometheus has parsed it."""
    if isinstance(parsed, dict):
        yield parsed
        for part in parsed.values():
            yield from nodes(part)
    elif isinstance(parsed, list):
        for part in parsed:
            yield from nodes(part)


def selectors(parsed: Any) -> set[str]:
    """The series that a query reads, each as a query of its own, of this moment."""
    kinds = ("matrixSelector", "vectorSelector")
    return {selector(node) for node in nodes(parsed) if node.get("type") in kinds}


def selector(node: dict[str, Any]) -> str:
    """`metric{label="value"}`."""
    matchers = (one for one in node["matchers"] if one["name"] != "__name__")
    words = ",".join(f"{one['name']}{one['type']}{json.dumps(one['value'])}" for one in matchers)
    return f"{node['name']}{{{words}}}"


def leaves_out(node: dict[str, Any]) -> bool:
    """Whether this part may have no result of series that are there.

    A comparison may not hold, what is asked for the time before may be older than the region, and
    a step of an hour takes the values of whole hours, of which the first one has none.
    """
    is_comparison = node.get("op") in ("==", "!=", ">", "<", ">=", "<=")
    return (
        is_comparison
        or node.get("type") == "subquery"
        or node.get("func", {}).get("name") == "absent"
    )
