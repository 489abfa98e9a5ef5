"""JSON schemas for kubeconform: of Kubernetes' own kinds, and of the kinds the sandbox installs.

The first are kubernetes-validate's, strict already. The second are made from the real definitions
and closed like kubeconform's own converter closes them: an object takes no field that its schema
does not name. CEL rules are not in a JSON schema; a real API server checks them in tests/engine.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import pytest

from regions.sandbox import crds
from tests.judge.programs import PACKAGES

VERSION: Final = "v1.36.0"
_OWN: Final = f"*/site-packages/kubernetes_validate/kubernetes-json-schema/{VERSION}-local-strict"
_OWN_NAME: Final = "{{.ResourceKind}}{{.KindSuffix}}.json"
_CUSTOM_NAME: Final = "{{.Group}}/{{.ResourceKind}}_{{.ResourceAPIVersion}}.json"
Schema = dict[str, Any]


def _children(node: Schema) -> Schema:
    """The parts of a schema that are schemas of values, and not conditions on this one."""
    made: Schema = {}
    if "properties" in node:
        made["properties"] = {name: closed(one) for name, one in node["properties"].items()}
    for name in ("items", "additionalProperties"):
        if isinstance(node.get(name), dict):
            made[name] = closed(node[name])
    return made


def closed(node: Schema) -> Schema:
    """The schema, strict: what it has not named is an error, unless it keeps unknown fields."""
    made = {**node, **_children(node)}
    keeps = node.get("x-kubernetes-preserve-unknown-fields", False)
    if "properties" in node and not keeps:
        made.setdefault("additionalProperties", False)
    if node.get("nullable") and isinstance(node.get("type"), str):
        made["type"] = [node["type"], "null"]
    return made


def write_own(root: Path) -> str:
    """Write the schemas of Kubernetes' own kinds below `root`; how kubeconform finds one."""
    folders = list((PACKAGES / "lib").glob(_OWN))
    if not folders:
        pytest.fail("there is no kubernetes-validate yet; `make judge` gets all judges")
    root.mkdir(parents=True)
    for path in folders[0].glob("*.json"):
        schema = json.loads(path.read_text().replace('"/api/_definitions', '"_definitions'))
        # By its id a schema's references lead to a web address that nobody serves.
        schema.pop("$id", None)
        (root / path.name).write_text(json.dumps(schema))
    return f"{root}/{_OWN_NAME}"


def write_custom(root: Path) -> str:
    """Write the schemas of the sandbox's custom kinds below `root`; how kubeconform finds one."""
    for bundle in crds.BUNDLES:
        for definition in crds.definitions(bundle):
            spec = definition["spec"]
            for version in spec["versions"]:
                kind = spec["names"]["kind"].lower()
                path = root / spec["group"] / f"{kind}_{version['name']}.json"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(json.dumps(closed(version["schema"]["openAPIV3Schema"])))
    return f"{root}/{_CUSTOM_NAME}"
