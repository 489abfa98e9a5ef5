"""Does a piece of work for each of several names, in a second process as well as in this one.

The process beside takes names from the first on, this one from the last on, until they meet: so
neither waits while a name is left, and what neighbours need is found in one process. What a name
gives is the same in either process. What cannot be sent from one to the other, or was lost with a
process that the kernel ended, is done again in this one.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Generic, TypeVar

NameT = TypeVar("NameT", bound=Hashable)
DoneT = TypeVar("DoneT")
Attempt = tuple[DoneT | None, Exception | None]


def _attempt(work: Callable[[NameT], DoneT], name: NameT) -> Attempt[DoneT]:
    try:
        return work(name), None
    except Exception as error:
        return None, error


class Shared(Generic[NameT, DoneT]):
    """Work that is done once for each name, by this process or by one beside it."""

    def __init__(self, names: Sequence[NameT], work: Callable[[NameT], DoneT]) -> None:
        self._names = names
        self._work = work
        self._process: Any = None
        self._answer: Any = None
        self._waiting, put = os.pipe()
        os.write(put, bytes(len(names)))  # a pipe holds 65,536 of them
        os.close(put)

    def _done_here(self, names: Iterable[NameT]) -> dict[NameT, Attempt[DoneT]]:
        """What the first of these names give, till as many are taken as there are."""
        found = {}
        for name in names:
            if not os.read(self._waiting, 1):
                break
            found[name] = _attempt(self._work, name)
        return found

    def _run(self, answer: Any) -> None:
        """What the process beside does from its start to its end."""
        # An interrupt reaches every process; only the first may speak about it.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        with suppress(Exception):
            answer.send(self._done_here(self._names))

    def start(self) -> None:
        """Start the process beside, which finds everything in the memory that it begins with."""
        # It takes 20 ms to import, which small trees do not need.
        from multiprocessing import get_context

        fork = get_context("fork")
        self._answer, answer = fork.Pipe(duplex=False)
        self._process = fork.Process(target=self._run, args=(answer,), daemon=True)
        self._process.start()
        answer.close()

    def results(self) -> dict[NameT, DoneT]:
        """What every name gives, in the order of the names. To be asked for once.

        Raises what the work raised, for the first name for which it did.
        """
        done = self._done_here(reversed(self._names))
        if self._answer is not None:
            with suppress(Exception):
                done |= self._answer.recv()
        found: dict[NameT, DoneT] = {}
        for name in self._names:
            result, error = done[name] if name in done else _attempt(self._work, name)
            if error is not None:
                raise error
            found[name] = result  # type: ignore[assignment]
        return found

    def close(self) -> None:
        """End the process beside, if it is still there."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._answer.close()
        os.close(self._waiting)


@contextmanager
def shared(
    names: Sequence[NameT], work: Callable[[NameT], DoneT], *, beside: bool
) -> Iterator[Shared[NameT, DoneT]]:
    """Work for each name. With `beside` it begins at once in a second process, while this one does
    something else; without, when its results are asked for."""
    found = Shared(names, work)
    try:
        if beside:
            found.start()
        yield found
    finally:
        found.close()
