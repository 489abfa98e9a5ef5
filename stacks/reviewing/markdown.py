"""GitHub's Markdown: what others wrote made harmless, tables, and a comment that never is too long.

Everything that came out of a file or from the engine goes through `code`: in a code span nothing is
HTML, a mention, a link or a reference, whatever it says.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from model_specs.secrets import mask
from stacks.compare import Absent

LIMIT: Final = 65_000
"""GitHub refuses a comment of more than 65,536 characters; counted here in bytes, to be safe."""
FLAGS, OPEN, FOLDED = 1, 2, 3
"""What is shortened last, and what first."""
_VALUE: Final = 100
_LONGEST: Final = 400
_NAMES: Final = 8
_TICKS: Final = re.compile(r"`+")


def _one_line(text: str) -> str:
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def cut(text: str, most: int) -> str:
    """`text` with at most so many characters."""
    return text if len(text) <= most else f"{text[: most - 3]}..."


def code(text: str) -> str:
    """`text` as a code span: in one line, without secrets, and inert."""
    line = cut(_one_line(mask(text)), _LONGEST)
    fence = "`" * (1 + max((len(run) for run in _TICKS.findall(line)), default=0))
    pad = " " if not line or line[0] in "` " or line[-1] in "` " else ""
    return f"{fence}{pad}{line or ' '}{pad}{fence}"


def value(thing: Any) -> str:
    """A field's value; `nothing` where it has none."""
    if thing is None or isinstance(thing, Absent):
        return "nothing"
    return code(cut(mask(json.dumps(thing, ensure_ascii=False, sort_keys=True)), _VALUE))


def named(names: Iterable[str], whole: Sequence[str]) -> str:
    """The regions by name, or `all 5 regions`."""
    found = sorted(names)
    if len(found) > 1 and found == sorted(whole):
        return f"all {len(found)} regions"
    more = f" and {len(found) - _NAMES} more" if len(found) > _NAMES else ""
    return ", ".join(code(name) for name in found[:_NAMES]) + more


def _cells(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A part of the comment: `rows` may be left out from the end, `head` and `foot` may not."""

    title: str
    rank: int
    head: tuple[str, ...]
    rows: tuple[str, ...]
    foot: tuple[str, ...]
    left_out: int

    def text(self) -> str:
        """The section as it is printed."""
        hidden = [f"... and {self.left_out} more rows, left out here"] if self.left_out else []
        body = [*self.head, *self.rows]
        lines = [*body, *([""] if hidden and body else []), *hidden]
        lines += ["", *self.foot] if self.foot else []
        inside = "\n".join(lines)
        if self.rank == FOLDED:
            return f"<details><summary>{self.title}</summary>\n\n{inside}\n\n</details>\n"
        return f"### {self.title}\n\n{inside}\n"

    def within(self, size: int) -> Section:
        """The section with rows of at most `size` bytes together."""
        kept = 0
        for row in self.rows:
            size -= len(row.encode()) + 1
            if size < 0:
                break
            kept += 1
        return replace(self, rows=self.rows[:kept], left_out=self.left_out + len(self.rows) - kept)

    @property
    def size(self) -> int:
        """Bytes of the rows together."""
        return sum(len(row.encode()) + 1 for row in self.rows)


def listed(title: str, rank: int, rows: Iterable[str], *foot: str) -> Section:
    """A section of bullets or paragraphs."""
    return Section(title=title, rank=rank, head=(), rows=tuple(rows), foot=foot, left_out=0)


def table(
    title: str, rank: int, head: Sequence[str], rows: Iterable[Iterable[str]], *foot: str
) -> Section:
    """A section of one table."""
    top = (_cells(head), _cells("---" for _ in head))
    return Section(
        title=title, rank=rank, head=top, rows=tuple(map(_cells, rows)), foot=foot, left_out=0
    )


def _joined(top: str, sections: Sequence[Section], foot: str) -> str:
    return "\n".join([top, *(section.text() for section in sections), foot])


def fitted(top: str, sections: Sequence[Section], foot: str) -> str:
    """All sections, the longest shortened until they fit: folded ones first, flags last."""
    found = list(sections)
    text = _joined(top, found, foot)
    for rank in (FOLDED, OPEN, FLAGS):
        if len(text.encode()) <= LIMIT:
            break
        whole, low = found, 0
        high = max((s.size for s in whole if s.rank == rank), default=0)
        while low <= high:  # the highest water that fits; at none of them, nothing is kept
            level = (low + high) // 2
            found = [s.within(level) if s.rank == rank else s for s in whole]
            fits = len(_joined(top, found, foot).encode()) <= LIMIT
            low, high = (level + 1, high) if fits else (low, level - 1)
        found = [s.within(max(high, 0)) if s.rank == rank else s for s in whole]
        text = _joined(top, found, foot)
    return text
