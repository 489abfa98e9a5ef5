"""`isoserve image pin`: writes the digests of images into profiles, specs and runtimes' rows.

There is no lock file beside them: these fields are what every command, rule and review reads, so a
second place could only contradict them. `name:tag@sha256:...` keeps the tag, which tells people
what runs.
"""

from __future__ import annotations

import re
from argparse import Namespace
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Final

from pydantic_core import PydanticCustomError

from model_specs.errors import SpecError, SpecErrors, nearest, shown
from model_specs.pinned import TAG, check_pinned
from model_specs.source import Source, Where, read
from stacks.images.errors import ImageError
from stacks.images.reference import Reference, reference
from stacks.images.registry import Registries
from stacks.outcome import OK, Outcome, refusal
from stacks.places import directories
from stacks.yaml_edit import replaced, text_of, write

FIELDS: Final[tuple[tuple[str, ...], ...]] = (
    ("agent_image",),
    ("prober_image",),
    ("image",),
    ("rollout", "candidate", "image"),
)
"""Where images stand: in profiles, in specs and in rows of runtimes."""
_CODE: Final = "E392"
Find = Callable[[Reference], str]
"""From an image to its digest; raises ImageError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What to pin: fields to fill anew, by their dotted name, and a tag to take everywhere."""

    fields: Mapping[str, Reference]
    tag: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """A field of a file: what stood there, what stands there now."""

    file: str
    field: str
    before: str
    address: str


def pin(files: Sequence[Path], wish: Wish, find: Find) -> list[Pin]:
    """Pin every image of `files` that has a tag alone, or that `wish` names.

    A file is written when all images of all files are found. Raises SpecErrors with everything
    that keeps them from it, and then nothing is written.
    """
    errors: list[SpecError] = []
    texts: dict[Path, str] = {}
    pins: list[Pin] = []
    for path in dict.fromkeys(files):
        try:
            source = read(path.absolute(), str(path))
            before = text = text_of(path)
            for where, image in _unpinned(source, wish):
                address = _address(source, where, image, find)
                pins.append(_pin(source, where, address))
                text = replaced(path, text, where, address, _CODE)
        except SpecErrors as refused:
            errors += refused.errors
        else:
            texts |= {path: text} if text != before else {}
    if errors:
        raise SpecErrors(errors)
    missing = set(wish.fields) - {one.field for one in pins}
    if missing:
        why = f"no file has the field {shown(min(missing))}; name one that has it"
        raise refusal("--set", _CODE, why)
    for path, text in texts.items():
        write(path, text)
    return pins


def _pin(source: Source, where: Where, address: str) -> Pin:
    field = ".".join(map(str, where))
    return Pin(file=source.file, field=field, before=_value(source, where), address=address)


def _unpinned(source: Source, wish: Wish) -> Iterator[tuple[tuple[str, ...], Reference]]:
    """The fields of a file that are to be pinned, and the image that each is to have."""
    for where in FIELDS:
        said = _value(source, where)
        if not said:
            continue
        wanted = wish.fields.get(".".join(where))
        if wanted is not None:
            yield where, wanted
        elif _is_image(said) and (wish.tag or "@" not in said):
            yield where, _retagged(source, where, said, wish.tag)


def _retagged(source: Source, where: Where, said: str, tag: str) -> Reference:
    """The image that stands there, with another tag where one is wanted."""
    has_label = "@" in said or ":" in said.rpartition("/")[2]
    try:
        found = reference(said if has_label or not tag else f"{said}:{tag}")
    except ImageError as error:
        raise SpecErrors([source.error(where, _CODE, str(error))]) from None
    return replace(found, tag=tag, digest="") if tag else found


def _address(source: Source, where: Where, image: Reference, find: Find) -> str:
    """The address by digest. Raises SpecErrors where no registry knows it, or no file takes it."""
    try:
        address = str(replace(image, digest=find(image)))
        check_pinned(address)
    except ImageError as error:
        raise SpecErrors([source.error(where, _CODE, str(error))]) from None
    except PydanticCustomError as error:
        raise SpecErrors([source.error(where, error.type, error.message())]) from None
    hosts = source.values.get("image_hosts") if isinstance(source.values, dict) else None
    if isinstance(hosts, list) and image.host not in hosts:
        why = f"images come from {', '.join(map(str, hosts))}, got {shown(image.host)}"
        cure = "mirror the image there, or add it to image_hosts"
        raise SpecErrors([source.error(where, "E371", f"{why}; {cure}")])
    return address


def _value(source: Source, where: Where) -> str:
    """The text at `where`; empty where there is none."""
    value: Any = source.values
    for key in where:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, str) else ""


def _is_image(said: str) -> bool:
    """Whether a field names an image, and no runtime of the catalogue."""
    return "/" in said or ":" in said


def _wish(args: Namespace) -> Wish:
    fields = {}
    known = [".".join(where) for where in FIELDS]
    for text in args.set:
        name, _, image = text.partition("=")
        if name not in known:
            why = f"no such field of an image, got {shown(name)}; {nearest(name, known)}"
            raise refusal("--set", _CODE, why)
        try:
            fields[name] = reference(image)
        except ImageError as error:
            raise refusal("--set", _CODE, str(error)) from None
    if args.to and not args.files:
        why = "a tag is of one image, and no file is named; name the files whose images have it"
        raise refusal("--to", _CODE, why)
    if args.to and not re.fullmatch(TAG, args.to):
        raise refusal(
            "--to", _CODE, f"no tag of images, got {shown(args.to)}; write one like v1.2.0"
        )
    return Wish(fields=fields, tag=args.to)


def _files(args: Namespace) -> list[Path]:
    """The files that are named, or every one of the tree where an image may stand."""
    if args.files:
        return list(args.files)
    specs, regions = directories(args)
    return [*sorted(regions.glob("*.yaml")), *sorted(specs.glob("*/**/*.yaml"))]


def run(args: Namespace) -> Outcome:
    """Pin what the options name."""
    wish = _wish(args)
    with Registries(plain_http=args.plain_http) as registries:
        pins = pin(_files(args), wish, cache(registries.digest))
    text = [f"{one.file}: {one.field} {_said(one)} {one.address}\n" for one in pins]
    data = {"images": [asdict(one) for one in pins]}
    return Outcome(data=data, text=text or ["every image is pinned\n"], code=OK)


def _said(one: Pin) -> str:
    return "was pinned to" if one.before == one.address else "pinned to"
