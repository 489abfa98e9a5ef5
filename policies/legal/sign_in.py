"""The legal ways to sign in to a public model: by tokens, or by callers' keys."""

from __future__ import annotations

from typing import Any, Final

from model_specs.names import API_KEY, CALLERS_RULE, KEYS_POLICY, PROBER
from policies.guards import keys_of
from policies.legal.asked import NotAsked, Plain, head, labels_of_model, model_of, project_of
from policies.legal.network import CALLER, CLIENT, ENVOY, GATEWAY_API, TARGETS, keys_asked
from policies.legal.shapes import ABSENT, Asked, Subject
from regions.profile import Cluster
from regions.sign_in import SignIn


def _signer(name: str, audience: str, issuer: str, at: SignIn | Cluster) -> Plain:
    return {
        "audiences": [audience],
        "claimToHeaders": [{"claim": "sub", "header": CALLER}],
        "issuer": issuer,
        "name": name,
        **keys_of(at),
    }


def _sign_in(subject: Subject) -> Plain:
    profile, home = subject.facts.profile, project_of(subject)
    own, cluster = profile.sign_in, profile.cluster
    if own is None:
        return {}
    issuer = f"https://{cluster.oidc_issuer}"
    providers = [_signer("prober", own.audience, issuer, cluster)]
    who: dict[str, list[Plain]] = {"prober": [{"name": "sub", "values": [_account(home)]}]}
    callers = model_of(subject).spec.callers
    if not keys_asked(model_of(subject)):
        people: list[Plain] = [{"name": "iss", "values": [own.issuer]}]
        if callers:
            groups = {"name": own.groups_claim, "values": list(callers.groups)}
            people.append({**groups, "valueType": "StringArray"})
        providers.insert(0, _signer("sign-in", own.audience, own.issuer, own))
        who = {"sign-in": people, **who}
    rules = [
        {
            "action": "Allow",
            "name": name,
            "principal": {"jwt": {"claims": claims, "provider": name}},
        }
        for name, claims in who.items()
    ]
    return {
        "authorization": {"defaultAction": "Deny", "rules": rules},
        "jwt": {"optional": False, "providers": providers},
    }


def _account(home: str) -> str:
    return f"system:serviceaccount:{home}:{PROBER}"


def _pages(subject: Subject, *, by_key: bool) -> Any:
    """What pages are told, by the policy of the rule that callers come to."""
    origins = model_of(subject).spec.cors_origins
    if not origins or bool(keys_asked(model_of(subject))) != by_key:
        return ABSENT
    may = {"allowHeaders": ["authorization", "content-type"], "allowMethods": ["GET", "POST"]}
    return {**may, "allowOrigins": [*origins], "maxAge": "10m"}


SECURITY_POLICY: Final[Plain] = {
    "apiVersion": ENVOY,
    "kind": "SecurityPolicy",
    "metadata": head(labels_of_model),
    "spec": {
        "targetRefs": TARGETS,
        "authorization": Asked(lambda subject: _sign_in(subject).get("authorization")),
        "jwt": Asked(lambda subject: _sign_in(subject).get("jwt")),
        "cors": Asked(lambda subject: _pages(subject, by_key=False)),
    },
}


def _keys(subject: Subject) -> Plain:
    """Keys of those whom the spec names. Raises NotAsked where it names none."""
    names = keys_asked(model_of(subject))
    if not names:
        raise NotAsked("lets callers in by keys, and the spec names none of them")
    return {
        "credentialRefs": [
            {"group": "", "kind": "Secret", "name": f"{API_KEY}{name}"} for name in names
        ],
        "extractFrom": [{"headers": ["Authorization"]}],
        "forwardClientIDHeader": CLIENT,
        "sanitize": True,
    }


def _listed(subject: Subject) -> Plain:
    """Of those whose keys are known, the callers whom the spec names."""
    names = list(keys_asked(model_of(subject)))
    principal = {"headers": [{"name": CLIENT, "values": names}]}
    rules = [{"action": "Allow", "name": "callers", "principal": principal}]
    return {"defaultAction": "Deny", "rules": rules}


def _callers_rule(subject: Subject) -> list[Plain]:
    target = {"group": GATEWAY_API, "kind": "HTTPRoute", "name": model_of(subject).name}
    return [{**target, "sectionName": CALLERS_RULE}]


KEYS: Final[Plain] = {
    "apiVersion": ENVOY,
    "kind": "SecurityPolicy",
    "metadata": head(labels_of_model, lambda subject: f"{model_of(subject).name}{KEYS_POLICY}"),
    "spec": {
        "targetRefs": Asked(_callers_rule),
        "apiKeyAuth": Asked(_keys),
        "authorization": Asked(_listed),
        "cors": Asked(lambda subject: _pages(subject, by_key=True)),
    },
}
"""The policy of the callers' rule, where they have keys."""
