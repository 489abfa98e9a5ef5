"""URLs of a profile, and which of them lead to a Service of the cluster."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final
from urllib.parse import SplitResult, urlsplit

from model_specs.errors import refuse, shown

_PORTS: Final = {"http": 80, "https": 443}
_SERVER: Final = re.compile(
    r"(?:[a-z0-9]+(?:-+[a-z0-9]+)*(?:\.[a-z0-9]+(?:-+[a-z0-9]+)*)*\.?|\[[0-9a-f:.]+\])(?::[0-9]+)?",
    re.IGNORECASE,
)
"""A name or an address, and perhaps a port."""
_SERVICE: Final = re.compile(
    r"(?:[a-z0-9-]+\.)?[a-z0-9-]+\.([a-z0-9-]+)\.svc(\.cluster\.local)?\.?"
)
"""A Service, or a pod of a headless one. Source: kubernetes.io, "DNS for Services and Pods"; a
domain of the cluster other than the default is not told from a host outside."""


def _split(text: str) -> SplitResult:
    """The parts of `text`. Raises ValueError where it is no plain URL of a host."""
    url = urlsplit(text)
    odd = url.username is not None or url.query or url.fragment or not text.isprintable()
    if url.scheme not in _PORTS or odd or " " in text:
        raise ValueError("it is http or https, a host, a port and a path")
    if not _SERVER.fullmatch(url.netloc):
        raise ValueError("its host is a name or an address")
    if url.port == 0:
        raise ValueError("ports are 1 to 65535")
    return url


def check_url(text: str) -> str:
    """`text` itself. Raises PydanticCustomError with what no URL of a server has."""
    try:
        _split(text)
    except ValueError as error:
        cure = "write e.g. https://s3.dc1.example.com:9000"
        raise refuse("E301", f"no URL of a server, got {shown(text)}: {error}; {cure}") from None
    return text


def check_url_if_any(text: str) -> str:
    """The same for a field that may be empty."""
    return check_url(text) if text else text


@lru_cache(maxsize=256)
def port_of(url: str) -> int:
    """The TCP port that a checked URL leads to."""
    parts = _split(url)
    return parts.port or _PORTS[parts.scheme]


def host_of(url: str) -> str:
    """The host of a checked URL; empty for an empty one."""
    return urlsplit(url).hostname or ""


def service_namespace(url: str) -> str:
    """The namespace of the cluster's Service that a checked URL leads to; empty where none is."""
    found = _SERVICE.fullmatch(host_of(url))
    return found[1] if found else ""
