"""What a model's own code calls: the one thing of a spec that a region's profile lists too."""

from __future__ import annotations

from typing import Annotated, Final, Self

from pydantic import Field, model_validator

from model_specs.errors import refuse_all
from model_specs.part import Part

_LABEL: Final = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_HOST: Final = rf"^({_LABEL}\.)+[a-z]([a-z0-9-]{{0,61}}[a-z0-9])?$"
"""A name and no address: its last label begins with a letter (RFC 3696, section 2)."""
_SERVICE: Final = rf"^{_LABEL}\.{_LABEL}$"


class Call(Part):
    """A host or a Service, at one port."""

    host: Annotated[str, Field(pattern=_HOST, max_length=253)] | None = None
    """A host outside the cluster, e.g. features.example.com."""
    service: Annotated[str, Field(pattern=_SERVICE)] | None = None
    """A Service of the cluster, as NAME.NAMESPACE."""
    port: Annotated[int, Field(ge=1, le=65_535)]
    """The TCP port; of a Service, its pods' own, since network policies see that one."""

    @model_validator(mode="after")
    def _one_target(self) -> Self:
        if (self.host is None) == (self.service is None):
            got = "both" if self.host else "neither"
            message = f"a call goes to a host or to a service, got {got}; name one"
            refuse_all([(("host",), "E301", message)])
        return self

    @property
    def target(self) -> str:
        """The host, or NAME.NAMESPACE."""
        return self.host or self.service or ""

    @property
    def namespace(self) -> str:
        """The Service's; empty for a host."""
        return (self.service or "").partition(".")[2]
