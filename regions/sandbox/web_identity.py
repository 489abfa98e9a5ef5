"""Who may take on a role by a token of a region's API server, as STS judges it.

STS reads the keys that the issuer publishes. Here the API server itself is asked (TokenReview):
it has signed the token and knows the audience, the end, and whether its pod is still there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from regions.sandbox.kube import Cluster
from regions.sandbox.s3_rights import holds, listed, matches

AUDIENCE: Final = "sts.amazonaws.com"
ACTION: Final = "sts:AssumeRoleWithWebIdentity"
_REVIEWS: Final = "/apis/authentication.k8s.io/v1/tokenreviews"


def subject_of(cluster: Cluster, token: str) -> str:
    """The user that the region's API server made the token for; empty where it is not for AWS.

    Raises SandboxError when the API server does not answer.
    """
    review = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenReview",
        "spec": {"token": token, "audiences": [AUDIENCE]},
    }
    status = cluster.send("POST", _REVIEWS, review, "application/json")["status"]
    return str(status["user"]["username"]) if status.get("authenticated") else ""


def trusts(document: Mapping[str, Any], issuer: str, subject: str) -> bool:
    """Whether a role's trust policy lets `subject` of the OIDC `issuer` take it on."""
    claims = {f"{issuer}:aud": AUDIENCE, f"{issuer}:sub": subject}
    found = [
        statement["Effect"]
        for statement in listed(document.get("Statement", ()))
        if matches(listed(statement.get("Action", ())), ACTION)
        and _is_of(issuer, statement.get("Principal", {}))
        and holds(statement, claims)
    ]
    return "Allow" in found and "Deny" not in found


def _is_of(issuer: str, principal: Any) -> bool:
    """Whether the principal is the issuer's OIDC provider, or everybody."""
    if principal == "*":
        return True
    named = listed(principal.get("Federated", ()))
    return any(one.partition(":oidc-provider/")[2] == issuer for one in named)
