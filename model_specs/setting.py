"""A setting of other people's software that a spec does not set, or only to values of a kind."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from model_specs.errors import nearest, shown
from model_specs.flag_kinds import Kind


def covers(variables: Iterable[str], word: str) -> bool:
    """Whether a name in capitals is one of `variables`, or begins like one that ends in `*`."""
    return any(
        word.startswith(known[:-1]) if known.endswith("*") else word == known for known in variables
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One thing that a spec does not set. A variable that ends in `*` stands for all that begin so.

    Of these, a spec sets what `but` has, to a value of its kind. Variables are compared in
    capitals: MLServer (pydantic-settings) takes either case.
    """

    flags: tuple[str, ...] = ()
    variables: tuple[str, ...] = ()
    why: str
    but: Mapping[str, Kind] = field(default_factory=dict)

    def covers(self, word: str) -> bool:
        """Whether a name in capitals is one of the variables, or begins like one."""
        return covers(self.variables, word)

    def refusal(self, name: str, value: str | None) -> str:
        """Why a spec does not set the variable `name` to `value`; empty where it may.

        Of no value only the name is judged, in a moment: a file may have thousands of them.
        """
        word = name.upper()
        if word in self.but:
            wrong = "" if value is None else self.but[word].wrong(value)
            return f"{wrong}, got {shown(value)}; write another, or remove it" if wrong else ""
        if not self.covers(word):
            return ""
        cure = "remove it" if value is None else nearest(word, self.but, "remove it")
        return f"{self.why}, got {shown(name)}; {cure}"


def refusal_of_variable(owned: Iterable[Setting], name: str, value: str | None) -> str:
    """Why a spec does not set the variable `name` to `value`; empty where it may."""
    return next(filter(None, (setting.refusal(name, value) for setting in owned)), "")
