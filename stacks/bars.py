"""Progress of long work on stderr: bytes, rate and what is left, and nothing without a terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from components.model_registry.threads import Told


@contextmanager
def bars(totals: Mapping[str, int]) -> Iterator[Told]:
    """A bar for each work and its number of bytes; gives what is to be told of bytes done."""
    if not sys.stderr.isatty():
        yield lambda work, count: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    with Progress(
        TextColumn("{task.description:>6}"),
        BarColumn(),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    ) as shown:
        tasks = {work: shown.add_task(work, total=total) for work, total in totals.items()}
        yield lambda work, count: shown.advance(tasks[work], count)
