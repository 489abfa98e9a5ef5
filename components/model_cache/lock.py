"""One process at a time writes below a root; the kernel lets go of the lock however it ends."""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from components.model_cache.shelf import HIDDEN


@contextmanager
def alone(root: Path, meanwhile: Callable[[], None]) -> Iterator[None]:
    """Hold the root's lock, doing `meanwhile` again and again while another process has it.

    When a DaemonSet is updated its old and new pod may both run for a while on a node.
    """
    (root / HIDDEN).mkdir(mode=0o700, parents=True, exist_ok=True)
    with open(root / HIDDEN / "lock", "w") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                meanwhile()
            else:
                break
        yield
