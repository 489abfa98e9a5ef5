"""How many requests the gateway answered, and the names by which Envoy would count them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, astuple, dataclass
from typing import Any


@dataclass(frozen=True, slots=True, order=True)
class Answered:
    """What answers are told apart by; `pod` is empty where none was asked."""

    cluster: str
    service: str
    pod: str
    code_class: str


class Counts:
    """Answers since the start."""

    def __init__(self) -> None:
        self._answers: Counter[Answered] = Counter()
        self._without_pod: Counter[str] = Counter()
        self._clusters: set[str] = set()

    def know(self, clusters: Iterable[str]) -> None:
        """Count these from zero, so that their first request is an increase."""
        self._clusters.update(clusters)

    def add(self, cluster: str, service: str, pod: str, status: int) -> None:
        """One answer more."""
        self._clusters.add(cluster)
        self._answers[Answered(cluster, service, pod, str(status // 100))] += 1

    def add_none_ready(self, cluster: str) -> None:
        """One request more for which there was no ready pod."""
        self._clusters.add(cluster)
        self._without_pod[cluster] += 1

    def stats(self) -> list[dict[str, Any]]:
        """One row for all answers alike, with their `count`."""
        return [{**asdict(of), "count": n} for of, n in sorted(self._answers.items())]

    def metrics(self) -> str:
        """The same for Prometheus, as far as rules and dashboards ask for it."""
        classes: Counter[tuple[str, ...]] = Counter()
        services: Counter[tuple[str, ...]] = Counter()
        sent: Counter[tuple[str, ...]] = Counter({(one,): 0 for one in self._clusters})
        missed: Counter[tuple[str, ...]] = Counter(
            {(one,): self._without_pod[one] for one in self._clusters}
        )
        for of, number in self._answers.items():
            cluster, service, pod, code_class = astuple(of)
            classes[cluster, code_class] += number
            services[service, code_class] += number
            sent[cluster,] += number if pod else 0
        name, code = "envoy_cluster_name", "envoy_response_code_class"
        lines = [
            *_family("envoy_cluster_upstream_rq_xx", (name, code), classes),
            *_family("envoy_cluster_upstream_rq_total", (name,), sent),
            *_family("envoy_cluster_upstream_cx_none_healthy", (name,), missed),
            *_family("isoserve_sandbox_requests_total", ("service", "code_class"), services),
        ]
        return "\n".join(lines) + "\n"


def _family(name: str, labels: tuple[str, ...], samples: Counter[tuple[str, ...]]) -> Iterator[str]:
    yield f"# TYPE {name} counter"
    for values, number in sorted(samples.items()):
        # Names of Kubernetes objects need no escapes.
        inside = ",".join(f'{k}="{v}"' for k, v in zip(labels, values, strict=True))
        yield f"{name}{{{inside}}} {number}"
