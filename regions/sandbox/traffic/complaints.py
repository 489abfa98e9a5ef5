"""Complaints about everything that one process leads traffic by."""

from __future__ import annotations

from regions.sandbox import complaints


class Complaints:
    """The last complaint about each subject."""

    def __init__(self) -> None:
        self._subjects: dict[str, complaints.Complaints] = {}

    def say(self, subject: str, text: str) -> None:
        """Print the complaint unless it is the one last printed about this subject."""
        self._subjects.setdefault(subject, complaints.Complaints(subject)).say(text)

    def settled(self, subject: str) -> None:
        """The subject is well again: say so if it wasn't."""
        found = self._subjects.get(subject)
        if found and found.settled():
            print(f"{subject}: well again", flush=True)
