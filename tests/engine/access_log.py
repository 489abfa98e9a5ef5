"""What a region's gateways say that they have answered: the access logs of their Envoys."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from components.kube import Object
from regions.sandbox.kube import Cluster

_SPACE: Final = "/api/v1/namespaces/envoy-gateway-system/pods"
_PROXIES: Final = f"{_SPACE}?labelSelector=app.kubernetes.io%2Fcomponent%3Dproxy"
_BEGINNING: Final = datetime(2026, 1, 1, tzinfo=UTC)
_OVERLAP: Final = timedelta(seconds=5)
"""A line is told of a little after what it is about; read twice, it counts once."""


@dataclass(frozen=True, slots=True, order=True)
class Answered:
    """What answers are told apart by: the route's rule, the pod (`NAMESPACE/NAME`) that was asked,
    empty where none was, and the status."""

    rule: str
    pod: str
    status: int


@dataclass(slots=True)
class AccessLog:
    """The answers that have been told of so far."""

    cluster: Cluster
    _pods: dict[str, str] = field(default_factory=dict)
    _read: dict[str, Answered] = field(default_factory=dict)
    _since: datetime = _BEGINNING

    def counts(self) -> Counter[Answered]:
        """How many answers there were of each kind, those of pods that have gone too."""
        self._know_pods()
        begun = datetime.now(UTC)
        for line in self._lines():
            told = json.loads(line)
            host = str(told["upstream_host"] or "").partition(":")[0]
            self._read[told["x-request-id"]] = Answered(
                rule=str(told["upstream_cluster"] or ""),
                pod=self._pods.get(host, ""),
                status=int(told["response_code"]),
            )
        self._since = begun - _OVERLAP
        return Counter(self._read.values())

    def _know_pods(self) -> None:
        """By its address, each pod that there is or has been: no address is given twice soon."""
        for pod in self._items("/api/v1/pods"):
            if address := pod["status"].get("podIP"):
                metadata = pod["metadata"]
                self._pods[address] = f"{metadata['namespace']}/{metadata['name']}"

    def _lines(self) -> Iterator[str]:
        since = self._since.strftime("%Y-%m-%dT%H:%M:%SZ")
        for pod in self._items(_PROXIES):
            log = f"{_SPACE}/{pod['metadata']['name']}/log?container=envoy&sinceTime={since}"
            answer = self.cluster.session.get(f"{self.cluster.url}{log}", timeout=30)
            if answer.ok:  # one that is being started has none
                yield from (line for line in answer.text.splitlines() if line.startswith("{"))

    def _items(self, path: str) -> list[Object]:
        found: list[Object] = (self.cluster.get(path) or {"items": []})["items"]
        return found
