"""Previews in the two forms in which the engine writes them, as seen of `pulumi preview --json`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

BUCKET: Final = "aws:s3/bucket:Bucket"
NAMESPACE: Final = "kubernetes:core/v1:Namespace"
Row = tuple[str, str, str, bool]
"""Operation, type, name, whether its state is protected."""


def urn(kind: str, name: str, stack: str = "us-east-1") -> str:
    return f"urn:pulumi:{stack}::isoserve::isoserve:index:Noun${kind}::{name}"


def digest(*rows: Row, errors: tuple[str, ...] = (), stack: str = "us-east-1") -> dict[str, Any]:
    """The one document: a replacement is one step, policies are not told."""
    return {
        "steps": [
            {
                "op": operation,
                "urn": urn(kind, name, stack),
                "oldState": {"type": kind, "protect": protect, "inputs": {"x": "[secret]"}},
            }
            for operation, kind, name, protect in rows
        ],
        "diagnostics": [
            {"message": "warning: using a plugin from $PATH\n", "severity": "warning"},
            *({"message": f"error: {text}\n", "severity": "error"} for text in errors),
        ],
        "duration": 1,
        "changeSummary": {"same": 1},
    }


def events(
    *rows: Row,
    errors: tuple[str, ...] = (),
    policies: tuple[dict[str, Any], ...] = (),
    stack: str = "us-east-1",
) -> list[dict[str, Any]]:
    """The lines: a replacement is three steps, the summary says which policy packs ran."""
    found: list[dict[str, Any]] = [{"preludeEvent": {"config": {}}}]
    for operation, kind, name, protect in rows:
        halves = ("create-replacement", "replace", "delete-replaced")
        for half in halves if operation == "replace" else (operation,):
            old = {"type": kind, "protect": protect}
            metadata = {"op": half, "urn": urn(kind, name, stack), "type": kind, "old": old}
            found.append({"resourcePreEvent": {"metadata": metadata, "planning": True}})
    for text in errors:
        found.append({"diagnosticEvent": {"message": text, "severity": "error"}})
    found += [{"policyEvent": policy} for policy in policies]
    packs = {"isoserve": "0.1.0"} if policies else {}
    summary = {"maybeCorrupt": False, "isPreview": True, "PolicyPacks": packs}
    return [*found, {"summaryEvent": summary | {"resourceChanges": {}}}, {"cancelEvent": {}}]


def write(path: Path, preview: dict[str, Any] | list[dict[str, Any]]) -> Path:
    """The file the engine would leave."""
    lines = preview if isinstance(preview, list) else [preview]
    indent = 4 if isinstance(preview, dict) else None
    path.write_text("".join(json.dumps(line, indent=indent) + "\n" for line in lines))
    return path
