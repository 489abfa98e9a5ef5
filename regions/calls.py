"""Decides what a model's own code may call: what its spec asks and the region's profile lists."""

from __future__ import annotations

from collections.abc import Sequence

from model_specs.errors import shown
from model_specs.load import Model, Specs
from regions.abilities import Abilities
from regions.model_plan import CallPlan
from regions.reachable import Reachable


def way(listed: Reachable) -> CallPlan:
    """The way out that a row of the profile stands for."""
    return CallPlan(
        name=listed.target,
        namespace=listed.namespace,
        pods=tuple(sorted(listed.pods.items())),
        networks=listed.networks,
        port=listed.port,
    )


def calls(
    specs: Specs, abilities: Abilities, listed: Sequence[Reachable], model: Model
) -> tuple[CallPlan, ...]:
    """The ways out that a spec asks for; what the region does not list becomes a gap."""
    known = {(one.target, one.port): one for one in listed}
    found = []
    for call in model.spec.calls:
        row = known.get((call.target, call.port))
        if call.namespace in specs.projects:
            why = f"{shown(call.target)} is of a project, whose models are called by share_with"
            abilities.lack(model.id, "calls", "E333", f"{why}; remove it")
        elif row is None:
            has = ", ".join(f"{target}:{port}" for target, port in sorted(known)) or "nothing"
            got = shown(f"{call.target}:{call.port}")
            why = f"models of region {abilities.region} may call {has}, got {got}"
            abilities.lack(model.id, "calls", "E333", f"{why}; its profile lists it in `reachable`")
        else:
            found.append(way(row))
    return tuple(found)
