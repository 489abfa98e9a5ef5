"""All rules there are, and where the catalogue's other rows are judged."""

from __future__ import annotations

from typing import Final

from policies import images
from policies.rule import Rule

RULES: Final[tuple[Rule, ...]] = (*images.RULES,)
"""In the order of their subjects."""

ELSEWHERE: Final[dict[str, str]] = {
    "P18": "The review adds up money at dated prices; the plan refuses what is above a cap (E382).",
    "P20": "`isoserve parity` compares all regions; a stack sees only its own.",
    "P32": "The review and the preview gate read steps; a policy never sees a replacement.",
    "P36": "Waivers are read and judged before any rule runs (policies/waivers.py).",
}
"""Rows of the catalogue that no rule over rendered things can judge, and who does."""
