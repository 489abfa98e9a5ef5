"""How the prober tells in its log what a candidate has answered so far, and how that is read."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Final, Self

_LINE: Final = re.compile(r"\banswers (\{.*\})$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """What one version has been asked by one prober, and the right answers since a wrong one."""

    asked: int = 0
    right_in_a_row: int = 0

    def after(self, *, right: bool) -> Self:
        """With one more answer."""
        row = self.right_in_a_row + 1 if right else 0
        return type(self)(asked=self.asked + 1, right_in_a_row=row)

    def line(self, row_id: str, version: str) -> str:
        """The line of the log, without its time."""
        told = {"id": row_id, "version": version, **asdict(self)}
        return f"answers {json.dumps(told, sort_keys=True)}"


def tallies(lines: Iterable[str]) -> dict[tuple[str, str], Tally]:
    """The last tally of each row and version in a prober's log; all other lines are passed over."""
    found: dict[tuple[str, str], Tally] = {}
    for line in lines:
        if match := _LINE.search(line.rstrip()):
            told = json.loads(match.group(1))
            tally = Tally(asked=told["asked"], right_in_a_row=told["right_in_a_row"])
            found[told["id"], told["version"]] = tally
    return found
