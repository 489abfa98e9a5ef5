"""Good AWS resources with one thing changed: a field, a policy document, a protection."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from policies.resources import Resource, Unknown
from policies.rule import Rule
from tests.policies.cases import Case, setting
from tests.policies.estate import REGION, changed, named

BUCKET: Final = "aws:s3/bucket:Bucket models"
KEY: Final = "aws:kms/key:Key models"
ALIAS: Final = "aws:kms/alias:Alias models"
ACCOUNT: Final = "pulumi:providers:aws account"
CLUSTER: Final = "pulumi:providers:kubernetes cluster"


def of_bucket(kind: str) -> str:
    """Label of one of the bucket's settings."""
    return f"aws:s3/b{kind[1:]}:{kind} models"


def amiss(rule: Rule, of: str, path: str, value: Any, says: str) -> Case:
    """A case in one line: the rule, the good resource, its field, the value, what must be said."""
    return Case(rule=rule, of=of, path=path, value=value, says=says)


def put(label: str, path: str, value: Any, region: str = REGION) -> Resource:
    """A good resource of which one field has another value."""
    return changed(named(label, region), setting(path, value))


def unprotected(label: str) -> Resource:
    """A good resource that a change of the program could delete."""
    return replace(named(label), protected=False)


def assert_refused(case: Case) -> None:
    """The rule finds the change, says so in words, and points at a line of the region's profile."""
    found = case.found()
    told = [f for f in found if f.resource == (case.on or case.of) and case.says in str(f)]
    assert told, f"{case.says!r} of {case.of}, got {[str(one) for one in found]}"
    assert told[0].place.file == f"regions/{case.region}.yaml", "AWS follows the region's profile"
    assert told[0].place.line > 1, "a person needs the line"


def assert_fails_closed(case: Case) -> None:
    """A value that is not known yet lets nothing pass."""
    found = case.found_with(Unknown("the value"))
    assert found, "what cannot be seen must not pass"
    for finding in found:
        assert finding.level == "mandatory", "an advisory would let it pass"
        assert "cannot be judged: the value is not known" in finding.place.message
