"""URLs of a profile, and which of them lead to a Service of the cluster."""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import ip_network
from typing import Final
from urllib.parse import SplitResult, urlsplit

from model_specs.errors import refuse, shown
from regions.networks import fault_of_host

_PORTS: Final = {"http": 80, "https": 443}
_CHARACTERS: Final = re.compile(r"[A-Za-z0-9._~:/?#\[\]@!$&()*+,;=%-]+")
"""What a URL is made of (RFC 3986), without the quote that ends a text in PromQL and YAML."""
_SERVER: Final = re.compile(
    r"(?:[a-z0-9]+(?:-+[a-z0-9]+)*(?:\.[a-z0-9]+(?:-+[a-z0-9]+)*)*\.?|\[[0-9a-f:.]+\])(?::[0-9]+)?",
    re.IGNORECASE,
)
"""A name or an address, and perhaps a port."""
FILE_PATH: Final = r"^([A-Za-z0-9_.~/@+]([A-Za-z0-9_.~/@+ -]*[A-Za-z0-9_.~/@+-])?)?$"
"""A path, or nothing. The engine's Kubernetes provider would take a text of any other form for the
kubeconfig itself, with whatever cluster and program stand in it."""
_SERVICE: Final = re.compile(
    r"(?:[a-z0-9-]+\.)?[a-z0-9-]+\.([a-z0-9-]+)\.svc(\.cluster\.local)?\.?"
)
"""A Service, or a pod of a headless one. Source: kubernetes.io, "DNS for Services and Pods"; a
domain of the cluster other than the default is not told from a host outside."""


def _split(text: str) -> SplitResult:
    """The parts of `text`. Raises ValueError where it is no plain URL of a host."""
    url = urlsplit(text)
    odd = url.username is not None or url.query or url.fragment
    if url.scheme not in _PORTS or odd or not _CHARACTERS.fullmatch(text):
        raise ValueError("it is http or https, a host, a port and a path")
    if not _SERVER.fullmatch(url.netloc):
        raise ValueError("its host is a name or an address")
    if url.port == 0:
        raise ValueError("ports are 1 to 65535")
    fault = fault_of_host(url.hostname or "")
    if fault:
        raise ValueError(f"no server is at its host: {fault}")
    return url


def check_host(host: str) -> str:
    """A registry's host and port. Raises PydanticCustomError (E371) where no server is, or the
    port is none."""
    name, _, port = host.partition(":")
    fault = fault_of_host(name)
    if not fault and int(port or 1) not in range(1, 65_536):
        fault = "ports are 1 to 65535"
    if fault:
        why = f"no registry of others, got {shown(host)}: {fault}"
        raise refuse("E371", f"{why}; name one that nodes reach")
    return host


def check_url(text: str) -> str:
    """`text` itself. Raises PydanticCustomError with what no URL of a server has."""
    try:
        _split(text)
    except ValueError as error:
        cure = "write e.g. https://s3.dc1.example.com:9000"
        raise refuse("E301", f"no URL of a server, got {shown(text)}: {error}; {cure}") from None
    return text


def check_https(text: str) -> str:
    """The same for one that is signed by its server; it may have a query, as some keys' have."""
    if not text.startswith("https://") or "*" in text:
        raise refuse("E301", f"no https URL, got {shown(text)}; write one, without wildcards")
    check_url(text.partition("?")[0])
    return check_page(text)


def check_issuer(text: str) -> str:
    """The same for the issuer of tokens, which has neither query nor fragment (OpenID Connect
    Discovery 1.0, section 3) and is compared letter by letter."""
    return check_url(check_https(text))


def check_bare_issuer(text: str) -> str:
    """The same for one that is written without its https://."""
    check_issuer(f"https://{text}")
    return text


def check_page(text: str) -> str:
    """The same for a page that people or programs open: a query and a fragment are its own."""
    check_url(re.split("[?#]", text, maxsplit=1)[0])
    if not _CHARACTERS.fullmatch(text):
        why = "it has characters that no URL has"
        raise refuse("E301", f"no URL, got {shown(text)}: {why}; escape them by %")
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


def address_of(url: str) -> str:
    """The one address, as a CIDR, that a checked URL names; empty where it names a host."""
    try:
        return str(ip_network(host_of(url)))
    except ValueError:
        return ""


def service_namespace(url: str) -> str:
    """The namespace of the cluster's Service that a checked URL leads to; empty where none is."""
    found = _SERVICE.fullmatch(host_of(url))
    return found[1] if found else ""
