"""What becomes of each object: created, updated, deleted, or replaced because a field is fixed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from components.kube import Object
from components.parts import Part, apart, parts
from regions.plan import RegionPlan
from stacks.compare import Change, Key, keyed
from stacks.diff import ADDED, REMOVED, Edit, grouped
from stacks.reviewing.aws_nouns import nouns
from stacks.reviewing.fixed_fields import is_refused, is_replaced
from stacks.reviewing.sides import Sides

CREATE, UPDATE, REPLACE, DELETE = "create", "update", "replace", "delete"
OPERATIONS: Final = (CREATE, UPDATE, REPLACE, DELETE)

STATEFUL: Final[dict[str, str]] = {
    "Bucket": "it holds every model of the region",
    "Key": "without it the registry cannot be read",
    "Namespace": "everything in it goes too",
    "NodeGroup": "its nodes and their pods go",
    "PersistentVolume": "pods mount it",
    "PersistentVolumeClaim": "pods mount it, and it is Terminating while they do",
}
"""By kind: what is lost with an object that is deleted or replaced."""
PROTECTED: Final = frozenset({"Bucket", "Key"})
"""What the engine refuses to delete, whatever the program says (components/model_registry)."""
SERVING: Final = frozenset({"Deployment", "Gateway", "HTTPRoute", "Service"})
"""What requests go through: without one of these a model answers nobody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What happens to one object, and in which regions in just this way.

    `because` are the fields that force a replacement, `refused` those that the API server lets
    nobody change (stacks.reviewing.fixed_fields).
    """

    operation: str
    key: Key
    regions: tuple[str, ...]
    changes: tuple[Change, ...]
    because: tuple[str, ...]
    refused: tuple[str, ...]


def _objects(plan: RegionPlan | None, rendered: Iterable[Part]) -> dict[Key, Object]:
    """Everything of a region by key, AWS nouns among them."""
    return keyed([*rendered, *nouns(plan)]) if plan else {}


def step_of(edit: Edit) -> Step:
    """What the engine does for one object that differs."""
    kind, paths = edit.key.kind, [change.path for change in edit.changes]
    because = tuple(path for path in paths if is_replaced(kind, path))
    # A new object takes what an update may not change.
    refused = () if because else tuple(path for path in paths if is_refused(kind, path))
    operation = {ADDED: CREATE, REMOVED: DELETE}.get(edit.operation, REPLACE if because else UPDATE)
    return Step(
        operation=operation,
        key=edit.key,
        regions=tuple(edit.regions),
        changes=edit.changes,
        because=because,
        refused=refused,
    )


def steps(sides: Sides) -> list[Step]:
    """All that happens between the sides.

    Objects are a function of the plan, so what is planned alike is not rendered.
    """

    def pairs() -> Iterator[tuple[str, dict[Key, Object], dict[Key, Object]]]:
        for region in sides.compared:
            old, new = sides.base.plans.get(region), sides.work.plans.get(region)
            if old == new:
                continue
            if old and new:
                before, after = apart(old, new)
            else:
                before, after = ([*parts(plan)] if plan else [] for plan in (old, new))
            yield region, _objects(old, before), _objects(new, after)

    return [step_of(edit) for edit in grouped(pairs())]
