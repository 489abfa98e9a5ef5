"""What the agent shows of itself: metrics for Prometheus, and whether it lives and is ready."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    disable_created_metrics,
    generate_latest,
)

from components.model_cache.neighbours import REASONS as PEER_REASONS
from components.model_cache.retry import REASONS
from components.model_cache.source import PEERS

STATES: Final = ("elsewhere", "fetching", "held", "refused")
SILENCE_SECONDS: Final = 900.0
"""No step takes so long: the registry's client gives a range up after minutes."""


class Signs:
    """The metrics of one node, to which any thread may add."""

    def __init__(self, node: str) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # twice as many series, unread
        self.node = node
        """The node's name."""
        self._registry = CollectorRegistry()
        self._beat = time.monotonic()
        self.ready = False
        """Whether all that the node is to hold is held, or refused for a reason of its own."""
        self._budget = self._gauge("budget_bytes", "What the models may take of the disk as it is")
        self._used = self._gauge("used_bytes", "What is taken, unfinished content too")
        self._held = self._gauge("held_bytes", "Content that pods can mount", "project", "model")
        self._models = self._gauge("models", "Listed versions by their state", "state")
        self._unknown = self._gauge(
            "unknown_projects", "Projects of whose pods on the node nothing is known"
        )
        self._fetched = self._counter("fetched_bytes_total", "Read from the registry", "project")
        self._from_peers = self._counter("peer_bytes_total", "Read from other nodes", "project")
        self._peer_failures = self._counter(
            "peer_failures_total", "Peers that did not give what they were asked for", "reason"
        )
        for reason in PEER_REASONS:
            self._peer_failures.labels(node, reason).inc(0)
        self._rotten = self._counter("rotten_total", "Contents that the disk changed", "project")
        self._rotten_served = self._gauge("rotten_served", "Versions in use that have such")
        self._published = self._counter("published_total", "Versions that appeared", "project")
        self._evicted = self._counter("evicted_total", "Versions that made room", "project")
        self._failures = self._counter(
            "failures_total", "Attempts that failed, by reason", "project", "reason"
        )

    def _gauge(self, name: str, words: str, *labels: str) -> Gauge:
        full = f"isoserve_cache_{name}"
        return Gauge(full, words, ("node", *labels), registry=self._registry)

    def _counter(self, name: str, words: str, *labels: str) -> Counter:
        full = f"isoserve_cache_{name}"
        return Counter(full, words, ("node", *labels), registry=self._registry)

    def begin(self, project: str) -> None:
        """Show a project's counters from 0: `increase` does not see a series begin."""
        zero = (self._fetched, self._from_peers, self._published, self._evicted, self._rotten)
        for counter in zero:
            counter.labels(self.node, project).inc(0)
        for reason in REASONS:
            self._failures.labels(self.node, project, reason).inc(0)

    def fetched(self, project: str, source: str, count: int) -> None:
        """Bytes came, from source.PEERS or REGISTRY, which is also a sign of life."""
        counter = self._from_peers if source == PEERS else self._fetched
        counter.labels(self.node, project).inc(count)
        self.beat()

    def peer_failed(self, reason: str) -> None:
        """A peer failed, for one of neighbours.REASONS."""
        self._peer_failures.labels(self.node, reason).inc()

    def rotten(self, project: str) -> None:
        """Content on the disk is no longer what it was."""
        self._rotten.labels(self.node, project).inc()

    def rotten_served(self, versions: int) -> None:
        """So many versions stay visible with such content, since processes have them open."""
        self._rotten_served.labels(self.node).set(versions)

    def published(self, project: str) -> None:
        """A version appeared."""
        self._published.labels(self.node, project).inc()

    def evicted(self, project: str) -> None:
        """A version made room."""
        self._evicted.labels(self.node, project).inc()

    def failed(self, project: str, reason: str) -> None:
        """An attempt failed, for one of REASONS."""
        self._failures.labels(self.node, project, reason).inc()

    def disk(self, budget: int, used: int, held: Iterable[tuple[str, str, int]]) -> None:
        """What is on the disk; `held` are bytes by project and model."""
        self._budget.labels(self.node).set(budget)
        self._used.labels(self.node).set(used)
        self._held.clear()
        for project, model, size in held:
            self._held.labels(self.node, project, model).inc(size)

    def states(self, counts: Mapping[str, int]) -> None:
        """How many listed versions are in each of STATES."""
        for state in STATES:
            self._models.labels(self.node, state).set(counts[state])
        self.ready = not counts["fetching"]

    def unknown_projects(self, count: int) -> None:
        """Of so many projects the node does not know which pods it has."""
        self._unknown.labels(self.node).set(count)

    def beat(self) -> None:
        """The agent does something."""
        self._beat = time.monotonic()

    def alive(self) -> bool:
        """Whether it has done something of late."""
        return time.monotonic() - self._beat < SILENCE_SECONDS

    def text(self) -> bytes:
        """The metrics in Prometheus's text format."""
        return generate_latest(self._registry)
