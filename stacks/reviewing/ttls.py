"""Models whose `ttl` has passed, or passes soon."""

from __future__ import annotations

from collections.abc import Iterator

from model_specs.moment import written
from model_specs.schema import TTL_NOTICE, is_expired
from stacks.reviewing.seen import Seen

Raised = tuple[str, str, str]
"""Subject, reason and region, as stacks.reviewing.risks has them."""


def _expired(seen: Seen, changed: bool) -> Iterator[Raised]:
    """Models that are no longer planned, of those that the change touches or the others."""
    touched = {wish.id for wish in seen.models}
    for name, model in seen.sides.work.models.items():
        if is_expired(model.spec, seen.at) and (name in touched) == changed and model.spec.ttl:
            when = f"its ttl passed on {written(model.spec.ttl)}"
            reason = f"{when}: it goes with the next `up`, if it has not yet; renew or remove it"
            yield name, reason, ""


def expiring(seen: Seen) -> Iterator[Raised]:
    """Models that will not be planned in a week."""
    for name, model in seen.sides.work.models.items():
        ttl = model.spec.ttl
        if ttl is not None and seen.at < ttl <= seen.at + TTL_NOTICE:
            yield name, f"its ttl passes on {written(ttl)}: it goes with the `up` after that", ""


def expired_now(seen: Seen) -> Iterator[Raised]:
    """Models of this change whose ttl has passed."""
    return _expired(seen, True)


def expired_before(seen: Seen) -> Iterator[Raised]:
    """Models whose ttl has passed and that the change leaves as they were."""
    return _expired(seen, False)
