"""What goes wrong is written to a log: once for every new complaint, not at every try."""

from __future__ import annotations

import threading


class Complaints:
    """The last complaint about one subject; for any number of threads."""

    def __init__(self, about: str) -> None:
        """`about` begins every line."""
        self._about, self._last, self._lock = about, "", threading.Lock()

    def say(self, reason: object) -> None:
        """Print what is wrong, unless it was the last thing said."""
        with self._lock:
            text = str(reason)
            if text != self._last:
                self._last = text
                print(f"{self._about}: {text}", flush=True)

    def settled(self) -> bool:
        """All is well, so the same trouble would be news again; whether there was any."""
        with self._lock:
            was_said, self._last = bool(self._last), ""
            return was_said
