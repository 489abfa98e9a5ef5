"""What a region's API does not serve, or will not after its upgrade, is refused in advance."""

from __future__ import annotations

import dataclasses
from typing import Final

import pytest

from policies.judge import Finding, judge
from policies.versions import RULES
from tests.examples import with_capabilities
from tests.policies.cases import renamed, setting
from tests.policies.estate import NO_WAIVERS, facts, good, named, said

(SERVED,) = RULES
OLD: Final = (
    ("CronJob search/nightly-index", "batch/v1beta1", 25),
    ("HorizontalPodAutoscaler search/embedder", "autoscaling/v2beta1", 25),
    ("HorizontalPodAutoscaler search/embedder", "autoscaling/v2beta2", 26),
    ("PodDisruptionBudget search/embedder", "policy/v1beta1", 25),
    ("Deployment search/embedder", "extensions/v1beta1", 16),
    ("Role search/project-viewer", "rbac.authorization.k8s.io/v1beta1", 22),
)
NEW: Final = (
    ("CronJob search/nightly-index", 21),
    ("PodDisruptionBudget search/embedder", 21),
    ("HorizontalPodAutoscaler search/embedder", 23),
)
LACKING: Final = (
    ("envoy_gateway", "BackendTrafficPolicy vision/tagger"),
    ("gateway_api", "HTTPRoute vision/tagger"),
    ("keda", "ScaledObject search/embedder"),
    ("prometheus_operator", "PodMonitor search/embedder"),
    ("cluster_scope", "Namespace search"),
)


def region_of(label: str) -> str:
    """A region that renders it."""
    return "sandbox-onprem" if label.startswith("Horizontal") else "sandbox-aws"


def of_version(label: str, version: str) -> list[Finding]:
    """What is said of a good object in another version of its API."""
    kind = label.split()[0]
    other = renamed(
        named(label, region_of(label)),
        setting("apiVersion", version),
        f"kubernetes:{version}:{kind}",
    )
    return said(SERVED, other, region=region_of(label))


def judged(region: str, **profile: object) -> list[Finding]:
    """What is said of the good corpus in a region whose profile says otherwise."""
    known = facts(region)
    other = dataclasses.replace(known, profile=known.profile.model_copy(update=profile))
    return list(judge(good(region), other, (SERVED,), NO_WAIVERS).findings)


FAILING: Final = {SERVED.name: lambda: of_version("CronJob search/nightly-index", "batch/v1beta1")}


@pytest.mark.parametrize(("label", "version", "gone"), OLD)
def test_a_version_that_is_gone_is_refused(label: str, version: str, gone: int) -> None:
    (finding,) = of_version(label, version)
    assert finding.resource == label
    assert f"is of {version}, not served from 1.{gone} on" in finding.place.message


def test_a_version_that_goes_with_the_next_upgrade_is_refused_today() -> None:
    known = facts()
    profile = known.profile.model_copy(update={"kubernetes_version": "1.24"})
    old = renamed(
        named("CronJob search/nightly-index"),
        setting("apiVersion", "batch/v1beta1"),
        "kubernetes:batch/v1beta1:CronJob",
    )
    tomorrow = dataclasses.replace(known, profile=profile)
    (finding,) = judge([old], tomorrow, (SERVED,), NO_WAIVERS).findings
    assert "not served from 1.25 on" in finding.place.message
    yesterday = profile.model_copy(update={"kubernetes_version": "1.23"})
    before = dataclasses.replace(known, profile=yesterday)
    assert not judge([old], before, (SERVED,), NO_WAIVERS).findings


@pytest.mark.parametrize(("label", "first"), NEW)
def test_a_version_that_is_too_new_for_the_region_is_refused(label: str, first: int) -> None:
    region = region_of(label)
    early = judged(region, kubernetes_version=f"1.{first - 1}")
    assert label in {finding.resource for finding in early}
    in_time = judged(region, kubernetes_version=f"1.{first}")
    assert label not in {finding.resource for finding in in_time}


@pytest.mark.parametrize("version", ["apps/v2", "batch/v1", "example.com/v1"])
def test_a_version_that_nobody_checked_is_refused(version: str) -> None:
    (finding,) = of_version("Deployment search/embedder", version)
    assert "which nobody has checked" in finding.place.message


@pytest.mark.parametrize(("capability", "label"), LACKING)
def test_a_kind_that_the_region_lacks_is_refused(capability: str, label: str) -> None:
    able = [name for name in facts().profile.all_capabilities if name != capability]
    lesser = with_capabilities(facts().profile, able)
    profile = {"addons": lesser.addons, "capabilities": lesser.capabilities}
    found = {finding.resource: finding for finding in judged("sandbox-aws", **profile)}
    assert f"needs {capability}, which the region lacks" in found[label].place.message
