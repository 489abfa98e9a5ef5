"""All projects' shelves of a node, and what stands on them."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator
from pathlib import Path

from components.model_cache.choice import Choice, Row
from components.model_cache.config import Wanted
from components.model_cache.keep import Library
from components.model_cache.publish import is_whole, withdraw
from components.model_cache.room import Place
from components.model_cache.shelf import of_project, on_node

_log = logging.getLogger("cache")


def places_of(
    root: Path, choice: Choice, told: Collection[str], libraries: dict[str, Library]
) -> dict[str, Place]:
    """A place for each project that the choice or the disk knows; `libraries` are kept and added.

    `told` are the projects whose pods are known. A project that is no longer listed keeps its place
    until its versions have made room.
    """
    listed: dict[str, dict[str, Row]] = {}
    for (project, digest), row in choice.items():
        listed.setdefault(project, {})[digest] = row
    places = {}
    for project in sorted(listed.keys() | on_node(root).keys()):
        shelf = of_project(root, project)
        shelf.prepare()
        library = libraries.setdefault(project, Library(shelf))
        places[project] = Place(project, shelf, library, listed.get(project, {}), project in told)
    return places


def is_there(place: Place, one: Wanted) -> bool:
    """Whether a version is visible; one that has lost a file, by whatever hand, is withdrawn."""
    if one.digest not in place.shelf.versions():
        return False
    manifest = place.library.known(one.digest)
    if manifest is None or is_whole(place.shelf, one.digest, manifest):
        return True
    _log.error("%s has lost files on this node's disk and is fetched anew", one.address)
    withdraw(place.shelf, one.digest)
    place.library.forget(one.digest)
    return False


def held_bytes(place: Place) -> Iterator[tuple[str, str, int]]:
    """Bytes by project and model; content of several models counts for the first of them."""
    counted: set[str] = set()
    for digest in place.shelf.versions():
        content = place.library.content_of(digest)
        new = content.keys() - counted
        counted |= new
        yield place.project, place.library.model_of(digest), sum(content[s].size for s in new)
