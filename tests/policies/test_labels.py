"""Of everything one can tell whose it is, or it is refused."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

import pytest

from policies.labels import RULES
from policies.resources import Resource
from tests.examples import REGIONS
from tests.policies.attacks import edited, messages
from tests.policies.cases import Failing
from tests.policies.estate import said

(OWNER,) = RULES
PROJECT, MODEL = "isoserve.dev/project", "isoserve.dev/model"
Labels = dict[str, str]


def relabelled(label: str, change: Callable[[Labels], object]) -> Resource:
    return edited(label, lambda values: change(values["metadata"]["labels"]))


OF_NOBODY = relabelled("Service search/embedder", lambda labels: labels.pop(MODEL))
FAILING: Final[Failing] = {OWNER.name: partial(said, OWNER, OF_NOBODY)}


@pytest.mark.parametrize("region", REGIONS)
def test_everything_of_the_examples_says_whose_it_is(region: str) -> None:
    assert said(OWNER, region=region) == []


@pytest.mark.parametrize(
    ("label", "change", "words"),
    [
        ("Service search/embedder", lambda x: x.pop("app.kubernetes.io/managed-by"),
         "has no app.kubernetes.io/managed-by: isoserve"),
        ("PriorityClass isoserve-standard", lambda x: x.clear(), "has no app.kubernetes.io"),
        ("Service search/embedder", lambda x: x.update({PROJECT: "chat"}),
         "has isoserve.dev/project: chat, not search"),
        ("ConfigMap search/prober", lambda x: x.pop(PROJECT), "project: nothing, not search"),
        ("Namespace search", lambda x: x.update({PROJECT: "chat"}), "project: chat, not search"),
        ("PersistentVolume search-models-gpu-l4-1", lambda x: x.update({PROJECT: "chat"}),
         "project: chat, not search"),
        ("ConfigMap isoserve-cache/cache-gpu-l4-1", lambda x: x.update({PROJECT: "chat"}),
         "project: chat, not nothing"),
        ("Service search/embedder", lambda x: x.pop(MODEL), "has no isoserve.dev/model"),
        ("HTTPRoute chat/assistant", lambda x: x.pop(MODEL), "has no isoserve.dev/model"),
        ("Deployment search/embedder", lambda x: x.pop(MODEL), "has no isoserve.dev/model"),
        ("NetworkPolicy search/embedder--8080", lambda x: x.update({MODEL: "ghost"}),
         "model search/ghost, for which there is no spec"),
        ("Deployment search/prober", lambda x: x.pop("isoserve.dev/role"), "has no isoserve.dev"),
    ],
)  # fmt: skip
def test_a_label_that_is_wrong_or_missing_is_refused(
    label: str, change: Callable[[Labels], object], words: str
) -> None:
    found = said(OWNER, relabelled(label, change))
    assert words in messages(found)


@pytest.mark.parametrize("key", [PROJECT, MODEL, "isoserve.dev/role"])
@pytest.mark.parametrize("label", ["Deployment chat/assistant", "CronJob search/nightly-index"])
def test_pods_carry_the_labels_of_their_workload(label: str, key: str) -> None:
    def strip(values: Any) -> None:
        spec = values["spec"].get("jobTemplate", values)["spec"]
        del spec["template"]["metadata"]["labels"][key]

    (finding,) = said(OWNER, edited(label, strip))
    assert "and its pods None" in finding.place.message, "walls know pods by these labels alone"
