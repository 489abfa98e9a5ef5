"""The two Gateways: their class, addresses, proxies, load balancers and names.

Labels and annotations by which Envoy Gateway marks what it makes: envoyproxy/gateway v1.9.1,
internal/gatewayapi/translator.go and internal/infrastructure/kubernetes/proxy/resource_provider.go.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import Final

from components.kube import Object
from model_specs.errors import shown
from model_specs.names import GATEWAY_NAMESPACE
from regions.exposure import DECIDING, INSIDE, OUTSIDE, balancer_annotations, misdirects
from stacks.doctor.findings import Answers, Finding, Site, Unseen, condition, inside, place_of

_GATEWAY_API: Final = "/apis/gateway.networking.k8s.io/v1"
_GATEWAYS: Final = f"{_GATEWAY_API}/namespaces/{GATEWAY_NAMESPACE}/gateways"
_OWNER: Final = "gateway.envoyproxy.io/owning-gateway"
_OF_OURS: Final = f"labelSelector={_OWNER.replace('/', '%2F')}-namespace%3D{GATEWAY_NAMESPACE}"
_HOST: Final = "doctor"
"""The first label of a host below each gateway's wildcard; no model's host is of one word."""


def _entrances(site: Site) -> dict[str, str]:
    """The gateways of a region by name, each with a host that must lead to it."""
    if not site.capabilities >= {"envoy_gateway", "gateway_api"}:
        return {}
    domain = site.profile.domain
    public = {OUTSIDE: f"{_HOST}.{domain}"} if site.profile.sign_in is not None else {}
    return {INSIDE: f"{_HOST}.internal.{domain}", **public}


def gateways(site: Site) -> Answers:
    """The GatewayClass is accepted, and each Gateway is programmed, has an address on its side of
    the internet, proxies where network policies let them in, and a load balancer on its side."""
    if "gateway_api" not in site.capabilities:
        return
    yield from _class(site)
    made = {name: site.api.get(f"{_GATEWAYS}/{name}") for name in _entrances(site)}
    for name, gateway in made.items():
        yield from _absent(site, name) if gateway is None else _gateway(site, name, gateway)
    if any(made.values()):
        yield from _proxies(site)
        for service in site.listed(f"/api/v1/services?{_OF_OURS}") or ():
            yield from _balancer(site, service)


def _class(site: Site) -> Answers:
    name = site.profile.gateway_class
    found = site.api.get(f"{_GATEWAY_API}/gatewayclasses/{name}")
    told = condition(found or {}, "Accepted")
    if found is None:
        what = f"there is no GatewayClass {name}"
        mend = f"kubectl get gatewayclasses; write gateway_class in {site.file}, or make the class"
        yield Finding(check="gateways", what=what, mend=mend)
    elif told.get("status") != "True":
        what = f"GatewayClass {name} is not Accepted{_because(told)}"
        yield Finding(check="gateways", what=what, mend=f"kubectl describe gatewayclass {name}")


def _because(told: Object) -> str:
    words = [str(told[key]) for key in ("reason", "message") if told.get(key)]
    return f": {shown(': '.join(words))}" if words else ""


def _absent(site: Site, name: str) -> Answers:
    if "cluster_scope" in site.capabilities:
        why = f"Gateway {GATEWAY_NAMESPACE}/{name}: it is not there until the first `pulumi up`"
        yield Unseen(check="gateways", why=why)
        return
    what = f"there is no Gateway {GATEWAY_NAMESPACE}/{name}, which we may not make here"
    mend = f"let the cluster's owner make it with the GatewayClass {site.profile.gateway_class}"
    yield Finding(check="gateways", what=what, mend=mend)


def _gateway(site: Site, name: str, gateway: Object) -> Answers:
    told, values = condition(gateway, "Programmed"), _values(gateway)
    describe = f"kubectl -n {GATEWAY_NAMESPACE} describe gateway {name}"
    if told.get("status") != "True" or not values:
        is_set = told.get("status") == "True"
        state = "has no address" if is_set else f"is not Programmed{_because(told)}"
        what = f"Gateway {GATEWAY_NAMESPACE}/{name} {state}"
        yield Finding(check="gateways", what=what, mend=describe)
    elif name == INSIDE:
        public = sorted(one for one in _addresses(site, values) if ip_address(one).is_global)
        if public:
            what = f"Gateway {GATEWAY_NAMESPACE}/{name}, which asks nobody to sign in, has the"
            what += f" public address {', '.join(public)}"
            mend = "write an annotation of your load balancers that keeps it inside at gateways."
            mend += f"{name}.annotations in {site.file}, and run `pulumi up`"
            yield Finding(check="gateways", what=what, mend=mend)


def _values(gateway: Object) -> list[str]:
    return [str(one.get("value")) for one in inside(gateway, "status", "addresses") or ()]


def _addresses(site: Site, values: list[str]) -> frozenset[str]:
    """IP addresses: those that are told, and those of hosts as this machine resolves them."""
    found: set[str] = set()
    for value in values:
        found |= {value} if _is_address(value) else site.resolve(value)
    return frozenset(found)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _proxies(site: Site) -> Answers:
    pods = site.listed(f"/api/v1/pods?{_OF_OURS}") or []
    if not pods:
        why = f"no pod has the label {_OWNER}-namespace, so the gateways' proxies are not known"
        yield Unseen(check="gateways", why=why)
    found = sorted({str(inside(pod, "metadata", "namespace")) for pod in pods})
    said = site.profile.proxy_namespaces
    stray = [space for space in found if space not in said]
    if stray:
        what = f"the gateways' proxies stand in {', '.join(stray)}, network policies let pods of"
        mend = f"write proxy_namespaces: [{', '.join(found)}] in {site.file}"
        yield Finding(check="gateways", what=f"{what} {', '.join(said)} in", mend=mend)


def _balancer(site: Site, service: Object) -> Answers:
    """The annotations of a load balancer that say on which side it stands."""
    name = str(inside(service, "metadata", "labels", f"{_OWNER}-name"))
    if inside(service, "spec", "type") != "LoadBalancer" or name not in (INSIDE, OUTSIDE):
        return
    provider = site.profile.provider
    own = getattr(site.profile.gateways, name).annotations
    right = balancer_annotations(provider, name, own)
    found: dict[str, str] = inside(service, "metadata", "annotations") or {}
    whys = {key: misdirects(provider, name, key, value) for key, value in found.items()}
    absent = "it is not set, so that the load balancer may stand on either side"
    whys |= {key: absent for key in DECIDING[provider] if key not in found}
    for key, why in whys.items():
        if why:
            what = f"Service {place_of(service)} of Gateway {name}, annotation {key}: {why}"
            line = f"sets {key}: {right[key]}" if key in right else f"does not set {key}"
            mend = f"`pulumi up` {line}; take it out of the EnvoyProxy that says otherwise"
            yield Finding(check="gateways", what=what, mend=mend)


def names(site: Site) -> Answers:
    """A host below each gateway's wildcard resolves to the gateway's addresses.

    It is resolved by this machine, which may not see a private zone: an internal name that is not
    found is therefore no finding.
    """
    for name, host in _entrances(site).items():
        gateway = site.api.get(f"{_GATEWAYS}/{name}")
        values = _values(gateway or {})
        right, got = _addresses(site, values), site.resolve(host)
        wildcard = f"*{host.removeprefix(_HOST)}"
        if not right:
            why = f"{wildcard}: Gateway {name} has no address that is known here"
            yield Unseen(check="names", why=why)
        elif not got and name == INSIDE:
            yield Unseen(check="names", why=f"{wildcard}: this machine does not resolve {host}")
        elif not _leads(values, got, right):
            where = ", ".join(sorted(got)) or "nothing"
            what = f"{host} resolves to {where}, Gateway {name} is at {', '.join(values)}"
            kind = "A or AAAA" if all(map(_is_address, values)) else "CNAME or alias"
            mend = f"write a DNS record {wildcard} ({kind}) with {', '.join(values)}"
            yield Finding(check="names", what=what, mend=mend)


def _leads(values: list[str], got: frozenset[str], right: frozenset[str]) -> bool:
    """Whether a host's addresses are the gateway's. A load balancer with a name of its own answers
    with some of its addresses at a time, so there one in common is enough."""
    if all(map(_is_address, values)):
        return bool(got) and got <= right
    return bool(got & right)
