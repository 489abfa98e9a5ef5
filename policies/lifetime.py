"""Rules about time: what nobody wants any more takes no GPU."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, time
from typing import Final

from model_specs.schema import is_expired
from policies.rule import WORKLOADS, Estate, Fault, Rule, whole


@whole("P19", "ttl-limit")
def _ttl_limit(estate: Estate) -> Iterator[Fault]:
    """Nothing is made of a model whose `ttl` had passed when the day of judgement began. The plan
    leaves such a model out and nothing else, so this holds up nobody; it proves that."""
    now = datetime.combine(estate.facts.today, time.min, UTC)
    first = {work.model: work for work in reversed(estate.of(*WORKLOADS))}
    specs = estate.facts.specs
    wished = {model.id: model for model in (*specs.models, *specs.expired)}
    for name, work in sorted(first.items()):
        model = wished.get(name)
        if model is not None and is_expired(model.spec, now):
            what = f"is of {name}, whose ttl ended on {model.spec.ttl}"
            yield Fault(work, what, "remove the spec, or set a later ttl", "ttl")


RULES: Final[tuple[Rule, ...]] = (_ttl_limit,)
