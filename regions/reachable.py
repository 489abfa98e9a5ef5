"""What models' own code may call beside the registry, as a region's profile lists it."""

from __future__ import annotations

from typing import Annotated, Final, Self

from pydantic import AfterValidator, Field, model_validator

from model_specs.calls import Call
from model_specs.errors import refuse_all, shown
from model_specs.names import RESERVED
from regions.urls import check_network

_MOST_NETWORKS: Final = 64


class Reachable(Call):
    """A host outside or a Service of the cluster that specs of the region may name in `calls`."""

    networks: Annotated[
        tuple[Annotated[str, AfterValidator(check_network)], ...], Field(max_length=_MOST_NETWORKS)
    ] = ()
    """The host's networks, as CIDRs, since network policies know no names; a Service has none."""

    @model_validator(mode="after")
    def _known(self) -> Self:
        if bool(self.host) != bool(self.networks):
            why = "a host has networks and a Service none: say `networks` for the host alone"
            refuse_all([(("networks",), "E371", why)])
        if self.namespace.split("-")[0] in RESERVED:
            why = f"pods of the platform are nobody's to call, got {shown(self.target)}; remove it"
            refuse_all([(("service",), "E371", why)])
        return self
