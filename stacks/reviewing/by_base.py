"""Has the base's own program review a change that reaches the program.

A change may rewrite the review as well as the rules. So the program of the work tree hands the
question over, before it looks at anything, to that of the base, unpacked beside it and run in a
process of its own (`python -m stacks.review`: the question by stdin, the answer by stdout, both
JSON). Whoever must not trust even this file starts the base's `isoserve` in the work tree, as
.github/workflows/review.yml does.
"""

from __future__ import annotations

from argparse import Namespace
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Final

from model_specs.catalogue_files import project_root
from stacks.history import unpacked
from stacks.outcome import Outcome
from stacks.reviewing.asking import answer_of
from stacks.reviewing.program import Judge, judge_of, makes_objects

_MODULE: Final = "stacks.review"
_KEPT: Final = ("PATH", "HOME", "TMPDIR")
"""What git needs; nothing that holds a credential."""


def _own(top: Path) -> Path:
    """Where in the repository the project stands that has a program."""
    root = project_root().resolve()
    return root.relative_to(top) if root.is_relative_to(top) else Path()


def handed_over(args: Namespace, at: datetime, specs: Path, scratch: Path) -> Outcome | Judge:
    """The base's own review, or why this program must write it. `scratch` is for files of the base.

    Raises InputErrors when there is no such revision.
    """
    judge = judge_of(args.base, specs)
    # Python is named here too: what is program is decided by a file that may have changed itself.
    code = any(path.endswith(".py") and not path.startswith("tests/") for path in judge.changed)
    if not code and not makes_objects(judge.files):
        return judge
    tree = unpacked(args.base, specs, scratch / "program")
    question = {
        "base": args.base,
        "specs": args.specs and str(args.specs),
        "regions": args.regions and str(args.regions),
        "region": args.region,
        "preview": [str(path) for path in args.preview],
        "json": args.json,
        "ask": args.ask and str(args.ask),
        "answer": args.answer and str(args.answer),
        "at": at.isoformat(),
        "tree": str(tree),
    }
    own = tree / _own(judge.top)
    said, reason = answer_of(own, "the base's", _MODULE, question, Path.cwd(), _KEPT)
    if reason:
        return replace(judge, reason=reason)
    return Outcome(data=said["data"], text=said["text"], code=said["code"])
