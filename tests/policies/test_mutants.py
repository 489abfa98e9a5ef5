"""No change of a rendered thing goes by: a rule refuses it, or a table says why it does no harm."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from typing import Final

from tests.examples import ROOT
from tests.policies.mutants import mutants, refusing, representatives

HARMLESS: Final[dict[str, str]] = {
    "ConfigMap data.*.json changed": "a dashboard is only drawn; nothing reads it",
    "Deployment spec.replicas changed": "an autoscaler sets it from then on, within its bounds",
    "Role rules*removed": "members may do less, and say so; nothing that guards others goes",
    "NetworkPolicy spec.egress* removed": "a prober's way out: it reports failures and pages",
    "aws:eks/nodeGroup:NodeGroup scalingConfig.desiredSize changed": (
        "a first size within the profile's bounds; an autoscaler sets it from then on"
    ),
    "aws:eks/nodeGroup:NodeGroup launchTemplate.version changed": (
        "every version of the template is one that was judged; AWS counts them"
    ),
    "pulumi:providers:aws profile removed": (
        "a CI job has its credentials in the environment; the account is held by its number"
    ),
}
"""By pattern of Mutant.kind_of_change, why no rule refuses it. Square brackets are plain here."""
_MOST_HARMLESS_PERCENT: Final = 5
_README: Final = ROOT / "policies" / "mutants.md"


@dataclass(frozen=True)
class Tally:
    """How many mutants there are, and which kinds of change no rule refuses, with their number."""

    number: int
    shapes: int
    passing: Counter[str]
    refused_by: Counter[str]

    def page(self) -> str:
        """The figures for people."""
        harmless = self.passing.total()
        rows = "".join(
            f"| `{pattern}` | {sum(self._of(pattern))} | {why} |\n"
            for pattern, why in HARMLESS.items()
        )
        return (
            "# What the rules refuse of changed things\n\n"
            "Written by `python -m tests.policies.mutants_page`; a test compares it.\n"
            f"Of {self.shapes} things, one of each shape that the examples have in any region, "
            "every leaf was removed and changed, every block and list got one more, every option "
            "of the engine was set, changed and left out, and each thing was left out itself.\n\n"
            "| | mutants | |\n|---|--:|--:|\n"
            f"| all | {self.number} | |\n"
            f"| refused | {self.number - harmless} | {self._percent(self.number - harmless)} |\n"
            f"| harmless | {harmless} | {self._percent(harmless)} |\n"
            "| neither | 0 | 0.0 % |\n\n"
            f"| harmless change | mutants | why |\n|---|--:|---|\n{rows}"
        )

    def _of(self, pattern: str) -> list[int]:
        return [number for kind, number in self.passing.items() if fits(kind, pattern)]

    def _percent(self, number: int) -> str:
        return f"{100 * number / self.number:.1f} %"


def fits(kind: str, pattern: str) -> bool:
    """Whether a kind of change is of a pattern; brackets stand for themselves."""
    return fnmatchcase(kind, pattern.replace("[", "[[]"))


@cache
def tally() -> Tally:
    """Every mutant judged once."""
    passing: Counter[str] = Counter()
    refused_by: Counter[str] = Counter()
    for one in mutants():
        rule = refusing(one)
        if rule:
            refused_by[rule] += 1
        else:
            passing[one.kind_of_change] += 1
    number = passing.total() + refused_by.total()
    return Tally(number, len(representatives()), passing, refused_by)


def test_every_change_is_refused_or_harmless_for_a_reason() -> None:
    unknown = [kind for kind in tally().passing if not any(fits(kind, row) for row in HARMLESS)]
    assert not unknown, "no rule refuses these changes; write what is legal rather than list them"


def test_what_is_called_harmless_does_pass() -> None:
    for pattern in HARMLESS:
        found = [kind for kind in tally().passing if fits(kind, pattern)]
        assert found, f"{pattern} is refused by now: take it out of the table"


def test_few_changes_are_harmless() -> None:
    found = tally()
    percent = 100 * found.passing.total() / found.number
    assert percent < _MOST_HARMLESS_PERCENT, "a table of reasons is no rule"


def test_the_page_has_the_figures_of_today() -> None:
    assert _README.read_text(encoding="utf-8") == tally().page(), (
        "write it anew: python -m tests.policies.mutants_page"
    )
