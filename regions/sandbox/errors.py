"""The one error a person meets when the sandbox can't do what was asked."""

from __future__ import annotations


class SandboxError(Exception):
    """Says what is wrong, where, and what to do; `__main__` prints it and exits with 2."""
