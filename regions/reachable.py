"""What models' own code may call beside the registry, as a region's profile lists it."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Final, Self

from pydantic import AfterValidator, Field, model_validator

from model_specs.calls import Call
from model_specs.errors import refuse_all
from regions.networks import check_network
from regions.offers import LABEL_KEY, LABEL_VALUE

_MOST_NETWORKS: Final = 64
_NETWORK: Final = AfterValidator(partial(check_network, whose="reachable.host"))
_MOST_LABELS: Final = 3
"""As many as Services select by. The admission guard has all rows in one expression, of 100,000
characters at most: 64 rows with 3 labels of 380, and all networks, are fewer."""


class Reachable(Call):
    """A host outside or a Service of the cluster that specs of the region may name in `calls`."""

    networks: Annotated[tuple[Annotated[str, _NETWORK], ...], Field(max_length=_MOST_NETWORKS)] = ()
    """The host's networks, as CIDRs, since network policies know no names; a Service has none."""
    pods: Annotated[
        dict[
            Annotated[str, Field(pattern=LABEL_KEY)],
            Annotated[str, Field(pattern=LABEL_VALUE, min_length=1)],
        ],
        Field(max_length=_MOST_LABELS),
    ] = Field(default={})
    """Labels of the Service's pods, as its selector has them, since network policies know no
    Services either: without any, every pod of its namespace is reached at that port."""

    @model_validator(mode="after")
    def _known(self) -> Self:
        if bool(self.host) != bool(self.networks):
            why = "a host has networks and a Service none: say `networks` for the host alone"
            refuse_all([(("networks",), "E371", why)])
        if self.host and self.pods:
            refuse_all([(("pods",), "E371", "a host is no pods of the cluster; remove them")])
        return self
