"""The pods of a workload as the network sees them: where they stand, their labels, their ports."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from model_specs.names import LABEL_MODEL, LABEL_PROJECT
from policies.label_selectors import Labels, Selector, only_values
from policies.pods import containers, pod, template
from policies.resources import Resource
from policies.rule import WORKLOADS, Estate

TCP: Final = "TCP"


@dataclass(frozen=True, slots=True)
class PodSet:
    """All pods of one workload.

    `ports` are its named ports with their numbers and protocols. `on_node`: it listens on its
    node's own addresses, in front of every NetworkPolicy.
    """

    workload: Resource
    labels: Labels
    ports: Mapping[str, frozenset[tuple[int, str]]]
    on_node: bool

    @property
    def namespace(self) -> str:
        """Where they stand."""
        return self.workload.namespace

    @property
    def model(self) -> str:
        """Id of the model that they say they serve, or empty."""
        name = self.labels.get(LABEL_MODEL, "")
        return f"{self.labels.get(LABEL_PROJECT, '')}/{name}" if name else self.workload.model


def pod_set(workload: Resource) -> PodSet:
    """The pods of `workload`."""
    ports: dict[str, set[tuple[int, str]]] = defaultdict(set)
    on_node = bool(pod(workload).get("hostNetwork"))
    for container in containers(workload):
        for port in container.get("ports") or ():
            protocol = port.get("protocol") or TCP
            ports[port.get("name") or ""].add((port["containerPort"], protocol))
            on_node = on_node or bool(port.get("hostPort"))
    labels = (template(workload).get("metadata") or {}).get("labels") or {}
    named = {name: frozenset(found) for name, found in ports.items()}
    return PodSet(workload, labels, named, on_node)


class Shelf:
    """Resources that select pods, laid out so that a model's pods need not be held to all of them.

    Nearly every selector names one model; who names none lies where everybody looks.
    """

    def __init__(self, selecting: Iterable[tuple[Resource, Selector]]) -> None:
        self._by_model: dict[tuple[str, str | None], list[Resource]] = defaultdict(list)
        for resource, selector in selecting:
            names = only_values(selector, LABEL_MODEL)
            for name in (None,) if names is None else names:
                self._by_model[resource.namespace, name].append(resource)

    def near(self, pods: PodSet) -> list[Resource]:
        """Those that may select these pods, and some that do not."""
        own = self._by_model.get((pods.namespace, pods.labels.get(LABEL_MODEL, "")), [])
        return [*own, *self._by_model.get((pods.namespace, None), [])]


def pod_sets(estate: Estate) -> tuple[PodSet, ...]:
    """The pods of every workload there would be."""
    return tuple(pod_set(workload) for workload in estate.of(*WORKLOADS))
