"""Says what the prober found, as the metrics that rules.py and the dashboards read."""

from __future__ import annotations

from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    disable_created_metrics,
    generate_latest,
)

from components.synthetic_probe.settings import Row
from components.synthetic_probe.verdict import Reason, Result

_LABELS: Final = ("project", "model", "track")


class Exposition:
    """The metrics of one project's probes; a model's begin with its first finished probe."""

    def __init__(self, project: str) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # twice as many series, unread
        self._project = project
        self._registry = CollectorRegistry()
        self._success = self._gauge("probe_success", "1 if the last answer was right, else 0")
        self._duration = self._gauge("probe_duration_seconds", "How long the last probe took")
        self._finished = self._gauge("probe_last_timestamp_seconds", "When it finished, Unix time")
        self._in_a_row = self._gauge(
            "probe_failures_in_a_row", "Wrong answers since the last right one"
        )
        self._first = self._gauge("probe_first_token_seconds", "To the last stream's first token")
        self._rate = self._gauge("probe_tokens_per_second", "Its tokens a second after the first")
        self._attempts = self._counter("probe_attempts_total", "Finished probes", _LABELS)
        self._failures = self._counter(
            "probe_failures_total", "Those that were wrong, by reason", (*_LABELS, "reason")
        )

    def _gauge(self, name: str, words: str) -> Gauge:
        return Gauge(name, words, _LABELS, registry=self._registry)

    def _counter(self, name: str, words: str, labels: tuple[str, ...]) -> Counter:
        return Counter(name, words, labels, registry=self._registry)

    def record(self, row: Row, result: Result, unix_seconds: float) -> None:
        """Take in a probe of the regular turn, which finished at `unix_seconds`."""
        self.count(row, result)
        own = (self._project, row.model, row.track)
        self._success.labels(*own).set(result.reason is None)
        self._duration.labels(*own).set(result.seconds)
        self._finished.labels(*own).set(unix_seconds)
        first = result.pace.first_token_seconds if result.pace else None
        rate = result.pace.tokens_per_second if result.pace else None
        for gauge, value in ((self._first, first), (self._rate, rate)):
            if value is None:
                gauge.remove(*own)  # the pace of an earlier answer is not this one's
            else:
                gauge.labels(*own).set(value)

    def count(self, row: Row, result: Result) -> None:
        """Take in a second ask: it is no sample of the time between turns.

        Were it one, a model that fails now and then would burn its budget only for the moment
        until it is asked again.
        """
        own = (self._project, row.model, row.track)
        for reason in Reason:  # all from the first on: `increase` does not see a series begin
            self._failures.labels(*own, reason).inc(reason == result.reason)
        self._attempts.labels(*own).inc()
        in_a_row = self._in_a_row.labels(*own)
        if result.reason is None:
            in_a_row.set(0)
        else:
            in_a_row.inc()

    def text(self) -> bytes:
        """All of them in Prometheus's text format."""
        return generate_latest(self._registry)
