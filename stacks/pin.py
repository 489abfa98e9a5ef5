"""Writes a model's digest into a spec, and its facts beside it; no other byte of either changes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import yaml

from model_specs.addresses import MODEL_ADDRESS
from model_specs.errors import shown
from model_specs.load import LOCK_FILE, parse
from model_specs.lock import ModelFacts, ModelLock
from model_specs.moment import span_of, written
from model_specs.source import read
from stacks.outcome import refusal
from stacks.yaml_edit import entries, replaced, text_of, write

_HEAD: Final = (
    "# Facts of pinned models, recorded from the registry so that a plan needs no network.\n"
    "models:\n"
)
_CODE: Final = "E391"
Find = Callable[[str], tuple[str, ModelFacts]]
"""From an address as a person writes it to the pinned one, and the facts of what is there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pinned:
    """A spec whose model was pinned: what stood there, what stands there now."""

    spec: str
    before: str
    address: str
    lock: str
    ttl: str
    """The moment that was written for a ttl such as `14d`; empty where there was none."""


def pin(spec: Path, label: str, find: Find, at: datetime) -> Pinned:
    """Pin the model of `spec` to the version it names, or to the one that `label` names.

    A ttl such as `14d` becomes the moment that is so far from `at`.

    Raises SpecErrors when the file cannot be read or has no model on a line of its own.
    """
    source = read(spec.absolute(), str(spec))
    text = text_of(spec)
    values = source.values if isinstance(source.values, dict) else {}
    before = values.get("model")
    if not isinstance(before, str):
        raise refusal(str(spec), _CODE, "no `model: project/model:version` to pin; write it")
    wanted = before
    if label:
        wanted = f"{before.partition('@')[0].partition(':')[0]}:{label}"
    address, facts = find(wanted)
    found = MODEL_ADDRESS.fullmatch(address)
    project = spec.absolute().parent.name
    if not found or found["project"] != project:
        why = f"the model belongs to another project, got {shown(address)}"
        cure = f"copy it with `isoserve model share {wanted} {project}` and name the copy"
        raise refusal(str(spec), "E322", f"{why}; {cure}")
    lock = spec.parent / LOCK_FILE
    changed = replaced(spec, text, ("model",), address, _CODE)
    ttl = str(values.get("ttl", ""))
    span = span_of(ttl)
    until = written(at + span) if span else ""
    if until:
        changed = replaced(spec, changed, ("ttl",), until, _CODE)
    record(lock, address, facts)  # first: facts without a pin harm nobody, a pin without does
    if changed != text:
        write(spec, changed)
    return Pinned(spec=str(spec), before=before, address=address, lock=str(lock), ttl=until)


def record(lock: Path, address: str, facts: ModelFacts) -> None:
    """Write a model's facts into the project's lock file, which other lines keep as they are."""
    line = f"{address}: {_flow(facts.model_dump(exclude_defaults=True))}\n"
    if not lock.exists():
        write(lock, f"{_HEAD}  {line}")
        return
    source = read(lock.absolute(), str(lock))
    known = parse(source, ModelLock).models
    if address in known and known[address] == facts:
        return
    changed = _recorded(lock, text_of(lock), address, line)
    write(lock, changed)
    parse(read(lock.absolute(), str(lock)), ModelLock)


def _flow(values: Mapping[str, Any]) -> str:
    """Values on one line, so that a lock file has one line a model."""
    items = (
        f"{key}: {_flow(value) if isinstance(value, Mapping) else json.dumps(value)}"
        for key, value in values.items()
    )
    return f"{{{', '.join(items)}}}"


def _recorded(lock: Path, text: str, address: str, line: str) -> str:
    for key, models in entries(text):
        if key.value != "models" or models.flow_style or not models.value:
            continue
        indent = " " * models.value[0][0].start_mark.column
        for known, facts in models.value:
            if known.value == address:
                start, end = known.start_mark.index, facts.end_mark.index
                return f"{text[:start]}{line.rstrip()}{text[end:]}"
        # A block's end mark is where the next thing begins; the last value's own is exact.
        end = _last(models.value[-1][1]).end_mark.index
        rest = text.find("\n", end)
        cut = len(text) if rest < 0 else rest + 1
        head = text[:cut] if text[:cut].endswith("\n") else f"{text[:cut]}\n"
        return f"{head}{indent}{line}{text[cut:]}"
    why = "its models are not one a line below `models:`; write them so, or remove the file"
    raise refusal(str(lock), _CODE, why)


def _last(node: Any) -> Any:
    """The last thing in a node that has text of its own."""
    while isinstance(node, yaml.MappingNode) and node.value and not node.flow_style:
        node = node.value[-1][1]
    return node
