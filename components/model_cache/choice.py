"""Which versions one node holds, in order: pinned ones, those its pods need, then as many as fit.

What fits beside them is chosen by rendezvous hashing of node and digest. Nodes choose differently,
so that every version is somewhere near; a version that comes or goes moves at most what it takes
the room of; and where there is room for all, all are held.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from components.model_cache.config import Config, Wanted
from components.model_cache.scheduled import Needs

Key = tuple[str, str]
"""Project and digest."""


class Claim(IntEnum):
    """Why a version is held, the strongest claim first."""

    NEEDED = 0
    """Pods on this node need it."""
    PINNED = 1
    """Every node holds it (`cache: always`)."""
    UNTOLD = 2
    """Nothing is known of its project's pods, which may need it."""
    NEXT = 3
    """Pods on this node need another version of the model: it may be rolled out to them."""
    SPARE = 4
    """It fits beside the others, and where it does not nobody misses it."""


_YIELDS: Final = (Claim.NEXT, Claim.SPARE)
"""Let go for stronger ones, since no pod of the node waits for them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One version, why it is held, and its place among those of all claims: 0 is the first."""

    one: Wanted
    claim: Claim
    place: int
    is_held: bool
    """Whether the node is to hold it."""

    @property
    def may_yield(self) -> bool:
        """Whether it gives its room to versions of an earlier place."""
        return self.claim in _YIELDS


Choice = Mapping[Key, Row]
"""All that the node is told of, in order."""


def choose(config: Config, needs: Needs, node: str, budget_bytes: int) -> Choice:
    """What `node` holds of `config`, which has room for `budget_bytes`.

    What pods need is held although it is listed no more: a rollout's old pods may start again.
    """
    listed = {(one.project, one.digest): one for one in config.models}
    needed = {(name, digest): model for name, found in needs.items() for model, digest in found}
    known = {one.project for one in config.models}
    strays = {
        key: _stray(key, model)
        for key, model in needed.items()
        if key not in listed and key[0] in known
    }
    models = {(key[0], model) for key, model in needed.items()}
    models |= {(key[0], one.model) for key, one in listed.items() if key in needed}

    def claim(key: Key, one: Wanted) -> Claim:
        if key in needed:
            return Claim.NEEDED
        if one.pinned:
            return Claim.PINNED
        if one.project not in needs:
            return Claim.UNTOLD
        return Claim.NEXT if (one.project, one.model) in models else Claim.SPARE

    claims = {key: (claim(key, one), one) for key, one in (listed | strays).items()}
    order = sorted(claims, key=lambda key: (claims[key][0], _weight(node, key)))
    return dict(_fitting(((key, *claims[key]) for key in order), budget_bytes))


def _fitting(order: Iterable[tuple[Key, Claim, Wanted]], left: int) -> Iterator[tuple[Key, Row]]:
    for place, (key, why, one) in enumerate(order):
        is_held = why is not Claim.SPARE or one.bytes <= left
        left -= one.bytes if is_held else 0
        yield key, Row(one=one, claim=why, place=place, is_held=is_held)


def _weight(node: str, key: Key) -> bytes:
    return hashlib.sha256("\n".join((node, *key)).encode()).digest()


def _stray(key: Key, model: str) -> Wanted:
    project, digest = key
    return Wanted(
        project=project,
        model=model,
        address=f"{project}/{model}@sha256:{digest}",
        digest=digest,
        bytes=0,
        pinned=False,
    )
