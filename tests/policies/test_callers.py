"""Whoever may call a model gets out of its own namespace to it."""

from __future__ import annotations

from typing import Final

import pytest

from policies.callers import RULES
from policies.judge import Finding
from policies.resources import Unknown
from tests.examples import REGIONS, a_model, a_tree, specs
from tests.policies.attacks import edited, wall
from tests.policies.cases import GONE, Case, Failing, check, failing, respecified, setting
from tests.policies.estate import said

(REACH,) = RULES
WALL: Final = "NetworkPolicy search/default-callers"
TO: Final = "spec egress 0 to"
SELF: Final = "lets no pod of search out to search, and they may call search/"
NAMED: Final = "namespaceSelector matchLabels kubernetes.io/metadata.name"
MODELS: Final = tuple(model.id for model in specs().models)
JOB: Final = {"command": ["x"], "parallelism": 1, "completions": 1}
# It names chat, the gateways, search itself and vision, in this order.
CASES: Final = (
    *(
        Case(rule=REACH, of=WALL, path=f"{TO} {at}", says=says)
        for at, says in (
            (0, "lets no pod of search out to chat, and they may call chat/helper"),
            (1, "out to envoy-gateway-system, and they may call vision/tagger"),
            (2, SELF),
            (3, "out to vision, and they may call vision/tagger; name vision there"),
        )
    ),
    Case(rule=REACH, of=WALL, path=f"{TO} 2 {NAMED}", value="serch", says=SELF),
    Case(rule=REACH, of=WALL, path="spec egress 0 ports", value=[{"port": 1}], says=SELF, times=4),
    Case(rule=REACH, of=WALL, path="spec egress 0 ports", value=[{"port": 8000}], times=2,
         says="lets no pod of search out to envoy-gateway-system"),
    Case(rule=REACH, of=WALL, path="spec podSelector matchExpressions 0 operator", value="Exists",
         says=SELF, times=4),
    Case(rule=REACH, of=WALL, path="spec podSelector matchLabels", value={"app": "one"}, says=SELF,
         times=4),
    Case(rule=REACH, of=WALL, path="spec egress", value=[], says=SELF, times=4),
    Case(rule=REACH, of=WALL, says=SELF, times=4),
    Case(rule=REACH, of="NetworkPolicy vision/default-callers", times=2,
         says="lets no pod of vision out to envoy-gateway-system"),
)  # fmt: skip
FAILING: Final[Failing] = failing(CASES)


@pytest.mark.parametrize("region", REGIONS)
def test_the_examples_call_whom_they_may(region: str) -> None:
    assert said(REACH, region=region) == []


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_caller_that_is_kept_in_is_named(case: Case) -> None:
    check(case)


def without(*labels: str) -> list[Finding]:
    """What is said when these walls stand around nobody that goes out."""
    others = [edited(label, setting("spec policyTypes", ["Ingress"])) for label in labels]
    return said(REACH, *others)


def test_a_namespace_without_a_wall_keeps_nobody_in() -> None:
    assert without(WALL), "the default-deny alone keeps them in"
    assert without(WALL, "NetworkPolicy search/default-deny") == [], (
        "that it has none is another rule's fault"
    )


def test_a_project_that_a_model_is_newly_shared_with_needs_a_way_out() -> None:
    (finding,) = said(REACH, wished=respecified("search/embedder", share_with=("vision",)))
    assert finding.resource == "NetworkPolicy vision/default-callers"
    assert finding.place.file == "model_specs/vision/project.yaml", "whose pods are kept in"
    assert "out to search, and they may call search/embedder" in finding.place.message


def test_where_no_model_is_permissive_nobody_need_call_a_gateway() -> None:
    private = a_tree(*(a_model(*name.split("/")) for name in MODELS))
    assert said(REACH, edited(WALL, setting(f"{TO} 1", GONE)), wished=private) == []


def test_a_job_is_called_by_nobody() -> None:
    jobs = a_tree(*(a_model(*name.split("/"), batch=JOB) for name in MODELS))
    assert said(REACH, without=WALL, wished=jobs) == []


def test_a_model_without_its_service_is_another_rules_fault() -> None:
    gone = "Service vision/tagger"
    assert said(REACH, without=gone) == []


def test_another_wall_that_lets_them_out_is_as_good() -> None:
    spare = wall("search/embedder", "spare", policyTypes=["Egress"], podSelector={}, egress=[{}])
    assert said(REACH, spare, without=WALL) == [], "that it is too wide is another rule's fault"


@pytest.mark.parametrize(
    "path", ["spec egress", TO, f"{TO} 0", "spec podSelector", "spec policyTypes"]
)
def test_a_value_that_is_not_known_yet_lets_nobody_out(path: str) -> None:
    assert said(REACH, edited(WALL, setting(path, Unknown(path)))), "a guess is no promise"
