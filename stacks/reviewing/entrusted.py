"""What a change entrusts to whom: identity, rights, money, and the program itself.

Whose word counts for a region, and how much a project may do, is asked of a person whatever field
it is: a list of the grave ones would not hold those of tomorrow.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from stacks.compare import Change, shown
from stacks.reviewing.program import IN_PLACE
from stacks.reviewing.seen import Seen
from stacks.reviewing.wishes import ADDED, CHANGED, Wish

_ROUTINE: Final = ("title",)
"""The fields of a profile that nothing follows from."""

Raised = tuple[str, str, str]
"""Subject, reason and region, as stacks.reviewing.risks has them."""


def _changed(fields: Iterable[Change]) -> Iterator[str]:
    for field in fields:
        yield f"{field.path} from {shown(field.old)} to {shown(field.new)}"


def _entrusted(wishes: Iterable[Wish], routine: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    for wish in wishes:
        if wish.what in (ADDED, CHANGED):
            fields = [f for f in wish.fields if f.path.split(".")[0].split("[")[0] not in routine]
            new = ("it is new",) if wish.what == ADDED and not fields else ()
            yield from ((wish.id, said) for said in (*new, *_changed(fields)))


def regions(seen: Seen) -> Iterator[Raised]:
    """Issuers, registries, clusters, accounts, images of the platform's programs, and the rest."""
    for region, said in _entrusted(seen.regions, _ROUTINE):
        yield region, f"what it trusts or stands on changes: {said}", region


def projects(seen: Seen) -> Iterator[Raised]:
    """Members of every role, quotas, caps, and the rest of a tenant."""
    for project, said in _entrusted(seen.projects, ()):
        yield project, f"who may do what in it, or how much, changes: {said}", ""


def calls(seen: Seen) -> Iterator[Raised]:
    """How many requests callers may send: what all users share is spent by it."""
    for wish in seen.models:
        for field in wish.fields if wish.what == CHANGED else ():
            if field.path == "requests_per_minute" and field.new > field.old:
                yield wish.id, f"callers may send more: {next(_changed([field]))}", ""


def files(seen: Seen) -> Iterator[Raised]:
    """Every file of the program that changes."""
    for path, what in seen.program.files:
        yield path, f"it decides {what}; read it", ""


def not_run(seen: Seen) -> Iterator[Raised]:
    """That the base's program could not be asked."""
    if seen.program.not_run:
        reason = f"{seen.program.not_run}: what the change of the program does is not known"
        yield seen.revision, reason, ""


def upgrades(seen: Seen) -> Iterator[Raised]:
    """What the program's change alone restarts, replaces or loses."""
    for one in seen.program.upgrades:
        if one.kind != IN_PLACE:
            paths = ", ".join(change.path for change in one.step.changes[:3])
            reason = f"{one.kind} by the change of the program" + (f": {paths}" if paths else "")
            yield from ((one.step.key.label, reason, region) for region in one.step.regions)


def refused(seen: Seen) -> Iterator[Raised]:
    """What rules refuse of what the changed program makes, whatever else the others say."""
    for one in seen.program.refused:
        yield one.resource, f"refused as the changed program makes it: {one.text}", one.region


def waivers(seen: Seen) -> Iterator[Raised]:
    """Exceptions that came with the change."""
    for row in seen.program.waivers:
        what = f"{row.rule}, until {row.expires} by {row.owner}: {row.reason}"
        reason = f"a new exception counts only once it is merged: {what}"
        yield row.resource, reason, ""
