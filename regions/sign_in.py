"""Whose tokens public models accept, and what must not pass for one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Final

from pydantic import AfterValidator, Field

from model_specs.errors import refuse, shown
from model_specs.part import Part
from regions.jwks import Keys
from regions.urls import check_https, check_issuer
from regions.ways_out import Finding

_AUDIENCE: Final = r"^[A-Za-z0-9]([A-Za-z0-9._~:/@-]{0,253}[A-Za-z0-9/])?$"
"""A name or a URI (StringOrURI of RFC 7519, section 2), which is compared letter by letter."""
_CLAIM: Final = r"^[A-Za-z0-9_:/-]+(\.[A-Za-z0-9_:/-]+)*$"
_OF_API_SERVER: Final = "the cluster's API server"
_AUDIENCES_OF_OTHERS: Final = {
    "kubernetes": _OF_API_SERVER,
    "kubernetes.default.svc": _OF_API_SERVER,
    "https://kubernetes.default.svc": _OF_API_SERVER,
    "https://kubernetes.default.svc.cluster.local": _OF_API_SERVER,
    "pods.eks.amazonaws.com": "EKS Pod Identity",
    "sts.amazonaws.com": "AWS STS, which gives roles of IAM for it",
    "sts.amazonaws.com.cn": "AWS STS, which gives roles of IAM for it",
}
"""By audience, who else takes a service account's token of it. Sources: kubeadm's and EKS' issuers,
which an API server takes as its audience by default (kube-apiserver, --api-audiences);
docs.aws.amazon.com/eks: service-accounts, pod-id-how-it-works."""


def _check_audience(text: str) -> str:
    if text in _AUDIENCES_OF_OTHERS:
        why = f"{shown(text)} is the audience of {_AUDIENCES_OF_OTHERS[text]}"
        raise refuse("E301", f"{why}: a prober's token would do there too; take one of your own")
    return text


class SignIn(Part):
    """The identity provider whose tokens public models accept."""

    issuer: Annotated[str, AfterValidator(check_issuer)]
    """The `iss` claim."""
    jwks_uri: Annotated[str, AfterValidator(check_https)]
    """Where the signing keys are."""
    jwks: Keys = ()
    """The keys themselves, where the gateway's proxies cannot read them."""
    audience: Annotated[str, Field(pattern=_AUDIENCE), AfterValidator(_check_audience)]
    """The `aud` claim, one name or URI that the provider gives to this use alone."""
    groups_claim: Annotated[str, Field(pattern=_CLAIM)] = "groups"
    """The claim with a list of the caller's groups, which `callers` of specs name; a dot leads into
    a claim (JWTClaim in authorization_types.go of Envoy Gateway 1.9.1)."""


def signed_by_cluster(sign_in: SignIn | None, oidc_issuer: str) -> Iterator[Finding]:
    """A sign-in by the cluster's own issuer: service accounts' tokens would sign in as people."""
    found = {"issuer": sign_in.issuer, "audience": sign_in.audience} if sign_in else {}
    for field, got in found.items():
        if got.removeprefix("https://").rstrip("/") == oidc_issuer.rstrip("/"):
            why = f"the cluster's own issuer signs for every pod, got {shown(got)}"
            yield ("sign_in", field), "E371", f"{why}; name what signs for people"
