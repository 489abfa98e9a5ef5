"""How a gateway's load balancer is told to stand inside or on the internet.

Envoy Gateway puts a Gateway's spec.infrastructure.annotations on the LoadBalancer Service that it
makes. Without them each cloud has a default of its own, and AWS has two: the in-tree controller
makes internet-facing balancers, the AWS Load Balancer Controller internal ones. `type: external`
leaves the Service to the latter alone, so that no balancer is made rather than one on the wrong
side. Sources, read 2026-11-28: kubernetes-sigs/aws-load-balancer-controller docs/guide/service and
pkg/service/service_utils.go; kubernetes.io, "Service", internal load balancer; and of DigitalOcean
its own documentation.
"""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field

from model_specs.part import Part
from regions.offers import LABEL_KEY

EXPOSURES: Final = ("internal", "public")
"""The two gateways, by name."""
INSIDE, OUTSIDE = "internal", "public"

_AWS: Final = "service.beta.kubernetes.io/aws-load-balancer"
SCHEME: Final = f"{_AWS}-scheme"
"""By which a load balancer of AWS is internal or internet-facing."""
_TO_THE_CONTROLLER: Final = {f"{_AWS}-type": "external", f"{_AWS}-nlb-target-type": "ip"}
DECIDING: Final[dict[str, dict[str, tuple[str, ...]]]] = {
    "aws": {
        SCHEME: ("internal", "internet-facing"),
        f"{_AWS}-type": ("external", "nlb-ip"),
        f"{_AWS}-nlb-target-type": ("instance", "ip"),
    },
    "on_prem": {},
}
"""By provider, the annotations without which a load balancer may stand anywhere, and the values
with which AWS's controller takes the Service, and so reads the scheme at all."""

DEFAULTS: Final[dict[tuple[str, str], dict[str, str]]] = {
    ("aws", "internal"): {**_TO_THE_CONTROLLER, SCHEME: "internal"},
    ("aws", "public"): {**_TO_THE_CONTROLLER, SCHEME: "internet-facing"},
    ("on_prem", "internal"): {},
    ("on_prem", "public"): {},
}
"""Annotations by provider and gateway; own metal has no cloud that would need them."""

SIDES: Final[dict[str, dict[str, str]]] = {
    SCHEME: {"internal": INSIDE, "internet-facing": OUTSIDE},
    f"{_AWS}-internal": {"true": INSIDE, "false": OUTSIDE},
    "cloud.google.com/load-balancer-type": {"Internal": INSIDE, "External": OUTSIDE},
    "networking.gke.io/load-balancer-type": {"Internal": INSIDE, "External": OUTSIDE},
    "service.beta.kubernetes.io/azure-load-balancer-internal": {
        "true": INSIDE, "false": OUTSIDE,
    },
    "service.kubernetes.io/ibm-load-balancer-cloud-provider-ip-type": {
        "private": INSIDE, "public": OUTSIDE,
    },
    "service.beta.kubernetes.io/oci-load-balancer-internal": {"true": INSIDE, "false": OUTSIDE},
    "oci-network-load-balancer.oraclecloud.com/internal": {"true": INSIDE, "false": OUTSIDE},
    "service.beta.kubernetes.io/openstack-internal-load-balancer": {
        "true": INSIDE, "false": OUTSIDE,
    },
    "service.beta.kubernetes.io/alibaba-cloud-loadbalancer-address-type": {
        "intranet": INSIDE, "internet": OUTSIDE,
    },
    "service.beta.kubernetes.io/do-loadbalancer-network": {
        "INTERNAL": INSIDE, "EXTERNAL": OUTSIDE,
    },
}  # fmt: skip
"""By annotation, on which side each of its values puts a load balancer."""


class Exposure(Part):
    """How one of the two gateways is given its address."""

    annotations: dict[Annotated[str, Field(pattern=LABEL_KEY)], str] = Field(default={})
    """Annotations of the load balancer's Service, over those of the provider (see
    `balancer_annotations`), rendered as the Gateway's spec.infrastructure.annotations."""


class Gateways(Part):
    """The two gateways."""

    internal: Exposure = Exposure()
    """Permissive models, without sign-in: its address must be reached from the inside only."""
    public: Exposure = Exposure()
    """Public models, from the internet."""


def balancer_annotations(provider: str, name: str, own: dict[str, str]) -> dict[str, str]:
    """The annotations of a gateway: the provider's, and over them the profile's `own`."""
    return {**DEFAULTS[provider, name], **own}


def misdirects(provider: str, name: str, key: str, value: str) -> str:
    """Why gateway `name` would not stand where it should with this annotation; empty if it does."""
    if key in SIDES and SIDES[key].get(value) != name:
        fit = " or ".join(repr(v) for v, side in SIDES[key].items() if side == name)
        return f"the {name} gateway would not stand on its side, got {value!r}; write {fit}"
    legal = DECIDING[provider].get(key, (value,))
    if value not in legal:
        return (
            "another controller than the AWS Load Balancer Controller would make the balancer and "
            f"not read its scheme, got {value!r}; write {' or '.join(map(repr, legal))}"
        )
    return ""
