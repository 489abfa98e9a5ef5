"""The Secrets that people make (the certificate, the registry's keys, the images' pull secret, the
keys of callers), and the ConfigMap with that certificate's authorities."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Final

from cryptography import x509

from components.kube import Object
from components.kube_client import ApiError
from model_specs.errors import shown
from model_specs.names import API_KEY, CACHE_NAMESPACE, GATEWAY_NAMESPACE, KEYS_POLICY
from stacks.doctor.findings import Answers, Finding, Site, Unseen, inside

_OF_PROJECTS: Final = "/api/v1/namespaces?labelSelector=isoserve.dev%2Fproject"
_MAKERS: Final = (
    "/apis/apps/v1/namespaces/{}/deployments",
    "/apis/apps/v1/namespaces/{}/daemonsets",
    "/apis/batch/v1/namespaces/{}/cronjobs",
    "/apis/batch/v1/namespaces/{}/jobs",
)
"""What makes the pods of a project, of its models and jobs, and of the cache agents."""
_POLICIES: Final = "/apis/gateway.envoyproxy.io/v1alpha1/namespaces/{}/securitypolicies"
_TLS: Final = "kubernetes.io/tls"
_LEFT: Final = timedelta(days=14)
"""A renewal by hand needs days; cert-manager renews a third of the lifetime earlier."""


def secrets(site: Site) -> Answers:
    """The Secrets that the profile names are there, and those of callers' keys that the gateways
    were told of, and the certificate is of `*.domain` and valid.

    Of all but the certificate's only the metadata is asked, so neither their type nor their keys
    are seen. The certificate's chain and its private key are not judged.
    """
    has_gateways = site.capabilities >= {"envoy_gateway", "gateway_api"}
    if has_gateways and site.profile.tls_secret and site.profile.sign_in is not None:
        try:
            yield from _certificate(site)
        except ApiError as error:
            yield Unseen(check="secrets", why=str(error))
    yield from _of_pods(site)
    for space in _spaces(site) if site.profile.tls_ca else ():
        yield from _authorities(site, space)
    for space in _spaces(site) if has_gateways else ():
        yield from _keys_of_callers(site, space)


def _of_pods(site: Site) -> Answers:
    """Secrets of the profile that pods of a namespace name, one by one."""
    for name, field, make in _wanted(site):
        for space in _spaces(site):
            try:
                if _is_named(site, space, name):
                    yield from _secret(site, space, name, field, make)
            except ApiError as error:
                yield Unseen(check="secrets", why=str(error))


def _wanted(site: Site) -> Iterator[tuple[str, str, str]]:
    """Name, field of the profile and form of each Secret that pods need."""
    keys = "generic {} --from-literal access_key_id=... --from-literal secret_access_key=..."
    pulls = "docker-registry {} --docker-server=... --docker-username=... --docker-password=..."
    rows = (
        (site.profile.registry.credentials_secret, "registry.credentials_secret", keys),
        (site.profile.pull_secret, "pull_secret", pulls),
    )
    for name, field, form in rows:
        if name:
            yield name, field, form.format(name)


def _spaces(site: Site) -> list[str]:
    """The namespaces whose pods read the registry or are pulled: the agents' and the projects'."""
    agents = [CACHE_NAMESPACE] if "cluster_scope" in site.capabilities else []
    found = site.listed(_OF_PROJECTS) or []
    return agents + sorted(str(inside(one, "metadata", "name")) for one in found)


def _is_named(site: Site, space: str, name: str) -> bool:
    """Whether pods that a namespace makes name the Secret; none do before the first `pulumi up`."""
    lists = (site.listed(path.format(space)) or () for path in _MAKERS)
    return any(f'"{name}"' in json.dumps(one.get("spec")) for rows in lists for one in rows)


def _secret(site: Site, space: str, name: str, field: str, make: str) -> Answers:
    if not site.has(f"/api/v1/namespaces/{space}/secrets/{name}"):
        what = f"there is no Secret {space}/{name} ({field} of {site.file}), which pods name"
        yield Finding(check="secrets", what=what, mend=f"kubectl -n {space} create secret {make}")


def _authorities(site: Site, space: str) -> Answers:
    """What the prober of a project trusts the gateway's certificate by."""
    name = site.profile.tls_ca
    if not _is_named(site, space, name):
        return
    found = site.api.get(f"/api/v1/namespaces/{space}/configmaps/{name}")
    if found is None or not inside(found, "data", "ca.crt"):
        state = "there is no ConfigMap" if found is None else "no ca.crt is in the ConfigMap"
        what = f"{state} {space}/{name} (tls_ca of {site.file}), which the prober names"
        mend = f"kubectl -n {space} create configmap {name} --from-file=ca.crt=FILE"
        yield Finding(check="secrets", what=what, mend=mend)


def _keys_of_callers(site: Site, space: str) -> Answers:
    """Without one of them the gateway refuses every caller of the model: buildAPIKeyAuth in
    internal/gatewayapi/securitypolicy.go of Envoy Gateway 1.9.1 fails, and the rule with it."""
    for policy in site.listed(_POLICIES.format(space)) or ():
        model = str(inside(policy, "metadata", "name")).removesuffix(KEYS_POLICY)
        for named in inside(policy, "spec", "apiKeyAuth", "credentialRefs") or ():
            secret = str(named.get("name"))
            if not site.has(f"/api/v1/namespaces/{space}/secrets/{secret}"):
                what = f"there is no Secret {space}/{secret} (callers.keys of {space}/{model})"
                name = secret.removeprefix(API_KEY)
                make = f"generic {secret} --from-literal={name}=$(openssl rand -hex 32)"
                yield Finding(
                    check="secrets",
                    what=f"{what}: the gateway refuses all callers of the model",
                    mend=f"kubectl -n {space} create secret {make}",
                )


def _certificate(site: Site) -> Answers:
    name = site.profile.tls_secret
    place = f"Secret {GATEWAY_NAMESPACE}/{name}"
    make = f"kubectl -n {GATEWAY_NAMESPACE} create secret tls {name} --cert=FILE --key=FILE"
    again = f"renew the certificate: {make} --dry-run=client -o yaml | kubectl apply -f -"
    if site.profile.tls_issuer:
        # cert-manager makes and renews it, and its Certificate says why it does not.
        make = again = f"kubectl -n {GATEWAY_NAMESPACE} describe certificate {name}"
    found = site.api.get(f"/api/v1/namespaces/{GATEWAY_NAMESPACE}/secrets/{name}")
    if found is None and not site.has(f"/api/v1/namespaces/{GATEWAY_NAMESPACE}"):
        why = f"{place}: the namespace is not there until the first `pulumi up`"
        yield Unseen(check="secrets", why=why)
    elif found is None:
        what = f"there is no {place}, which has the certificate of *.{site.profile.domain}"
        yield Finding(check="secrets", what=what, mend=make)
    elif found.get("type") != _TLS:
        what = f"{place} is of type {shown(found.get('type'))}, want {_TLS}"
        mend = f"kubectl -n {GATEWAY_NAMESPACE} delete secret {name}; {make}"
        yield Finding(check="secrets", what=what, mend=mend)
    else:
        for fault in _faults(site, found):
            yield Finding(check="secrets", what=f"{place}: {fault}", mend=again)


def _faults(site: Site, secret: Object) -> Iterator[str]:
    """What is wrong with the first certificate of a Secret, which is the server's."""
    try:
        pem = base64.b64decode(inside(secret, "data", "tls.crt") or "")
        certificate = x509.load_pem_x509_certificates(pem)[0]
    except (binascii.Error, ValueError):
        yield "tls.crt is no certificate"
        return
    end = certificate.not_valid_after_utc
    if end - site.now < _LEFT:
        state = "expired" if end <= site.now else "expires"
        yield f"its certificate {state} at {end:%Y-%m-%d %H:%M} UTC"
    wildcard = f"*.{site.profile.domain}"
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        yield f"its certificate has no subjectAltName, want {wildcard}"
        return
    held = names.value.get_values_for_type(x509.DNSName)
    if wildcard not in (one.lower() for one in held):
        yield f"its certificate is of {shown(', '.join(held))}, want {wildcard}"
