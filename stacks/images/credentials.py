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
_IN_FOLDER: Final = ("containers", "auth.json")
"""Of XDG_RUNTIME_DIR and XDG_CONFIG_HOME; without the first, podman has /run/containers/UID."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """A name and a password, or a token that stands for both. Never printed."""

    name: str
    password: str
    identity_token: str


def credentials(
    host: str, repository: str, environment: Mapping[str, str] = os.environ
) -> Credentials | None:
    """What this machine keeps for a repository of the registry at `host`, None where nothing.

    Raises ImageError where a file or a helper that should have it cannot be read.
    """
    for path in _files(environment):
        try:
            values = _of(json.loads(path.read_text(encoding="utf-8")), host, repository)
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


def _of(values: dict[str, Any], host: str, repository: str) -> dict[str, Any]:
    """A file's values with the sign-ins of `host` alone, the one for the repository in its place.

    Podman keeps them by namespace too, and the longest that leads the name counts:
    containers-auth.json(5). Docker keeps them by host, or by a URL of it.
    """
    kept = values.get("auths") or {}
    place = f"{host}/{repository}/"
    leading = [key for key in kept if place.startswith(f"{key}/")]
    if leading:
        return {**values, "auths": {host: kept[max(leading, key=len)]}}
    return {**values, "auths": {key: kept[key] for key in kept if host in key}}


def _files(environment: Mapping[str, str]) -> Iterator[Path]:
    """Where programs keep it: containers-auth.json(5) and docker's `config.json`."""
    if environment.get(_FILE_OF_PODMAN):
        yield Path(environment[_FILE_OF_PODMAN])
    runtime = environment.get("XDG_RUNTIME_DIR")
    if runtime:
        yield Path(runtime, *_IN_FOLDER)
    else:
        yield Path(f"/run/containers/{os.getuid()}/auth.json")
    config = environment.get("XDG_CONFIG_HOME") or str(Path("~/.config").expanduser())
    yield Path(config, *_IN_FOLDER)
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
