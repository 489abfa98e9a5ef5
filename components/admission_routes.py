"""Guarded rules about the ways to a model."""

from __future__ import annotations

from typing import Final

from components.admission_row import ANY, OF_A_PROJECT, OURS, SPACES, Check, Kinds, Row, kinds
from components.kube import Object
from model_specs.names import GATEWAY_NAMESPACE
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
_AUTH: Final = (
    # That a public route has these two at all only several objects show together.
    Check(
        holds="variables.spec.?targetRefs.orValue([]).exists(t, t.kind == 'HTTPRoute'"
        " && t.name == object.metadata.name && !has(t.sectionName))",
        fault="the policy would no longer guard its model's route",
        cure="it targets the HTTPRoute of its own name",
    ),
    Check(
        holds="object.kind != 'SecurityPolicy'"
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

ROWS: Final[tuple[Row, ...]] = (
    _row("P04", "known-gateways", OURS, (kinds(_GATEWAY, "v1", "gateways"),), _GATEWAYS),
    _row(
        "P04",
        "public-needs-auth",
        OF_A_PROJECT,
        (kinds(_ENVOY, "v1alpha1", "backendtrafficpolicies", "securitypolicies"),),
        _AUTH,
    ),
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
