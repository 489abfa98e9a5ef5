"""The committed JSON Schemas are those of the code, and editors that use them are not misled."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]  # it ships no types
import pytest

from model_specs.load import LOCK_FILE, PROJECT_FILE
from model_specs.runtimes import RUNTIMES
from model_specs.source import read
from regions.machines import MACHINES
from stacks.schema import schema_texts

ROOT = Path(__file__).resolve().parents[2]
SPECS = sorted(p for p in ROOT.glob("model_specs/*/*.yaml") if p.name != LOCK_FILE)
PROFILES = sorted(ROOT.glob("regions/*.yaml"))


def schema_of(path: Path) -> Path:
    """The schema that the file's own first line names."""
    first = path.read_text().splitlines()[0]
    prefix = "# yaml-language-server: $schema="
    assert first.startswith(prefix), f"{path.name}: editors complete only what names its schema"
    return (path.parent / first.removeprefix(prefix)).resolve()


def judge(schema: Any, values: Any) -> list[str]:
    validator = jsonschema.Draft202012Validator(schema)
    return [error.message for error in validator.iter_errors(values)]


@pytest.mark.parametrize("path", sorted(schema_texts()))
def test_committed_schemas_are_up_to_date(path: str) -> None:
    committed = (ROOT / path).read_text(encoding="utf-8")
    assert committed == schema_texts()[path], f"{path} is old; run `python -m stacks.schema`"


@pytest.mark.parametrize("path", [*SPECS, *PROFILES], ids=lambda p: f"{p.parent.name}/{p.name}")
def test_every_file_satisfies_the_schema_it_names(path: Path) -> None:
    wanted = "profile" if path in PROFILES else "project" if path.name == PROJECT_FILE else ""
    schema = schema_of(path)
    assert schema.name == (f"{wanted}.schema.json" if wanted else "schema.json"), "its own kind"
    found = judge(json.loads(schema.read_text()), read(path, path.name).values)
    assert not found, f"an editor would underline what the code accepts: {found}"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("machine_type", "gpu.l4.2"),
        ("image", "vlm"),
        ("image", "registry.example.com/vllm:latest"),
        ("model", "search/sentiment:v3"),
        ("access", "open"),
        ("scaling", {"max": 0}),
        ("scaling", {"maximum": 3}),
        ("regions", []),
        ("regions", "some"),
        ("memory", "16Gi"),
    ],
)
def test_what_the_code_refuses_an_editor_underlines(field: str, value: object) -> None:
    schema = json.loads((ROOT / "model_specs/schema.json").read_text())
    good = read(ROOT / "model_specs/search/sentiment.yaml", "x").values
    assert isinstance(good, dict), "the example is a mapping"
    assert judge(schema, good | {field: value}), f"{field}: {value} is seen only in CI"


def test_the_catalogues_are_offered() -> None:
    properties = json.loads((ROOT / "model_specs/schema.json").read_text())["properties"]
    assert properties["machine_type"]["enum"] == sorted(MACHINES), "editors complete machine types"
    assert properties["image"]["anyOf"][0]["enum"] == sorted(RUNTIMES), "and runtimes"


def test_every_field_is_described() -> None:
    for path, text in schema_texts().items():
        schema = json.loads(text)
        for name, part in {"": schema, **schema["$defs"]}.items():
            nodes = part.get("properties", {}).items()  # what takes any JSON has none
            bare = [f for f, node in nodes if not {"description", "$ref"} & {*node}]
            assert not bare, f"{path} {name}: hovering over {bare} shows nothing"
