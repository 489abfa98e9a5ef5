"""ModelRoute: the way in from a gateway, with who may come and how often; none when private."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from components.kube import Object, head
from model_specs.names import GATEWAY_NAMESPACE, PROBE_HEADER
from regions.model_plan import ServerPlan

_CALLER_HEADER: Final = "x-isoserve-caller"
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
    return head(f"{_GROUP}/v1", "HTTPRoute", work.model, work.namespace, work.labels, {}) | {
        "spec": {
            "hostnames": [access.hostname],
            "parentRefs": [parent],
            # Envoy counts each rule by itself: the first is the prober's, so that its requests
            # wake no model that sleeps; the second is everybody's.
            "rules": [_rule(plan, path | probe), _rule(plan, path)],
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
        "claimToHeaders": [{"claim": "sub", "header": _CALLER_HEADER}],
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


def _public(plan: ServerPlan) -> list[Object]:
    """Signed in, or refused; the quota is counted per caller by a header Envoy sets from the token.

    Envoy replaces what the client sent under that name, so a caller cannot borrow another's quota.
    """
    access, work = plan.access, plan.workload
    # Anyone in the cluster can have a token of the cluster's issuer; only the prober may use one.
    prober = f"system:serviceaccount:{work.namespace}:prober"
    providers = [
        _signer("sign-in", access.audience, access.issuer, access.jwks_uri, access.jwks),
        _signer(
            "prober",
            access.audience,
            access.prober_issuer,
            access.prober_jwks_uri,
            access.prober_jwks,
        ),
    ]
    signed_in: list[Object] = [{"name": "iss", "values": [access.issuer]}]
    if access.groups:
        of_group = {"name": access.groups_claim, "valueType": "StringArray"}
        signed_in.append({**of_group, "values": list(access.groups)})
    is_prober = {"name": "sub", "values": [prober]}
    rules = [_allow("sign-in", *signed_in), _allow("prober", is_prober)]
    pages = _pages(access.cors_origins)
    policy = head(_ENVOY, "SecurityPolicy", work.model, work.namespace, work.labels, {}) | {
        "spec": {
            **_target(plan),
            "authorization": {"defaultAction": "Deny", "rules": rules},
            "jwt": {"optional": False, "providers": providers},
            **pages,
        }
    }
    caller = {"headers": [{"name": _CALLER_HEADER, "type": "Distinct"}]}
    counted = [{"clientSelectors": [caller], "limit": _per_minute(plan)}]
    limit = {"global": {"rules": counted}, "type": "Global"}
    return [_route(plan), policy, _traffic(plan, limit)]


_MODES: Final[dict[str, Callable[[ServerPlan], list[Object]]]] = {
    "permissive": _permissive,
    "private": _private,
    "public": _public,
}


def objects(plan: ServerPlan) -> list[Object]:
    """The route and the policies of the spec's access."""
    return _MODES[plan.access.mode](plan)
