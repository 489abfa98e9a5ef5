"""`isoserve doctor` finds the one thing that is wrong with a region, and says what mends it."""

from __future__ import annotations

import pytest

from stacks.doctor.checks import CHECKS
from tests.stacks.doctor_cases import CASES, CRITICAL, Case, fixed, on_metal, plugin
from tests.stacks.doctor_site import NODES, TLS, good


def test_the_doctor_is_silent_on_a_region_that_serves() -> None:
    findings, unseen = good().examined()
    assert not findings, "an alarm that always rings is not heard"
    assert not unseen, "everything here can be looked at"


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_one_broken_thing_is_the_one_finding(case: Case) -> None:
    world = good()
    case.spoil(world)
    findings, _ = world.examined()
    assert [one.check for one in findings] == [case.check], "one cause is told once"
    assert case.what in findings[0].what, "it says what was found"
    assert case.mend in findings[0].mend, "it says what mends it"


def test_a_taint_of_somebody_else_on_a_node_without_gpus_is_named() -> None:
    world = good()
    node = world.items(NODES)[0]
    node["spec"]["taints"].append({"key": "team", "value": "a", "effect": "NoExecute"})
    node["status"]["allocatable"].pop("nvidia.com/gpu")
    findings, _ = world.examined()
    assert [one.check for one in findings] == ["device-plugins", "allocatable"], "cause and effect"
    assert "team=a:NoExecute" in findings[0].what, "no profile knows of it, the node does"
    assert "{key: team, operator: Exists, effect: NoExecute}" in findings[0].mend


def test_one_reason_of_several_machine_types_is_told_once() -> None:
    world = good()
    machines = world.profile.machines
    world.change(machines={**machines, "gpu.l4.4": machines["gpu.l4.1"]})
    plugin(0, tolerations=CRITICAL)(world)
    findings, _ = world.examined()
    told = [one.what for one in findings if one.check == "device-plugins"]
    assert len(told) == 1, "one DaemonSet is mended once"
    assert "gpu.l4.1, gpu.l4.4" in told[0], "it names both"


def test_a_name_with_one_of_two_fixed_addresses_leads_to_the_gateway() -> None:
    world = good()
    fixed(world, "52.1.2.4")
    assert world.examined() == ([], []), "a record may have one of them"


@pytest.mark.parametrize(("last", "told_as"), [(5, "l4-3, l4-4, l4-5"), (6, "l4-5 and 1 more")])
def test_many_names_are_counted(last: int, told_as: str) -> None:
    world = good()
    on_metal(*(f"l4-{number}" for number in range(1, last + 1)))(world)
    findings, _ = world.examined()
    assert findings[0].what.endswith(told_as), "a line of a thousand names is not read"


@pytest.mark.parametrize(
    ("standing", "mend"),
    [
        ("install", "pulumi up --stack sandbox-aws.addons"),
        ("provided", "addons: {keda: absent}"),
    ],
)
def test_who_brings_an_add_on_is_told_how(standing: str, mend: str) -> None:
    world = good()
    world.change(addons={**world.profile.addons, "keda": standing})
    world.objects.pop("/apis/keda.sh/v1alpha1")
    findings, _ = world.examined()
    assert mend in findings[0].mend, "by the stack, or by somebody else's chart"


def test_an_add_on_that_is_absent_and_needed_is_offered() -> None:
    world = good()
    addons = {**world.profile.addons, "keda": "absent", "metrics-server": "absent"}
    world.change(addons=addons, capabilities=("cluster_scope",))
    world.objects.pop("/apis/metrics.k8s.io")
    findings, _ = world.examined()
    assert "addons: {metrics-server: install}" in findings[0].mend, "the profile can bring it"


def test_every_check_is_provoked_by_a_case() -> None:
    assert {case.check for case in CASES.values()} == set(CHECKS), "a check that finds nothing"


def test_every_check_says_what_it_proves() -> None:
    assert all(row.proves and row.run.__doc__ for row in CHECKS.values()), "people read it"


def test_the_doctor_reads_no_value_of_a_secret_that_it_does_not_need() -> None:
    world = good()
    world.examined()
    whole = [path for path, form in world.asked if "/secrets/" in path and "Partial" not in form]
    assert set(whole) == {TLS}, "a certificate alone is read; its type is in no metadata"
    assert all(
        path.startswith(("/api", "/openid/v1/jwks", "/version")) for path, _ in world.asked
    ), "paths of the API"
