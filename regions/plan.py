"""The agreement of what is wanted and what a region gives: plain values, nothing left to decide.

Every field is set by `regions.resolve`; nothing here has a default. Sizes and times carry
their unit in the name. `dataclasses.asdict` of a plan is JSON.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from regions.model_plan import CallPlan, JobPlan, ServerPlan, Toleration, WorkloadPlan

AGENT_CPU: Final = 1
AGENT_MEMORY_MIB: Final = 512
AGENT_DISK_GIB: Final = 1
"""What a cache agent requests of its node: cores, and of memory and disk."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeGroupPlan:
    """Nodes of one capacity type. `desired` is its first size; an autoscaler owns it after."""

    name: str
    """On AWS, with a digest of what cannot change while the group lives; empty for listed nodes."""
    capacity: str
    min: int
    max: int
    desired: int
    taints: tuple[Toleration, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolPlan:
    """The nodes of one machine type."""

    name: str
    machine_type: str
    gpus_per_node: int
    instance_types: tuple[str, ...]
    ami_type: str
    """Of EKS; empty for listed nodes."""
    node_names: tuple[str, ...]
    groups: tuple[NodeGroupPlan, ...]
    labels: dict[str, str]
    tags: dict[str, str]
    """Of EKS's groups, beside the provider's: what the cluster autoscaler must be told."""
    replicas_per_node: int
    replicas_wanted: int
    replicas_most: int
    volume_gib: int
    """Size of a node's volume where we make the node; 0 for listed nodes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantPlan:
    """An IAM role that may read and write below prefixes of the bucket, and who assumes it.

    `name` is its logical name, `service_account` is `*` when every one of the namespace may.
    """

    name: str
    role: str
    namespace: str
    service_account: str
    reads: tuple[str, ...]
    writes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaPlan:
    """A bucket elsewhere that receives every object. `key_arn` is empty without keys of ours."""

    region: str
    bucket: str
    key_arn: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryPlan:
    """The region's bucket. `endpoint` is empty on AWS, `url` is `s3://bucket`.

    `access_control`: whether the store knows public-access blocks and bucket ownership.
    """

    bucket: str
    url: str
    endpoint: str
    ports: tuple[int, ...]
    """TCP ports, as network policies see them."""
    addresses: tuple[str, ...]
    """Its networks, as CIDRs; empty where the profile does not know them."""
    region: str
    kms: bool
    access_control: bool
    key_alias: str
    partition: str
    dns_suffix: str
    replicate_to: tuple[ReplicaPlan, ...]
    oidc_issuer: str
    account_id: str
    grants: tuple[GrantPlan, ...]
    """Empty without AWS IAM."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldModelPlan:
    """A model version that nodes may hold, and each node does when it is pinned."""

    project: str
    model: str
    address: str
    digest: str
    bytes: int
    pinned: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimPlan:
    """A project's read-only window on the cache of one machine type's nodes."""

    name: str
    project: str
    namespace: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CachePlan:
    """The cache agent on the nodes of one machine type."""

    name: str
    namespace: str
    machine_type: str
    node_selector: dict[str, str]
    tolerations: tuple[Toleration, ...]
    image: str
    models: tuple[HeldModelPlan, ...]
    """Of all pods of the machine type; a node holds those of its own, and what fits beside them."""
    claims: tuple[ClaimPlan, ...]
    disk_budget_gib: int
    disk_free_percent: int
    pull_secrets: tuple[str, ...]
    """Secrets of the agents' namespace by which nodes pull its image."""
    registry_url: str
    registry_endpoint: str
    registry_region: str
    registry_secret: str
    """Secret with the registry's keys, in the agents' namespace; empty where a role serves."""
    registry_ports: tuple[int, ...]
    registry_addresses: tuple[str, ...]
    reader_role_arn: str
    scraper_namespace: str

    @property
    def total_bytes(self) -> int:
        """All models together, of which a node holds at most what its budget has room for."""
        return sum(one.bytes for one in self.models)

    @property
    def pinned_bytes(self) -> int:
        """What every node holds."""
        return sum(one.bytes for one in self.models if one.pinned)

    @property
    def most_bytes(self) -> int:
        """What a node holds at most; an agent fills its budget as far as there are models."""
        return min(self.total_bytes, self.disk_budget_gib * 1024**3)

    @property
    def is_whole(self) -> bool:
        """Whether every node has room for all models."""
        return self.most_bytes == self.total_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectPlan:
    """A tenant's namespace and bounds."""

    name: str
    namespace: str
    owns_namespace: bool
    admins: tuple[str, ...]
    developers: tuple[str, ...]
    viewers: tuple[str, ...]
    gpus: dict[str, int]
    """By the name under which they are asked for: every one of the catalogue."""
    cpu: int
    memory_gib: int
    pods: int
    claims: int
    callee_namespaces: tuple[str, ...]
    """Where its own pods may call: its own, where a server lets it in, and the gateways."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayPlan:
    """One of the region's two entrances."""

    name: str
    namespace: str
    gateway_class: str
    hostname: str
    tls_secret: str
    """Empty is plain HTTP inside the cluster."""
    tls_issuer: str
    """KIND/NAME of cert-manager's issuer of that Secret; empty where others write it."""
    annotations: dict[str, str]
    """Of the load balancer's Service, which keep it on its side."""
    proxy_namespaces: tuple[str, ...]
    """Where the gateway's proxies stand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProberPlan:
    """The prober of one project and what it asks."""

    project: str
    namespace: str
    image: str
    pull_secrets: tuple[str, ...]
    servers: tuple[str, ...]
    """Ids of the servers it probes."""
    proxy_namespaces: tuple[str, ...]
    scraper_namespace: str
    tls_ca: str
    """ConfigMap with the authorities of the gateways' certificate; empty for public ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Downgrade:
    """What this region does instead, because it lacks a capability."""

    model: str
    """Id of the model, or empty for the region itself."""
    feature: str
    capability: str
    outcome: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """A model this region cannot serve, and why."""

    model: str
    path: str
    code: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountPlan:
    """How the AWS provider is made."""

    region: str
    partition: str
    dns_suffix: str
    account_id: str
    profile: str
    config_file: str
    credentials_file: str
    s3_compatible: bool
    subnet_ids: tuple[str, ...]
    node_security_group_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterPlan:
    """How the Kubernetes provider is made."""

    name: str
    kubeconfig: str
    context: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PrometheusPlan:
    """The Prometheus that reads this region."""

    url: str
    namespace: str
    """Where its pods stand: network policies let them in to metrics."""
    labels: dict[str, str]
    """Of every PodMonitor and PrometheusRule, by which it selects them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpiredPlan:
    """A model of this region that is no longer made, and since when."""

    model: str
    ttl: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionPlan:
    """Everything one stack makes."""

    region: str
    provider: str
    zones: tuple[str, ...]
    domain: str
    capabilities: tuple[str, ...]
    cluster: ClusterPlan
    account: AccountPlan
    registry: RegistryPlan
    grafana_url: str
    prometheus: PrometheusPlan
    proxy_namespaces: tuple[str, ...]
    image_hosts: tuple[str, ...]
    """The registries whose images may run there."""
    pull_secret: str
    """The Secret by which nodes pull images of all projects; empty for none."""
    reachable: tuple[CallPlan, ...]
    """What models' own code may call where its spec says so."""
    addon_objects: tuple[tuple[str, str], ...]
    """Kind and name of what the cluster's own add-ons put into every namespace."""
    system_namespaces: tuple[str, ...]
    priority_classes: tuple[tuple[str, int], ...]
    projects: tuple[ProjectPlan, ...]
    pools: tuple[PoolPlan, ...]
    caches: tuple[CachePlan, ...]
    gateways: tuple[GatewayPlan, ...]
    servers: tuple[ServerPlan, ...]
    jobs: tuple[JobPlan, ...]
    probers: tuple[ProberPlan, ...]
    expired: tuple[ExpiredPlan, ...]
    downgrades: tuple[Downgrade, ...]
    gaps: tuple[Gap, ...]

    @property
    def works(self) -> tuple[WorkloadPlan, ...]:
        """What servers and jobs have in common, of all."""
        return (*(one.workload for one in self.servers), *(one.workload for one in self.jobs))
