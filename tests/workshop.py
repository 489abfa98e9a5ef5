"""Makes real containers of one test, and ends them all."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from regions.sandbox.process_node.container import Container, Mount, Running, User, start

PROTECTION_SECONDS: Final = 30.0
"""No test waits for so long; one that does hangs, and this ends it."""
IS_ROOT: Final = os.geteuid() == 0
NOBODY_SPECIAL: Final = User(uid=10001, gid=10002, groups=(3000, 3001), capabilities=())
CONTAINER_ROOT: Final = User(uid=0, gid=0, groups=(), capabilities=("CHOWN", "FOWNER"))
SLEEP: Final = ("sleep", "60")


@dataclass
class Workshop:
    """Makes containers of one test, each with its own home, and ends them all."""

    folder: Path
    made: list[Running] = field(default_factory=list)

    def container(self, *argv: str, **changes: Any) -> Container:
        home = self.folder / f"run-{len(self.made)}"
        plain = Container(
            argv=argv,
            env={},
            mounts=(),
            hosts=self.hosts,
            user=NOBODY_SPECIAL,
            read_only_root=True,
            working_directory="",
            home=home,
            log=self.folder / f"{home.name}.log",
        )
        return replace(plain, **changes)

    @property
    def hosts(self) -> Path:
        return self.folder / "hosts"

    def volume(self, name: str) -> Path:
        path = self.folder / name
        path.mkdir()
        path.chmod(0o777)
        return path

    def start(self, *argv: str, **changes: Any) -> tuple[Running, Path]:
        container = self.container(*argv, **changes)
        running = start(container)
        self.made.append(running)
        return running, container.log

    def run(self, script: str, **changes: Any) -> tuple[int, str]:
        """A shell script's exit code and output."""
        running, log = self.start("sh", "-c", script, **changes)
        return ended(running), log.read_text()


def until(holds: Callable[[], Any], what: str) -> None:
    deadline = time.monotonic() + PROTECTION_SECONDS
    while not holds():
        assert time.monotonic() < deadline, f"still waiting: {what}"
        time.sleep(0.005)


def ended(running: Running) -> int:
    until(lambda: running.poll() is not None, "the program is to end")
    code = running.poll()
    assert code is not None
    return code


@contextmanager
def open_workshop(folder: Path) -> Iterator[Workshop]:
    folder.chmod(0o755)
    made = Workshop(folder)
    made.hosts.write_text("127.9.0.1 first.example\n")
    try:
        yield made
    finally:
        for running in made.made:
            running.kill()


def mount(source: Path, target: str, *, read_only: bool = False) -> Mount:
    return Mount(source=source, target=target, read_only=read_only)
