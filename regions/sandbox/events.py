"""What the engine tells while it works, read line by line into counts, progress and diagnostics."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final

_REGISTERING: Final = "registering resource:"
_STACK: Final = "pulumi:pulumi:Stack::"
"""What a program logs, or a plugin of its own prints, is about the stack."""


@dataclass(slots=True)
class Progress:
    """One run of the engine so far."""

    registered: int = 0
    done: int = 0
    changes: Counter[str] = field(default_factory=Counter)
    """How many resources per operation, of the engine's own summary: same, create, update..."""
    diagnostics: list[str] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    """What the program and the gate said to people, once each."""

    def read(self, line: str) -> str | None:
        """Take in one line of `pulumi up --json`; what is worth keeping of it, if anything."""
        try:
            event = json.loads(line)
        except ValueError:
            return line.rstrip()
        if not isinstance(event, dict):
            return line.rstrip()
        for name, handler in _HANDLERS.items():
            if name in event:
                return handler(self, event[name])
        return None

    def describe(self) -> str:
        """`143 of 210 resources`, the total as far as the program has told it."""
        total = max(self.registered, self.done)
        return f"{self.done} of {total} resources" if total else "starting"

    @property
    def changed(self) -> int:
        """How many resources were created, updated, replaced or deleted."""
        return sum(count for operation, count in self.changes.items() if operation != "same")

    def summary(self) -> str:
        """`12 create, 3 same`: the engine's counts in a fixed order."""
        return ", ".join(f"{self.changes[name]} {name}" for name in sorted(self.changes)) or "empty"


def _diagnostic(progress: Progress, event: dict[str, Any]) -> str | None:
    message, severity = str(event.get("message", "")).strip(), event.get("severity", "")
    if severity == "debug":
        progress.registered += message.startswith(_REGISTERING)
        return None
    where = str(event.get("urn", "")).partition("::")[2].partition("::")[2]
    text = f"{where}: {message}" if where else message
    is_programs = not where or where.startswith(_STACK)
    if severity == "info" and is_programs and message and message not in progress.told:
        progress.told.append(message)
    # The last error only says that there were errors.
    if severity == "error" and "an unhandled error occurred: program exited" not in message:
        progress.diagnostics.append(text)
    return f"{severity}: {text}"


def _policy(progress: Progress, event: dict[str, Any]) -> str:
    where = str(event.get("resourceUrn", "")).rpartition("::")[2]
    text = f"{event.get('policyName', 'policy')} {where}: {str(event.get('message', '')).strip()}"
    if event.get("enforcementLevel") == "mandatory":
        progress.diagnostics.append(text)
    return f"{event.get('enforcementLevel', '')}: {text}"


def _outputs(progress: Progress, event: dict[str, Any]) -> str | None:
    metadata = event.get("metadata", {})
    operation = str(metadata.get("op", ""))
    # A refresh tells of resources that the program registers again afterwards.
    if operation == "refresh":
        return None
    progress.done += 1
    if operation == "same":
        return None
    return f"{operation} {str(metadata.get('urn', '')).partition('::')[2]}"


def _failed(_progress: Progress, event: dict[str, Any]) -> str:
    metadata = event.get("metadata", {})
    return f"failed {metadata.get('op', '')} {str(metadata.get('urn', '')).partition('::')[2]}"


def _summary(progress: Progress, event: dict[str, Any]) -> str:
    progress.changes = Counter(event.get("resourceChanges") or {})
    return f"summary: {progress.summary()}"


_HANDLERS: Final = {
    "diagnosticEvent": _diagnostic,
    "policyEvent": _policy,
    "resOutputsEvent": _outputs,
    "resOpFailedEvent": _failed,
    "summaryEvent": _summary,
}
