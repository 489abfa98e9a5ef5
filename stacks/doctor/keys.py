"""Whether the gateway's proxies can tell the prober's token, by the keys of its issuer."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from stacks.doctor.findings import Answers, Finding, Site, Unseen, inside

_KEYS: Final = "/openid/v1/jwks"
"""Where an API server shows the keys of its issuer. Source: kubernetes.io, "Configure Service
Accounts for Pods", service account issuer discovery: for those alone who sign in."""
_INSIDE: Final = (".svc", ".svc.cluster.local")
_OWN: Final = "kubernetes.default"
_BINDINGS: Final = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"
_DISCOVERY: Final = "system:service-account-issuer-discovery"
"""The ClusterRole by which they are read (kubernetes.io, "Service account issuer discovery")."""
_ANYBODY: Final = "system:unauthenticated"


def keys(site: Site) -> Answers:
    """Every key by which the API server signs is known to the gateway's proxies.

    Keys that the profile only has the address of are not read from there: an address inside the
    cluster, whose certificate is the cluster's own, is a finding.
    """
    cluster = site.profile.cluster
    if site.profile.sign_in is None or not site.capabilities >= {"envoy_gateway", "gateway_api"}:
        return
    paste = f"paste `kubectl get --raw {_KEYS}` as cluster.jwks of {site.file}"
    if not cluster.jwks:
        host = urlsplit(cluster.jwks_uri).hostname or ""
        if host.startswith(_OWN) or host.endswith(_INSIDE):
            yield _of_api_server(site, cluster.jwks_uri, paste)
        return
    told = site.api.get(_KEYS)
    if told is None:
        yield Unseen(check="keys", why=f"the API server does not show its keys at {_KEYS}")
        return
    known = {key.kid for key in cluster.jwks}
    strange = sorted({str(one["kid"]) for one in told["keys"]} - known)
    if strange:
        what = f"the API server signs by {', '.join(strange)}, which cluster.jwks does not have"
        yield Finding(check="keys", what=what, mend=paste)


def _of_api_server(site: Site, url: str, paste: str) -> Finding | Unseen:
    """What is known of keys that an API server of one's own shows."""
    for binding in site.listed(_BINDINGS) or ():
        anybody = any(one.get("name") == _ANYBODY for one in binding.get("subjects") or ())
        if inside(binding, "roleRef", "name") == _DISCOVERY and anybody:
            why = f"{url} is shown to anybody; whether proxies trust its certificate is not known"
            return Unseen(check="keys", why=why)
    what = f"the gateway's proxies read no keys at {url}: they do not sign in"
    return Finding(check="keys", what=f"{what} there, nor know its authority", mend=paste)
