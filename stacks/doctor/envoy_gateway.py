"""How Envoy Gateway is set up: its version, its rate limit and where it puts proxies.

Sources: envoyproxy/gateway v1.9.1, charts/gateway-helm/templates/envoy-gateway-config.yaml (names
of ConfigMap and key), api/v1alpha1/envoygateway_types.go (fields and their defaults),
internal/gatewayapi/backendtrafficpolicy.go (a global limit is refused without rateLimit).
"""

from __future__ import annotations

import re
from typing import Any, Final

import yaml

from components.kube import Object
from model_specs.names import GATEWAY_NAMESPACE
from regions.addons import ADDONS
from stacks.doctor.findings import Answers, Finding, Site, Unseen, inside

_ADDON: Final = ADDONS["envoy-gateway"]
_CONFIG: Final = "envoy-gateway.yaml"
_VERSION: Final = re.compile(r"v?([0-9]+)\.([0-9]+)\.([0-9]+)")
_RATE_LIMIT: Final = "{backend: {type: Redis, redis: {url: 'HOST:6379'}}}"


def _homes(site: Site) -> list[str]:
    """Where the controller may run: where its chart puts it, or beside the proxies."""
    beside = [one for one in site.profile.proxy_namespaces if one != GATEWAY_NAMESPACE]
    return list(dict.fromkeys((_ADDON.namespace, *beside)))


def envoy_gateway(site: Site) -> Answers:
    """Envoy Gateway is recent enough, has a rate limit where public models need it, and puts
    proxies into the namespaces that the profile names.

    `extensionApis.enableBackend` is not asked for: nothing that is rendered is a Backend.
    """
    if "envoy_gateway" not in site.capabilities:
        return
    for home in _homes(site):
        found = site.api.get(f"/api/v1/namespaces/{home}/configmaps/envoy-gateway-config")
        if found is not None:
            yield from _config(site, home, found)
            yield from _version(site, home)
            return
    why = f"there is no ConfigMap envoy-gateway-config in {' or '.join(_homes(site))}"
    yield Unseen(check="envoy-gateway", why=why)


def _config(site: Site, home: str, found: Object) -> Answers:
    try:
        config: Any = yaml.safe_load(inside(found, "data", _CONFIG) or "")
    except yaml.YAMLError:
        config = None
    if not isinstance(config, dict):
        why = f"{_CONFIG} of ConfigMap {home}/envoy-gateway-config is no configuration"
        yield Unseen(check="envoy-gateway", why=why)
        return
    if site.profile.sign_in is not None and not config.get("rateLimit"):
        what = f"Envoy Gateway in {home} has no rateLimit: policies of public models are refused"
        mend = f"write config.envoyGateway.rateLimit: {_RATE_LIMIT} into the values of its chart"
        yield Finding(check="envoy-gateway", what=what, mend=mend)
    yield from _mode(site, home, config)


def _mode(site: Site, home: str, config: Object) -> Answers:
    """Where the proxies stand, in both directions."""
    mode = inside(config, "provider", "kubernetes", "deploy", "type") or "ControllerNamespace"
    stand = GATEWAY_NAMESPACE if mode == "GatewayNamespace" else home
    said = site.profile.proxy_namespaces
    if stand in said:
        return
    what = f"Envoy Gateway's deploy type is {mode}, which puts proxies into {stand}; the profile"
    what += f" says {', '.join(said)}"
    mend = f"write proxy_namespaces: [{stand}] in {site.file}, and run `pulumi up`"
    yield Finding(check="envoy-gateway", what=what, mend=mend)


def _version(site: Site, home: str) -> Answers:
    """By the tag of its image, or else by the chart's label."""
    made = site.api.get(f"/apis/apps/v1/namespaces/{home}/deployments/envoy-gateway") or {}
    containers = inside(made, "spec", "template", "spec", "containers") or ()
    images = [str(one.get("image")).partition("@")[0] for one in containers]
    tags = [image.rpartition("/")[2].partition(":")[2] for image in images]
    label = str(inside(made, "metadata", "labels", "app.kubernetes.io/version") or "")
    told = next((found for one in (*tags, label) if (found := _VERSION.match(one))), None)
    if told is None:
        why = f"neither image nor label of Deployment {home}/envoy-gateway says its version"
        yield Unseen(check="envoy-gateway", why=why)
    elif tuple(map(int, told.groups())) < tuple(map(int, _ADDON.oldest.split("."))):
        what = f"Envoy Gateway in {home} is {told[0]}, we need {_ADDON.oldest} or later"
        mend = f"upgrade it: {site.bring('envoy-gateway')}"
        yield Finding(check="envoy-gateway", what=what, mend=mend)
