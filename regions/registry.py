"""The model registry of a region, as its profile names it."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Final

from pydantic import AfterValidator, Field

from model_specs.errors import refuse, shown
from model_specs.names import Name
from model_specs.part import Part
from regions.networks import MOST_NETWORKS, check_network
from regions.urls import check_url_if_any, port_of

_KEY_ARN: Final = r"^(arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/[a-zA-Z0-9-]+)?$"
_SECRET_NAME: Final = r"^([a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?)?$"
_BUCKET_PREFIXES: Final = ("xn--", "sthree-", "amzn-s3-demo-")
_BUCKET_SUFFIXES: Final = ("-s3alias", "--ol-s3", "--x-s3", "--table-s3")
"""Source: docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html."""


def _check_bucket(name: str) -> str:
    if name.startswith(_BUCKET_PREFIXES) or name.endswith(_BUCKET_SUFFIXES):
        kept = ", ".join((*_BUCKET_PREFIXES, *_BUCKET_SUFFIXES))
        raise refuse("E371", f"S3 keeps {kept} for itself, got {shown(name)}; name another")
    return name


Bucket = Annotated[
    str, Field(pattern=r"^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$"), AfterValidator(_check_bucket)
]


class Replica(Part):
    """A registry bucket in another region that receives every object."""

    region: Name
    """The region's name."""
    bucket: Bucket
    """Its bucket."""
    key_arn: Annotated[str, Field(pattern=_KEY_ARN)]
    """Key of that bucket, its stack's output `registry_key_arn`; empty without kms."""


_ADDRESSES: Final = AfterValidator(partial(check_network, whose="registry.endpoint"))


class Registry(Part):
    """The region's model registry."""

    bucket: Bucket
    """Bucket name, unique in the store."""
    endpoint: Annotated[str, AfterValidator(check_url_if_any)]
    """URL of an S3-compatible store as pods see it; empty is AWS S3."""
    pod_port: Annotated[int, Field(ge=1, le=65_535)] | None = None
    """Where `endpoint` is a Service of this cluster (NAME.NAMESPACE.svc must say it): the port of
    the pods behind it, since network policies see that one and not the Service's."""
    addresses: Annotated[
        tuple[Annotated[str, _ADDRESSES], ...], Field(max_length=MOST_NETWORKS)
    ] = ()
    """The store's networks, as CIDRs: pods that read the registry then get out to these alone. With
    roles they are S3's and STS's. Empty: to every address at the store's ports."""
    credentials_secret: Annotated[str, Field(pattern=_SECRET_NAME)]
    """Secret by whose access_key_id, secret_access_key and session_token (optional) pods read the
    registry, one in isoserve-cache and in each project; empty where AWS gives pods roles."""
    replicate_to: tuple[Replica, ...]
    """Only the home region has any: where its objects are copied."""

    @property
    def ports(self) -> tuple[int, ...]:
        """The TCP ports at which pods reach the store, as network policies see them."""
        asked = port_of(self.endpoint or "https://s3")
        return tuple(sorted({asked, *([self.pod_port] if self.pod_port else [])}))
