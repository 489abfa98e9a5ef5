"""What a region gives: one typed profile a region, read from regions/<name>.yaml."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, Field, JsonValue, model_validator

from model_specs.errors import (
    SpecError,
    SpecErrors,
    dotted,
    nearest,
    refuse,
    refuse_all,
    repeated,
    shown,
)
from model_specs.field_types import PullSecret
from model_specs.load import parse_named
from model_specs.names import DOMAIN, MANAGED_BY, MAX_NAME
from model_specs.part import Part
from model_specs.pinned import HOST, PART, PinnedImage, image_host
from model_specs.source import Source, read
from regions.addon_objects import MOST as MOST_ADDON_OBJECTS
from regions.addon_objects import AddonObject
from regions.addons import Standing, gained
from regions.aws_partitions import Partition, partition_of
from regions.capabilities import check_addon, check_capability, half_addons, unissued
from regions.exposure import EXPOSURES, Gateways, misdirects
from regions.jwks import Keys
from regions.machines import MACHINES
from regions.namespaces import check_proxies
from regions.networks import MOST_NETWORKS, check_any_network
from regions.node_shapes import misfits
from regions.offers import LABEL_KEY, LABEL_VALUE, LARGEST_VOLUME_GIB, Offer, Once
from regions.profile_files import misnamed, unprintable, unread_profiles
from regions.reachable import Reachable
from regions.registry import Registry
from regions.sign_in import SignIn, signed_by_cluster
from regions.urls import (
    FILE_PATH,
    address_of,
    check_bare_issuer,
    check_host,
    check_https,
    check_page,
    check_url,
    host_of,
    service_namespace,
)
from regions.ways_out import Finding, Ground, Where, misled

Reader = Callable[[str, Source], object]
"""Called with the name of each region and the values of its file, before they are checked."""

_IMAGE_HOST: Final = f"^{HOST}$"
_DNS_LABEL: Final = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
MAX_DOMAIN: Final = 253 - len(f"{MAX_NAME * 'm'}--{MAX_NAME * 'p'}.internal.")
"""Gateway API's hostnames have 253 characters, models' longest host among them."""
_OBJECT_NAME: Final = r"^([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?)?$"
_ISSUED_BY: Final = r"^((ClusterIssuer|Issuer)/[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?)?$"
_CLUSTER: Final = r"^[0-9A-Za-z][A-Za-z0-9._-]{0,99}$"
"""EKS' own form, CreateCluster's `name`, and the dots that others have."""
_ISSUER: Final = rf"^({_DNS_LABEL}\.)+{_DNS_LABEL}(:[0-9]{{1,5}})?(/[A-Za-z0-9._~-]+)*/?$"
"""What follows https:// in the `iss` of service account tokens, which we write before it."""
_NAMESPACE: Final = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"
_MIRROR: Final = rf"^oci://{HOST}(/{PART})*$|{FILE_PATH}"
_MOST_REACHABLE: Final = 64
_OLDEST_KUBERNETES: Final = 30
"""The minor version, 1.30: the oldest that serves everything we render."""


def _check_machine(name: str) -> str:
    if name not in MACHINES:
        raise refuse("E331", f"no such machine type, got {shown(name)}; {nearest(name, MACHINES)}")
    return name


def _check_kubernetes(version: str) -> str:
    if int(version.removeprefix("1.")) < _OLDEST_KUBERNETES:
        oldest = f"1.{_OLDEST_KUBERNETES}"
        why = f"this version is no longer maintained, got {version}"
        raise refuse("E371", f"{why}; upgrade the cluster to {oldest} or later")
    return version


def _check_some(values: Sequence[Any]) -> Any:
    # Not a bound of the field: beside a wrong item that would call the list empty.
    if not values:
        raise refuse("E301", "a list of at least 1 item, got none; name one")
    return values


Labels = dict[Annotated[str, Field(pattern=LABEL_KEY)], Annotated[str, Field(pattern=LABEL_VALUE)]]


class NodeAutoscaler(Part):
    """The cluster autoscaler, which exists before us and adds nodes to our node groups.

    It ignores what pods merely prefer, so its owner starts it with its priority expander and the
    ConfigMap that `isoserve plan` prints. Source: kubernetes/autoscaler, cluster-autoscaler/FAQ.md
    ("Does CA respect node affinity") and expander/priority/readme.md, read 2026-11-28.
    """

    provision_timeout_seconds: Annotated[int, Field(ge=60, le=7200)]
    """Its --max-node-provision-time (the program's default is 900): a group that gave no node by
    then is passed over, and pods that may fall back get a node of the next group."""


class Cluster(Part):
    """The Kubernetes cluster, which exists before us."""

    name: Annotated[str, Field(pattern=_CLUSTER)]
    """EKS cluster name, or the on-prem cluster's own."""
    kubeconfig: Annotated[str, Field(min_length=1, pattern=FILE_PATH)]
    """Path of the kubeconfig, from the project's root or absolute."""
    context: Annotated[str, Field(pattern=r"^[!-~]+$")]
    """Context in it; the provider never uses the current one."""
    oidc_issuer: Annotated[str, Field(pattern=_ISSUER), AfterValidator(check_bare_issuer)]
    """Host and path of the issuer of service account tokens; roles and probers rest on it."""
    jwks_uri: Annotated[str, AfterValidator(check_https)]
    """Where that issuer's keys are, as the gateway reaches them."""
    jwks: Keys = ()
    """The keys themselves (`kubectl get --raw /openid/v1/jwks`), where the gateway's proxies cannot
    read them: at a certificate of the cluster's own, or for those alone who sign in."""
    disk_free_percent: Annotated[int, Field(ge=0, le=90)] = 20
    """Per cent of a node's disk that stay free: 5 above the kubelet's highest default threshold,
    imagefs.available<15% (kubernetes.io/docs/concepts/scheduling-eviction/node-pressure-eviction);
    0 where no kubelet evicts."""
    networks: Annotated[
        tuple[Annotated[str, AfterValidator(check_any_network)], ...],
        Field(max_length=MOST_NETWORKS),
    ] = ()
    """What pods, Services and the API server have to themselves, as CIDRs: neither `reachable` nor
    `registry.addresses` of a store outside may hold any of it. Empty where nobody says, and
    neither names a private network."""
    node_autoscaler: NodeAutoscaler | None = None
    """What adds nodes for waiting pods, where capacity.spot_fallback may rest on it; null where
    there is none, or its groups are not in the order spot, then on demand."""


class Account(Part):
    """Where the AWS API, or an S3-compatible one, is reached, and as whom."""

    region: Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]
    """AWS region, e.g. us-east-1; S3-compatible stores take any."""
    account_id: Annotated[str, Field(pattern=r"^[0-9]{12}$")]
    """The only account the provider may touch."""
    profile: str
    """Profile in the shared config; empty uses the caller's environment credentials."""
    config_file: Annotated[str, Field(pattern=FILE_PATH)]
    """Shared config with the profile's endpoint_url, where there is one; empty is AWS's own."""
    credentials_file: Annotated[str, Field(pattern=FILE_PATH)]
    """Shared credentials; empty is AWS's own."""
    subnet_ids: Annotated[tuple[Annotated[str, Field(pattern=r"^subnet-[a-z0-9-]+$")], ...], Once]
    """Private subnets for node groups, two zones or more; empty on-prem."""
    node_security_group_ids: Annotated[
        tuple[Annotated[str, Field(pattern=r"^sg-[a-z0-9-]+$")], ...], Once
    ]
    """Security groups of the nodes instead of the cluster's own. Best left empty: EKS gives nodes
    the cluster's security group only where the launch template names none. Empty on-prem."""

    @property
    def partition(self) -> Partition:
        """The AWS partition that `region` is in."""
        return partition_of(self.region)


class RegionProfile(Part):
    """One region: a cluster, its abilities, its registry and its machines."""

    provider: Literal["aws", "on_prem"]
    """What makes node pools: EKS node groups, or labels on listed nodes."""
    title: Annotated[str, Field(min_length=1, max_length=200)]
    """One line for people."""
    kubernetes_version: Annotated[
        str, Field(pattern=r"^1\.[0-9]{2}$"), AfterValidator(_check_kubernetes)
    ]
    """Minor version of the API server."""
    zones: Annotated[
        tuple[Annotated[str, Field(pattern=LABEL_VALUE, min_length=1)], ...],
        Field(min_length=1),
        Once,
    ]
    """Failure zones of the nodes."""
    cluster: Cluster
    """The Kubernetes cluster."""
    account: Account
    """The AWS or S3 account."""
    capabilities: Annotated[tuple[Annotated[str, AfterValidator(check_capability)], ...], Once]
    """What the cluster and the store can do besides what `addons` bring (see CAPABILITIES)."""
    addons: dict[Annotated[str, AfterValidator(check_addon)], Standing] = Field(default={})
    """Who brings each add-on of the cluster (regions/addons.md): `install` is the stack
    REGION.addons, `provided` somebody else; one that is not listed is absent."""
    addon_values: dict[Annotated[str, AfterValidator(check_addon)], dict[str, JsonValue]] = Field(
        default={}
    )
    """Helm values over ours (regions/addon_values.py) for add-ons that are installed, e.g. images
    from a registry of the company."""
    chart_mirror: Annotated[str, Field(pattern=_MIRROR)] = ""
    """Where the charts of add-ons come from in the place of their own repositories: a folder of
    packed charts, from the project's root or absolute, or an OCI prefix; empty is their own."""
    domain: Annotated[
        str, Field(pattern=rf"^({_DNS_LABEL}\.)+[a-z]{{1,63}}$", max_length=MAX_DOMAIN)
    ]
    """Routes are `<model>--<project>.<domain>`, permissive ones below `internal.`."""
    gateway_class: Annotated[str, Field(pattern=_OBJECT_NAME)]
    """GatewayClass of both gateways; empty without gateway_api."""
    gateways: Gateways = Gateways()
    """How the gateways are exposed."""
    proxy_namespaces: Annotated[
        tuple[Annotated[str, Field(pattern=_NAMESPACE), AfterValidator(check_proxies)], ...],
        AfterValidator(_check_some),
        Once,
    ] = ("envoy-gateway-system",)
    """Namespaces where the gateways' proxies (Envoy's pods) stand: the controller's own, or
    isoserve-gateway where Envoy Gateway is deployed in its GatewayNamespace mode."""
    tls_secret: Annotated[str, Field(pattern=_OBJECT_NAME)]
    """Secret in isoserve-gateway with the certificate of *.domain; empty without gateway_api."""
    tls_issuer: Annotated[str, Field(pattern=_ISSUED_BY)] = ""
    """cert-manager's issuer of that certificate, as ClusterIssuer/NAME, or as Issuer/NAME one in
    isoserve-gateway; empty where others write the Secret."""
    tls_ca: Annotated[str, Field(pattern=_OBJECT_NAME)] = ""
    """ConfigMap of each project's namespace that has in ca.crt the authorities of that certificate,
    for probers; empty where everybody trusts them. kube-root-ca.crt is there in every cluster,
    with the cluster's own."""
    sign_in: SignIn | None
    """Who may call public models; null where none may be served."""
    prometheus_url: Annotated[str, AfterValidator(check_url)]
    """The Prometheus that scrapes this cluster, as KEDA and people see it."""
    prometheus_namespace: Annotated[str, Field(pattern=f"{_NAMESPACE}|^$")] = ""
    """Namespace of the Prometheus pods, which every network policy lets in to metrics; empty takes
    it from prometheus_url where that is a Service of the cluster."""
    prometheus_labels: Labels = Field(default={})
    """Labels that Prometheus selects PodMonitors and PrometheusRules by, e.g. release: NAME of a
    kube-prometheus-stack with its default values."""
    grafana_url: Annotated[str, AfterValidator(check_page)]
    """The Grafana that loads dashboards of this cluster."""
    runbook_url: Annotated[str, AfterValidator(check_page)]
    """The page whose sections are named like the alerts."""
    image_hosts: Annotated[
        tuple[Annotated[str, Field(pattern=_IMAGE_HOST), AfterValidator(check_host)], ...],
        AfterValidator(_check_some),
        Once,
    ]
    """The registries whose images may run here: specs', the runtime catalogue's and our own."""
    reachable: Annotated[tuple[Reachable, ...], Field(max_length=_MOST_REACHABLE)] = ()
    """What models' own code may call where its spec says so in `calls`. A row comes an `up` before
    the spec that calls it, so that the admission guard knows it by then."""
    addon_objects: Annotated[
        tuple[AddonObject, ...], Field(max_length=MOST_ADDON_OBJECTS), Once
    ] = ()
    """What the cluster's own add-ons put into every namespace: a refresh names it no more."""
    agent_image: PinnedImage
    """The cache agent, pinned."""
    prober_image: PinnedImage
    """The prober, pinned."""
    pull_secret: PullSecret = ""
    """Secret by which nodes pull the images of all pods of ours, of this name in isoserve-cache and
    in each project; empty where nodes pull by rights of their own."""
    registry: Registry
    """The model registry."""
    machines: dict[Annotated[str, AfterValidator(_check_machine)], Offer]
    """What each machine type stands on here."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        findings = [
            *self._misplaced_nodes(),
            *half_addons(self.addons, self.capabilities, self.gateway_class, self.provider),
            *self._shared_buckets(),
        ]
        findings += [*self._keyless_copies(), *self._keyless_pods(), *self._hidden_ports()]
        findings += [*self._unknown_scraper(), *self._taken_labels(), *self._misdirected()]
        findings += [*self._misfits(), *self._grown_metal(), *self._strange_images()]
        findings += unissued(self.tls_issuer, self.tls_secret, self.addons)
        findings += misled(self.reachable, self._ground())
        findings += signed_by_cluster(self.sign_in, self.cluster.oidc_issuer)
        refuse_all([*findings, *(self._beyond_aws() if self.provider == "aws" else ())])
        return self

    def _misplaced_nodes(self) -> Iterator[Finding]:
        homes: dict[str, str] = {}
        for name, offer in self.machines.items():
            if bool(offer.instance_types) != (self.provider == "aws"):
                why = f"{name} does not fit provider {self.provider}"
                cure = "aws has instance_types, on_prem node_names"
                yield ("machines", name), "E371", f"{why}; {cure}"
            for index, node in enumerate(offer.node_names):
                if homes.setdefault(node, name) != name:
                    why = f"a node has one machine type, got {shown(node)} of {homes[node]} too"
                    place = ("machines", name, "node_names", index)
                    yield place, "E371", f"{why}; list it once"

    def _grown_metal(self) -> Iterator[Finding]:
        if self.provider == "on_prem" and self.cluster.node_autoscaler is not None:
            why = "nothing adds nodes to a list of own ones, got a node autoscaler"
            yield ("cluster", "node_autoscaler"), "E371", f"{why}; remove it"

    @property
    def all_capabilities(self) -> tuple[str, ...]:
        """What the region can do: what it claims, and what its add-ons bring."""
        return (*self.capabilities, *gained(self.addons))

    def _shared_buckets(self) -> Iterator[Finding]:
        buckets = [self.registry.bucket, *(copy.bucket for copy in self.registry.replicate_to)]
        for index in repeated(buckets):
            why = f"a copy has a bucket of its own, got {shown(buckets[index])} again"
            place = ("registry", "replicate_to", index - 1, "bucket")
            yield place, "E371", f"{why}; name another"

    def _keyless_copies(self) -> Iterator[Finding]:
        for index, copy in enumerate(self.registry.replicate_to):
            if "kms" in self.capabilities and not copy.key_arn:
                why = "S3 copies what a key encrypts only to a key, got none"
                place = ("registry", "replicate_to", index, "key_arn")
                yield place, "E371", f"{why}; write registry_key_arn of {copy.region}'s stack"
            partition = self.account.partition.name
            if copy.key_arn and not copy.key_arn.startswith(f"arn:{partition}:"):
                why = f"S3 copies within a partition, got {shown(copy.key_arn)} from {partition}"
                place = ("registry", "replicate_to", index, "key_arn")
                yield place, "E371", f"{why}; copy to a region of {partition}"

    def _keyless_pods(self) -> Iterator[Finding]:
        """Pods read by roles where AWS is the cluster's and the store's; elsewhere by keys."""
        has_roles = self.provider == "aws" and not self.registry.endpoint
        place, secret = ("registry", "credentials_secret"), self.registry.credentials_secret
        if has_roles and secret:
            why = f"on AWS pods read the registry by their roles, got {shown(secret)}"
            yield place, "E371", f'{why}; write ""'
        elif not has_roles and not secret:
            why = "pods have no role at this store, got no Secret with keys for it"
            yield place, "E371", f"{why}; name one, as in isoserve-registry"

    def _hidden_ports(self) -> Iterator[Finding]:
        """A store behind a Service of the cluster, whose pods listen nobody knows where."""
        endpoint = self.registry.endpoint
        if service_namespace(endpoint) and self.registry.pod_port is None:
            host = shown(host_of(endpoint))
            why = f"network policies see the port of the pods behind a Service, got {host} alone"
            yield ("registry", "pod_port"), "E371", f"{why}; write the containerPort"
        if not endpoint and self.registry.pod_port is not None:
            why = f"AWS S3 is no Service of the cluster, got {self.registry.pod_port}; remove it"
            yield ("registry", "pod_port"), "E371", why

    @property
    def scraper_namespace(self) -> str:
        """The namespace of the Prometheus pods."""
        return self.prometheus_namespace or service_namespace(self.prometheus_url)

    @property
    def inhabited(self) -> dict[str, str]:
        """By namespace that the profile names, who lives there, as a message says it."""
        urls = {
            "prometheus_url": self.prometheus_url,
            "registry.endpoint": self.registry.endpoint,
            "grafana_url": self.grafana_url,
        }
        led = {service_namespace(url): f"where {field} leads" for field, url in urls.items()}
        proxies = "where the gateways' proxies stand, which all models let in"
        scraper = "which scrapes metrics and is let in by all models"
        return {
            **{namespace: why for namespace, why in led.items() if namespace},
            **dict.fromkeys(self.proxy_namespaces, proxies),
            self.scraper_namespace: scraper,
        }

    def _ground(self) -> Ground:
        registry = self.registry
        own: dict[Where, str] = {
            ("prometheus_url",): self.prometheus_url,
            ("grafana_url",): self.grafana_url,
        }
        urls: dict[Where, str] = {("cluster", "jwks_uri"): self.cluster.jwks_uri, **own}
        networks: dict[Where, str] = {
            **{where: address_of(url) for where, url in urls.items() if address_of(url)},
            **{("cluster", "networks", i): one for i, one in enumerate(self.cluster.networks)},
        }
        hosts: dict[Where, str] = {**own, ("registry", "endpoint"): registry.endpoint}
        return Ground(
            inhabited=self.inhabited,
            hosts={host_of(url): dotted(where) for where, url in hosts.items() if url},
            domain=self.domain,
            networks=networks,
            addresses=registry.addresses,
            ports=registry.ports,
            is_store_within=bool(service_namespace(registry.endpoint)),
        )

    def _unknown_scraper(self) -> Iterator[Finding]:
        if not self.scraper_namespace:
            why = (
                f"it does not follow from prometheus_url, got {shown(self.prometheus_url)}; "
                "name the namespace whose pods scrape the models"
            )
            yield ("prometheus_namespace",), "E371", why

    def _taken_labels(self) -> Iterator[Finding]:
        for key in self.prometheus_labels:
            if key in MANAGED_BY or key.startswith(f"{DOMAIN}/"):
                why = f"the platform sets this label itself, got {shown(key)}; remove it"
                yield ("prometheus_labels", key), "E371", why

    def _misdirected(self) -> Iterator[Finding]:
        """Annotations that would put a gateway on the other side of the internet."""
        for name in EXPOSURES:
            own = getattr(self.gateways, name).annotations
            for key in sorted(own):
                why = misdirects(self.provider, name, key, own[key])
                if why:
                    yield ("gateways", name, "annotations", key), "E371", why

    def _strange_images(self) -> Iterator[Finding]:
        """Programs of our own from a registry that the profile does not list."""
        for name in ("agent_image", "prober_image"):
            host = image_host(getattr(self, name))
            if host not in self.image_hosts:
                why = f"images come from {', '.join(self.image_hosts)}, got {shown(host)}"
                yield (name,), "E371", f"{why}; mirror the image there, or add it to image_hosts"

    def _misfits(self) -> Iterator[Finding]:
        """Instance types that cannot carry their machine type."""
        for name, offer in self.machines.items():
            for one in misfits(offer, name):
                if one.is_sure:
                    yield ("machines", name, "instance_types", one.index), "E371", one.why

    def _beyond_aws(self) -> Iterator[Finding]:
        """What cannot be in one AWS region."""
        region = self.account.region
        if len(self.account.subnet_ids) < 2:
            why = f"node groups need subnets in two zones, got {len(self.account.subnet_ids)}"
            yield ("account", "subnet_ids"), "E371", f"{why}; list two or more"
        for index, zone in enumerate(self.zones):
            if not re.fullmatch(rf"{region}(-[a-z]+-[0-9])?[a-z]", zone):
                why = f"a zone of another region, got {shown(zone)} in {region}"
                yield ("zones", index), "E371", f"{why}; correct the zone or account.region"
        for name, offer in self.machines.items():
            volume = offer.volume_gib(self.cluster.disk_free_percent)
            if volume > LARGEST_VOLUME_GIB:
                why = f"a node's volume has {LARGEST_VOLUME_GIB} GiB at most, got {volume} for it"
                cure = "lower it, or cluster.disk_free_percent"
                yield ("machines", name, "cache_disk_gib"), "E371", f"{why}; {cure}"
        issuer = self.cluster.oidc_issuer
        if issuer.startswith("oidc.eks.") and not issuer.startswith(f"oidc.eks.{region}."):
            why = f"the cluster is in another region, got {shown(issuer)} in {region}"
            yield ("cluster", "oidc_issuer"), "E371", f"{why}; correct the issuer or account.region"


def no_reader(name: str, source: Source) -> None:
    """Does nothing; for callers that want the profiles only."""


def load_profile(path: Path, reader: Reader = no_reader) -> RegionProfile:
    """The profile in `path`, whose stem is the region's name. Raises SpecErrors."""
    source = read(path, f"{path.parent.name}/{path.name}")
    reader(path.stem, source)
    return parse_named(source, RegionProfile, [*misnamed(path.stem, source), *unprintable(source)])


def load_profiles(
    directory: Path, names: tuple[str, ...] = (), reader: Reader = no_reader
) -> dict[str, RegionProfile]:
    """Profiles by region name: those asked for in `names`, or all in `directory`.

    Raises SpecErrors with every error of every file, and for names that have no file.
    """
    files = {path.stem: path for path in sorted(directory.glob("*.yaml"))}
    # As a broken neighbour, a file that nobody reads stops no region that was asked for.
    errors = [] if names else list(unread_profiles(directory))
    profiles: dict[str, RegionProfile] = {}
    for name in names:
        if name not in files:
            message = f"no such region, got {shown(name)}; {nearest(name, files)}"
            errors.append(
                SpecError(
                    file=directory.name, line=1, column=1, path="", code="E333", message=message
                )
            )
    for name, path in files.items():
        if not names or name in names:
            try:
                profiles[name] = load_profile(path, reader)
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
