"""What a region gives: one typed profile a region, read from regions/<name>.yaml."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from model_specs.errors import SpecError, SpecErrors, nearest
from model_specs.load import parse
from model_specs.names import Name
from model_specs.schema import Part, refuse
from model_specs.source import read
from regions.machines import MACHINES

# An IAM role is named isoserve.<region>.<project> and has at most 64 characters.
_REGION = re.compile(r"[a-z][a-z0-9-]{0,18}[a-z0-9]")

CAPABILITIES: Final[dict[str, str]] = {
    "keda": "KEDA scales on queue depth, on schedules and to zero",
    "custom_metrics": "an adapter serves Prometheus metrics to HorizontalPodAutoscalers",
    "gateway_api": "Gateway API v1 with a controller",
    "envoy_gateway": "Envoy Gateway's SecurityPolicy and BackendTrafficPolicy",
    "prometheus_operator": "the operator turns Probe, PodMonitor and PrometheusRule into config",
    "cluster_scope": "we may create namespaces, persistent volumes, priority classes, node labels",
    "kms": "the object store encrypts with keys of ours",
    "s3_access_control": "the object store knows public-access blocks and bucket ownership",
    "s3_replication": "the object store replicates buckets between regions",
}
"""Everything a profile may claim, with what it means."""


def _check_capability(name: str) -> str:
    if name not in CAPABILITIES:
        raise refuse("E371", f"no such capability, got {name!r}; {nearest(name, CAPABILITIES)}")
    return name


def _check_machine(name: str) -> str:
    if name not in MACHINES:
        raise refuse("E331", f"no such machine type, got {name!r}; {nearest(name, MACHINES)}")
    return name


class Cluster(Part):
    """The Kubernetes cluster, which exists before us."""

    name: str
    """EKS cluster name, or the on-prem cluster's own."""
    kubeconfig: str
    """Path of the kubeconfig, from the project's root or absolute."""
    context: str
    """Context in it; the provider never uses the current one."""
    oidc_issuer: str
    """Host and path of the issuer of service account tokens; roles and probers rest on it."""
    jwks_uri: Annotated[str, Field(pattern=r"^https://")]
    """Where that issuer's keys are, as the gateway reaches them."""


class Account(Part):
    """Where the AWS API, or an S3-compatible one, is reached, and as whom."""

    region: str
    """AWS region, e.g. us-east-1; S3-compatible stores take any."""
    account_id: Annotated[str, Field(pattern=r"^[0-9]{12}$")]
    """The only account the provider may touch."""
    profile: str
    """Profile in the shared config; empty uses the caller's environment credentials."""
    config_file: str
    """Shared config with the profile's endpoint_url, where there is one; empty is AWS's own."""
    credentials_file: str
    """Shared credentials; empty is AWS's own."""
    subnet_ids: tuple[str, ...]
    """Private subnets for node groups, two zones or more; empty on-prem."""
    node_security_group_ids: tuple[str, ...]
    """Security groups of the nodes; empty on-prem."""


class Replica(Part):
    """A registry bucket in another region that receives every object."""

    region: Name
    """The region's name."""
    bucket: str
    """Its bucket."""


class Registry(Part):
    """The region's model registry."""

    bucket: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$")]
    """Bucket name, unique in the store."""
    endpoint: str
    """URL of an S3-compatible store as pods see it; empty is AWS S3."""
    replicate_to: tuple[Replica, ...]
    """Only the home region has any: where its objects are copied."""


class SignIn(Part):
    """The identity provider whose tokens public models accept."""

    issuer: Annotated[str, Field(pattern=r"^https://")]
    """The `iss` claim."""
    jwks_uri: Annotated[str, Field(pattern=r"^https://")]
    """Where the signing keys are."""
    audience: str
    """The `aud` claim."""


class Price(Part):
    """US dollars per node and hour, and the day they were looked up."""

    on_demand: Annotated[float, Field(gt=0)] | None
    """On-demand, or the accounting price of an own machine; null is unknown."""
    spot: Annotated[float, Field(gt=0)] | None
    """Typical spot price; null is unknown or not offered."""
    as_of: date
    """The day."""


class Nodes(Part):
    """How many nodes of one capacity type a pool may have."""

    min: Annotated[int, Field(ge=0, le=10_000)]
    """Never fewer."""
    max: Annotated[int, Field(ge=0, le=10_000)]
    """Never more: quota or reservation."""


class Offer(Part):
    """How a region carries one machine type."""

    instance_types: tuple[str, ...]
    """AWS: instance types in order of preference, of equal shape."""
    node_names: tuple[str, ...]
    """On-prem: the nodes, by name."""
    replicas_per_node: Annotated[int, Field(ge=1, le=64)]
    """How many replicas of this machine type one node holds."""
    on_demand: Nodes
    """On-demand or own nodes."""
    spot: Nodes
    """Interruptible nodes; zero where there are none."""
    cache_disk_gib: Annotated[int, Field(ge=1)]
    """Disk of a node that may hold models."""
    price_usd_per_hour: Price
    """What a node costs."""

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if bool(self.instance_types) == bool(self.node_names):
            raise refuse("E371", "an offer has either instance_types or node_names; write one")
        for nodes in (self.on_demand, self.spot):
            if nodes.min > nodes.max:
                why = f"node min is above max, got {nodes.min} over {nodes.max}; raise max"
                raise refuse("E371", why)
        if self.node_names and (self.on_demand.max != len(self.node_names) or self.spot.max):
            raise refuse("E371", "listed nodes are all on-demand: on_demand.max is their number")
        return self


class RegionProfile(Part):
    """One region: a cluster, its abilities, its registry and its machines."""

    provider: Literal["aws", "on_prem"]
    """What makes node pools: EKS node groups, or labels on listed nodes."""
    title: str
    """One line for people."""
    kubernetes_version: Annotated[str, Field(pattern=r"^1\.[0-9]{2}$")]
    """Minor version of the API server."""
    zones: Annotated[tuple[str, ...], Field(min_length=1)]
    """Failure zones of the nodes."""
    cluster: Cluster
    """The Kubernetes cluster."""
    account: Account
    """The AWS or S3 account."""
    capabilities: tuple[Annotated[str, AfterValidator(_check_capability)], ...]
    """What the cluster and the store can do (see CAPABILITIES)."""
    domain: Annotated[str, Field(pattern=r"^[a-z0-9.-]+\.[a-z]+$")]
    """Routes are `<model>--<project>.<domain>`, permissive ones below `internal.`."""
    gateway_class: str
    """GatewayClass of both gateways; empty without gateway_api."""
    tls_secret: str
    """Secret in isoserve-gateway with the certificate of *.domain; empty without gateway_api."""
    sign_in: SignIn | None
    """Who may call public models; null where none may be served."""
    prometheus_url: Annotated[str, Field(pattern=r"^https?://")]
    """The Prometheus that scrapes this cluster, as KEDA and people see it."""
    grafana_url: Annotated[str, Field(pattern=r"^https?://")]
    """The Grafana that loads dashboards of this cluster."""
    runbook_url: Annotated[str, Field(pattern=r"^https?://")]
    """The page whose sections are named like the alerts."""
    agent_image: Annotated[str, Field(pattern=r"@sha256:[0-9a-f]{64}$")]
    """The cache agent, pinned."""
    prober_image: Annotated[str, Field(pattern=r"@sha256:[0-9a-f]{64}$")]
    """The prober, pinned."""
    registry: Registry
    """The model registry."""
    machines: dict[Annotated[str, AfterValidator(_check_machine)], Offer]
    """What each machine type stands on here."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for name, offer in self.machines.items():
            if bool(offer.instance_types) != (self.provider == "aws"):
                why = f"{name} does not fit provider {self.provider}"
                raise refuse("E371", f"{why}; aws has instance_types, on_prem node_names")
        if self.provider == "aws" and len(self.account.subnet_ids) < 2:
            raise refuse("E371", "node groups need subnets in two zones or more; list them")
        return self


def load_profile(path: Path) -> RegionProfile:
    """The profile in `path`, whose stem is the region's name. Raises SpecErrors."""
    source = read(path, f"{path.parent.name}/{path.name}")
    if not _REGION.fullmatch(path.stem):
        rule = "a region's name is at most 20 lower-case letters, digits and hyphens"
        raise SpecErrors([source.error((), "E312", f"{rule}, got {path.stem!r}; rename the file")])
    return parse(source, RegionProfile)


def load_profiles(directory: Path, names: tuple[str, ...] = ()) -> dict[str, RegionProfile]:
    """Profiles by region name: those asked for in `names`, or all in `directory`.

    Raises SpecErrors with every error of every file, and for names that have no file.
    """
    files = {path.stem: path for path in sorted(directory.glob("*.yaml"))}
    errors: list[SpecError] = []
    profiles: dict[str, RegionProfile] = {}
    for name in names:
        if name not in files:
            message = f"no such region, got {name!r}; {nearest(name, files)}"
            errors.append(
                SpecError(
                    file=directory.name, line=1, column=1, path="", code="E333", message=message
                )
            )
    for name, path in files.items():
        if not names or name in names:
            try:
                profiles[name] = load_profile(path)
            except SpecErrors as refused:
                errors.extend(refused.errors)
    if not files:
        message = "no region profile here; give the directory that holds <region>.yaml"
        errors.append(
            SpecError(file=str(directory), line=1, column=1, path="", code="E333", message=message)
        )
    if errors:
        raise SpecErrors(errors)
    return profiles
