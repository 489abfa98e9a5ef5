"""What a model's own code calls: the one thing of a spec that a region's profile lists too."""

from __future__ import annotations

import re
from typing import Annotated, Final, Self

from pydantic import AfterValidator, Field, WithJsonSchema, model_validator

from model_specs.errors import refuse, refuse_all, shown
from model_specs.part import Part

_LONGEST: Final = 253
"""Characters of a name of the DNS (RFC 1035, section 2.3.4)."""
_LABEL: Final = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_HOST: Final = re.compile(rf"(?:{_LABEL}\.)+[a-z]{{2,63}}")
"""Two labels or more in lower case, the last one letters alone, as those of the internet are (RFC
3696, section 2): no address in any spelling, and each host in one."""
_ENCODED: Final = re.compile(r"(?:^|\.)[a-z0-9]{2}--")
"""A label of other letters than it shows, of which two look alike to who reviews (RFC 5891)."""
_SERVICE: Final = rf"^[a-z]([a-z0-9-]{{0,61}}[a-z0-9])?\.{_LABEL}$"
"""A Service's name begins with a letter (RFC 1035), which no address does."""

NOT_OUTSIDE: Final[dict[str, str]] = {
    "alt": "RFC 9476",
    "arpa": "RFC 3172",
    "cluster": "a Service, by the cluster's domain",
    "corp": "RFC 6762, appendix G; ICANN's board, 2018-02-04",
    "example": "RFC 6761",
    "home": "RFC 6762, appendix G; ICANN's board, 2018-02-04",
    "internal": "ICANN's board, 2024-07-29; clouds' metadata",
    "intranet": "RFC 6762, appendix G",
    "invalid": "RFC 6761",
    "lan": "RFC 6762, appendix G",
    "local": "RFC 6762; the cluster's domain",
    "localdomain": "a Linux machine's own hosts file",
    "localhost": "RFC 6761",
    "mail": "ICANN's board, 2018-02-04",
    "onion": "RFC 7686",
    "pod": "a pod (kubernetes.io, DNS for Services and Pods)",
    "private": "RFC 6762, appendix G",
    "svc": "a Service (kubernetes.io, DNS for Services and Pods)",
    "test": "RFC 6761",
}
"""Last labels that no host of the internet has, and whose they are."""
METADATA_NAMES: Final = {
    "instance-data": "AWS",
    "instance-data.ec2.internal": "AWS",
    "metadata": "Google Cloud",
    "metadata.goog": "Google Cloud",
    "metadata.google.internal": "Google Cloud",
    "metadata.packet.net": "Equinix Metal",
    "metadata.platformequinix.com": "Equinix Metal",
    "metadata.tencentyun.com": "Tencent Cloud",
}
"""Where clouds answer their nodes, by name (by address: regions.networks). Sources: Google Cloud's,
Equinix Metal's and Tencent Cloud's pages on instance metadata, as public repositories quote them;
of AWS lists against forged requests in public repositories."""


def _check_host(host: str) -> str:
    """`host` itself. Raises PydanticCustomError where it is no name of a host outside."""
    cure = "write a full name in lower case, e.g. features.example.com"
    if len(host) > _LONGEST or not _HOST.fullmatch(host):
        raise refuse("E301", f"no name of a host outside the cluster, got {shown(host)}; {cure}")
    if _ENCODED.search(host):
        raise refuse("E301", f"a name that reads as it is, got {shown(host)}; {cure}")
    last = host.rpartition(".")[2]
    if last in NOT_OUTSIDE:
        why = f"no host outside the cluster ends in .{last} ({NOT_OUTSIDE[last]})"
        say = "name a Service by `service`, and a host as the internet knows it"
        raise refuse("E301", f"{why}, got {shown(host)}; {say}")
    if host in METADATA_NAMES:
        whose = f"nodes of {METADATA_NAMES[host]} get their credentials there"
        raise refuse("E301", f"{whose}, got {host}; remove it")
    return host


Host = Annotated[
    str,
    AfterValidator(_check_host),
    WithJsonSchema({"type": "string", "pattern": f"^{_HOST.pattern}$", "maxLength": _LONGEST}),
]
"""The name of a host outside the cluster."""


class Call(Part):
    """A host or a Service, at one port."""

    host: Host | None = None
    """A host outside the cluster, e.g. features.example.com."""
    service: Annotated[str, Field(pattern=_SERVICE)] | None = None
    """A Service of the cluster, as NAME.NAMESPACE; what of its namespace is reached with it, the
    region's profile says."""
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
