"""With what a person has signed in to a registry by `docker login`, `podman login` or a helper."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from docker import auth
from docker.errors import DockerException

from stacks.images.errors import ImageError

_FILE_OF_PODMAN: Final = "REGISTRY_AUTH_FILE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """A name and a password, or a token that stands for both. Never printed."""

    name: str
    password: str
    identity_token: str


def credentials(host: str, environment: Mapping[str, str] = os.environ) -> Credentials | None:
    """What this machine keeps for the registry at `host`, None where it keeps nothing.

    Raises ImageError where a file or a helper that should have it cannot be read.
    """
    for path in _files(environment):
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            with warnings.catch_warnings():  # of a helper that is missing, which is refused below
                warnings.simplefilter("ignore")
                found = auth.AuthConfig.load_config(None, values).resolve_authconfig(host)
        except FileNotFoundError:
            continue
        # ValueError and TypeError: what is no JSON, no base64, or of another form.
        except (OSError, ValueError, TypeError, AttributeError, DockerException) as error:
            why = "a sign-in to registries stands here that cannot be read"
            cure = f"sign in again (`docker login {host}`), or mend its credential helper"
            raise ImageError(f"{path}: {why} ({type(error).__name__}); {cure}") from None
        if found:
            return _credentials(found)
    return None


def _files(environment: Mapping[str, str]) -> Iterator[Path]:
    """Where programs keep it: containers-auth.json(5) and docker's `config.json`."""
    if environment.get(_FILE_OF_PODMAN):
        yield Path(environment[_FILE_OF_PODMAN])
    if environment.get("XDG_RUNTIME_DIR"):
        yield Path(environment["XDG_RUNTIME_DIR"], "containers", "auth.json")
    folder = environment.get("DOCKER_CONFIG") or str(Path("~/.docker").expanduser())
    yield Path(folder, "config.json")


def _credentials(found: Mapping[str, Any]) -> Credentials:
    # From files the keys are in lower case, from helpers they are not.
    values = {key.lower(): value or "" for key, value in found.items()}
    return Credentials(
        name=values.get("username", ""),
        password=values.get("password", ""),
        identity_token=values.get("identitytoken", ""),
    )
