"""All rules there are, and where the catalogue's other rows are judged."""

from __future__ import annotations

from typing import Final

from policies import (
    access,
    availability,
    caller_keys,
    callers,
    gateways,
    gpus,
    images,
    keys,
    labels,
    lifetime,
    models,
    network,
    nodes,
    pod_security,
    providers,
    registry,
    registry_keys,
    rights,
    roles,
    rollout,
    scaling,
    secret_literals,
    tenants,
    versions,
    watching,
)
from policies.legal import rules as legal
from policies.rule import Rule

RULES: Final[tuple[Rule, ...]] = (
    *images.RULES,
    *models.RULES,
    *pod_security.RULES,
    *secret_literals.RULES,
    *registry_keys.RULES,
    *access.RULES,
    *caller_keys.RULES,
    *gateways.RULES,
    *tenants.RULES,
    *network.RULES,
    *callers.RULES,
    *rights.RULES,
    *labels.RULES,
    *rollout.RULES,
    *availability.RULES,
    *scaling.RULES,
    *gpus.RULES,
    *lifetime.RULES,
    *watching.RULES,
    *versions.RULES,
    *registry.RULES,
    *keys.RULES,
    *roles.RULES,
    *nodes.RULES,
    *providers.RULES,
    *legal.RULES,
)
"""In the order of their subjects."""

ELSEWHERE: Final[dict[str, str]] = {
    "P18": "The review adds up money at dated prices; the plan refuses what is above a cap (E382).",
    "P20": "`isoserve parity` compares all regions; a stack sees only its own.",
    "P32": "The review and the preview gate read steps; a policy never sees a replacement.",
    "P36": "Waivers are read and judged before any rule runs (policies/waivers.py).",
}
"""Rows of the catalogue that no rule over rendered things can judge, and who does."""
