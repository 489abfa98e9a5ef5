"""The name of an image as people write it, taken apart."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from model_specs.errors import shown
from model_specs.pinned import PART, TAG
from stacks.images.errors import ImageError

DOCKER_HUB: Final = "docker.io"
_HOST: Final = r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::[0-9]{1,5})?"
_REFERENCE: Final = re.compile(
    rf"(?P<host>{_HOST})/(?P<repository>{PART}(?:/{PART})*)"
    rf"(?::(?P<tag>{TAG}))?(?:@(?P<digest>sha256:[0-9a-f]{{64}}))?"
)
"""Source: github.com/opencontainers/distribution-spec, "Pulling manifests"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """An image of a registry, by tag, by digest, or by both."""

    host: str
    repository: str
    tag: str
    digest: str

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.host}/{self.repository}{tag}{digest}"


def reference(text: str) -> Reference:
    """What `text` names. As every program reads it, what stands before the first slash is a host
    where it has a dot or a colon, or is `localhost`; all else is of Docker Hub, and names of one
    word are in its `library` (github.com/distribution/reference, normalize.go, read 2026-11-29).

    Raises ImageError for what names no image, or neither tag nor digest.
    """
    first, slash, _ = text.partition("/")
    named = bool(slash) and (first == "localhost" or "." in first or ":" in first)
    host, rest = (first, text.partition("/")[2]) if named else (DOCKER_HUB, text)
    if host in (DOCKER_HUB, f"index.{DOCKER_HUB}"):
        host, rest = DOCKER_HUB, rest if "/" in rest else f"library/{rest}"
    found = _REFERENCE.fullmatch(f"{host}/{rest}")
    if found is None:
        why = f"no name of an image, got {shown(text)}"
        raise ImageError(f"{why}; write registry/name:tag in lower-case letters")
    if not (found["tag"] or found["digest"]):
        raise ImageError(f"no tag that could be asked for, got {shown(text)}; write {text}:TAG")
    return Reference(
        host=found["host"].lower(),
        repository=found["repository"],
        tag=found["tag"] or "",
        digest=found["digest"] or "",
    )
