"""What the address of an image looks like: always pinned by a digest."""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import Annotated, Final

from pydantic import AfterValidator, WithJsonSchema

from model_specs.errors import refuse, shown

_SHA256 = r"sha256:[0-9a-f]{64}"
HOST: Final = r"[a-z0-9]+(?:(?:\.|-+)[a-z0-9]+)*(?::[0-9]{1,5})?"
PART: Final = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_NAME: Final = f"{HOST}(?:/{PART})+"
TAG: Final = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"
"""Source: github.com/opencontainers/distribution-spec, "Pulling manifests"."""
PINNED_IMAGE: Final = f"({_NAME})(?::{TAG})?(@{_SHA256})"
_IMAGE = re.compile(PINNED_IMAGE)
A_NUMBER: Final = re.compile(r"[0-9]+|0x[0-9a-f]*")
"""What ends no name of a host: programs read 127.1 and 0x7f000001 as addresses (URL Standard,
"ends in a number checker")."""


def check_pinned(image: str) -> str:
    """`image` without the tag that may stand before its digest and that nobody resolves.

    Raises PydanticCustomError (E324) for one without a digest.
    """
    found = _IMAGE.fullmatch(image)
    if found is None:
        why = f"an image is pinned as registry/name@sha256:<64 hex digits>, got {shown(image)}"
        raise refuse("E324", f"{why}; resolve the tag to its digest")
    host, _, port = found[1].partition("/")[0].partition(":")
    if leads_to_itself(host) or int(port or 1) not in range(1, 65_536):
        why = f"no registry of others is at {found[1].partition('/')[0]}, got {shown(image)}"
        raise refuse("E325", f"{why}; name a registry that every region reaches")
    return found[1] + found[2]


def image_host(image: str) -> str:
    """The registry of a pinned image, with its port where it has one."""
    return image.partition("/")[0]


def leads_to_itself(host: str) -> bool:
    """Whether a host is whoever asks it, or its link, whose 169.254.169.254 gives keys."""
    try:
        address = ip_address(host)
    except ValueError:
        last = host.rpartition(".")[2]
        return last == "localhost" or A_NUMBER.fullmatch(last) is not None
    return address.is_loopback or address.is_link_local or address.is_unspecified


PinnedImage = Annotated[
    str,
    AfterValidator(check_pinned),
    WithJsonSchema({"type": "string", "pattern": f"^{PINNED_IMAGE}$"}),
]
