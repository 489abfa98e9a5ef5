"""Decides by which PromQL a model is judged: what counts as a failure, and at what loss to call."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from components.synthetic_probe.objects import SCRAPE_SECONDS
from regions.model_plan import ServerPlan


@dataclass(frozen=True, slots=True, kw_only=True)
class Burn:
    """Call by `severity` when both windows lose the budget `factor` times too fast."""

    severity: str
    factor: float
    short: str
    long: str


# The SRE workbook, chapter 5, "Alerting on SLOs"; the ticket over a day is from sloth.
# Over 28 days the first row is 2.1 % of the budget in an hour.
BURNS: Final = (
    Burn(severity="page", factor=14.4, short="5m", long="1h"),
    Burn(severity="page", factor=6.0, short="30m", long="6h"),
    Burn(severity="ticket", factor=3.0, short="2h", long="1d"),
    Burn(severity="ticket", factor=1.0, short="6h", long="3d"),
)
BURNS_OF_CALLERS: Final = (BURNS[0], BURNS[2])
"""One pair of windows to page by and one for tickets: the probe's own rows see slower losses."""
_LEAST_REFUSED: Final = 10
"""Fewer failed requests in the long window are no share of anything."""
WINDOW_SECONDS: Final = {
    "5m": 300, "30m": 1800, "1h": 3600, "2h": 7200, "6h": 21600, "1d": 86400, "3d": 259200,
}  # fmt: skip

SUCCESS: Final = "model:probe_success:max"
RATIO: Final = "model:probe_error:ratio"
_SPIKE_SECONDS: Final = 60  # a failure so short calls nobody, whatever the budget
_MOST: Final = 0.9  # a loose budget times 14.4 can exceed 1, which no ratio does


def selector(server: ServerPlan) -> str:
    """The matchers of the model's own probe series, on the user's way."""
    return _at(server, "")


def _at(server: ServerPlan, track: str) -> str:
    work = server.workload
    return f'{{project="{work.project}",model="{work.model}",track="{track}"}}'


def _recorded(server: ServerPlan) -> str:
    """The matchers of what our rules record."""
    return f'{{project="{server.workload.project}",model="{server.workload.model}"}}'


def start_seconds(server: ServerPlan) -> int:
    """How long a start of the model may take."""
    return max(track.startup.gate_timeout_seconds for track in server.tracks)


def one_probe_seconds(server: ServerPlan) -> int:
    """The longest that one bad answer can show: to the next probe's answer, and its scrape."""
    probe = server.probe
    return probe.interval_seconds + math.ceil(probe.latency_seconds) + SCRAPE_SECONDS


def threshold(server: ServerPlan, burn: Burn) -> float:
    """The error ratio that calls: the budget's share, but more than one minute or one probe."""
    least = (_SPIKE_SECONDS + one_probe_seconds(server)) / WINDOW_SECONDS[burn.long]
    return max(_share(server, burn), least)


def _share(server: ServerPlan, burn: Burn) -> float:
    """The error ratio at which the budget burns so fast."""
    return min(burn.factor * (1 - server.slo.availability), _MOST)


def ratio(server: ServerPlan, window: str) -> str:
    """The share of failed time in `window`.

    Above an hour it is the mean of the recorded 5 minutes: three days of scrapes are 65 000
    samples a model.
    """
    own = _recorded(server)
    if WINDOW_SECONDS[window] > WINDOW_SECONDS["1h"]:
        return f"avg_over_time({RATIO}5m{own}[{window}])"
    return f"1 - avg_over_time({SUCCESS}{own}[{window}])"


def success(server: ServerPlan) -> str:
    """One series a model, whatever prober pod reports it, without the time it sleeps at zero."""
    last = f"max by (project, model) (probe_success{selector(server)})"
    if any(track.scaler.min for track in server.tracks):
        return last
    work = server.workload
    pods = f'{{namespace="{work.namespace}",deployment=~"{work.model}(-spot|-candidate)?"}}'
    span = f"{start_seconds(server)}s"
    asleep = f"max(min_over_time(kube_deployment_spec_replicas{pods}[{span}])) == 0"
    return f"{last} unless on () ({asleep})"


def failing(server: ServerPlan) -> str:
    """Two wrong answers in a row, on a model that has served or has had the time to start.

    While a prober moves, two report: neither may have a right last answer, and the elder counts.
    """
    twice = f"max by (project, model) (probe_failures_in_a_row{selector(server)}) >= 2"
    series = f"{SUCCESS}{_recorded(server)}"
    span = f"{start_seconds(server)}s"
    served = f"max_over_time({series}[{span}]) == 1"
    old = f"max_over_time({series}[5m] offset {span}) >= 0"
    return f"{twice} and {series} == 0 and ({served} or {old})"


def candidate_failing(server: ServerPlan) -> str:
    """Two wrong answers in a row at the candidate's own Service."""
    own = _at(server, "candidate")
    return f"max by (project, model) (probe_failures_in_a_row{own}) >= 2"


def burning(server: ServerPlan, burn: Burn) -> str:
    """Both windows burn, and the long one is full: a start is no loss of budget."""
    own, limit = _recorded(server), f"{threshold(server, burn):.6g}"
    short, long = f"{RATIO}{burn.short}{own}", f"{RATIO}{burn.long}{own}"
    return f"{short} > {limit} and {long} > {limit} and {long} offset {burn.long} >= 0"


def refused(server: ServerPlan, burn: Burn) -> str:
    """Of the callers' own requests, not the prober's, the share of 5xx in both windows.

    Envoy counts its own 503 and 504 there too, but not who was refused before (401, 403, 429). The
    second rule of the route is the callers' (components.model_route).
    """
    work, limit = server.workload, f"{_share(server, burn):.6g}"
    counter = "envoy_cluster_upstream_rq_xx"
    own = f'envoy_cluster_name="httproute/{work.namespace}/{work.model}/rule/1"'
    failed = f'{{{own},envoy_response_code_class="5"}}'

    def share(window: str) -> str:
        return f"sum(rate({counter}{failed}[{window}])) / sum(rate({counter}{{{own}}}[{window}]))"

    many = f"sum(increase({counter}{failed}[{burn.long}])) >= {_LEAST_REFUSED}"
    return f"{share(burn.short)} > {limit} and {share(burn.long)} > {limit} and {many}"


def absent(server: ServerPlan) -> str:
    """No series, or one that stands still: a gauge keeps its last word when its writer hangs."""
    own = selector(server)
    late = f"time() - max by (project, model) (probe_last_timestamp_seconds{own})"
    return f"absent(probe_success{own}) or {late} > {2 * one_probe_seconds(server)}"


def slow(server: ServerPlan) -> str:
    """The 95th percentile exceeds the promise of a model that answers: one that times out fails."""
    p95 = f"quantile_over_time(0.95, probe_duration_seconds{selector(server)}[15m])"
    limit = f"{server.slo.latency_seconds:.6g}"
    return f"max by (project, model) ({p95}) > {limit} and {SUCCESS}{_recorded(server)} == 1"
