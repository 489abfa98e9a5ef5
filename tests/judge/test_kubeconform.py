"""kubeconform: every object fits the schema of its kind, strictly, and none is passed over."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from components.kube import Object
from tests.examples import identity
from tests.judge.corpus import Corpus, resource_of, write
from tests.judge.programs import answer, built, keep
from tests.judge.schemas import closed, write_custom, write_own
from tests.judge.verdict import Finding, Verdict, Waiver, settle

pytestmark = pytest.mark.judge


@pytest.fixture(scope="module")
def locations(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Where kubeconform finds schemas, and nowhere else."""
    root = tmp_path_factory.mktemp("schemas")
    return [write_own(root / "own"), write_custom(root / "custom")]


def asked(locations: list[str], folder: Path, path: str) -> Any:
    found = [word for place in locations for word in ("-schema-location", place)]
    command = [built("kubeconform"), "-strict", "-summary", "-verbose", "-output", "json",
               "-n", "2", *found, path]  # fmt: skip
    said = json.loads(answer(command, folder))
    # What stands above the first `---`, our own mark, is a document with nothing in it.
    said["resources"] = [row for row in said["resources"] if row["kind"]]
    return said


def told(locations: list[str], path: Path, made: Object) -> str:
    """What kubeconform says of one object, status first."""
    (row,) = asked(locations, path.parent, str(write(path, [made])))["resources"]
    return f"{row['status']}: {row['msg']}"


def test_every_object_fits_its_schema(
    corpus: Corpus,
    waivers: list[Waiver],
    locations: list[str],
    announce: Callable[[Verdict], None],
) -> None:
    findings: list[Finding] = []
    judged = 0
    for region, objects in corpus.objects.items():
        said = asked(locations, corpus.root, region)
        keep(f"kubeconform-{region}.json", json.dumps(said, indent=1))
        # The namespace of an object is not in the answer.
        seen = sorted((row["kind"], row["name"]) for row in said["resources"])
        wanted = sorted((identity(made).kind, identity(made).name) for made in objects)
        assert seen == wanted, f"{region}: what is rendered and what is judged differ"
        assert said["summary"]["skipped"] == 0, "a kind without a schema must not pass unseen"
        judged += len(seen)
        findings += [
            Finding(row["status"], resource_of(row["kind"], "", row["name"]), region, row["msg"])
            for row in said["resources"]
            if row["status"] != "statusValid"
        ]
    verdict = settle("kubeconform", judged, findings, waivers)
    announce(verdict)
    assert judged == corpus.size > 600, "all examples in all regions"
    verdict.check()


def of(corpus: Corpus, kind: str) -> Object:
    """A rendered object of a kind, to be changed."""
    for objects in corpus.objects.values():
        for made in objects:
            if made["kind"] == kind:
                return copy.deepcopy(made)
    raise AssertionError(f"no example has a {kind}")


@pytest.mark.parametrize(
    "kind",
    ["BackendTrafficPolicy", "Certificate", "Deployment", "Gateway", "HTTPRoute", "NetworkPolicy",
     "PodMonitor", "PrometheusRule", "ScaledObject", "SecurityPolicy"],
)  # fmt: skip
def test_it_refuses_a_field_that_its_kind_does_not_have(
    corpus: Corpus, locations: list[str], tmp_path: Path, kind: str
) -> None:
    made = of(corpus, kind)
    assert told(locations, tmp_path / "good.yaml", made) == "statusValid: ", "the example is good"
    made["spec"]["replicaz"] = 1
    said = told(locations, tmp_path / "bad.yaml", made)
    assert said.startswith("statusInvalid"), f"a misspelt field would do nothing: {said}"
    assert "replicaz" in said, "the judge names the field"


def test_it_refuses_a_field_of_another_type(
    corpus: Corpus, locations: list[str], tmp_path: Path
) -> None:
    made = of(corpus, "ScaledObject")
    made["spec"]["pollingInterval"] = "30"
    said = told(locations, tmp_path / "bad.yaml", made)
    assert said.startswith("statusInvalid"), said
    assert "pollingInterval" in said, "the judge names the field"


def test_it_refuses_a_kind_that_it_does_not_know(locations: list[str], tmp_path: Path) -> None:
    stranger = {"apiVersion": "example.com/v1", "kind": "Stranger", "metadata": {"name": "x"}}
    said = told(locations, tmp_path / "bad.yaml", stranger)
    assert said.startswith("statusError"), f"what has no schema is no good object: {said}"


def test_a_schema_is_closed_where_its_fields_are_named_and_open_where_they_are_kept() -> None:
    inner = {"type": "object", "properties": {"a": {"type": "string"}}}
    schema = {
        "type": "object",
        "properties": {
            "kept": {**inner, "x-kubernetes-preserve-unknown-fields": True},
            "list": {"type": "array", "items": inner},
            "map": {"type": "object", "additionalProperties": inner},
            "maybe": {"type": "integer", "nullable": True},
        },
        "anyOf": [{"properties": {"list": {}}}],
    }
    made = closed(schema)
    fields = made["properties"]
    assert made["additionalProperties"] is False
    assert "additionalProperties" not in fields["kept"], "its owner takes fields nobody named"
    assert fields["list"]["items"]["additionalProperties"] is False
    assert fields["map"]["additionalProperties"]["additionalProperties"] is False
    assert fields["maybe"]["type"] == ["integer", "null"], "a definition says it in its own word"
    assert made["anyOf"] == schema["anyOf"], "a condition names some of the fields, never all"
