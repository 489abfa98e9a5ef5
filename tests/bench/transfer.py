"""Measures push, pull and cache fill beside s5cmd, rclone and boto3 on the same files and store.

Ours includes SHA-256 of every byte and the atomic publish. The others are shown as they are, and
with a `sha256sum` pass: before an upload, `sha256sum --check` after a download. Runs are
interleaved, everything lies in memory where there is enough of it, and what arrives in the first
run of each is proved equal. The store's CPU is not counted.

    python -m tests.bench.transfer [--shrink 1] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from tests.bench.measure import Cost, measure_process
from tests.bench.transfer_sets import SETS, FileSet, make, prove
from tests.bench.transfer_store import bench_store
from tests.bench.transfer_table import Sample, aims, table
from tests.bench.transfer_tools import (
    DOWN,
    FILL,
    HOME,
    ROOT,
    UP,
    Bench,
    Tool,
    arrived,
    empty,
    prepare_rivals,
    stock,
    write_profile,
)

_COPIES: Final = 4  # source, and target or a store that puts parts together, and room to spare
_MEMORY: Final = Path("/dev/shm")


def _never() -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Runs:
    """The runs of one set, whose SHA-256 by name are `sums`."""

    bench: Bench
    wanted: FileSet
    sums: dict[str, str]

    def up(self) -> Iterator[Sample]:
        """All uploads, each into an empty store."""
        for run in range(self.wanted.runs):
            for tool in UP:
                self.bench.store.empty()
                check = None if tool.verifies else self._sha256sum(self.bench.source, [])
                transfer, store_cpu = self._transfer(tool, _never)
                if run == 0:
                    prove(*arrived(self.bench, tool, self.sums))
                yield self._sample(tool, run, transfer, check, store_cpu)
        self.bench.store.empty()

    def down(self) -> Iterator[Sample]:
        """All downloads, each into an empty directory."""
        published, target = stock(self.bench, self.sums), self.bench.target
        listed = ["--check", "--quiet", str(self.bench.source.with_suffix(".sums"))]
        for run in range(self.wanted.runs):
            for tool in DOWN:
                empty(target)
                is_done = published.is_dir if tool is FILL else _never
                transfer, store_cpu = self._transfer(tool, is_done)
                check = None if tool.verifies else self._sha256sum(target, listed)
                if run == 0:
                    prove(published if tool is FILL else target, self.sums)
                yield self._sample(tool, run, transfer, check, store_cpu)
        empty(target)
        self.bench.store.empty()

    def _sha256sum(self, folder: Path, words: list[str]) -> Cost:
        """The pass over all files; over their list when there are `words`."""
        command = ["sha256sum", *(words or sorted(self.sums))]
        return measure_process(command, self.bench.env, folder, _never)

    def _transfer(self, tool: Tool, is_done: Callable[[], bool]) -> tuple[Cost, float]:
        before = self.bench.store.cpu_seconds()
        cost = measure_process(tool.command(self.bench), self.bench.env, ROOT, is_done)
        return cost, self.bench.store.cpu_seconds() - before

    def _sample(
        self, tool: Tool, run: int, transfer: Cost, check: Cost | None, store_cpu: float
    ) -> Sample:
        print(f"{self.wanted.name}, {tool.name}: {transfer.wall_seconds:.2f} s", file=sys.stderr)
        return Sample(
            set=self.wanted.name,
            bytes=self.wanted.bytes,
            tool=tool.name,
            run=run,
            transfer=transfer,
            check=check,
            store_cpu_seconds=store_cpu,
        )


def _place(largest: int) -> tuple[Path, str]:
    """Where the files lie, and what to call it: in memory, unless there is too little of it."""
    if _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free > _COPIES * largest:
        return _MEMORY, "memory (tmpfs)"
    HOME.mkdir(parents=True, exist_ok=True)
    return HOME, "on disk, cached"


def _machine() -> str:
    """The machine, and how busy it is."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    load = ", ".join(f"{one:.2f}" for one in os.getloadavg())
    words = (f"{len(models)} x {models[0]}", f"{memory:.0f} GiB", f"Linux {platform.release()}")
    return f"{', '.join(words)}, Python {platform.python_version()}; load average {load}"


def run(sets: list[FileSet]) -> tuple[list[Sample], list[Sample]]:
    """The samples of all uploads, and of all downloads."""
    prepare_rivals()
    place, called = _place(max(one.bytes for one in sets))
    print(f"{_machine()}; files in {called}\n", flush=True)
    up: list[Sample] = []
    down: list[Sample] = []
    with TemporaryDirectory(prefix="isoserve-bench-", dir=place) as folder:
        work = Path(folder)
        with bench_store(work / "store") as store:
            bench = Bench(store, work / "source", work / "target", work / "regions")
            write_profile(bench)
            for wanted in sets:
                runs = Runs(bench, wanted, make(wanted, bench.source))
                up += runs.up()
                down += runs.down()
                shutil.rmtree(bench.source)
    return up, down


def main() -> None:
    """Measure all sets, print tables, and keep the raw data."""
    parser = argparse.ArgumentParser(description=__doc__)
    words = "so many times less data, to try the benchmark itself"
    parser.add_argument("--shrink", type=int, default=1, help=words)
    parser.add_argument("--json", type=Path, default=HOME / "transfer.json")
    options = parser.parse_args()
    # Whoever ends it must not leave the store running, nor gigabytes of memory in use.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    up, down = run([one.shrunk(options.shrink) for one in SETS])
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps([asdict(sample) for sample in (*up, *down)], indent=1))
    for title, samples in (("upload", up), ("download", down)):
        print(f"{title}\n\n{table(samples)}\n\n{aims(samples)}\n")


if __name__ == "__main__":
    main()
