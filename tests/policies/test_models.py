"""The files that a pod serves are those that its spec pins, they are there, and there is room."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

import pytest

from policies.models import RULES
from tests.policies.cases import (
    GONE,
    Case,
    check,
    check_unknown,
    failing,
    respecified,
    setting,
    with_path,
)
from tests.policies.estate import REGION, added, changed, named, said

DIGEST, CACHED, HELD, DISK = RULES
OWN_COPY: Final = "Deployment search/embedder"  # downloads
NODES_COPY: Final = "Deployment chat/helper"  # waits for its node's copy
CANDIDATE: Final = "Deployment vision/tagger-candidate"
CONFIG: Final = "ConfigMap isoserve-cache/cache-gpu-l4-1"
AGENT: Final = "DaemonSet isoserve-cache/cache-gpu-l4-1"
POD: Final = "spec template spec"
NOTE: Final = "spec template metadata annotations isoserve.dev/model-digest"
WAIT: Final = f"{POD} initContainers 0 args 2"
NODES: Final = f"{POD} nodeSelector isoserve.dev/machine-type"
OTHER: Final = "f" * 64


def told(change: Callable[[Any], object], region: str = REGION) -> str:
    """What the agents of gpu.l4.1 are told, after `change`."""
    held = json.loads(named(CONFIG, region).values["data"]["models.json"])
    change(held)
    return json.dumps(held)


ARGS: Final[list[Any]] = named(OWN_COPY).values["spec"]["template"]["spec"]["containers"][0]["args"]
CASES: Final = (
    *(
        Case(rule=DIGEST, of=of, path=path, value=value, says=says, field=field)
        for of, field, rows in (
            (
                OWN_COPY,
                "model",
                (
                    (NOTE, OTHER, f"is annotated with {OTHER}"),
                    (NOTE, GONE, "is annotated with no model"),
                    (f"{POD} containers 0 volumeMounts 0 subPath", "latest", "mounts latest"),
                    (f"{POD} containers 0 volumeMounts 0", {"mountPath": "/x"}, "mounts no model"),
                    (f"{POD} initContainers 0 args 2", "search/a:latest", "downloads search"),
                    (f"{POD} initContainers", [], "waits for no model"),
                ),
            ),
            (NODES_COPY, "model", ((WAIT, OTHER, f"waits for {OTHER}"),)),
            (CANDIDATE, "rollout.candidate.model", ((NOTE, OTHER, "spec pins vision/tagger:v3"),)),
            (
                OWN_COPY,
                "args",
                (
                    (f"{POD} containers 0 args", [*ARGS, "--revision", "main"], "--revision main"),
                    (f"{POD} containers 0 args", [*ARGS, "--code-revision=v1"], "follows --code"),
                ),
            ),
            (OWN_COPY, "env", ((f"{POD} containers 0 env", [], "may download from a hub"),)),
        )
        for path, value, says in rows
    ),
    Case(
        rule=DIGEST,
        of=OWN_COPY,
        path="metadata labels isoserve.dev/model",
        value="nobodys",
        says="serves search/nobodys, of which there is no spec",
    ),
    *(
        Case(rule=CACHED, of=CONFIG, path="data models.json", value=told(change), says=says)
        for change, says in (
            (setting("models", []), "holds nothing"),
            (setting("models 0 address", f"chat/helper:v6@sha256:{OTHER}"), "which no spec pins"),
            (setting("models 0 address", "chat/helper:latest"), "holds chat/helper:latest"),
            (setting("models 0 digest", OTHER), f"under chat/{OTHER}"),
            (setting("models 0 project", "search"), "under search/98cf76"),
            (setting("models 0 bytes", 1), "for 1 bytes, the registry has 16070475776"),
        )
    ),
    Case(rule=CACHED, of=CONFIG, path="data models.json", says="holds nothing"),
    *(
        Case(rule=HELD, of=of, path=path, value=value, says=says, field="cache", on=NODES_COPY)
        for of, path, value, says in (
            (NODES_COPY, WAIT, OTHER, f"waits for {OTHER}"),
            (NODES_COPY, NODES, "cpu.4", "on cpu.4 holds"),
        )
    ),
    *(
        Case(
            rule=HELD,
            of=of,
            says="no agent on gpu.l40s.4 holds",
            field="cache",
            on="Deployment chat/assistant",
        )
        for of in (
            "ConfigMap isoserve-cache/cache-gpu-l40s-4",
            "DaemonSet isoserve-cache/cache-gpu-l40s-4",
        )
    ),
    *(
        Case(rule=DISK, of=CONFIG, path="data models.json", value=told(change), says=says,
             field="machines.gpu.l4.1.cache_disk_gib")
        for change, says in (
            (setting("models 0 bytes", 301 * 1024**3), "GiB of a node, nodes have 300"),
            (setting("disk_budget_gib", 301), "may fill 301 GiB, nodes have 300"),
            (setting("disk_budget_gib", GONE), "may fill any number of GiB"),
        )
    ),
    *(
        Case(rule=DISK, of=CONFIG, path="data models.json",
             value=told(setting("disk_free_percent", percent), "us-east-1"),
             says=says, field="cluster.disk_free_percent", region="us-east-1")
        for percent, says in (
            (19, "leaves 19 % of a disk free, the profile says 20 %"),
            (GONE, "leaves no % of a disk free"),
        )
    ),
    *(
        Case(rule=DISK, of=AGENT, path=f"{POD} priorityClassName", value=value, says=says)
        for value, says in (
            (GONE, "is of priority class None, so a full disk may have it evicted"),
            ("system-cluster-critical", "is of priority class system-cluster-critical"),
        )
    ),
    Case(
        rule=DISK,
        of=CONFIG,
        path="metadata labels isoserve.dev/machine-type",
        value="gpu.h100.8",
        says="is for gpu.h100.8, which the region has not",
        field="machines",
    ),
)  # fmt: skip
FAILING: Final = failing(CASES)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_one_field_makes_the_difference(case: Case) -> None:
    check(case)


@pytest.mark.parametrize("case", with_path(CASES), ids=str)
def test_a_field_that_is_not_known_yet_is_no_good_field(case: Case) -> None:
    check_unknown(case)


def test_a_moved_model_is_shown_at_the_line_that_pins_it() -> None:
    moved = changed(named(OWN_COPY), setting(NOTE, OTHER))
    (finding,) = said(DIGEST, moved)
    assert (finding.place.file, finding.place.line) == ("model_specs/search/embedder.yaml", 4)


def test_what_is_rendered_follows_the_spec_and_not_the_other_way_round() -> None:
    new = f"search/ranker:v8@sha256:{OTHER}"
    findings = said(DIGEST, wished=respecified("search/ranker", model=new))
    assert {finding.resource for finding in findings} == {"Deployment search/ranker"}
    assert len(findings) == 3, "what is downloaded, what is mounted and what is annotated"


@pytest.mark.parametrize(
    ("sizes", "pinned", "refused"),
    [
        ((300,), 0, 0),
        ((301,), 0, 1),
        ((150, 150, 99), 0, 0),  # a replica of one, one more that comes, and none of the third
        ((151, 150), 0, 1),
        ((100,) * 30, 0, 0),
        ((100,) * 3, 1, 0),
        ((101, 100, 100), 1, 1),
    ],
)
def test_what_is_pinned_and_what_pods_may_need_fit_to_the_last_gibibyte(
    sizes: tuple[int, ...], pinned: int, refused: int
) -> None:
    rows = [{"bytes": gib * 1024**3, "pinned": n < pinned} for n, gib in enumerate(sizes)]
    config = changed(named(CONFIG), setting("data models.json", told(setting("models", rows))))
    assert len(said(DISK, config)) == refused


def test_only_the_cache_is_read_as_a_cache() -> None:
    mine = {"name": "mine", "namespace": "search"}
    stranger = added(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": mine, "data": {"a": "b"}}
    )
    assert said(CACHED, stranger) == said(DISK, stranger) == []
