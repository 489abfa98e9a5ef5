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
import signal
import sys
from argparse import Namespace
from datetime import datetime
from pathlib import Path
from typing import Any

from stacks.history import scratch
from stacks.outcome import FINDINGS, OK, Outcome, refusal
from stacks.places import directories
from stacks.reviewing.asking import Answered, read_answer, write_answer
from stacks.reviewing.by_base import handed_over
from stacks.reviewing.comment import comment
from stacks.reviewing.data import data
from stacks.reviewing.program import Judge, asked, judge_of, makes_objects
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


def _ask(args: Namespace, at: datetime, judge: Judge) -> Outcome:
    """Ask the work tree's program what it makes, write down what it answers, and judge nothing."""
    specs, regions = directories(args)
    if not makes_objects(judge.files):
        return Outcome(data={"asked": False}, text=["the program does not change\n"], code=OK)
    if judge.base is None:
        answered: Answered = ({}, judge.reason)
    else:
        with scratch() as files:
            work = read_work(specs, regions, args.region, at)
            sides = read_sides(work, args.base, specs, regions, args.region, at, files)
            answered = asked(sides, (specs, regions), at, judge, judge.base)
    write_answer(args.ask, answered)
    return Outcome(
        data={"asked": True, "not_run": answered[1]},
        text=[f"{args.ask}: {answered[1] or 'answered'}\n"],
        code=OK,
    )


def outcome(args: Namespace, at: datetime, judge: Judge) -> Outcome:
    """The review as it is told."""
    if args.ask:
        return _ask(args, at, judge)
    found = reviewed(args, at, judge)
    code = FINDINGS if found.verdict == IS_BLOCKED else OK
    return Outcome(
        data=data(found) if args.json else {},
        text=[] if args.json else [comment(found)],
        code=code,
    )


def run(args: Namespace) -> Outcome:
    """Review and tell; where the program changes, what the base's says is told."""
    if args.ask and args.answer:
        raise refusal("review", "E100", "--ask and --answer at once, got both; ask, then judge")
    at, (specs, _) = moment_of(args), directories(args)
    with scratch() as files:
        said = handed_over(args, at, specs, files)
    return outcome(args, at, said) if isinstance(said, Judge) else said


def answer(question: dict[str, Any]) -> dict[str, Any]:
    """The review that another tree's program asks this one for (stacks.reviewing.by_base)."""
    named = ("specs", "regions", "ask", "answer")
    paths = {name: Path(question[name]) if question.get(name) else None for name in named}
    previews = [Path(path) for path in question["preview"]]
    args = Namespace(**{**question, **paths, "preview": previews})
    answered = read_answer(args.answer) if args.answer else None
    judge = judge_of(args.base, directories(args)[0], Path(question["tree"]), answered)
    said = outcome(args, datetime.fromisoformat(question["at"]), judge)
    return {"data": said.data, "text": [*said.text], "code": said.code}


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # whom it asks must end with it
    json.dump(answer(json.load(sys.stdin)), sys.stdout)
