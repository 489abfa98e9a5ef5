"""What the stack REGION.addons installs, in which order, and where its charts come from."""

from __future__ import annotations

import pytest

from regions.addons import ADDONS, Chart
from stacks.addons import chart_of, installed
from tests.examples import REGIONS, profiles

OCI = Chart(repository="oci://quay.io/charts", name="some", version="v1.2.3")
INDEX = Chart(repository="https://charts.example.com", name="some", version="1.2.3")
PLACES = (
    (OCI, "", ("oci://quay.io/charts/some", "")),
    (INDEX, "", ("some", "https://charts.example.com")),
    (OCI, "oci://mirror.example.com/charts", ("oci://mirror.example.com/charts/some", "")),
    (INDEX, "oci://mirror.example.com/charts/", ("oci://mirror.example.com/charts/some", "")),
    (OCI, "/srv/charts", ("/srv/charts/some-v1.2.3.tgz", "")),
    (INDEX, "/srv/charts", ("/srv/charts/some-1.2.3.tgz", "")),
)


@pytest.mark.parametrize(("chart", "mirror", "place"), PLACES)
def test_a_chart_comes_from_its_repository_or_from_the_mirror_alone(
    chart: Chart, mirror: str, place: tuple[str, str]
) -> None:
    assert chart_of(chart, mirror) == place


@pytest.mark.parametrize("region", REGIONS)
def test_only_what_the_profile_says_to_install_is_installed(region: str) -> None:
    profile = profiles()[region]
    named = {name for name, standing in profile.addons.items() if standing == "install"}
    found = installed(profile)
    assert set(found) == named
    assert len(found) == len(named), "once each"
    for at, name in enumerate(found):
        later = set(ADDONS[name].needs) & set(found[at:])
        assert later == set(), "what it needs is there before it"


def test_a_region_of_its_own_installs_and_a_guest_does_not() -> None:
    assert "envoy-gateway" in installed(profiles()["us-east-1"])
    assert installed(profiles()["seoul-dc1"]) == [], "the cluster's owner provides them"
