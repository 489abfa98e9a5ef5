"""ModelRoute: the way in from a gateway, with who may come and how often; none when private."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from components.kube import Object, head
from model_specs.names import (
    API_KEY,
    CALLERS_RULE,
    GATEWAY_NAMESPACE,
    KEYS_POLICY,
    PROBE_HEADER,
)
from regions.model_plan import AccessPlan, ServerPlan

CALLER_HEADER: Final = "x-isoserve-caller"
"""By which quotas are counted: the gateway writes the caller's name into it, from the token."""
CLIENT_HEADER: Final = "x-isoserve-client"
"""The same, from the key. It is another one, as Envoy takes the headers that tokens of any route
are written into out of every request, on routes without tokens too, and does so after it has looked
at the key: watched on Envoy 1.40.0, 2026-11-30."""
_ASKED_AGAIN: Final = "10m"
"""How long a browser keeps the answer."""
_GROUP: Final = "gateway.networking.k8s.io"
_ENVOY: Final = "gateway.envoyproxy.io/v1alpha1"


def _backend(service: str, weight: int) -> Object:
    return {"kind": "Service", "name": service, "port": 80, "weight": weight}


def _rule(plan: ServerPlan, match: Object) -> Object:
    access = plan.access
    copy = {
        "requestMirror": {
            "backendRef": {"kind": "Service", "name": access.mirror_service, "port": 80},
            "percent": access.mirror_percent,
        },
        "type": "RequestMirror",
    }
    mirror: Object = {"filters": [copy]} if access.mirror_service else {}
    return {
        **mirror,
        "backendRefs": [_backend(b.service, b.weight) for b in access.backends],
        "matches": [match],
        "timeouts": {"request": f"{access.timeout_seconds}s"},
    }


def _route(plan: ServerPlan) -> Object:
    work, access = plan.workload, plan.access
    path = {"path": {"type": "PathPrefix", "value": "/"}}
    probe = {"headers": [{"name": PROBE_HEADER, "type": "Exact", "value": "true"}]}
    parent = {"kind": "Gateway", "name": access.gateway, "namespace": GATEWAY_NAMESPACE}
    # A policy finds a rule by its name. Envoy Gateway names what it makes of a rule by the rule's
    # number alone (irRouteName in internal/gatewayapi/helpers.go of 1.9.1): a name that comes or
    # goes changes no cluster of Envoy's and no quota, so that no request is lost by it.
    name = {"name": CALLERS_RULE} if access.keys else {}
    return head(f"{_GROUP}/v1", "HTTPRoute", work.model, work.namespace, work.labels, {}) | {
        "spec": {
            "hostnames": [access.hostname],
            "parentRefs": [parent],
            # Envoy counts each rule by itself: the first is the prober's, so that its requests
            # wake no model that sleeps; the second is everybody's.
            "rules": [_rule(plan, path | probe), _rule(plan, path) | name],
        }
    }


def _target(plan: ServerPlan) -> Object:
    return {"targetRefs": [{"group": _GROUP, "kind": "HTTPRoute", "name": plan.workload.model}]}


def _traffic(plan: ServerPlan, limit: Object) -> Object:
    """How often callers may come, and for how long nothing may come of an answer."""
    work, silent = plan.workload, plan.access.stream_idle_seconds
    idle = {"timeout": {"http": {"streamIdleTimeout": f"{silent}s"}}} if silent else {}
    return head(_ENVOY, "BackendTrafficPolicy", work.model, work.namespace, work.labels, {}) | {
        "spec": {**_target(plan), "rateLimit": limit, **idle}
    }


def _per_minute(plan: ServerPlan) -> Object:
    return {"requests": plan.access.requests_per_minute, "unit": "Minute"}


def _private(plan: ServerPlan) -> list[Object]:
    return []


def _permissive(plan: ServerPlan) -> list[Object]:
    """Anyone inside, nobody asked who they are, all together within one limit per proxy."""
    limit = {"local": {"rules": [{"limit": _per_minute(plan)}]}, "type": "Local"}
    return [_route(plan), _traffic(plan, limit)]


def _signer(name: str, audience: str, issuer: str, jwks_uri: str, jwks: str) -> Object:
    """An issuer whose tokens are read; the caller's name goes into a header Envoy overwrites."""
    remote = {"remoteJWKS": {"uri": jwks_uri}}
    keys = {"localJWKS": {"inline": jwks, "type": "Inline"}} if jwks else remote
    return {
        "audiences": [audience],
        "claimToHeaders": [{"claim": "sub", "header": CALLER_HEADER}],
        "issuer": issuer,
        "name": name,
        **keys,
    }


def _allow(provider: str, *claims: Object) -> Object:
    """Whoever has all these claims in a token of the provider."""
    principal = {"jwt": {"claims": list(claims), "provider": provider}}
    return {"action": "Allow", "name": provider, "principal": principal}


def _pages(origins: tuple[str, ...]) -> Object:
    """What browsers are told when a page of one of these origins is to call: the gateway answers
    their question itself, before it asks for a token."""
    if not origins:
        return {}
    return {
        "cors": {
            "allowHeaders": ["authorization", "content-type"],
            "allowMethods": ["GET", "POST"],
            "allowOrigins": list(origins),
            "maxAge": _ASKED_AGAIN,
        }
    }


def _people(access: AccessPlan) -> list[tuple[Object, Object]]:
    """The issuer of callers' tokens, and whom of those it lets in; nobody where they have keys."""
    if access.keys:
        return []
    signed_in: list[Object] = [{"name": "iss", "values": [access.issuer]}]
    if access.groups:
        of_group = {"name": access.groups_claim, "valueType": "StringArray"}
        signed_in.append({**of_group, "values": list(access.groups)})
    signer = _signer("sign-in", access.audience, access.issuer, access.jwks_uri, access.jwks)
    return [(signer, _allow("sign-in", *signed_in))]


def _by_token(plan: ServerPlan, pages: Object) -> Object:
    """The policy of the whole route: who has no token that counts is refused."""
    access, work = plan.access, plan.workload
    # Anyone in the cluster can have a token of the cluster's issuer; only the prober may use one.
    prober = f"system:serviceaccount:{work.namespace}:prober"
    issuer, uri, keys = access.prober_issuer, access.prober_jwks_uri, access.prober_jwks
    rows = [
        *_people(access),
        (
            _signer("prober", access.audience, issuer, uri, keys),
            _allow("prober", {"name": "sub", "values": [prober]}),
        ),
    ]
    return head(_ENVOY, "SecurityPolicy", work.model, work.namespace, work.labels, {}) | {
        "spec": {
            **_target(plan),
            "authorization": {"defaultAction": "Deny", "rules": [allow for _, allow in rows]},
            "jwt": {"optional": False, "providers": [signer for signer, _ in rows]},
            **pages,
        }
    }


def _by_key(plan: ServerPlan, pages: Object) -> Object:
    """The policy of the callers' rule, which hides that of the whole route there: who has no key of
    a listed Secret is refused. Without it, or without the rule's name, that of the route lets the
    prober in and nobody else.

    The key is taken from `Authorization`, with or without `Bearer ` before it, and goes no further;
    its caller's name replaces whatever the client sent as the caller's (getKey and decodeHeaders in
    source/extensions/filters/http/api_key_auth/api_key_auth.cc of Envoy, read 2026-11-30), and is
    looked at after that (newOrderedHTTPFilter in internal/xds/translator/httpfilters.go of Envoy
    Gateway 1.9.1): every entry of a Secret is a caller to it, and the listed ones alone are to us.
    A Secret that is not there, or a key that two hold, shuts the rule to all callers: its answer is
    500, and 403 before that to whoever has no name (buildAPIKeyAuth in
    internal/gatewayapi/securitypolicy.go). Of what is in a Secret see components.admission_routes.
    """
    access, work = plan.access, plan.workload
    target = {"group": _GROUP, "kind": "HTTPRoute", "name": work.model}
    secrets = [{"group": "", "kind": "Secret", "name": f"{API_KEY}{name}"} for name in access.keys]
    name = f"{work.model}{KEYS_POLICY}"
    listed = {"headers": [{"name": CLIENT_HEADER, "values": list(access.keys)}]}
    rules = [{"action": "Allow", "name": "callers", "principal": listed}]
    return head(_ENVOY, "SecurityPolicy", name, work.namespace, work.labels, {}) | {
        "spec": {
            "targetRefs": [{**target, "sectionName": CALLERS_RULE}],
            "apiKeyAuth": {
                "credentialRefs": secrets,
                "extractFrom": [{"headers": ["Authorization"]}],
                "forwardClientIDHeader": CLIENT_HEADER,
                "sanitize": True,
            },
            "authorization": {"defaultAction": "Deny", "rules": rules},
            **pages,
        }
    }


def _public(plan: ServerPlan) -> list[Object]:
    """Signed in, or refused; the quota is counted per caller by a header that Envoy sets from the
    token, or from the key.

    Envoy replaces what the client sent under that name, so a caller cannot borrow another's quota.
    """
    pages = _pages(plan.access.cors_origins)
    by_key = [_by_key(plan, pages)] if plan.access.keys else []
    policies = [_by_token(plan, {} if by_key else pages), *by_key]
    # A request without a header is not counted by it; each rule of the route has one of them.
    names = [CALLER_HEADER, *([CLIENT_HEADER] if by_key else [])]
    callers = [{"headers": [{"name": name, "type": "Distinct"}]} for name in names]
    counted = [{"clientSelectors": [one], "limit": _per_minute(plan)} for one in callers]
    limit = {"global": {"rules": counted}, "type": "Global"}
    return [_route(plan), *policies, _traffic(plan, limit)]


_MODES: Final[dict[str, Callable[[ServerPlan], list[Object]]]] = {
    "permissive": _permissive,
    "private": _private,
    "public": _public,
}


def objects(plan: ServerPlan) -> list[Object]:
    """The route and the policies of the spec's access."""
    return _MODES[plan.access.mode](plan)
