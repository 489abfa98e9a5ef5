"""Keys of an issuer that stand in the profile, where the gateway cannot read them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

import pytest

from components.model_route import objects
from model_specs.errors import SpecErrors
from model_specs.load import parse
from model_specs.source import Source
from policies.catalogue import RULES
from policies.facts import facts_of
from policies.judge import judge
from regions.jwks import document
from regions.profile import RegionProfile
from regions.resolve import resolve
from stacks.policy import resources
from tests.examples import ROOT, specs
from tests.policies.estate import NO_WAIVERS, TODAY
from tests.regions.test_profile import values_of

RSA: Final = {"kty": "RSA", "kid": "k1", "alg": "RS256", "use": "sig", "n": "n" * 342, "e": "AQAB"}
EC: Final = {"kty": "EC", "kid": "k2", "alg": "ES256", "crv": "P-256", "x": "x" * 43, "y": "y" * 43}
"""Of the forms of RFC 7517, appendix A.1; the numbers are no keys."""


def profile(**keys: list[dict[str, str]]) -> RegionProfile:
    """sandbox-aws with keys of its own for parts of its profile."""
    values = values_of("sandbox-aws")
    for part, rows in keys.items():
        values[part]["jwks"] = rows
    return parse(Source("regions/sandbox-aws.yaml", values), RegionProfile)


def test_keys_of_the_profile_take_the_place_of_their_address() -> None:
    plan = resolve(specs(), profile(cluster=[RSA, EC], sign_in=[EC]), "sandbox-aws")
    (server,) = [one for one in plan.servers if one.workload.model == "assistant"]
    (policy,) = [one for one in objects(server) if one["kind"] == "SecurityPolicy"]
    people, prober = policy["spec"]["jwt"]["providers"]
    for provider, keys in ((people, [EC]), (prober, [RSA, EC])):
        assert "remoteJWKS" not in provider, "nobody is asked"
        said = json.loads(provider["localJWKS"]["inline"])["keys"]
        assert said == [{"use": "sig", **key} for key in keys], "as they were pasted"


def test_they_pass_the_rules_and_others_do_not() -> None:
    own = profile(cluster=[RSA])
    known = facts_of(specs(), own, ROOT / "regions", "sandbox-aws", TODAY)
    made = list(resources(resolve(specs(), own, "sandbox-aws"), ROOT))
    assert judge(made, known, RULES, NO_WAIVERS).findings == ()
    other = facts_of(specs(), profile(cluster=[EC]), ROOT / "regions", "sandbox-aws", TODAY)
    said = {finding.rule for finding in judge(made, other, RULES, NO_WAIVERS).findings}
    assert "as-asked" in said
    assert len(said) > 1, "by what lets callers in, too"


def become(key: dict[str, Any], **other: str) -> None:
    """Another key: EC, but for what is said."""
    key.clear()
    key.update({**EC, **other})


BAD: Final[tuple[tuple[str, Callable[[dict[str, Any]], object], str, str], ...]] = (
    ("a private key", lambda key: key.update(d="X4cTteJY"), "E201", "jwks[0].d"),
    ("half a key", lambda key: key.pop("n"), "E371", "jwks[0]"),
    ("a key of two kinds", lambda key: key.update(crv="P-256"), "E371", "jwks[0]"),
    ("a key that encrypts", lambda key: key.update(use="enc"), "E204", "jwks[0].use"),
    ("a shared secret", lambda key: key.update(alg="HS256"), "E204", "jwks[0].alg"),
    ("no name", lambda key: key.update(kid=""), "E301", "jwks[0].kid"),
    ("a short key", lambda key: key.update(n="n" * 86), "E371", "jwks[0]"),
    ("another kind's algorithm", lambda key: key.update(alg="ES256"), "E371", "jwks[0]"),
    (
        "a curve of another algorithm",
        lambda key: become(key, alg="ES384"),
        "E371",
        "jwks[0]",
    ),
    ("half a point", lambda key: become(key, x="x" * 42), "E371", "jwks[0]"),
    ("no number", lambda key: key.update(n="0 vx"), "E301", "jwks[0].n"),
)


@pytest.mark.parametrize(("spoil", "code", "place"), [r[1:] for r in BAD], ids=[r[0] for r in BAD])
def test_what_is_no_public_key_is_refused(
    spoil: Callable[[dict[str, Any]], object], code: str, place: str
) -> None:
    key: dict[str, Any] = dict(RSA)
    spoil(key)
    with pytest.raises(SpecErrors) as refused:
        profile(cluster=[key])
    (error,) = refused.value.errors
    assert (error.code, error.path) == (code, f"cluster.{place}")


def test_two_keys_of_one_name_are_refused() -> None:
    with pytest.raises(SpecErrors) as refused:
        profile(sign_in=[RSA, {**EC, "kid": "k1"}])
    (error,) = refused.value.errors
    assert (error.code, error.path) == ("E371", "sign_in.jwks"), "which of them would it be"


def test_no_keys_are_no_document() -> None:
    assert document(()) == "", "the gateway reads them by the address"
