"""Every check of the doctor, and one examination of a region by all of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from components.kube_client import ApiError
from regions.profile import RegionProfile
from stacks.doctor.cluster import definitions, dns, version
from stacks.doctor.device_plugins import device_plugins
from stacks.doctor.envoy_gateway import envoy_gateway
from stacks.doctor.findings import Api, Check, Finding, Site, Unseen
from stacks.doctor.gateways import gateways, names
from stacks.doctor.images import example_values, images
from stacks.doctor.keys import keys
from stacks.doctor.nodes import allocatable, eviction
from stacks.doctor.prometheus import prometheus, series
from stacks.doctor.secrets import secrets
from stacks.doctor.workloads import workloads


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One check, and what it proves in a line."""

    run: Check
    proves: str


CHECKS: Final[dict[str, Row]] = {
    "cluster": Row(run=version, proves="the API server has the profile's Kubernetes version"),
    "definitions": Row(run=definitions, proves="it serves every kind that is rendered"),
    "workloads": Row(run=workloads, proves="what our stack of add-ons installs runs"),
    "device-plugins": Row(run=device_plugins, proves="device plugins run on the GPU pools' nodes"),
    "allocatable": Row(run=allocatable, proves="pools have their nodes, and these their GPUs"),
    "eviction": Row(run=eviction, proves="no kubelet evicts before the cache agent stops filling"),
    "prometheus": Row(run=prometheus, proves="Prometheus selects our monitors and rules"),
    "series": Row(run=series, proves="Prometheus has the series of probers and cache agents"),
    "gateways": Row(run=gateways, proves="gateways have addresses, each on its side"),
    "envoy-gateway": Row(run=envoy_gateway, proves="Envoy Gateway is set up as the profile says"),
    "names": Row(run=names, proves="the wildcard names lead to the gateways"),
    "keys": Row(run=keys, proves="gateways know the keys by which probers' tokens are signed"),
    "secrets": Row(run=secrets, proves="certificate, keys and pull secrets are there"),
    "images": Row(run=images, proves="registries have the agent's and the prober's image"),
    "placeholders": Row(run=example_values, proves="no value of the profile is an example's"),
    "dns": Row(run=dns, proves="the cluster's DNS runs where models may ask it"),
}
"""By name, in the order in which they are told."""


def examine(
    api: Api,
    profile: RegionProfile,
    region: str,
    *,
    ask_image: Callable[[str], str],
    resolve: Callable[[str], frozenset[str]],
    now: datetime,
) -> tuple[list[Finding], list[Unseen]]:
    """What all checks find, and what they could not look at; see Site for the arguments.

    It raises nothing for an API server that does not answer, or answers in another form.
    """
    site = Site(
        api=api, profile=profile, region=region, ask_image=ask_image, resolve=resolve, now=now
    )
    findings: list[Finding] = []
    unseen: list[Unseen] = []
    for name, row in CHECKS.items():
        try:
            for one in row.run(site):
                if isinstance(one, Finding):
                    findings.append(one)
                else:
                    unseen.append(one)
        except ApiError as error:
            unseen.append(Unseen(check=name, why=str(error)))
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            # Objects are other people's: one of another form must not hide what else is found.
            why = f"an answer has another form than the check reads ({type(error).__name__})"
            unseen.append(Unseen(check=name, why=why))
    # One answer may stand in the way of several looks of a check.
    return findings, list(dict.fromkeys(unseen))
