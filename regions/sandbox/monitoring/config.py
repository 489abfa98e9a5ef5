"""Turns a region's PodMonitors, PrometheusRules and pods into the files that Prometheus reads."""

from __future__ import annotations

import json
from collections.abc import Sequence
from ipaddress import IPv4Network
from typing import Any, Final

from regions.sandbox.monitoring.scrapes import scrape_configs
from regions.sandbox.monitoring.targets import Object, target_groups

CONFIG_FILE: Final = "prometheus.json"
"""JSON is YAML, and is written the same every time."""

TARGETS_FILE: Final = "targets.json"
"""Prometheus sees by itself that this one has changed."""

GATEWAY_METRICS_PORT: Final = 9901
_DEFAULT_INTERVAL: Final = "30s"  # the operator's


def files(
    monitors: Sequence[Object],
    rules: Sequence[Object],
    pods: Sequence[Object],
    pod_range: IPv4Network,
    gateway: str,
) -> dict[str, str]:
    """The text of each file by its path beside the configuration, which comes last.

    Pods that run have an address of `pod_range`.

    `gateway` is the address of what stands in for the gateways' Envoys: in a real region those are
    scraped by what installs Envoy Gateway, and by no object of ours.
    """
    made = {
        f"rules/{_stem(rule)}.json": _text({"groups": rule["spec"]["groups"]}) for rule in rules
    }
    envoys: Object = {
        "job_name": "envoy",
        "static_configs": [{"targets": [f"{gateway}:{GATEWAY_METRICS_PORT}"]}],
    }
    scrapes = [scrape for one in monitors for scrape in scrape_configs(one, TARGETS_FILE)]
    config = {
        "global": {"evaluation_interval": _DEFAULT_INTERVAL, "scrape_interval": _DEFAULT_INTERVAL},
        "rule_files": sorted(made),
        "scrape_configs": [*sorted(scrapes, key=lambda scrape: str(scrape["job_name"])), envoys],
    }
    return made | {TARGETS_FILE: _text(target_groups(pods, pod_range)), CONFIG_FILE: _text(config)}


def _stem(rule: Object) -> str:
    # A dot is in no namespace's name, so no two rules meet.
    return f"{rule['metadata']['namespace']}.{rule['metadata']['name']}"


def _text(values: Any) -> str:
    return json.dumps(values, indent=1, sort_keys=True) + "\n"
