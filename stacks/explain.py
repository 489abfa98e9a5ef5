"""Explains a field of the three kinds of file, an error code or a rule, from their own tables."""

from __future__ import annotations

import json
import re
import textwrap
from argparse import Namespace
from collections.abc import Iterator
from typing import Any, Final

from model_specs.codes import CODES
from model_specs.errors import nearest
from policies.catalogue import ELSEWHERE, RULES
from stacks.emit import document
from stacks.outcome import OK, Outcome, refusal
from stacks.schema import SCHEMAS, schema_of

# `scaling.max` is of a model spec; the other two kinds of file are named first.
_PREFIXES: Final = {
    "": "model_specs/schema.json",
    "project.": "model_specs/project.schema.json",
    "region.": "regions/profile.schema.json",
}
_BOUNDS: Final = {
    "minimum": "at least",
    "exclusiveMinimum": "more than",
    "maximum": "at most",
    "exclusiveMaximum": "less than",
    "maxLength": "characters at most",
    "minLength": "characters at least",
    "minItems": "items at least",
    "pattern": "matches",
    "format": "format",
}
_KEY: Final = ".NAME"
"""A step of a path that stands for any key of a map."""
_DIGEST: Final = "sha256:" + "0123456789abcdef" * 4
_EXAMPLES: Final[dict[str, Any]] = {
    "access": "permissive",
    "args": ["--max-model-len", "16384"],
    "batch.command": ["python", "-m", "indexer"],
    "batch.schedule": "30 2 * * *",
    "batch.timezone": "Asia/Seoul",
    "batching.max_size": 32,
    "batching.max_wait_ms": 20,
    "env": {"LOG_LEVEL": "info"},
    "image": "vllm",
    "machine_type": "gpu.l4.1",
    "model": f"search/sentiment:v3@{_DIGEST}",
    "probe.expect.json_path": "choices[0].text",
    "probe.expect.length": 1024,
    "probe.expect.matches": "(?i)ready",
    "calls.host": "features.example.com",
    "cors_origins": ["https://app.example.com"],
    "callers.groups": ["search-users"],
    "callers.keys": ["web-shop", "partner"],
    "calls.port": 443,
    "calls.service": "redis.feature-store",
    "probe.request.body": {"model": "sentiment", "prompt": "ping", "max_tokens": 1},
    "probe.request.path": "/v1/completions",
    "project.gpu_quota": {"gpu.l4.1": 8},
    "project.members.admins": ["search-leads"],
    "regions": ["us-east-1", "seoul-dc1"],
    "rates.load_mib_per_second": 150,
    "regions.machine_type": "gpu.l4.4",
    "regions.scaling.max": 4,
    "regions.scaling.min": 2,
    "rollout.candidate.image": f"registry.example.com/runtimes/vllm@{_DIGEST}",
    "rollout.candidate.model": f"search/sentiment:v4@{_DIGEST}",
    "runtime": "vllm",
    "scaling.schedules.end": "0 20 * * 1-5",
    "scaling.schedules.replicas": 2,
    "scaling.schedules.start": "0 8 * * 1-5",
    "scaling.schedules.timezone": "Asia/Seoul",
    "served_names": ["search-sentiment", "sentiment"],
    "server.command": ["python", "-m", "server"],
    "secrets.mount": "/secrets/label-store",
    "secrets.name": "label-store",
    "share_with": ["chat"],
    "ttl": "2027-01-31T00:00:00Z",
}
"""An example by path, where the default is none."""


def _nodes(schema: dict[str, Any], node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The node and the alternatives, items and definitions it stands for."""
    yield node
    inner = [*node.get("anyOf", ()), *node.get("oneOf", ())]
    inner += [node["items"]] if "items" in node else []
    inner += node.get("patternProperties", {}).values()
    if "$ref" in node:
        inner.append(schema["$defs"][node["$ref"].rsplit("/", 1)[1]])
    if isinstance(node.get("additionalProperties"), dict):
        inner.append(node["additionalProperties"])
    for other in inner:
        yield from _nodes(schema, other)


def _walk(
    schema: dict[str, Any], node: dict[str, Any], path: str
) -> Iterator[tuple[str, dict[str, Any], bool]]:
    """Every field below `node`: its path, its node and whether it must be written."""
    for part in _nodes(schema, node):
        for name, below in part.get("properties", {}).items():
            needed = name in part.get("required", ())
            yield f"{path}{name}", below, needed
            inner = [*_nodes(schema, below)]
            step = "[]" if any("items" in one for one in inner) else ""
            step = _KEY if any("patternProperties" in one for one in inner) else step
            yield from _walk(schema, below, f"{path}{name}{step}.")


def fields() -> dict[str, dict[str, Any]]:
    """What can be said of every field, by its path."""
    found: dict[str, dict[str, Any]] = {}
    for prefix, file in _PREFIXES.items():
        schema = schema_of(*SCHEMAS[file])
        for path, node, needed in _walk(schema, schema, prefix):
            nodes = list(_nodes(schema, node))
            plain = path.replace("[]", "").replace(_KEY, "")
            found[plain] = {
                "field": path,
                "type": _type(nodes),
                "text": next((n["description"] for n in nodes if "description" in n), ""),
                "required": needed,
                "default": node.get("default"),
                "allowed": _allowed(nodes),
                "example": _example_of(plain, node.get("default")),
            }
    return found


def _example_of(path: str, default: Any) -> Any:
    """What may differ in a region is written as everywhere."""
    everywhere = path.removeprefix("regions.")
    return next((_EXAMPLES[one] for one in (path, everywhere) if one in _EXAMPLES), default)


def _type(nodes: list[dict[str, Any]]) -> str:
    kinds = list(dict.fromkeys(node["type"] for node in nodes if "type" in node))
    for node in nodes:
        if "items" in node or isinstance(node.get("additionalProperties"), dict):
            return f"{'list' if 'items' in node else 'map'} of {kinds[-1]}"
    return " or ".join(kinds) or "string"


def _allowed(nodes: list[dict[str, Any]]) -> list[str]:
    said: list[str] = []
    for node in nodes:
        said += [str(value) for value in node.get("enum", ())]
        said += [str(node["const"])] if "const" in node else []
        said += [f"{words} {node[key]}" for key, words in _BOUNDS.items() if key in node]
        if "propertyNames" in node:
            said.append("keys: " + ", ".join(node["propertyNames"].get("enum", ())))
        if "properties" in node:
            said += [f"fields: {', '.join(node['properties'])}"]
            break  # what is below is explained under its own path
    return said


def _example(path: str, value: Any) -> str:
    """`scaling.max` and 2 as the lines one would write."""
    for name in reversed(path.removeprefix("project.").removeprefix("region.").split(".")):
        value = {name.removesuffix("[]"): [value] if name.endswith("[]") else value}
    return textwrap.indent(document(value), "    ")


def _field_text(row: dict[str, Any]) -> Iterator[str]:
    yield f"{row['field']}  ({row['type']})\n  {row['text']}\n"
    yield "  required\n" if row["required"] else f"  default: {json.dumps(row['default'])}\n"
    if row["allowed"]:
        yield f"  allowed: {'; '.join(row['allowed'])}\n"
    if row["example"] is not None:
        yield f"  example:\n{_example(row['field'], row['example'])}"


def _rules(subject: str) -> dict[str, str]:
    """The text of every rule of a row (`P02`), or of the one with that name; empty for no row."""
    row = subject.upper()
    found = {r.name: r.text for r in RULES if row == r.row or subject == r.name}
    return found or ({row: ELSEWHERE[row]} if row in ELSEWHERE else {})


def run(args: Namespace) -> Outcome:
    """Explain one code, rule or field."""
    subject = args.subject
    code = subject.upper()
    rules = _rules(subject)
    if rules:
        text = [
            f"{name}\n{textwrap.indent(textwrap.fill(said, 96), '  ')}\n"
            for name, said in rules.items()
        ]
        return Outcome(data={"rules": rules}, text=text, code=OK)
    if code in CODES:
        means, mend = CODES[code]
        data = {"code": code, "text": means, "mend": mend}
        return Outcome(data=data, text=[f"{code}  {means}\n  {mend}\n"], code=OK)
    known = fields()
    path = re.sub(r"\[\d*\]", "", subject)
    if path not in known:
        is_code = re.fullmatch(r"[A-Za-z]\d+", subject)
        what, names = ("code", list(CODES)) if is_code else ("field", list(known))
        raise refusal("explain", "E201", f"no such {what}, got {subject!r}; {_near(path, names)}")
    return Outcome(data=known[path], text=_field_text(known[path]), code=OK)


def _near(path: str, names: list[str]) -> str:
    """The nearest name; a last word that fits at one place only is meant there."""
    homes = [name for name in names if name.rsplit(".", 1)[-1] == path.rsplit(".", 1)[-1]]
    homes = [name for name in homes if not name.startswith("regions.")]  # it has a home of its own
    if len(homes) == 1:
        return f"did you mean {homes[0]}?"
    hint = nearest(path, names)
    return hint if hint.startswith("did you") else "schema.json lists them all"
