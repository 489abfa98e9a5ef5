"""Guarded rules about the ways to a model."""

from __future__ import annotations

from typing import Final

from components.admission_row import ANY, OF_A_PROJECT, OURS, SPACES, Check, Kinds, Row, kinds
from components.kube import Object
from components.model_route import CLIENT_HEADER
from model_specs.names import API_KEY, CALLERS_RULE, GATEWAY_NAMESPACE, KEYS_POLICY
from regions.exposure import DECIDING, EXPOSURES, SIDES

_GATEWAY: Final = "gateway.networking.k8s.io"
_ENVOY: Final = "gateway.envoyproxy.io"
_OTHER_ROUTES: Final = ("grpcroutes", "tcproutes", "tlsroutes", "udproutes")


_DECIDING: Final = {
    provider: {key: list(values) for key, values in keys.items()}
    for provider, keys in DECIDING.items()
}
_OTHER_SIDE: Final = {
    name: [f"{key}={value}" for key in sorted(SIDES) for value in SIDES[key]
           if SIDES[key][value] != name]
    for name in EXPOSURES
}  # fmt: skip
"""By gateway, the annotations that would put its load balancer on the other side."""


def _row(
    rule: str, name: str, namespaces: Object, of: tuple[Kinds, ...], checks: tuple[Check, ...]
) -> Row:
    return Row(
        rule=rule,
        name=name,
        namespaces=namespaces,
        objects=ANY,
        kinds=of,
        judged="spec",
        variables={
            "spec": "dyn(object).spec",
            "home": "object.metadata.namespace",
            "balancer": "dyn(object).spec.?infrastructure.?annotations.orValue({})",
        },
        checks=checks,
    )


_GATEWAYS: Final = (
    Check(
        holds=f"variables.home == '{GATEWAY_NAMESPACE}'"
        " && object.metadata.name in ['internal', 'public']",
        fault="it would be an entrance that nobody guards",
        cure="a region's entrances are `internal` and `public`, which routes name",
    ),
    Check(
        holds="variables.spec.listeners.all(l, l.?hostname.orValue('') =="
        " (object.metadata.name == 'internal' ? '*.internal.' : '*.') + variables.domain"
        " && l.?allowedRoutes.?namespaces.?from.orValue('') in ['Selector', 'Same'])",
        fault="the gateway would take hosts or routes that are not the models'",
        cure="hosts follow from the region's domain, routes come from projects",
    ),
    Check(
        holds="!variables.spec.?infrastructure.?parametersRef.hasValue()"
        f" && variables.balancer.all(k, !((k + '=' + variables.balancer[k]) in {_OTHER_SIDE}"
        "[object.metadata.name]))"
        f" && {_DECIDING}[variables.provider].all(k, variables.balancer[?k].orValue('')"
        f" in {_DECIDING}[variables.provider][k])",
        fault="the gateway's load balancer might stand on the other side of the internet",
        cure="its annotations are the profile's under gateways",
    ),
    Check(
        holds="object.metadata.name != 'public' || variables.spec.listeners.all(l,"
        " l.?allowedRoutes.?namespaces.?from.orValue('') == 'Same'"
        " || l.protocol == 'HTTPS' && l.?tls.?mode.orValue('') == 'Terminate')",
        fault="the public gateway would listen without TLS",
        cure="it takes the region's tls_secret",
    ),
)
_KEYS: Final = (
    f"(object.kind == 'SecurityPolicy' && object.metadata.name.endsWith('{KEYS_POLICY}'))"
)
"""CEL: whether it is the policy of callers with keys, of one rule of the route."""
_FIRST: Final = "[I-Za-f]"
_SECOND: Final = "[C-HS-Xi-nyz0-3]"
_THIRD: Final = "([AEIMQUYcgkosw048][g-z0-9+/]|[BFJNRVZdhlptx159][A-Za-z0-9+/])"
"""By the place of a character in the three that four letters of base64 stand for, the letters in
which it is one that can be typed (0x20 to 0x7f). Secrets come as base64 to the guard, and CEL has
nothing that decodes it (kubernetes.io, "Common Expression Language in Kubernetes")."""
KEY_TEXT: Final = (
    f"^({_FIRST}{_SECOND}{_THIRD})*({_FIRST}([AQgw]==|{_SECOND}[AEIMQUYcgkosw048]=))?$"
)
"""The base64 of a text that a header can hold."""
_KEY_LETTERS: Final = 43
"""The base64 of 32 characters has a letter more, which is padding."""
_AUTH: Final = (
    # That a public route has these two at all only several objects show together.
    Check(
        holds=f"{_KEYS} || variables.spec.?targetRefs.orValue([]).exists(t, t.kind == 'HTTPRoute'"
        " && t.name == object.metadata.name && !has(t.sectionName))",
        fault="the policy would no longer guard its model's route",
        cure="it targets the HTTPRoute of its own name",
    ),
    Check(
        holds=f"!{_KEYS} || variables.spec.?targetRefs.orValue([]).size() == 1"
        " && !has(variables.spec.targetSelectors) && variables.spec.targetRefs.all(t,"
        f" t.kind == 'HTTPRoute' && t.name + '{KEYS_POLICY}' == object.metadata.name"
        f" && t.?sectionName.orValue('') == '{CALLERS_RULE}')",
        fault="keys would open more than the callers' rule of their model's route",
        cure="choose by callers.keys who has a key",
    ),
    Check(
        holds=f"!{_KEYS} || variables.spec.?apiKeyAuth.hasValue()"
        " && [variables.spec.apiKeyAuth].all(k,"
        " k.?credentialRefs.orValue([]).size() > 0"
        " && k.credentialRefs.all(s, s.?kind.orValue('Secret') == 'Secret'"
        " && s.?namespace.orValue(variables.home) == variables.home"
        f" && s.name.startsWith('{API_KEY}'))"
        " && k.?extractFrom.orValue([]).all(f, f.?headers.orValue([]) == ['Authorization'])"
        f" && k.?forwardClientIDHeader.orValue('') == '{CLIENT_HEADER}'"
        " && k.?sanitize.orValue(false)"
        " && variables.spec.?authorization.?defaultAction.orValue('') == 'Deny'"
        " && variables.spec.authorization.?rules.orValue([]).all(r, r.action == 'Deny'"
        " || r.?principal.?headers.orValue([]).exists(h, h.name == k.forwardClientIDHeader)))",
        fault="a caller would get in without a key or a quota, or the model would read keys",
        cure="choose by callers.keys who has a key",
    ),
    Check(
        holds=f"object.kind != 'SecurityPolicy' || {_KEYS}"
        " || (variables.spec.?jwt.?providers.orValue([]).size() > 0"
        " && !variables.spec.jwt.?optional.orValue(false)"
        " && variables.spec.?authorization.?defaultAction.orValue('') == 'Deny'"
        " && variables.spec.authorization.?rules.orValue([]).all(r, r.action == 'Deny'"
        " || r.?principal.?jwt.?claims.orValue([]).size() > 0))",
        fault="a caller would get in without signing in",
        cure="choose by `access` who may call the model",
    ),
    Check(
        holds="object.kind != 'BackendTrafficPolicy'"
        " || variables.spec.?rateLimit.?global.?rules.orValue([]).size()"
        " + variables.spec.?rateLimit.?local.?rules.orValue([]).size() > 0",
        fault="callers would come without limit",
        cure="choose the limit by requests_per_minute",
    ),
)
_DOORS: Final = (
    Check(
        holds="object.kind == 'Service'",
        fault="it would be a way to models beside the gateways' HTTPRoutes",
        cure="open a model by its `access`",
    ),
    Check(
        holds="object.kind != 'Service' || (variables.spec.?type.orValue('') == 'ClusterIP'"
        " && variables.spec.?externalIPs.orValue([]).size() == 0"
        " && variables.spec.?selector.orValue({}).size() > 0)",
        fault="the Service would lead in from outside, or to something that is not ours",
        cure="it stays a ClusterIP for its model's pods; open a model by its `access`",
    ),
)
_OWN: Final = (
    Check(
        holds="variables.spec.?parentRefs.orValue([]).all(p, p.name in ['internal', 'public']"
        f" && p.?kind.orValue('') == 'Gateway' && p.?namespace.orValue('') == '{GATEWAY_NAMESPACE}'"
        " && variables.spec.?hostnames.orValue([]).size() > 0 && variables.spec.hostnames.all(h,"
        " h.endsWith('--' + variables.home + (p.name == 'internal' ? '.internal.' : '.')"
        " + variables.domain)))",
        fault="the route would answer for another's host, or at the other gateway",
        cure="host and gateway follow from `access`",
    ),
)
_HOME: Final = (
    Check(
        holds="object.kind == 'HTTPRoute' && variables.spec.?rules.orValue([]).all(r,"
        " (r.?backendRefs.orValue([]) + r.?filters.orValue([]).filter(f, has(f.requestMirror))"
        ".map(f, f.requestMirror.backendRef)).all(b, b.?kind.orValue('Service') == 'Service'"
        " && b.?namespace.orValue(variables.home) == variables.home))",
        fault="it would lead out of its project, or let others in",
        cure="projects reach each other's models by share_with",
    ),
)

_SECRETS: Final = Row(
    rule="P04",
    name="caller-keys",
    namespaces=SPACES,
    objects=ANY,
    kinds=(kinds("", "v1", "secrets"),),
    judged="?data",
    variables={
        "ours": f"object.metadata.name.startsWith('{API_KEY}')",
        "entries": "dyn(object).?data.orValue({})",
    },
    checks=(
        Check(
            holds="!variables.ours || variables.entries.size() == 1"
            f" && variables.entries.all(k, '{API_KEY}' + k == object.metadata.name)",
            fault="callers of other models would get in, or some whom no spec names",
            cure="its one entry bears its caller's name, a new value revokes it; for who calls",
        ),
        Check(
            holds="!variables.ours || variables.entries.all(k,"
            f" size(variables.entries[k]) >= {_KEY_LETTERS}"
            f" && variables.entries[k].matches('{KEY_TEXT}'))",
            fault="the key could be guessed, or keeps every change of every model from the gateway",
            cure="make it by openssl rand -hex 32; for who calls",
        ),
    ),
)
"""Envoy Gateway counts each entry of a listed Secret as a caller. It publishes nothing while the
gateway reads one that is empty or no UTF-8: patchRoute of internal/xds/translator/api_key_auth.go
validates it, and internal/xds/runner/runner.go skips what has such an error (of 1.9.1). A route
whose Secrets have no entry takes the keys of the first route of the gateway that has any, which
patchHCM of api_key_auth.go gives to the filter, and Envoy where a route has none of its own
(credentials in source/extensions/filters/http/api_key_auth/api_key_auth.h, read 2026-11-30)."""

ROWS: Final[tuple[Row, ...]] = (
    _row("P04", "known-gateways", OURS, (kinds(_GATEWAY, "v1", "gateways"),), _GATEWAYS),
    _row(
        "P04",
        "public-needs-auth",
        OF_A_PROJECT,
        (kinds(_ENVOY, "v1alpha1", "backendtrafficpolicies", "securitypolicies"),),
        _AUTH,
    ),
    _SECRETS,
    _row(
        "P05",
        "no-side-door",
        SPACES,
        (
            kinds("", "v1", "services"),
            kinds("networking.k8s.io", "v1", "ingresses"),
            kinds(_GATEWAY, "*", *_OTHER_ROUTES),
        ),
        _DOORS,
    ),
    _row("P21", "route-own-name", SPACES, (kinds(_GATEWAY, "v1", "httproutes"),), _OWN),
    _row(
        "P21",
        "tenant-isolation",
        OURS,
        (kinds(_GATEWAY, "v1", "httproutes"), kinds(_GATEWAY, "*", "referencegrants")),
        _HOME,
    ),
)
"""In the order of the catalogue."""
