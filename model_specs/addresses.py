"""What a spec may write for an image and a model: always pinned by a digest."""

from __future__ import annotations

import re
from typing import Annotated, Final

from pydantic import AfterValidator, WithJsonSchema

from model_specs.errors import nearest, refuse, shown
from model_specs.pinned import check_pinned
from model_specs.runtimes import RUNTIMES

_OWNER: Final = r"[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?"
"""A project or a model of the registry (components/model_registry/keys.py); of 63 at most."""
MODEL_ADDRESS: Final = re.compile(
    rf"(?P<project>{_OWNER})/(?P<model>{_OWNER})"
    r":(?P<version>[A-Za-z0-9][A-Za-z0-9._-]{0,62})@sha256:(?P<digest>[0-9a-f]{64})"
)
_VERSIONED = re.compile(MODEL_ADDRESS.pattern.split("@")[0])


def _check_image(image: str) -> str:
    if image in RUNTIMES:
        return image
    if "/" in image or ":" in image:
        return check_pinned(image)
    raise refuse("E331", f"no such runtime, got {shown(image)}; {nearest(image, RUNTIMES)}")


def _check_model(address: str) -> str:
    if MODEL_ADDRESS.fullmatch(address):
        return address
    version, _, digest = address.partition("@")
    cure = "copy the address from the registry"
    if _VERSIONED.fullmatch(version):
        got = shown(digest) if digest else "no digest"
        why = f"a model is pinned by @sha256:<64 lower-case hex digits>, got {got}"
        raise refuse("E323", f"{why}; {cure}")
    form = "project/model:version@sha256:<64 hex digits>, no URL and no path"
    raise refuse("E321", f"a model's address is {form}, got {shown(address)}; {cure}")


Image = Annotated[str, AfterValidator(_check_image)]
ModelAddress = Annotated[
    str,
    AfterValidator(_check_model),
    WithJsonSchema(
        # Python and JavaScript name groups differently, and both know unnamed ones.
        {"type": "string", "pattern": re.sub(r"\?P<\w+>", "", f"^{MODEL_ADDRESS.pattern}$")}
    ),
]
