"""What goes wrong is written to the log: once for every new complaint, not at every try."""

from __future__ import annotations


class Complaints:
    """The last complaint about each subject."""

    def __init__(self) -> None:
        self._last: dict[str, str] = {}

    def say(self, subject: str, text: str) -> None:
        """Print the complaint unless it is the one last printed about this subject."""
        if self._last.get(subject) != text:
            self._last[subject] = text
            print(f"{subject}: {text}", flush=True)

    def settled(self, subject: str) -> None:
        """The subject is well again: say so if it wasn't."""
        if self._last.pop(subject, None) is not None:
            print(f"{subject}: well again", flush=True)
