"""Writes the pull-request comment from two git revisions: what changes, what it causes, its risks.

The verdict is BLOCKED (exit code 1) when something is refused: errors in the work tree, mandatory
policy findings, waivers that are expired, differences between regions that nothing
declares, a failed preview or one that would delete what holds state, a protected thing that goes.
NEEDS APPROVAL and PASS are exit code 0: a person's word is for the host of the code to demand, by
the verdict. Specs and profiles of both sides are planned by the program of the work tree. Where the
program itself changes, the base's own program renders the base and judges the work tree's objects
too, so that no change weakens the rules that it is held to (stacks.reviewing.program).

`expected` numbers are the floor of replicas averaged over a year of schedules, no forecast of load.
"""

from __future__ import annotations

from argparse import Namespace
from datetime import datetime

from stacks.history import scratch
from stacks.outcome import FINDINGS, OK, Outcome
from stacks.places import directories
from stacks.reviewing.comment import comment
from stacks.reviewing.data import data
from stacks.reviewing.seen import made, see
from stacks.reviewing.sides import read_sides, read_work
from stacks.reviewing.verdict import IS_BLOCKED, Review, review
from stacks.tree import moment_of


def reviewed(args: Namespace, at: datetime) -> Review:
    """Compare the trees at a moment and judge.

    Raises InputErrors where revision or region is not there.
    """
    specs, regions = directories(args)
    with scratch() as files:
        work = read_work(specs, regions, args.region, at)
        with made(work, (specs, regions), at.date()) as ours:
            sides = read_sides(work, args.base, specs, regions, args.region, at, files)
            return review(see(args, sides, ours, at, files))


def run(args: Namespace) -> Outcome:
    """Review and tell."""
    found = reviewed(args, moment_of(args))
    code = FINDINGS if found.verdict == IS_BLOCKED else OK
    return Outcome(
        data=data(found) if args.json else {},
        text=[] if args.json else [comment(found)],
        code=code,
    )
