"""The registry's keys as a pod has them: files of a mounted Secret, which may change at any time.

    <folder>/access_key_id, secret_access_key, and session_token where there is one

Files and no environment: a new key needs no new pod, and no dump or child process repeats them.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from components.model_registry.store import Credentials

_NAMES: Final = {
    "access_key_id": "access_key_id",
    "secret_access_key": "secret_access_key",
    "token": "session_token",
}
_OPTIONAL: Final = "session_token"
_ASKED_EARLY: Final = timedelta(minutes=5)
"""So long before their end obstore asks for credentials anew."""
_READ_EVERY: Final = timedelta(seconds=30)
"""A changed Secret is in its pods' files within about a minute."""


def credentials(folder: Path) -> Credentials:
    """Gives what the files say at the time; OSError or ValueError, in a sentence, if nothing."""
    return lambda: _read(folder)


def _read(folder: Path) -> dict[str, Any]:
    try:
        found = _files(folder)
    except FileNotFoundError:  # the kubelet has just put another folder in place
        found = _files(folder)
    missing = [name for name in _NAMES.values() if not found[name] and name != _OPTIONAL]
    if missing:
        raise ValueError(f"the registry's Secret lacks {' and '.join(missing)}; add it")
    keys = {ours: found[name] or None for ours, name in _NAMES.items()}
    return {**keys, "expires_at": datetime.now(UTC) + _ASKED_EARLY + _READ_EVERY}


def _files(folder: Path) -> Mapping[str, str]:
    # All from one version: the kubelet swaps a link to the folder that holds them together.
    here = (folder / _NAMES["access_key_id"]).resolve().parent
    return {name: _text(here / name) for name in _NAMES.values()}


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        if path.parent.is_dir():
            return ""
        raise
