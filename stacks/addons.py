"""The stack REGION.addons: the add-ons of a region's cluster that the profile says to install.

It is a stack of its own and comes first: the region's stack is previewed against the definitions
that add-ons bring. Definitions and namespaces are protected: with them goes what all of a region's
objects of these kinds are, and what others keep in the namespace.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pulumi
import pulumi_kubernetes as kubernetes

from regions import addon_counter
from regions.addon_values import values
from regions.addons import ADDONS, Chart, order
from regions.profile import RegionProfile
from stacks.program import cluster, located

_OCI: Final = "oci://"
_ENVOY_GATEWAY: Final = "envoy-gateway"
_CONTROLLER: Final = "gateway.envoyproxy.io/gatewayclass-controller"
_KEPT: Final = frozenset(
    {
        "kubernetes:apiextensions.k8s.io/v1:CustomResourceDefinition",
        "kubernetes:core/v1:Namespace",
    }
)


def installed(profile: RegionProfile) -> list[str]:
    """The add-ons that the stack installs, each after those that it needs."""
    return order(name for name, standing in profile.addons.items() if standing == "install")


def chart_of(chart: Chart, mirror: str) -> tuple[str, str]:
    """Where Helm gets a chart: its reference, and the address of its index where it has one.

    `mirror` is empty, an OCI prefix or a folder of packed charts (`helm pull` writes them so).
    """
    if mirror.startswith(_OCI):
        return f"{mirror.rstrip('/')}/{chart.name}", ""
    if mirror:
        return f"{mirror}/{chart.name}-{chart.version}.tgz", ""
    if chart.repository.startswith(_OCI):
        return f"{chart.repository}/{chart.name}", ""
    return chart.name, chart.repository


def _protected(args: pulumi.ResourceTransformArgs) -> pulumi.ResourceTransformResult | None:
    if args.type_ not in _KEPT:
        return None
    opts = pulumi.ResourceOptions.merge(args.opts, pulumi.ResourceOptions(protect=True))
    return pulumi.ResourceTransformResult(props=args.props, opts=opts)


def _gateway_class(
    profile: RegionProfile, provider: kubernetes.Provider, controller: pulumi.Resource
) -> None:
    """The class of both gateways, which no chart makes (site/content/en/latest/install/install-helm
    of Envoy Gateway 1.9.1)."""
    kubernetes.apiextensions.CustomResource(
        "gateway-class",
        api_version="gateway.networking.k8s.io/v1",
        kind="GatewayClass",
        metadata={"name": profile.gateway_class},
        spec={"controllerName": _CONTROLLER},
        opts=pulumi.ResourceOptions(provider=provider, depends_on=[controller]),
    )


def _namespace(name: str, provider: kubernetes.Provider) -> pulumi.Resource:
    return kubernetes.core.v1.Namespace(
        name,
        metadata={"name": name},
        opts=pulumi.ResourceOptions(provider=provider, protect=True),
    )


def _installed(
    profile: RegionProfile, name: str, mirror: str, opts: pulumi.ResourceOptions
) -> pulumi.Resource:
    """The resource of one row: its chart, or its objects where it has none."""
    row, given = ADDONS[name], values(name, profile)
    if row.chart is None:
        objects = addon_counter.objects(given)
        return kubernetes.yaml.v2.ConfigGroup(name, objs=objects, opts=opts)
    reference, index = chart_of(row.chart, mirror)
    install = kubernetes.helm.v3.Release if row.hooks else kubernetes.helm.v4.Chart
    return install(
        name,
        name=name,
        chart=reference,
        version=None if reference.endswith(".tgz") else row.chart.version,
        repository_opts={"repo": index} if index else None,
        namespace=row.namespace,
        values=given,
        opts=opts,
    )


def build(profile: RegionProfile, root: Path) -> None:
    """Register the charts of `profile`; paths in it are taken from `root`."""
    provider = cluster(profile.cluster, root)
    mirror = profile.chart_mirror
    mirror = mirror if mirror.startswith(_OCI) else located(root, mirror)
    made: dict[str, pulumi.Resource] = {}
    spaces: dict[str, pulumi.Resource] = {}
    for name in installed(profile):
        row = ADDONS[name]
        if row.namespace not in spaces and row.namespace != "kube-system":
            spaces[row.namespace] = _namespace(row.namespace, provider)
        after = [made[need] for need in (*row.needs, *row.after) if need in made]
        after += [spaces[row.namespace]] if row.namespace in spaces else []
        opts = pulumi.ResourceOptions(provider=provider, depends_on=after, transforms=[_protected])
        made[name] = _installed(profile, name, mirror, opts)
        if name == _ENVOY_GATEWAY:
            _gateway_class(profile, provider, made[name])
    pulumi.export("addons", {name: ADDONS[name].version for name in made})
