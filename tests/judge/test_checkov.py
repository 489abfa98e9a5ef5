"""checkov: all rules for Kubernetes that ship inside it, asked of one region at a time, offline."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from tests.examples import template
from tests.judge.corpus import Corpus, resource_of, write
from tests.judge.programs import answer, installed, keep, nobody_called
from tests.judge.verdict import Finding, Verdict, Waiver, settle

pytestmark = pytest.mark.judge

REGION = "us-east-1"
# Neither its platform's rule names nor a newer version of itself may be asked for.
OFFLINE: Final = {"BC_SKIP_MAPPING": "TRUE", "CKV_SKIP_PACKAGE_UPDATE_CHECK": "TRUE"}


def asked(folder: Path, below: str) -> Any:
    command = [installed("checkov"), "-d", str(folder / below), "--framework", "kubernetes",
               "--compact", "-o", "json", "--skip-download"]  # fmt: skip
    return json.loads(answer(command, folder, **OFFLINE))


def findings_of(region: str, said: Any) -> Iterator[Finding]:
    for row in said["results"]["failed_checks"]:
        # `Kind.namespace.name`; the pods that it derives from templates have their labels behind.
        kind, namespace, name = row["resource"].split(".", 2)
        resource = resource_of(kind, namespace, name)
        yield Finding(row["check_id"], resource, region, row["check_name"])


def test_every_object_is_as_checkov_wants_it(
    corpus: Corpus, waivers: list[Waiver], announce: Callable[[Verdict], None]
) -> None:
    findings: list[Finding] = []
    for region, objects in corpus.objects.items():
        # A wall of one region must not count for the pods of another.
        said = asked(corpus.root, region)
        keep(f"checkov-{region}.json", json.dumps(said, indent=1))
        summary = said["summary"]
        assert summary["parsing_errors"] == 0, "what it cannot read it does not judge"
        assert summary["skipped"] == 0, "an object must not be able to silence its judge"
        assert summary["resource_count"] >= len(objects), f"{region}: objects were passed over"
        assert summary["passed"] > 900, "nearly every rule has something to say to some object"
        findings += findings_of(region, said)
    verdict = settle("checkov", corpus.size, findings, waivers)
    announce(verdict)
    verdict.check()


def test_it_sees_a_privileged_container_and_an_image_without_a_digest(
    corpus: Corpus, tmp_path: Path
) -> None:
    made = copy.deepcopy(next(o for o in corpus.objects[REGION] if o["kind"] == "Deployment"))
    (main,) = template(made)["spec"]["containers"]
    main["image"] = "vllm:latest"
    main["securityContext"] = {**main["securityContext"], "privileged": True}
    write(tmp_path / "planted" / "one.yaml", [made])
    rules = {finding.rule for finding in findings_of(REGION, asked(tmp_path, "planted"))}
    # A lone Deployment has no wall either: CKV2_K8S_6 is the rule about that.
    assert rules == {"CKV_K8S_14", "CKV_K8S_16", "CKV_K8S_43", "CKV2_K8S_6"}


def test_a_judge_that_calls_somebody_is_seen() -> None:
    call = "import urllib.request as r; r.urlopen('https://example.invalid', timeout=0.1)"
    with pytest.raises(pytest.fail.Exception, match="called somebody"), nobody_called() as env:
        subprocess.run([sys.executable, "-c", call], env=env, capture_output=True, check=False)
