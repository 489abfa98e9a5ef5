"""Public keys of an issuer in the profile itself, where the gateway cannot read them by a URL.

Envoy asks without a token and by the public authorities' certificates. The API server of one's own
cluster shows its keys to those alone who have a token, and its certificate is of its own authority.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from model_specs.errors import refuse, repeated, shown
from model_specs.part import Part

MOST_KEYS: Final = 16
_NUMBER: Final = r"^[A-Za-z0-9_-]*$"
_OF_KIND: Final = {"EC": ("crv", "x", "y"), "RSA": ("e", "n")}
"""What a public key of each kind has. Source: RFC 7518, sections 6.2.1 and 6.3.1."""
_LEAST_N: Final = 342
"""Characters of a modulus of 2048 bits, the least for RS256 to RS512 (RFC 7518, section 3.3)."""
_LENGTHS: Final = {("ES256", "P-256"): 43, ("ES384", "P-384"): 64, ("ES512", "P-521"): 88}
"""Characters of a coordinate by algorithm and curve (RFC 7518, sections 3.4 and 6.2.1.2)."""
_ALL: Final = tuple(name for names in _OF_KIND.values() for name in names)

Number = Annotated[str, Field(pattern=_NUMBER, max_length=2048)]
"""A number, base64url-encoded as RFC 7518 has it."""


class Jwk(Part):
    """One public key, as `kubectl get --raw /openid/v1/jwks` prints it; no private one fits."""

    kty: Literal["EC", "RSA"]
    """The kind of key."""
    kid: Annotated[str, Field(pattern=r"^[!-~]{1,255}$")]
    """The name by which a token says what signed it."""
    alg: Literal["ES256", "ES384", "ES512", "RS256", "RS384", "RS512"]
    """How it signs."""
    use: Literal["sig"] = "sig"
    """It signs, and nothing else."""
    n: Number = ""
    """The modulus of an RSA key."""
    e: Number = ""
    """The exponent of an RSA key."""
    crv: Literal["", "P-256", "P-384", "P-521"] = ""
    """The curve of an EC key."""
    x: Number = ""
    """The x coordinate of an EC key."""
    y: Number = ""
    """The y coordinate of an EC key."""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        wanted, has = _OF_KIND[self.kty], [name for name in _ALL if getattr(self, name)]
        if sorted(has) != sorted(wanted):
            why = f"a public key of kind {self.kty} has {', '.join(wanted)}"
            raise refuse("E371", f"{why}, got {', '.join(has) or 'none'}; paste it whole")
        lengths = {name: len(getattr(self, name)) for name in ("n", "x", "y") if name in wanted}
        least = _LEAST_N if self.kty == "RSA" else _LENGTHS.get((self.alg, self.crv), 0)
        fits = self.alg.startswith("RS") == (self.kty == "RSA") and least
        whole = all(n >= least if self.kty == "RSA" else n == least for n in lengths.values())
        if not fits or not whole or any(length % 4 == 1 for length in lengths.values()):
            why = f"{self.alg} signs by other numbers, got {lengths} characters"
            raise refuse("E371", f"{why}; paste it whole")
        return self


def check_kids(keys: tuple[Jwk, ...]) -> tuple[Jwk, ...]:
    """The keys of one issuer. Raises PydanticCustomError (E371) where two have one name."""
    for index in repeated([key.kid for key in keys]):
        why = f"a key's name is its own, got {shown(keys[index].kid)} again"
        raise refuse("E371", f"{why}; remove one")
    return keys


Keys = Annotated[tuple[Jwk, ...], Field(max_length=MOST_KEYS), AfterValidator(check_kids)]


def document(keys: Sequence[Jwk]) -> str:
    """The keys as a JSON Web Key Set (RFC 7517, section 5); empty where there are none."""
    rows = [{name: text for name, text in key.model_dump().items() if text} for key in keys]
    return json.dumps({"keys": rows}, separators=(",", ":"), sort_keys=True) if rows else ""
