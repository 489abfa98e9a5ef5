"""What stands between a route and its model: who must sign in, and how often one may come.

Envoy Gateway reads the policies of a route's own namespace; one for a rule of the route hides one
for the whole route. Where several claim the same place the oldest wins, which nobody sees here, so
all of them must be good. Policies on a Gateway do not count: a route's own would hide them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from model_specs.names import API_KEY, PROBER
from policies.label_selectors import takes
from policies.resources import Resource
from regions.jwks import document
from regions.profile import Cluster, RegionProfile
from regions.sign_in import SignIn

Block = Mapping[str, Any]

_GROUP: Final = "gateway.networking.k8s.io"
ANY_ROUTE: Final = "*"
_TARGETS: Final = frozenset({"targetRef", "targetRefs", "targetSelectors"})
_SIGN_IN: Final = _TARGETS | {"authorization", "cors", "jwt"}
"""`cors` lets nobody in: it answers a browser's question whether a page may ask (`as-asked` holds
its origins)."""
_BY_KEY: Final = _TARGETS | {"apiKeyAuth", "authorization", "cors"}
_KEY_AUTH: Final = frozenset({
    "credentialRefs", "extractFrom", "forwardClientIDHeader", "sanitize",
})  # fmt: skip
"""All that Envoy Gateway 1.9.1 knows of it (api/v1alpha1/api_key_auth_types.go)."""
_IN_HEADER: Final = [{"headers": ["Authorization"]}]
"""Addresses and cookies stand in logs and are sent by browsers unasked."""
_SECONDS: Final = {"Second": 60}
"""How often a limit's unit begins anew in a minute; longer ones can be used up within one."""


def _sections(policy: Resource, route: Resource) -> Iterator[str]:
    """The parts of the route that a policy is for; an empty name is the whole route."""
    spec, whole = policy.spec, (_GROUP, route.kind, route.metadata["name"])
    single = [spec["targetRef"]] if spec.get("targetRef") else []
    for target in (*single, *(spec.get("targetRefs") or ())):
        if (target.get("group"), target.get("kind"), target.get("name")) == whole:
            yield target.get("sectionName") or ""
    for target in spec.get("targetSelectors") or ():
        labels = {k: v for k, v in target.items() if k.startswith("match")}
        here = (target.get("group", _GROUP), target.get("kind")) == (_GROUP, route.kind)
        if here and takes(labels, route.labels):
            yield ""


def routes_of(policy: Resource) -> frozenset[str]:
    """Names of the routes that a policy may be for; ANY_ROUTE where it finds them by labels."""
    spec = policy.spec
    targets = [spec.get("targetRef") or {}, *(spec.get("targetRefs") or ())]
    by_labels = {ANY_ROUTE} if spec.get("targetSelectors") else set()
    return frozenset({str(target.get("name", "")) for target in targets} | by_labels)


def governing(policies: Iterable[Resource], route: Resource, rule: Block) -> list[Resource]:
    """The policies that decide over one rule of the route."""
    by_section: dict[str, list[Resource]] = {}
    for policy in policies:
        if policy.namespace == route.namespace:
            for section in _sections(policy, route):
                by_section.setdefault(section, []).append(policy)
    own = by_section.get(rule.get("name") or "", [])
    return own or by_section.get("", [])


def _issuers(profile: RegionProfile) -> dict[str, Block]:
    """Issuers whose tokens may be taken, and their keys, or where: people's and the prober's."""
    cluster = {f"https://{profile.cluster.oidc_issuer}": keys_of(profile.cluster)}
    people = {profile.sign_in.issuer: keys_of(profile.sign_in)} if profile.sign_in else {}
    return cluster | people


def keys_of(issuer: Cluster | SignIn) -> Block:
    """Where the gateway finds an issuer's keys, as a provider of a SecurityPolicy says it."""
    inline = document(issuer.jwks)
    if inline:
        return {"localJWKS": {"type": "Inline", "inline": inline}}
    return {"remoteJWKS": {"uri": issuer.jwks_uri}}


def _provider_faults(provider: Block, profile: RegionProfile) -> Iterator[str]:
    issuer, known = provider.get("issuer"), _issuers(profile)
    keys = {name: provider[name] for name in ("localJWKS", "remoteJWKS") if provider.get(name)}
    if issuer not in known:
        yield f"takes tokens of {issuer or 'any issuer'}"
    elif keys != known[issuer]:
        yield f"takes the keys of {issuer} from elsewhere"
    audience = profile.sign_in.audience if profile.sign_in else ""
    if list(provider.get("audiences") or ()) != [audience]:
        yield "takes tokens that were made for others"


def _who_faults(rule: Block, issuers: Mapping[str, str], people: str, home: str) -> Iterator[str]:
    """What is wrong with one Allow. Anyone inside can have a token of the cluster's own issuer."""
    token = (rule.get("principal") or {}).get("jwt") or {}
    claims = [(one.get("name"), tuple(one.get("values") or ())) for one in token.get("claims", ())]
    issuer = issuers.get(token.get("provider", ""))
    if issuer is None or not claims:
        yield f"allows {rule.get('name', 'somebody')} without a token's claims"
    elif issuer != people and ("sub", (f"system:serviceaccount:{home}:{PROBER}",)) not in claims:
        yield f"allows more of {issuer} than the project's prober"


def _is_own_secret(reference: Block, home: str) -> bool:
    return (
        set(reference) <= {"group", "kind", "name", "namespace"}
        and (reference.get("group", ""), reference.get("kind", "Secret")) == ("", "Secret")
        and reference.get("namespace", home) == home
        and str(reference.get("name", "")).startswith(API_KEY)
    )


def key_faults(policy: Resource) -> Iterator[str]:
    """What is wrong with a SecurityPolicy by which callers have keys; nothing of any other.

    Who they are is `as-asked`'s to say. A key comes in one header, which goes no further, and its
    caller's name replaces what the client sent: else one could be logged, read by the model, or
    counted as another's.
    """
    keys = policy.spec.get("apiKeyAuth")
    if keys is None:
        return
    if set(policy.spec) - _BY_KEY or set(keys) - _KEY_AUTH:
        strange = {*policy.spec} - _BY_KEY | {*keys} - _KEY_AUTH
        yield f"uses {', '.join(sorted(strange))} beside keys, which nobody here can judge"
    references: Sequence[Block] = keys.get("credentialRefs") or [{}]
    for reference in references:
        if not _is_own_secret(reference, policy.namespace):
            place = f"{reference.get('kind', 'Secret')} {reference.get('name')}"
            yield f"takes keys from {place}, no {API_KEY} Secret of {policy.namespace}"
    if keys.get("extractFrom") != _IN_HEADER:
        yield "takes keys from elsewhere than the header Authorization"
    if not keys.get("forwardClientIDHeader"):
        yield "tells nobody whose key it was"
    if keys.get("sanitize") is not True:
        yield "sends keys on to the model"
    yield from _listed_faults(policy.spec, keys.get("forwardClientIDHeader"))


def _listed_faults(spec: Block, header: Any) -> Iterator[str]:
    """What is wrong with whom a policy lets in of those whose keys it knows."""
    bounds = spec.get("authorization") or {}
    if bounds.get("defaultAction") != "Deny":
        yield "does not deny by default"
    for rule in bounds.get("rules") or ():
        match rule.get("principal"):
            case {"headers": [{"name": name, "values": _}], **rest} if name == header and not rest:
                pass
            case _ if rule.get("action") != "Deny":
                yield f"allows {rule.get('name', 'somebody')} by more than the names of callers"


def sign_in_faults(policy: Resource, profile: RegionProfile) -> Iterator[str]:
    """By what a SecurityPolicy lets somebody in who is nobody; nothing when it lets nobody."""
    by_key = policy.spec.get("apiKeyAuth") is not None
    return key_faults(policy) if by_key else _token_faults(policy, profile)


def _token_faults(policy: Resource, profile: RegionProfile) -> Iterator[str]:
    spec = policy.spec
    token, bounds = spec.get("jwt") or {}, spec.get("authorization") or {}
    providers = token.get("providers") or ()
    if set(spec) - _SIGN_IN:
        yield f"uses {', '.join(sorted(set(spec) - _SIGN_IN))}, which nobody here can judge"
    if not providers or token.get("optional"):
        yield "does not insist on a token"
    for provider in providers:
        yield from _provider_faults(provider, profile)
    if bounds.get("defaultAction") != "Deny":
        yield "does not deny by default"
    if any("*" in page for page in (spec.get("cors") or {}).get("allowOrigins") or ()):
        yield "lets scripts of every web page call"
    issuers = {one.get("name"): one.get("issuer") for one in providers}
    people = profile.sign_in.issuer if profile.sign_in else ""
    for rule in bounds.get("rules") or ():
        if rule.get("action") != "Deny":
            yield from _who_faults(rule, issuers, people, policy.namespace)


def _limits(policy: Resource, kinds: Sequence[str]) -> Iterator[tuple[Block, int]]:
    """Rules of a rate limit that is in force, and how often a minute they let requests through."""
    limit = policy.spec.get("rateLimit") or {}
    if limit.get("type") in kinds:
        for rule in (limit.get(str(limit["type"]).lower()) or {}).get("rules") or ():
            most = rule.get("limit") or {}
            if most.get("requests") is not None:
                yield rule, most["requests"] * _SECONDS.get(most.get("unit", ""), 1)


def is_bounded(policy: Resource, most: int) -> bool:
    """Whether all callers together come `most` times a minute."""
    return any(
        set(rule) == {"limit"} and often <= most
        for rule, often in _limits(policy, ("Global", "Local"))
    )


def _set_by(sign: Resource) -> Iterator[set[str]]:
    """The headers with the caller's name that each way to sign in sets."""
    keys = sign.spec.get("apiKeyAuth")
    if keys is not None:
        yield {str(keys.get("forwardClientIDHeader") or "").lower()} - {""}
    for provider in (sign.spec.get("jwt") or {}).get("providers") or ():
        rows = provider.get("claimToHeaders") or ()
        yield {row.get("header", "").lower() for row in rows if row.get("claim") == "sub"}


def is_counted(policy: Resource, most: int, signs: Sequence[Resource]) -> bool:
    """Whether each caller comes `most` times a minute, counted by a name that nobody can choose.

    That is a header which every issuer's token sets, and every key, in all `signs`: Envoy
    overwrites the caller's.
    """
    set_by_signs = [names for sign in signs for names in _set_by(sign)]
    names = set.intersection(*set_by_signs) if set_by_signs else set()
    each_caller = [[{"headers": [{"name": name, "type": "Distinct"}]}] for name in names]
    return any(
        set(rule) == {"clientSelectors", "limit"}
        and often <= most
        and rule["clientSelectors"] in each_caller
        for rule, often in _limits(policy, ("Global",))
    )
