"""Refuses a preview that would delete or replace what holds state.

Policies never see a deletion, and a change that drops `protect` and replaces in one step passes the
engine's own check, so the steps of the preview are read. What is protected in the state, and what
holds models or the key to them, is refused always; the rest unless the specs ask for just that.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

_HARMLESS: Final = frozenset({"create", "import", "read", "refresh", "same", "update"})
_REPLACED: Final = frozenset(
    {"create-replacement", "delete-replaced", "discard-replaced", "import-replacement",
     "read-replacement", "replace"}
)  # fmt: skip
_MODELS: Final = re.compile(r"aws:s3/bucket(V2)?:|aws:kms/(key|replicaKey):")
_STATE: Final = re.compile(
    r"aws:eks/(nodeGroup|cluster):"
    r"|kubernetes:.*:(CustomResourceDefinition|Namespace|PersistentVolume(Claim)?|StatefulSet)$"
)

Asked = frozenset[tuple[str, str, str]]
"""What the specs ask for: operation, kind and name (`search/models-gpu-l4-1`)."""


@dataclass(frozen=True, slots=True, order=True)
class PreviewStep:
    """What the engine would do with one resource; `is_protected` is what its state says."""

    operation: str
    type: str
    name: str
    is_protected: bool

    @property
    def kind(self) -> str:
        """The last word of the type: `Namespace`."""
        return self.type.rsplit(":", 1)[-1]


@dataclass(frozen=True, slots=True, order=True)
class Refusal:
    """A step that may not simply happen; `is_final` when no approval makes it right."""

    step: PreviewStep
    reason: str
    is_final: bool


def operation_of(operation: str) -> str:
    """`replace` for every half of a replacement, `delete` for what is neither that nor harmless.

    An operation that a newer engine invents counts as the worst.
    """
    if operation in _REPLACED:
        return "replace"
    return operation if operation in _HARMLESS else "delete"


def refusals(steps: Iterable[PreviewStep], asked: Asked) -> Iterator[Refusal]:
    """The steps that delete or replace what holds state, and why each is refused."""
    for step in sorted(set(steps)):
        operation = operation_of(step.operation)
        if operation in _HARMLESS:
            continue
        if step.is_protected:
            yield Refusal(step, f"{operation} of something protected", True)
        elif _MODELS.match(step.type):
            yield Refusal(step, f"{operation} of what keeps the models", True)
        elif _STATE.match(step.type):
            if (operation, step.kind, step.name) in asked:
                yield Refusal(step, f"{operation} of what holds state, as the specs ask", False)
            else:
                yield Refusal(step, f"{operation} of what holds state, unasked by specs", True)
