"""kube-score: every check it has, the optional ones too, over all objects of a region at once."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.examples import template
from tests.judge.corpus import Corpus, resource_of, write
from tests.judge.programs import answer, built, keep
from tests.judge.verdict import Finding, Verdict, Waiver, settle

pytestmark = pytest.mark.judge

REGION = "us-east-1"
GOOD = 10
KINDS = ("CronJob", "DaemonSet", "Deployment", "HorizontalPodAutoscaler", "Job", "NetworkPolicy",
         "PodDisruptionBudget", "Service")  # fmt: skip
"""The kinds that kube-score has checks for, of those that we render."""


def asked(folder: Path, files: Sequence[str]) -> list[dict[str, Any]]:
    command = [built("kube-score"), "score", "--output-format", "json",
               "--kubernetes-version", "v1.36", "--all-default-optional",
               # An object must not be able to silence its judge.
               "--disable-ignore-checks-annotations", *files]  # fmt: skip
    said: list[dict[str, Any]] = json.loads(answer(command, folder))
    return said


def findings_of(region: str, said: list[dict[str, Any]]) -> Iterator[Finding]:
    for one in said:
        metadata = one["object_meta"]
        name = resource_of(
            one["type_meta"]["kind"], metadata.get("namespace", ""), metadata["name"]
        )
        for row in one["checks"]:
            if row["grade"] < GOOD and not row["skipped"]:
                text = "; ".join(f"{c['path']} {c['summary']}".strip() for c in row["comments"])
                yield Finding(row["check"]["id"], name, region, text)


def test_every_object_is_as_kube_score_wants_it(
    corpus: Corpus, waivers: list[Waiver], announce: Callable[[Verdict], None]
) -> None:
    findings: list[Finding] = []
    judged = 0
    for region, objects in corpus.objects.items():
        # Walls, services and pods are matched with each other, so a region is judged as a whole.
        said = asked(corpus.root, corpus.files(region))
        keep(f"kube-score-{region}.json", json.dumps(said, indent=1))
        wanted = sum(made["kind"] in KINDS for made in objects)
        assert len(said) == wanted > 30, f"{region}: kube-score passed over some of its kinds"
        judged += len(said)
        findings += findings_of(region, said)
    verdict = settle("kube-score", judged, findings, waivers)
    announce(verdict)
    verdict.check()


def broken(corpus: Corpus, folder: Path, *, without: str = "", image: str = "") -> set[str]:
    """The rules that one region breaks without the walls, or with another image everywhere."""
    objects = [copy.deepcopy(made) for made in corpus.objects[REGION] if made["kind"] != without]
    for made in objects:
        if image and made["kind"] == "Deployment":
            template(made)["spec"]["containers"][0]["image"] = image
    said = asked(folder, [str(write(folder / "all.yaml", objects))])
    return {finding.rule for finding in findings_of(REGION, said)}


def test_it_sees_pods_without_a_wall_and_images_without_a_version(
    corpus: Corpus, tmp_path: Path
) -> None:
    before = broken(corpus, tmp_path)
    assert broken(corpus, tmp_path, without="NetworkPolicy") - before == {"pod-networkpolicy"}
    assert broken(corpus, tmp_path, image="vllm:latest") - before == {"container-image-tag"}


def test_an_annotation_does_not_silence_it(corpus: Corpus, tmp_path: Path) -> None:
    made = copy.deepcopy(next(o for o in corpus.objects[REGION] if o["kind"] == "Deployment"))
    template(made)["spec"]["containers"][0]["image"] = "vllm:latest"
    made["metadata"]["annotations"]["kube-score/ignore"] = "container-image-tag"
    said = asked(tmp_path, [str(write(tmp_path / "one.yaml", [made]))])
    assert "container-image-tag" in {finding.rule for finding in findings_of(REGION, said)}
