"""Rules about where things go: one account, one cluster, and nothing by a default."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from policies import keys, nodes, registry, roles
from policies.documents import is_on
from policies.facts import Facts
from policies.resources import Resource
from policies.rule import Estate, Fault, Rule, each, whole

_ACCOUNT: Final = "pulumi:providers:aws"
_CLUSTER: Final = "pulumi:providers:kubernetes"
_FORCE: Final = "pulumi.com/patchForce"
_UNASKED: Final = (
    "skipCredentialsValidation", "skipMetadataApiCheck", "skipRegionValidation",
    "skipRequestingAccountId",
)  # fmt: skip
_UNREACHABLE: Final = ("deleteUnreachable", "skipUpdateUnreachable")
_JUDGED: Final = frozenset(
    kind
    for module in (keys, nodes, registry, roles)
    for rule in module.RULES
    for kind in rule.kinds
    if kind.startswith("aws:")
)


def _names(value: Any) -> list[str]:
    """A provider's inputs are words: a list arrives as JSON."""
    found = json.loads(value) if isinstance(value, str) else value
    return [str(one) for one in found or ()]


@each("P34", "provider-account", _ACCOUNT)
def _account(resource: Resource, facts: Facts) -> Iterator[Fault]:
    """The AWS provider works in the profile's region by the profile's credentials, or by those of
    the environment, and has none of its own.
    """
    values, account = resource.values, facts.profile.account
    # A machine without the profile, such as a CI job's, has credentials in its environment.
    for field, legal in (("region", {account.region}), ("profile", {account.profile, ""})):
        if (values.get(field) or "") not in legal:
            what = f"has {field} {values.get(field)!r}"
            yield Fault(resource, what, f"take account.{field}", f"account.{field}")
    for field in ("accessKey", "secretKey", "token", "assumeRoles"):
        if values.get(field):
            yield Fault(resource, f"has {field} of its own", "use account.profile", "account")


@each("P34", "provider-allowed", _ACCOUNT)
def _allowed(resource: Resource, facts: Facts) -> Iterator[Fault]:
    """The AWS provider asks who it is and refuses every account but the profile's; an S3-compatible
    store has nobody to ask.
    """
    values, own = resource.values, facts.profile.account.account_id
    if facts.profile.provider != "aws":
        return
    allowed = _names(values.get("allowedAccountIds"))
    if allowed != [own]:
        what = f"may touch accounts {allowed}"
        yield Fault(resource, what, f"allow {own} alone", "account.account_id")
    for field in _UNASKED:
        if is_on(values.get(field)):
            yield Fault(resource, f"has {field}", "take it out", "account.account_id")


def _is_at(sent: Any, written: str) -> bool:
    """Whether a path is the profile's, which is written from the project's root or from home."""
    wanted = Path(written).expanduser()
    path = Path(str(sent))
    return path == wanted or (
        path.is_absolute() and path.parts[-len(wanted.parts) :] == wanted.parts
    )


@each("P34", "provider-cluster", _CLUSTER)
def _cluster(resource: Resource, facts: Facts) -> Iterator[Fault]:
    """The Kubernetes provider talks to the profile's cluster whatever context is current, and what
    it cannot reach it neither skips nor forgets.
    """
    values, cluster = resource.values, facts.profile.cluster
    if values.get("context") != cluster.context:
        what = f"has context {values.get('context')!r}"
        yield Fault(resource, what, "take cluster.context", "cluster.context")
    if not _is_at(values.get("kubeconfig"), cluster.kubeconfig):
        what = f"reads {values.get('kubeconfig')!r}"
        yield Fault(resource, what, "take cluster.kubeconfig", "cluster.kubeconfig")
    if values.get("clusterIdentifier") != cluster.name:
        what = f"is known as {values.get('clusterIdentifier')!r}"
        yield Fault(resource, what, "take cluster.name", "cluster.name")
    for field in _UNREACHABLE:
        if is_on(values.get(field)):
            what = f"has {field}: what it cannot reach would pass as done"
            yield Fault(resource, what, "take it out", "cluster")


def _of(resource: Resource) -> str:
    """The kind of provider that a resource goes through, or empty for what needs none."""
    package = resource.type.partition(":")[0]
    return {"aws": _ACCOUNT, "kubernetes": _CLUSTER}.get(package, "")


@whole("P34", "provider-pinned")
def _pinned(estate: Estate) -> Iterator[Fault]:
    """Everything goes through the one provider that the program made for it, and nothing to another
    region than its provider's.
    """
    named = {kind: [one.name for one in estate.of(kind)] for kind in (_ACCOUNT, _CLUSTER)}
    for kind, names in named.items():
        if len(names) != 1 or names[0].startswith("default"):
            lost = Resource(kind, "", {}, protected=False, provider="")
            what = f"should be one provider that the program names, got {names}"
            yield Fault(next(iter(estate.of(kind)), lost), what, "make one", "account")
    for resource in estate.resources:
        kind = _of(resource)
        if kind and resource.provider not in named[kind]:
            what = f"goes through provider {resource.provider!r}"
            yield Fault(resource, what, "hand it the region's provider", "")
        region = resource.values.get("region") if kind == _ACCOUNT else None
        if region is not None and region != estate.facts.profile.account.region:
            yield Fault(resource, f"is in {region!r}", "leave it out", "account.region")


@whole("P34", "no-force")
def _no_force(estate: Estate) -> Iterator[Fault]:
    """No object takes fields away from their other owners by force."""
    for resource in estate.resources:
        if _FORCE in (resource.metadata.get("annotations") or {}):
            fix = "let the other owner go, then apply"
            yield Fault(resource, f"carries {_FORCE}", fix, "")


@whole("P34", "aws-judged")
def _judged(estate: Estate) -> Iterator[Fault]:
    """Nothing is made in AWS of a type that no rule here reads."""
    for resource in estate.resources:
        if _of(resource) == _ACCOUNT and resource.kind not in _JUDGED:
            fix = "write a rule for its type first"
            yield Fault(resource, "is of a type that no rule reads", fix, "account")


RULES: Final[tuple[Rule, ...]] = (_account, _allowed, _cluster, _pinned, _no_force, _judged)
