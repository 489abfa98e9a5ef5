"""The legal gateways of a region: the two, the redirect of the public one, and its certificate."""

from __future__ import annotations

from typing import Any, Final

from model_specs.names import GATEWAY_NAMESPACE
from policies.legal.asked import Plain, head
from policies.legal.network import GATEWAY_API
from policies.legal.shapes import ABSENT, Asked, Subject
from regions.exposure import balancer_annotations


def _gateway_name(subject: Subject) -> str:
    name = str(subject.resource.metadata.get("name"))
    return name if name in ("internal", "public") else "internal"


def _listener(subject: Subject) -> list[Plain]:
    profile, name = subject.facts.profile, _gateway_name(subject)
    tls = {
        "certificateRefs": [{"kind": "Secret", "name": profile.tls_secret}],
        "mode": "Terminate",
    }
    secure: Plain = {"port": 443, "protocol": "HTTPS", "tls": tls}
    projects = {"matchExpressions": [{"key": "isoserve.dev/project", "operator": "Exists"}]}
    host = {"internal": f"*.internal.{profile.domain}", "public": f"*.{profile.domain}"}[name]
    plain = {"port": 80, "protocol": "HTTP"}
    models = {
        "allowedRoutes": {"namespaces": {"from": "Selector", "selector": projects}},
        "hostname": host,
        "name": "models",
        **(secure if name == "public" else plain),
    }
    own = {"allowedRoutes": {"namespaces": {"from": "Same"}}, "hostname": host}
    redirect = {**own, "name": "redirect", **plain}
    return [models, redirect] if name == "public" else [models]


def _balancer(subject: Subject) -> Any:
    profile, name = subject.facts.profile, _gateway_name(subject)
    own = getattr(profile.gateways, name).annotations
    found = balancer_annotations(profile.provider, name, own)
    return {"annotations": found} if found else ABSENT


GATEWAY: Final[Plain] = {
    "apiVersion": f"{GATEWAY_API}/v1",
    "kind": "Gateway",
    "metadata": head(lambda subject: {}, _gateway_name, lambda subject: GATEWAY_NAMESPACE),
    "spec": {
        "infrastructure": Asked(_balancer),
        "gatewayClassName": Asked(lambda subject: subject.facts.profile.gateway_class),
        "listeners": Asked(_listener),
    },
}


_TO_TLS: Final[Plain] = {
    "filters": [
        {"requestRedirect": {"scheme": "https", "statusCode": 301}, "type": "RequestRedirect"}
    ],
    "matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
}
REDIRECT: Final[Plain] = {
    "apiVersion": f"{GATEWAY_API}/v1",
    "kind": "HTTPRoute",
    "metadata": head(
        lambda subject: {}, lambda subject: "redirect", lambda subject: GATEWAY_NAMESPACE
    ),
    "spec": {
        "hostnames": Asked(lambda subject: [f"*.{subject.facts.profile.domain}"]),
        "parentRefs": [{"kind": "Gateway", "name": "public", "sectionName": "redirect"}],
        "rules": [_TO_TLS],
    },
}


def _issuer(subject: Subject) -> Any:
    kind, _, name = subject.facts.profile.tls_issuer.partition("/")
    return {"group": "cert-manager.io", "kind": kind, "name": name} if name else ABSENT


CERTIFICATE: Final[Plain] = {
    "apiVersion": "cert-manager.io/v1",
    "kind": "Certificate",
    "metadata": head(
        lambda subject: {},
        lambda subject: subject.facts.profile.tls_secret,
        lambda subject: GATEWAY_NAMESPACE,
    ),
    "spec": {
        "dnsNames": Asked(lambda subject: [f"*.{subject.facts.profile.domain}"]),
        "issuerRef": Asked(_issuer),
        "secretName": Asked(lambda subject: subject.facts.profile.tls_secret),
    },
}
