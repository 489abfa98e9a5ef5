"""Writes the pull-request comment from two git revisions: what changes, what it causes, its risks.

The verdict is BLOCKED (exit code 1) when something is refused: errors in the work tree, mandatory
policy findings, waivers that are expired, differences between regions that nothing
declares, a failed preview or one that would delete what holds state, a protected thing that goes.
NEEDS APPROVAL and PASS are exit code 0: a person's word is for the host of the code to demand, by
the verdict. Specs and profiles of both sides are planned by one program: the base's own where the
change reaches the program, which then renders too what the work tree's program makes, so that no
change weakens the rules and the review that it is held to (stacks.reviewing.by_base, program).

`expected` numbers are the floor of replicas averaged over a year of schedules, no forecast of load.
"""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from datetime import datetime
from pathlib import Path
from typing import Any

from stacks.history import scratch
from stacks.outcome import FINDINGS, OK, Outcome
from stacks.places import directories
from stacks.reviewing.by_base import handed_over
from stacks.reviewing.comment import comment
from stacks.reviewing.data import data
from stacks.reviewing.program import Judge, judge_of
from stacks.reviewing.seen import made, see
from stacks.reviewing.sides import read_sides, read_work
from stacks.reviewing.verdict import IS_BLOCKED, Review, review
from stacks.tree import moment_of


def reviewed(args: Namespace, at: datetime, judge: Judge | None = None) -> Review:
    """Compare the trees at a moment and judge, by the program of `judge`.

    Raises InputErrors where revision or region is not there.
    """
    specs, regions = directories(args)
    with scratch() as files:
        work = read_work(specs, regions, args.region, at)
        with made(work, (specs, regions), at.date()) as ours:
            sides = read_sides(work, args.base, specs, regions, args.region, at, files)
            known = judge or judge_of(args.base, specs)
            return review(see(args, sides, ours, at, files, known))


def outcome(args: Namespace, at: datetime, judge: Judge) -> Outcome:
    """The review as it is told."""
    found = reviewed(args, at, judge)
    code = FINDINGS if found.verdict == IS_BLOCKED else OK
    return Outcome(
        data=data(found) if args.json else {},
        text=[] if args.json else [comment(found)],
        code=code,
    )


def run(args: Namespace) -> Outcome:
    """Review and tell; where the program changes, what the base's says is told."""
    at, (specs, _) = moment_of(args), directories(args)
    with scratch() as files:
        said = handed_over(args, at, specs, files)
    return outcome(args, at, said) if isinstance(said, Judge) else said


def answer(question: dict[str, Any]) -> dict[str, Any]:
    """The review that another tree's program asks this one for (stacks.reviewing.by_base)."""
    paths = {name: question[name] and Path(question[name]) for name in ("specs", "regions")}
    previews = [Path(path) for path in question["preview"]]
    args = Namespace(**{**question, **paths, "preview": previews})
    judge = judge_of(args.base, directories(args)[0], Path(question["tree"]))
    said = outcome(args, datetime.fromisoformat(question["at"]), judge)
    return {"data": said.data, "text": [*said.text], "code": said.code}


if __name__ == "__main__":
    json.dump(answer(json.load(sys.stdin)), sys.stdout)
