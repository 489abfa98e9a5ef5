"""Agents that die at the call of the file system that they are told: `cache_victim URL`.

Each line of the input is `ROOT CALLS BUDGET ADDRESS=BYTES ...`; a child holds these versions and
kills itself in the middle of its CALLS-th call, 0 for never. The answer is `killed`, or `done`.
Children are forked with everything imported, so that a hundred deaths take seconds.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from components.model_cache.config import Config, wanted
from components.model_cache.hold import Holder
from components.model_cache.retry import Retries
from components.model_cache.signs import Signs
from components.model_cache.source import Origin
from components.model_registry import ranges
from tests.counted_store import client_of

CALLS: Final = ("chmod", "fchmod", "fsync", "link", "mkdir", "open", "rename", "rmdir", "unlink",
                "write")  # fmt: skip
_lock = threading.Lock()
_left = 0


def _dying(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
    def counted(*args: Any, **options: Any) -> Any:
        global _left
        with _lock:
            _left -= 1
            if _left == 0:
                if name == "write":  # torn
                    call(args[0], args[1][: len(args[1]) // 2])
                os.kill(os.getpid(), signal.SIGKILL)
        # What was written outlives a process without being synced.
        return None if name == "fsync" else call(*args, **options)

    return counted


def _child(url: str, line: str) -> None:
    global _left
    root, calls, budget, *rows = line.split()
    pairs = (row.rsplit("=", 1) for row in rows)
    config = Config(
        budget_bytes=int(budget),
        disk_free_percent=0,
        models=tuple(wanted(text, int(size), pinned=False) for text, size in pairs),
    )
    ranges.RANGE_BYTES = 4096  # type: ignore[misc]  # small files then have many parts
    for name in CALLS:
        setattr(os, name, _dying(name, getattr(os, name)))
    _left = int(calls)
    seconds = [0.0]
    retries = Retries(lambda: seconds[0], lambda _: 0.0, 0.0)
    holder = Holder(Path(root), Origin(client_of(url), None), Signs("node"), retries, dict)
    for _ in range(len(rows) + 1):
        holder.turn(config)
        seconds[0] += 1.0


def main(url: str) -> None:
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            try:
                _child(url, line)
            except BaseException:
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        print("killed" if killed else f"done {os.waitstatus_to_exitcode(status)}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
