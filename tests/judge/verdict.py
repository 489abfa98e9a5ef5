"""What third-party judges found, and what of it is waived: by whom, why and until when."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import date
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final, NamedTuple

import yaml

WAIVERS: Final = Path(__file__).with_name("waivers.yaml")
JUDGES: Final = ("checkov", "kube-score", "kubeconform", "pod-security", "promtool")
LONGEST_DAYS: Final = 90
_LEAST_REASON: Final = 10


class Finding(NamedTuple):
    """One objection of a judge to one object."""

    rule: str
    resource: str
    """`Kind namespace/name`; of what is in no namespace, `Kind name`."""
    region: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiver:
    """One exception, with the fields of policies/waivers.yaml and the judge it is from."""

    judge: str
    rule: str
    resource: str
    """As findings print it; `*` stands for any text."""
    owner: str
    reason: str
    expires: date
    """The last day it holds, at most 90 days away."""

    def covers(self, judge: str, finding: Finding) -> bool:
        """Whether this is the exception that the finding needs."""
        same = (self.judge, self.rule) == (judge, finding.rule)
        return same and fnmatchcase(finding.resource, self.resource)

    def faults(self, today: date) -> list[str]:
        """What is wrong with the exception itself."""
        days = (self.expires - today).days
        wrong = {
            f"no such judge; there are {', '.join(JUDGES)}": self.judge not in JUDGES,
            f"expired on {self.expires}; mend it, or renew it with a reason": days < 0,
            f"at most {LONGEST_DAYS} days, got {days}": days > LONGEST_DAYS,
            "nobody answers for it": not self.owner,
            "its reason says nothing": len(self.reason) < _LEAST_REASON,
        }
        name = f"{self.judge} {self.rule} for {self.resource}"
        return [f"{name}: {text}" for text, found in wrong.items() if found]


def read_waivers(path: Path) -> list[Waiver]:
    """The exceptions in `path`; raises ValueError for a row of another form."""
    wanted = {field.name for field in fields(Waiver)}
    rows = yaml.safe_load(path.read_text(encoding="utf-8"))["waivers"]
    for row in rows:
        if set(row) != wanted:
            raise ValueError(f"{path.name}: a row has exactly {sorted(wanted)}, got {row}")
        texts = {name: value for name, value in row.items() if name != "expires"}
        if type(row["expires"]) is not date or not all(isinstance(v, str) for v in texts.values()):
            raise ValueError(f"{path.name}: `expires` is a day and the rest are texts, got {row}")
    return [Waiver(**row) for row in rows]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One judge's word on all objects, after the exceptions."""

    judge: str
    judged: int
    """Objects that the judge looked at."""
    findings: tuple[Finding, ...]
    unwaived: tuple[Finding, ...]
    unused: tuple[Waiver, ...]

    @property
    def waived(self) -> int:
        """Findings that an exception covers."""
        return len(self.findings) - len(self.unwaived)

    def check(self) -> None:
        """Fail for a finding without a waiver, and for a waiver without a finding."""
        told = "\n".join(f"{f.region}: {f.resource}: {f.rule}: {f.text}" for f in self.unwaived)
        assert not told, f"{self.judge} objects; mend it, or waive it in {WAIVERS.name}:\n{told}"
        idle = [f"{waiver.rule} for {waiver.resource}" for waiver in self.unused]
        assert not idle, f"the next fault would hide behind these waivers; remove them: {idle}"


def settle(
    judge: str, judged: int, findings: Iterable[Finding], waivers: Iterable[Waiver]
) -> Verdict:
    """The verdict: which findings stay, and which waivers nothing needed."""
    all_found = tuple(findings)
    ours = [waiver for waiver in waivers if waiver.judge == judge]
    return Verdict(
        judge=judge,
        judged=judged,
        findings=all_found,
        unwaived=tuple(f for f in all_found if not any(w.covers(judge, f) for w in ours)),
        unused=tuple(w for w in ours if not any(w.covers(judge, f) for f in all_found)),
    )
