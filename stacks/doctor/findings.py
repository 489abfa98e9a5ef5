"""What the doctor is given to look at, and the two things that it answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Protocol

from components.kube import Object
from components.kube_client import ApiError
from regions.addons import ADDONS
from regions.profile import RegionProfile

_METADATA: Final = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
_LIST: Final = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
"""Objects without what is in them: no Secret's value leaves the API server."""
OURS: Final = "labelSelector=app.kubernetes.io%2Fmanaged-by%3Disoserve"
"""All that this project renders, in the query of a list."""
_MOST_NAMED: Final = 3
"""More names of one kind are counted, not listed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that keeps the region from serving: where it is and what was found (`what`), and
    the command, or the line of a file, that mends it (`mend`)."""

    check: str
    what: str
    mend: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Unseen:
    """Something that a check could not look at, and why."""

    check: str
    why: str


class Api(Protocol):
    """What is asked of an API server (components.kube_client.KubeClient): GET and no more.

    Both raise components.kube_client.ApiError where there is no answer.
    """

    def get(self, path: str) -> Object | None:
        """An object, or a list of them; None where there is none (404)."""

    def get_as(self, path: str, form: str) -> Object | None:
        """The same in another form of JSON, an Accept header."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A region under examination.

    `ask_image` gives the digest of an image, or raises stacks.images.errors.ImageError. `resolve`
    gives the addresses of a host as this machine sees it, empty where it has none. `now` is in UTC.
    """

    api: Api
    profile: RegionProfile
    region: str
    ask_image: Callable[[str], str]
    resolve: Callable[[str], frozenset[str]]
    now: datetime

    @property
    def file(self) -> str:
        """The profile, as messages name it."""
        return f"regions/{self.region}.yaml"

    @property
    def capabilities(self) -> frozenset[str]:
        """What the region is said to be able to do."""
        return frozenset(self.profile.all_capabilities)

    def bring(self, addon: str) -> str:
        """What brings an add-on (regions.addons.ADDONS), as the profile says who does."""
        standing, where = self.profile.addons.get(addon, "absent"), ADDONS[addon].origin
        if standing == "install":
            return f"pulumi up --stack {self.region}.addons (it installs {addon})"
        other = "install" if standing == "absent" else "absent"
        return f"install {addon} ({where}), or write addons: {{{addon}: {other}}} in {self.file}"

    def has(self, path: str) -> bool:
        """Whether there is an object at a path, of which only the metadata is asked."""
        return self.api.get_as(path, _METADATA) is not None

    def listed(self, path: str) -> list[Object] | None:
        """The objects of a list; None where the API server does not know the kind. Raises ApiError
        for an answer that is no list of objects."""
        return _items(self.api.get(path), path)

    def records(self, path: str) -> list[Object]:
        """The objects of a list, of which only the metadata is asked. Raises ApiError as `listed`
        does."""
        return _items(self.api.get_as(path, _LIST), path) or []


def _items(found: Object | None, path: str) -> list[Object] | None:
    if found is None:
        return None
    # An empty PartialObjectMetadataList has null for its items.
    items = [] if found.get("items", "") is None else inside(found, "items")
    if not isinstance(items, list) or not all(inside(one, "metadata") for one in items):
        raise ApiError(f"its answer is no list of objects (get {path})", passes=False)
    return items


Answers = Iterator[Finding | Unseen]
Check = Callable[[Site], Answers]


def inside(made: Any, *path: str) -> Any:
    """What stands at a path of an object; None where a part of the path is absent."""
    for key in path:
        made = made.get(key) if isinstance(made, dict) else None
    return made


def place_of(made: Object) -> str:
    """NAMESPACE/NAME of an object."""
    return f"{inside(made, 'metadata', 'namespace')}/{inside(made, 'metadata', 'name')}"


def condition(made: Object, kind: str) -> Object:
    """The condition of a type in an object's status; one without a status where it has none."""
    rows = inside(made, "status", "conditions") or ()
    return next((one for one in rows if one.get("type") == kind), {})


def named(names: list[str]) -> str:
    """Names for a message: the first of them, and how many more there are."""
    more = len(names) - _MOST_NAMED
    first = ", ".join(names[:_MOST_NAMED])
    return f"{first} and {more} more" if more > 0 else first
