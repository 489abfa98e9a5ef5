"""Reads what the engine's preview of a region said, in either of the two forms it has.

`pulumi preview --json` prints one document, the digest; with PULUMI_ENABLE_STREAMING_JSON_PREVIEW
it prints engine events, one a line. Only the events tell what policies said. What cannot be read
to its end is a failed preview. Values of resources are never looked at, so none can be printed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from model_specs.secrets import mask
from stacks.preview_gate import PreviewStep, operation_of

_EVENTS: Final = re.compile(r"[a-z][A-Za-z]*Event")
_COLOUR: Final = re.compile(r"<\{%[^%]*%\}>|\x1b\[[0-9;]*m")
_UNRUN: Final = "can't run policy"
"""What the engine says of a policy that met an unknown value: it judged nothing."""
_LONGEST: Final = 300


class _Refused(Exception):
    """Why a file is no whole preview."""


@dataclass(frozen=True, slots=True, order=True)
class Violation:
    """What one policy said of one resource."""

    level: str
    policy: str
    resource: str
    message: str


@dataclass(slots=True, kw_only=True)
class Preview:
    """One file. `error` is why the preview failed, else empty.

    `policies` is None where the file cannot tell whether any policy ran.
    """

    file: str
    region: str
    error: str = ""
    steps: list[PreviewStep] = field(default_factory=list)
    violations: list[Violation] = field(default_factory=list)
    policies: bool | None = None

    def count(self, operation: str) -> int:
        """How many resources it happens to; both halves of a replacement are one."""
        names = {(s.type, s.name) for s in self.steps if operation_of(s.operation) == operation}
        return len(names)


def _line(message: object) -> str:
    """What a message says, in one line without secrets; of a traceback its end says it."""
    text = mask(_COLOUR.sub("", str(message)))
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        return "no message"
    last = f" ... {lines[-1]}" if "Traceback" in text and len(lines) > 1 else ""
    return f"{lines[0]}{last}"[:_LONGEST]


def _urn(urn: object) -> tuple[str, str, str]:
    """Stack, type and name of a URN. Raises _Refused for what is none."""
    parts = str(urn).split("::", 3)
    if len(parts) != 4 or not parts[0].startswith("urn:pulumi:"):
        raise _Refused("it names a resource in no known form")
    return parts[0].removeprefix("urn:pulumi:"), parts[2].rsplit("$", 1)[-1], parts[3]


@dataclass(slots=True)
class _Reader:
    """What has been read of one file so far."""

    preview: Preview
    errors: list[str] = field(default_factory=list)
    stacks: set[str] = field(default_factory=set)
    summed_up: bool = False

    def step(self, operation: object, urn: object, old: object) -> None:
        if not isinstance(operation, str):
            raise _Refused("a step has no operation")
        stack, kind, name = _urn(urn)
        protected = isinstance(old, dict) and bool(old.get("protect"))
        self.stacks.add(stack)
        self.preview.steps.append(PreviewStep(operation, kind, name, protected))

    def diagnostic(self, row: object) -> None:
        if not isinstance(row, dict):
            raise _Refused("a diagnostic has no known form")
        severity, message = row.get("severity"), row.get("message")
        if row.get("urn"):
            self.stacks.add(_urn(row["urn"])[0])
        if _UNRUN in str(message):
            self.preview.violations.append(Violation("mandatory", "policy", "", _line(message)))
        elif severity == "error":
            self.errors.append(_line(message))

    def policy(self, row: dict[str, Any]) -> None:
        message = _line(row.get("message"))
        level = "mandatory" if _UNRUN in message else str(row.get("enforcementLevel"))
        urn = row.get("resourceUrn")
        resource = " ".join(_urn(urn)[1:]) if urn else ""
        policy = str(row.get("policyName", "policy"))
        self.preview.violations.append(Violation(level, policy, resource, message))

    def summary(self, corrupt: object, of_preview: object) -> None:
        if corrupt:
            raise _Refused("the engine says that the state may be damaged")
        if of_preview is False:
            raise _Refused("it tells of an `up`, not of a preview")
        self.summed_up = True

    def event(self, event: dict[str, Any]) -> None:
        """One line of an event log; kinds that say nothing of what will happen are passed over."""
        for name, row in event.items():
            if not isinstance(row, dict):
                continue
            metadata = row.get("metadata")
            if name == "resourcePreEvent" and isinstance(metadata, dict):
                self.step(metadata.get("op"), metadata.get("urn"), metadata.get("old"))
            elif name == "diagnosticEvent":
                self.diagnostic(row)
            elif name == "policyEvent":
                self.policy(row)
            elif name == "summaryEvent":
                self.summary(row.get("maybeCorrupt"), row.get("isPreview"))
                self.preview.policies = bool(row.get("PolicyPacks"))
            elif name in ("errorEvent", "resOpFailedEvent"):
                self.errors.append(_line(row.get("error", "an operation failed")))

    def digest(self, digest: dict[str, Any]) -> None:
        """The one document of `pulumi preview --json`."""
        steps, diagnostics = digest.get("steps", []), digest.get("diagnostics", [])
        if not isinstance(steps, list) or not isinstance(diagnostics, list):
            raise _Refused("it is no preview")
        for row in steps:
            if not isinstance(row, dict):
                raise _Refused("a step has no known form")
            self.step(row.get("op"), row.get("urn"), row.get("oldState"))
        for row in diagnostics:
            self.diagnostic(row)
        if isinstance(digest.get("changeSummary"), dict):
            self.summary(digest.get("maybeCorrupt"), None)


def _documents(text: str) -> Iterator[dict[str, Any]]:
    """The digest alone, or all events. Raises _Refused at the first thing that is neither."""
    if not text.strip():
        raise _Refused("the file is empty")
    try:
        whole = json.loads(text)
    except (ValueError, RecursionError):
        whole = None
    lines = [text] if isinstance(whole, dict) else [row for row in text.splitlines() if row]
    for number, line in enumerate(lines, 1):
        try:
            found = json.loads(line)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise _Refused(f"line {number} is cut off or no JSON object")
        yield found


def _read(path: Path, reader: _Reader) -> None:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise _Refused(f"the file cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise _Refused("the file is no UTF-8 text") from None
    for found in _documents(text):
        if any(_EVENTS.fullmatch(key) for key in found):
            reader.event(found)
        else:
            reader.digest(found)
    if not reader.summed_up and not reader.errors:
        raise _Refused("it ends before the engine's summary")


def read_preview(path: Path) -> Preview:
    """What the file tells; a fault of the file or of the preview is in `error`."""
    preview = Preview(file=path.name, region=path.stem.partition(".")[0])
    reader = _Reader(preview)
    try:
        _read(path, reader)
    except _Refused as why:
        reader.errors.append(str(why))
    if len(reader.stacks) > 1:
        reader.errors.append("it tells of several stacks")
    elif reader.stacks:
        preview.region = next(iter(reader.stacks)).partition(".")[0]
    preview.error = reader.errors[0] if reader.errors else ""
    preview.violations.sort()
    return preview
