"""The transfer benchmark's samples as tables for README.md."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from tests.bench.measure import Cost

_HEAD: Final = (
    "set", "tool", "wall s", "min-max", "MB/s", "CPU s", "peak MiB",
    "with sha256sum: wall s", "CPU s",
)  # fmt: skip
_RIVAL: Final = "s5cmd"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One run; `check` is the `sha256sum` pass of a tool that verifies nothing itself."""

    set: str
    bytes: int
    tool: str
    run: int
    transfer: Cost
    check: Cost | None
    store_cpu_seconds: float

    @property
    def checked_wall_seconds(self) -> float:
        """Till the files are known to be right."""
        return self.transfer.wall_seconds + (self.check.wall_seconds if self.check else 0.0)

    @property
    def checked_cpu_seconds(self) -> float:
        """As much, of CPU."""
        return self.transfer.cpu_seconds + (self.check.cpu_seconds if self.check else 0.0)


def _groups(samples: Sequence[Sample]) -> Iterator[list[Sample]]:
    """The runs of each set and tool, in the order in which they came first."""
    found: dict[tuple[str, str], list[Sample]] = {}
    for sample in samples:
        found.setdefault((sample.set, sample.tool), []).append(sample)
    yield from found.values()


def _wall(samples: Sequence[Sample]) -> float:
    return statistics.median(sample.transfer.wall_seconds for sample in samples)


def _checked(samples: Sequence[Sample]) -> float:
    return statistics.median(sample.checked_wall_seconds for sample in samples)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def table(samples: Sequence[Sample]) -> str:
    """Medians of all tools, for one way."""
    lines = [_line(_HEAD), _line(["---"] * len(_HEAD))]
    for group in _groups(samples):
        walls = [sample.transfer.wall_seconds for sample in group]
        checked_cpu = statistics.median(sample.checked_cpu_seconds for sample in group)
        verified = (f"{_checked(group):.2f}", f"{checked_cpu:.2f}")
        cells = (
            group[0].set,
            group[0].tool,
            f"{_wall(group):.2f}",
            f"{min(walls):.2f}-{max(walls):.2f}",
            f"{group[0].bytes / 1e6 / _wall(group):.0f}",
            f"{statistics.median(sample.transfer.cpu_seconds for sample in group):.2f}",
            f"{max(sample.transfer.peak_mib for sample in group):.0f}",
            *(verified if group[0].check else ("included", "included")),
        )
        lines.append(_line(cells))
    return "\n".join(lines)


def aims(samples: Sequence[Sample]) -> str:
    """Our speed as a part of s5cmd's, without and with its `sha256sum` pass."""
    head = ("set", "tool", "of s5cmd's speed", "of s5cmd's with sha256sum")
    lines = [_line(head), _line(["---"] * len(head))]
    groups = list(_groups(samples))
    rivals = {group[0].set: group for group in groups if group[0].tool == _RIVAL}
    for group in groups:
        if group[0].check is None:
            rival = rivals[group[0].set]
            ratios = (_wall(rival) / _wall(group), _checked(rival) / _wall(group))
            cells = (group[0].set, group[0].tool, *(f"{ratio:.2f}" for ratio in ratios))
            lines.append(_line(cells))
    return "\n".join(lines)
