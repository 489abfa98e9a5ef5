"""Turns a PodMonitor into what Prometheus scrapes, label for label as the operator does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from regions.sandbox.errors import SandboxError
from regions.sandbox.monitoring.targets import META, Object, sanitised

_KNOWN: Final = {
    "spec": {"namespaceSelector", "podMetricsEndpoints", "podTargetLabels", "selector"},
    "spec.podMetricsEndpoints[]": {"interval", "path", "port", "portNumber"},
}
"""The fields that are understood; another one, left out in silence, would pass for honoured."""

_OPERATORS: Final = {"DoesNotExist": "drop", "Exists": "keep", "In": "keep", "NotIn": "drop"}


def scrape_configs(monitor: Object, targets_file: str) -> list[Object]:
    """One scrape per endpoint of the PodMonitor, of the pods in `targets_file`.

    Raises SandboxError naming a field of the PodMonitor that is not understood.
    """
    spec = monitor["spec"]
    _refuse_unknown(monitor, "spec", spec)
    return [
        _scrape(monitor, number, endpoint, targets_file)
        for number, endpoint in enumerate(spec["podMetricsEndpoints"])
    ]


def _scrape(monitor: Object, number: int, endpoint: Object, targets_file: str) -> Object:
    _refuse_unknown(monitor, "spec.podMetricsEndpoints[]", endpoint)
    interval = {"scrape_interval": endpoint["interval"]} if "interval" in endpoint else {}
    return {
        # It watches the file; what that misses would stand for five minutes without this.
        "file_sd_configs": [{"files": [targets_file], "refresh_interval": "10s"}],
        "job_name": f"podMonitor/{_name(monitor)}/{number}",
        "metrics_path": endpoint.get("path", "/metrics"),
        "relabel_configs": [
            *_of_namespaces(monitor),
            *_of_pods(monitor["spec"]["selector"]),
            *_of_port(endpoint),
            *_labels(monitor),
        ],
        **interval,
    }


def _name(monitor: Object) -> str:
    return f"{monitor['metadata']['namespace']}/{monitor['metadata']['name']}"


def _of_namespaces(monitor: Object) -> Iterator[Object]:
    selector = monitor["spec"].get("namespaceSelector") or {}
    if not selector.get("any"):
        names = selector.get("matchNames") or [monitor["metadata"]["namespace"]]
        yield _only("keep", "|".join(names), "namespace")


def _of_pods(selector: Object) -> Iterator[Object]:
    yield _only("drop", "(Failed|Succeeded)", "pod_phase")
    for label, value in sorted((selector.get("matchLabels") or {}).items()):
        yield _by_label("keep", label, [value])
    for row in selector.get("matchExpressions") or ():
        yield _by_label(_OPERATORS[row["operator"]], row["key"], row.get("values") or [])


def _by_label(action: str, label: str, values: list[str]) -> Object:
    name = sanitised(label)
    present = f"pod_labelpresent_{name}"
    if not values:
        return _only(action, "true", present)
    return _only(action, f"({'|'.join(values)});true", f"pod_label_{name}", present)


def _of_port(endpoint: Object) -> Iterator[Object]:
    """The port that is asked; its name or number is the label `endpoint`."""
    kind = "name" if "port" in endpoint else "number"
    port = str(endpoint["port"] if "port" in endpoint else endpoint["portNumber"])
    yield _only("keep", port, f"pod_container_port_{kind}")
    yield {"replacement": port, "target_label": "endpoint"}


def _only(action: str, regex: str, *sources: str) -> Object:
    return {"action": action, "regex": regex, "source_labels": [META + one for one in sources]}


def _labels(monitor: Object) -> Iterator[Object]:
    """What every series of a target says of where it is from."""
    wanted = {"namespace": "namespace", "pod_container_name": "container", "pod_name": "pod"}
    for label in monitor["spec"].get("podTargetLabels") or ():
        wanted[f"pod_label_{sanitised(label)}"] = sanitised(label)
    for source, target in wanted.items():
        yield {"source_labels": [META + source], "target_label": target}
    yield {"replacement": _name(monitor), "target_label": "job"}


def _refuse_unknown(monitor: Object, place: str, fields: Object) -> None:
    unknown = ", ".join(sorted(set(fields) - _KNOWN[place]))
    if unknown:
        raise SandboxError(
            f"PodMonitor {_name(monitor)} has {unknown} in {place}, which the sandbox does not "
            "understand; teach it in regions/sandbox/monitoring/scrapes.py"
        )
