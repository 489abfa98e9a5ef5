"""The legal alerts of a model: what is recorded, at what loss somebody is called, and by what."""

from __future__ import annotations

import hashlib
import math
from functools import cache
from typing import Any, Final

from model_specs.runtimes import load
from policies.legal.asked import Plain, matchers, model_of, runtime_of
from policies.legal.configs import as_track
from policies.legal.model_pods import progress_seconds
from policies.legal.shapes import Subject

_SECONDS: Final = {
    "5m": 300, "30m": 1800, "1h": 3600, "2h": 7200, "6h": 21600, "1d": 86400, "3d": 259200,
}  # fmt: skip
_FAST: Final = ("5m", "30m", "1h")
_BURNS: Final = (
    ("page", 14.4, "5m", "1h"),
    ("page", 6.0, "30m", "6h"),
    ("ticket", 3.0, "2h", "1d"),
    ("ticket", 1.0, "6h", "3d"),
)
"""Severity, factor, short and long window (the SRE workbook, "Alerting on SLOs")."""
_SUCCESS: Final = "model:probe_success:max"
_RATIO: Final = "model:probe_error:ratio"
_GROUPS: Final = 3
_POD: Final = "namespace, pod"
_BY: Final = "max by (project, model)"


def _recorded(subject: Subject) -> str:
    model = model_of(subject)
    return f'{{project="{model.project}",model="{model.name}"}}'


def _probed(subject: Subject, track: str) -> str:
    return f'{_recorded(subject)[:-1]},track="{track}"}}'


def _start_seconds(subject: Subject) -> int:
    """How long a start of any of the model's versions may take."""
    model = model_of(subject)
    tracks = ["stable", *(["candidate"] if model.spec.rollout.candidate else [])]
    found = [progress_seconds(as_track(subject, model, track)) for track in tracks]
    return max(math.ceil(1.2 * seconds) for seconds in found)


def _one_probe_seconds(subject: Subject) -> int:
    """The longest that one wrong answer can show: to the next one, and its scrape."""
    probe = model_of(subject).spec.probe
    return probe.interval_seconds + math.ceil(probe.expect.latency_seconds) + 4


def _success(subject: Subject, span: str) -> list[str]:
    """What counts as answered. A model that sleeps is left out while it does."""
    last = f"{_BY} (probe_success{_probed(subject, '')})"
    model = model_of(subject)
    pods = f'{{namespace="{model.project}",deployment=~"{model.name}(-spot|-candidate)?"}}'
    asleep = f"max(min_over_time(kube_deployment_spec_replicas{pods}[{span}])) == 0"
    sleeping = f"{last} unless on () ({asleep})"
    return [last, *([sleeping] if model.spec.scaling.scale_to_zero else [])]


def _failing(subject: Subject, span: str) -> str:
    own = f"{_SUCCESS}{_recorded(subject)}"
    twice = f"{_BY} (probe_failures_in_a_row{_probed(subject, '')}) >= 2"
    served = f"max_over_time({own}[{span}]) == 1"
    old = f"max_over_time({own}[5m] offset {span}) >= 0"
    return f"{twice} and {own} == 0 and ({served} or {old})"


def _burning(subject: Subject, factor: float, short: str, long: str) -> str:
    budget = min(factor * (1 - model_of(subject).spec.slo.availability), 0.9)
    limit = f"{max(budget, (60 + _one_probe_seconds(subject)) / _SECONDS[long]):.6g}"
    quick, slow = (f"{_RATIO}{window}{_recorded(subject)}" for window in (short, long))
    return f"{quick} > {limit} and {slow} > {limit} and {slow} offset {long} >= 0"


def _absent(subject: Subject) -> str:
    own = _probed(subject, "")
    late = f"time() - {_BY} (probe_last_timestamp_seconds{own})"
    return f"absent(probe_success{own}) or {late} > {2 * _one_probe_seconds(subject)}"


def _slow(subject: Subject) -> str:
    limit = f"{model_of(subject).spec.slo.latency_seconds:.6g}"
    p95 = f"quantile_over_time(0.95, probe_duration_seconds{_probed(subject, '')}[15m])"
    return f"{_BY} ({p95}) > {limit} and {_SUCCESS}{_recorded(subject)} == 1"


def _stays(subject: Subject) -> bool:
    """Whether somebody is woken: some serving pods stay."""
    spec, profile = model_of(subject).spec, subject.facts.profile
    ranked = "cluster_scope" in profile.capabilities
    if ranked and spec.capacity.priority == "preemptible":
        return False
    swapped = spec.rollout.strategy == "blue_green" and spec.rollout.step == 1
    spot = spec.capacity.spot and profile.machines[spec.machine_type].spot.max > 0
    return swapped or not spot or spec.capacity.on_demand_base > 0


@cache
def _board(model: str) -> str:
    """What tells a model's dashboard from others in its address."""
    return hashlib.sha256(model.encode()).hexdigest()[:24]


def _alert(
    subject: Subject, name: str, expr: str, wait: str, severity: str, words: tuple[str, str]
) -> Plain:
    model, profile = model_of(subject), subject.facts.profile
    return {
        "alert": name,
        "annotations": {
            "description": words[1],
            "runbook_url": profile.runbook_url,
            "summary": f"{model.id} {words[0]}",
            "dashboard_url": f"{profile.grafana_url.rstrip('/')}/d/isoserve-{_board(model.id)}",
        },
        "expr": expr,
        "for": wait,
        "labels": {
            "model": model.name,
            "project": model.project,
            "severity": severity if _stays(subject) else "ticket",
        },
    }


def _by_probe(subject: Subject, severity: str) -> str:
    """A probe whose request the spec did not write wakes nobody."""
    return severity if model_of(subject).spec.probe.request is not None else "ticket"


def _called(subject: Subject, span: str) -> list[Plain]:
    """Who is called for what, beside a probe that fails."""
    spec = model_of(subject).spec
    silence = "No probe was reported for 5 minutes: nobody knows whether it works."
    late = (
        "The 95th percentile of the probe is {{ $value | humanizeDuration }}, the promise is "
        f"{spec.slo.latency_seconds:.6g}s."
    )
    unseen, page = ("is not probed", silence), _by_probe(subject, "page")
    return [
        _alert(subject, "ModelProbeAbsent", _absent(subject), "5m", page, unseen),
        *_of_candidate(subject, span),
        _alert(
            subject, "ModelProbeSlow", _slow(subject), "15m", "ticket", ("answers slowly", late)
        ),
        *(_burn(subject, *row) for row in _BURNS),
    ]


def _of_candidate(subject: Subject, span: str) -> list[Plain]:
    spec = model_of(subject).spec
    if spec.rollout.candidate is None or spec.probe.request is None:
        return []
    expr = f"{_BY} (probe_failures_in_a_row{_probed(subject, 'candidate')}) >= 2"
    words = (
        "has a candidate that answers its probe wrongly",
        "{{ $value }} probes in a row failed at the candidate's own Service, users or not.",
    )
    return [_alert(subject, "ModelCandidateFailing", expr, span, "ticket", words)]


def _burn(subject: Subject, severity: str, factor: float, short: str, long: str) -> Plain:
    words = (
        f"loses its error budget {factor:.6g} times too fast",
        f"{{{{ $value | humanizePercentage }}}} of the last {short} failed, and as much of the "
        f"last {long}; the promise is {model_of(subject).spec.slo.availability:.6g} over 28 days.",
    )
    expr = _burning(subject, factor, short, long)
    told = _by_probe(subject, severity)
    made = _alert(subject, "ModelBudgetBurning", expr, "0s", told, words)
    return made | {"labels": made["labels"] | {"window": long}}


def _refused(subject: Subject, severity: str, factor: float, short: str, long: str) -> Plain:
    """Callers' own errors at the gateway: the second rule of a route is theirs."""
    model = model_of(subject)
    own = f'envoy_cluster_name="httproute/{model.project}/{model.name}/rule/1"'
    counter, failed = "envoy_cluster_upstream_rq_xx", f'{own},envoy_response_code_class="5"'
    limit = f"{min(factor * (1 - model.spec.slo.availability), 0.9):.6g}"
    over = [
        f"sum(rate({counter}{{{failed}}}[{window}])) / sum(rate({counter}{{{own}}}[{window}]))"
        f" > {limit}"
        for window in (short, long)
    ]
    many = f"sum(increase({counter}{{{failed}}}[{long}])) >= 10"
    words = (
        "answers its callers with errors",
        f"{{{{ $value | humanizePercentage }}}} of the requests of the last {short} at the gateway "
        f"ended with 5xx, and as many of the last {long}; the promise is "
        f"{model.spec.slo.availability:.6g} over 28 days.",
    )
    expr = " and ".join([*over, many])
    made = _alert(subject, "ModelRequestsFailing", expr, "0s", severity, words)
    return made | {"labels": made["labels"] | {"window": long}}


def _of_callers(subject: Subject, name: str) -> list[Plain]:
    if model_of(subject).spec.access == "private":
        return []
    rules = [_refused(subject, *row) for row in _BURNS if row[3] in ("1h", "1d")]
    return [{"interval": "30s", "name": f"{name}-gateway", "rules": rules}]


def _ratio(subject: Subject, window: str) -> Plain:
    own = _recorded(subject)
    expr = f"1 - avg_over_time({_SUCCESS}{own}[{window}])"
    if window not in _FAST:
        expr = f"avg_over_time({_RATIO}5m{own}[{window}])"
    return {"expr": expr, "record": f"{_RATIO}{window}"}


def _written(groups: Any) -> Any:
    """The first expression of the first group; None where there is none."""
    try:
        return groups[0]["rules"][0]["expr"]
    except (KeyError, IndexError, TypeError):
        return None


def groups(subject: Subject, got: Any) -> list[Plain]:
    """All groups of a model's rules; `got` are those that it has, which may leave out its sleep."""
    model, span = model_of(subject), f"{_start_seconds(subject)}s"
    name, own = f"{model.project}-{model.name}", _success(subject, span)
    written = _written(got)
    wrong = (
        "answers its probe wrongly",
        "{{ $value }} probes in a row failed: callers get no right answer, whatever the health "
        "checks say.",
    )
    page, callers = _by_probe(subject, "page"), _of_callers(subject, name)
    failing = _alert(subject, "ModelProbeFailing", _failing(subject, span), "0s", page, wrong)
    success = {"expr": written if written in own else own[0], "record": _SUCCESS}
    quick = [_ratio(subject, window) for window in _SECONDS if window in _FAST]
    slow = [_ratio(subject, window) for window in _SECONDS if window not in _FAST]
    return [
        {"interval": "4s", "name": f"{name}-probe", "rules": [success, failing]},
        {"interval": "30s", "name": f"{name}-slo", "rules": [*quick, *_called(subject, span)]},
        {"interval": "2m", "name": f"{name}-budget", "rules": slow},
        *callers,
        *_load(subject, name, got, _GROUPS + len(callers)),
    ]


def _load(subject: Subject, name: str, got: Any, others: int) -> list[Plain]:
    """What HPAs scale on, of the versions that have one that reads a metric of the servers."""
    model = model_of(subject)
    legal = [
        load(runtime_of(as_track(subject, model, track)), matchers(model, track), _POD)
        for track in ("stable", "candidate")
    ]
    last = got[-1] if isinstance(got, list) and len(got) > others else {}
    read = [rule.get("expr") for rule in last.get("rules") or ()]
    if not read:
        return []
    rules = [
        {"expr": query, "record": "isoserve_requests_in_server"}
        for query in dict.fromkeys(legal)
        if query in read
    ]
    return [{"interval": "15s", "name": f"{name}-load", "rules": rules}]


def in_object(subject: Subject) -> list[Plain]:
    """The groups of a PrometheusRule."""
    return groups(subject, subject.resource.spec.get("groups"))


def in_file(subject: Subject, got: Any) -> Plain:
    """The groups of a rule file."""
    return {"groups": groups(subject, got.get("groups") if isinstance(got, dict) else None)}
