"""Whether a Prometheus reads our monitors and rules, and has what they bring.

Source: prometheus-operator v0.85.0, Documentation/api-reference/api.md, PrometheusSpec: a selector
that is null selects nothing, an empty one everything; a namespace selector that is null stands for
the namespace of the Prometheus alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, urlsplit

from components.kube import Object
from components.kube_client import ApiError
from model_specs.names import (
    CACHE_NAMESPACE,
    GATEWAY_NAMESPACE,
    LABEL_PROJECT,
    LABEL_ROLE,
    MANAGED_BY,
    PROBER,
)
from policies.label_selectors import takes
from regions.urls import host_of, port_of, service_namespace
from stacks.doctor.findings import OURS, Answers, Finding, Site, Unseen, inside, place_of

_OBJECTS: Final = "/apis/monitoring.coreos.com/v1/prometheuses"
_SELECTORS: Final = {
    "PodMonitor": ("podMonitorSelector", "podMonitorNamespaceSelector"),
    "PrometheusRule": ("ruleSelector", "ruleNamespaceSelector"),
}
"""By kind that we render, the fields of a Prometheus that choose its objects and their namespaces.
We render no Probe: the prober's series come by a PodMonitor."""
_NAME: Final = "kubernetes.io/metadata.name"


def prometheus(site: Site) -> Answers:
    """A Prometheus of the operator, in the namespace that network policies let in, selects our
    PodMonitors and PrometheusRules by `prometheus_labels`, in every namespace of ours."""
    if "prometheus_operator" not in site.capabilities:
        return
    found = site.listed(_OBJECTS)
    if not found:
        why = "there is no Prometheus object; who else reads PodMonitors is not known here"
        yield Unseen(check="prometheus", why=why)
        return
    let_in = site.profile.scraper_namespace
    here = [one for one in found if inside(one, "metadata", "namespace") == let_in]
    if not here:
        names = ", ".join(sorted(map(place_of, found)))
        what = f"Prometheus runs as {names}, network policies let pods of {let_in} in"
        space = inside(found[0], "metadata", "namespace")
        mend = f"write prometheus_namespace: {space} in {site.file}"
        yield Finding(check="prometheus", what=what, mend=mend)
    spaces = _spaces(site)
    # One is enough: others may be for other people's metrics.
    lacks = [list(_unread(site, one, spaces)) for one in here or found]
    yield from min(lacks, key=len)


def _spaces(site: Site) -> dict[str, Mapping[str, str]]:
    """The namespaces with monitors of ours, with their labels; those to come as we make them."""
    found: dict[str, Mapping[str, str]] = {}
    for space in site.listed("/api/v1/namespaces") or ():
        labels = inside(space, "metadata", "labels") or {}
        name = str(inside(space, "metadata", "name"))
        if LABEL_PROJECT in labels or name in (CACHE_NAMESPACE, GATEWAY_NAMESPACE):
            found[name] = {_NAME: name, **labels}
    made = (CACHE_NAMESPACE, GATEWAY_NAMESPACE) if "cluster_scope" in site.capabilities else ()
    return {name: {_NAME: name, **MANAGED_BY} for name in made} | found


def _unread(site: Site, one: Object, spaces: Mapping[str, Mapping[str, str]]) -> Answers:
    """What this Prometheus does not select of ours."""
    labels = {**site.profile.prometheus_labels, **MANAGED_BY}
    own = inside(one, "metadata", "namespace")
    for kind, (by_labels, by_space) in _SELECTORS.items():
        selector, chosen = inside(one, "spec", by_labels), inside(one, "spec", by_space)
        if selector is None or not takes(selector, labels):
            what = f"{by_labels} of Prometheus {place_of(one)} does not select our {kind}s"
            mend = _by_labels(site, one, by_labels)
            yield Finding(check="prometheus", what=what, mend=mend)
        left = [
            name
            for name, held in sorted(spaces.items())
            if not (name == own if chosen is None else takes(chosen, held))
        ]
        if left:
            what = f"{by_space} of Prometheus {place_of(one)} leaves out {', '.join(left)}"
            yield Finding(check="prometheus", what=what, mend=_patch(one, by_space))


def _by_labels(site: Site, one: Object, field: str) -> str:
    """The profile's line where labels alone are asked for, or else a change of the Prometheus."""
    selector = inside(one, "spec", field) or {}
    wanted = selector.get("matchLabels") or {}
    labels = {**site.profile.prometheus_labels, **wanted}
    if wanted and takes(selector, {**labels, **MANAGED_BY}):
        line = ", ".join(f"{key}: {value}" for key, value in labels.items())
        return f"write prometheus_labels: {{{line}}} in {site.file}"
    return _patch(one, field)


def _patch(one: Object, field: str) -> str:
    space, _, name = place_of(one).partition("/")
    body = f'{{"spec":{{"{field}":{{}}}}}}'
    return (
        f"kubectl -n {space} patch prometheus {name} --type merge -p '{body}' (and the same in the"
        " values of its chart)"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Series:
    """Series that must be there once a workload of ours runs, and where to look if not."""

    metric: str
    query: str
    workloads: str
    is_source: Mapping[str, str]
    logs: str


_SERIES: Final[tuple[_Series, ...]] = (
    _Series(
        metric="probe_success",
        # Other probers have a metric of this name too.
        query='count(probe_success{project!="",model!=""})',
        workloads=f"/apis/apps/v1/deployments?{OURS}",
        is_source={LABEL_ROLE: PROBER},
        logs="kubectl get podmonitors -A -l isoserve.dev/role=prober",
    ),
    _Series(
        metric="isoserve_cache_held_bytes",
        query="count(isoserve_cache_held_bytes)",
        workloads=f"/apis/apps/v1/namespaces/{CACHE_NAMESPACE}/daemonsets?{OURS}",
        is_source={},
        logs=f"kubectl -n {CACHE_NAMESPACE} get podmonitors,pods",
    ),
)


def series(site: Site) -> Answers:
    """Prometheus has the series of probers and cache agents, where any run.

    It is asked through the API server's proxy, so only where `prometheus_url` is a Service of this
    cluster. A cache agent that holds no model yet has no series and looks as if it were unread.
    """
    url = site.profile.prometheus_url
    if not service_namespace(url):
        why = f"prometheus_url is no Service of the cluster, got {url}"
        yield Unseen(check="series", why=why)
        return
    for row in _SERIES:
        if not _runs(site, row):
            why = f"{row.metric}: nothing of ours that brings it runs yet"
            yield Unseen(check="series", why=why)
            continue
        try:
            yield from _missing(site, row)
        except ApiError as error:
            yield Unseen(check="series", why=f"{row.metric}: {error}")


def _runs(site: Site, row: _Series) -> bool:
    made: Iterable[Object] = site.listed(row.workloads) or ()
    labels = (inside(one, "metadata", "labels") or {} for one in made)
    return any(row.is_source.items() <= held.items() for held in labels)


def _missing(site: Site, row: _Series) -> Answers:
    url = site.profile.prometheus_url
    space, parts = service_namespace(url), urlsplit(url)
    # What precedes the Service's name is a pod of a headless one.
    name = host_of(url).partition(f".{space}.svc")[0].rpartition(".")[2]
    service = f"{parts.scheme}:{name}:{port_of(url)}"
    base = f"/api/v1/namespaces/{space}/services/{service}/proxy{parts.path.rstrip('/')}"
    answer = site.api.get(f"{base}/api/v1/query?query={quote(row.query, safe='')}")
    if answer is None:
        what = f"no Prometheus API at {url}: its Service or path is not there"
        mend = f"kubectl -n {space} get services; write prometheus_url in {site.file}"
        yield Finding(check="series", what=what, mend=mend)
    elif inside(answer, "status") != "success":
        yield Unseen(check="series", why=f"{row.metric}: {url} answers as no Prometheus does")
    elif not inside(answer, "data", "result"):
        what = f"Prometheus has no series of {row.metric}, though what brings it runs"
        yield Finding(check="series", what=what, mend=f"{row.logs}; see the check prometheus")
