"""The legal ways to pods and from them: Services, NetworkPolicies, Gateways, routes, policies."""

from __future__ import annotations

from typing import Any, Final

from model_specs.load import Model
from model_specs.names import (
    CACHE_ACCOUNT,
    CACHE_NAMESPACE,
    CALLERS_RULE,
    GATEWAY_NAMESPACE,
    LABEL_MODEL,
    LABEL_ROLE,
    PROBE_HEADER,
    PROBER,
)
from policies.facts import Facts
from policies.legal.asked import (
    Plain,
    blocks,
    head,
    labels_of_model,
    labels_of_project,
    model_of,
    namespace_named,
    of_region,
    of_role,
    project_of,
    tcp,
)
from policies.legal.own_pods import agent_name, of_agent
from policies.legal.shapes import ABSENT, Asked, Subject
from regions.networks import METADATA

GATEWAY_API: Final = "gateway.networking.k8s.io"
ENVOY: Final = "gateway.envoyproxy.io/v1alpha1"
CALLER: Final = "x-isoserve-caller"
CLIENT: Final = "x-isoserve-client"
"""Of callers with keys: of every request Envoy takes out the header that tokens are read into."""
_V4: Final = {"ipBlock": {"cidr": "0.0.0.0/0", "except": sorted(n for n in METADATA if "." in n)}}
_V6: Final = {"ipBlock": {"cidr": "::/0", "except": sorted(n for n in METADATA if ":" in n)}}
_DNS: Final = {
    "ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}],
    "to": [namespace_named("kube-system")],
}
_BOTH: Final = ["Egress", "Ingress"]


def _roles(subject: Subject) -> dict[str, str]:
    """The Services of a model, and the version that each selects."""
    model = model_of(subject)
    rollout, candidate = model.spec.rollout, f"{model.name}-candidate"
    swapped = rollout.strategy == "blue_green" and rollout.step == 1
    found = {model.name: "candidate" if swapped else "stable"}
    return found | ({candidate: "candidate"} if rollout.candidate else {})


def _service_name(subject: Subject) -> str:
    name, roles = str(subject.resource.metadata.get("name")), _roles(subject)
    return name if name in roles else next(iter(roles))


def _served(subject: Subject) -> Plain:
    role = _roles(subject)[_service_name(subject)]
    own = {LABEL_ROLE: "model-server", "isoserve.dev/version": role}
    return {**labels_of_model(subject), **own}


MODEL_SERVICE: Final[Plain] = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": head(labels_of_model, _service_name),
    "spec": {
        "ports": [{"name": "http", "port": 80, "protocol": "TCP", "targetPort": "http"}],
        "selector": Asked(_served),
        "type": "ClusterIP",
    },
}
AGENT_SERVICE: Final[Plain] = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": head(of_agent, agent_name, lambda subject: CACHE_NAMESPACE),
    "spec": {
        "clusterIP": "None",
        "ports": [{"name": "peers", "port": 9092, "targetPort": "peers"}],
        "publishNotReadyAddresses": True,
        "selector": Asked(of_agent),
    },
}


def _to_registry(subject: Subject) -> list[Plain]:
    ports, known = subject.facts.profile.registry.ports, subject.facts.profile.registry.addresses
    if known:
        return [{"ports": tcp(*ports), "to": blocks(known)}]
    others, found = tcp(*(port for port in ports if port != 80)), []
    if others:
        found.append({"ports": others})
    if 80 in ports:
        found.append({"ports": tcp(80), "to": [_V4, _V6, {"namespaceSelector": {}}]})
    return found


def _pods_of(namespace: str, labels: dict[str, str]) -> Plain:
    """The pods of a Service that a profile lists."""
    chosen: Plain = {"podSelector": {"matchLabels": labels}} if labels else {}
    return {**namespace_named(namespace), **chosen}


def called_ways(facts: Facts, model: Model) -> list[Plain]:
    """The ways out to what a spec calls, as the profile lists it."""
    listed = {(one.target, one.port): one for one in facts.profile.reachable}
    rows = [listed.get((call.target, call.port)) for call in model.spec.calls]
    return [
        {
            "ports": tcp(row.port),
            "to": blocks(row.networks) or [_pods_of(row.namespace, row.pods)],
        }
        for row in rows
        if row is not None
    ]


def _ports(subject: Subject) -> list[int]:
    """The ports of all versions of a model."""
    spec = model_of(subject).spec
    candidate = spec.rollout.candidate
    images = [spec.image, *([candidate.image] if candidate and candidate.image else [])]
    rows = [spec.contract_of(image) for image in images]
    return sorted({port for row in rows for port in (row.port, row.metrics_port)})


def _policy_name(subject: Subject) -> str:
    model = model_of(subject)
    if model.spec.batch:
        return model.name
    return "-".join([f"{model.name}-", *map(str, _ports(subject))])


def _callers(subject: Subject) -> Any:
    model, profile = model_of(subject), subject.facts.profile
    if model.spec.batch:
        return ABSENT
    proxies = profile.proxy_namespaces if model.spec.access != "private" else ()
    names = [*sorted(subject.facts.callers(model)), *proxies, profile.scraper_namespace]
    return [{"from": [namespace_named(name) for name in names], "ports": tcp(*_ports(subject))}]


def _network_policy(metadata: Plain, spec: Plain) -> Plain:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata,
        "spec": spec,
    }


def _scraper(subject: Subject) -> Plain:
    return namespace_named(subject.facts.profile.scraper_namespace)


def _way_out(subject: Subject) -> Any:
    """To what the spec calls and to the registry or not there; who of them reads it is for
    `registry-reachable` to say."""
    called = called_ways(subject.facts, model_of(subject))
    got = subject.resource.spec.get("egress") or []
    return ([] if got == called else _to_registry(subject)) + called or ABSENT


MODEL_POLICY: Final = _network_policy(
    head(labels_of_model, _policy_name),
    {
        "egress": Asked(_way_out),
        "ingress": Asked(_callers),
        "podSelector": {"matchLabels": Asked(labels_of_model)},
        "policyTypes": _BOTH,
    },
)
DEFAULT_DENY: Final = _network_policy(
    head(labels_of_project, lambda subject: "default-deny", project_of, of_region),
    {"egress": [_DNS], "podSelector": {}, "policyTypes": _BOTH},
)


def _callees(subject: Subject) -> list[Plain]:
    """Whoever lets the project in and is named, in order: a model that the region cannot serve
    opens nothing (`callers-reach` holds that nobody is missing)."""
    known = subject.facts.callees[project_of(subject)]
    rules = subject.resource.spec.get("egress") or [{}]
    named = {
        str(((to.get("namespaceSelector") or {}).get("matchLabels") or {}).get(key))
        for to in rules[0].get("to") or ()
        for key in ("kubernetes.io/metadata.name",)
    }
    found = sorted({project_of(subject), *(known & named)})
    return [{"to": [namespace_named(name) for name in found]}]


DEFAULT_CALLERS: Final = _network_policy(
    head(labels_of_project, lambda subject: "default-callers", project_of, of_region),
    {
        "egress": Asked(_callees),
        "podSelector": {"matchExpressions": [{"key": LABEL_MODEL, "operator": "DoesNotExist"}]},
        "policyTypes": ["Egress"],
    },
)


def _agents_out(subject: Subject) -> list[Plain]:
    others = _agents()
    return [
        _DNS,
        {"ports": tcp(443, 6443)},
        *_to_registry(subject),
        {"ports": tcp(9092), "to": [others]},
    ]


def _agents() -> Plain:
    labels = {"podSelector": {"matchLabels": {LABEL_ROLE: "cache-agent"}}}
    return namespace_named(CACHE_NAMESPACE) | labels


def _agents_in(subject: Subject) -> list[Plain]:
    return [
        {"from": [_scraper(subject)], "ports": tcp(9091)},
        {"from": [_agents()], "ports": tcp(9092)},
    ]


AGENT_POLICY: Final = _network_policy(
    head(of_role("cache-agent"), lambda subject: CACHE_ACCOUNT, lambda subject: CACHE_NAMESPACE),
    {
        "egress": Asked(_agents_out),
        "ingress": Asked(_agents_in),
        "podSelector": {},
        "policyTypes": _BOTH,
    },
)


def _of_prober(subject: Subject) -> Plain:
    return {**labels_of_project(subject), LABEL_ROLE: PROBER}


def _prober_out(subject: Subject) -> list[Plain]:
    """To DNS, the gateways and its project; at the web's ports only where a model has a route,
    which `egress-allow-list` holds."""
    proxies = [namespace_named(name) for name in subject.facts.profile.proxy_namespaces]
    found = subject.resource.spec.get("egress") or []
    web = [{"ports": tcp(port), "to": [_V4]} for port in (80, 443)]
    return [_DNS, {"to": [*proxies, {"podSelector": {}}]}, *(one for one in web if one in found)]


PROBER_POLICY: Final = _network_policy(
    head(_of_prober, lambda subject: PROBER),
    {
        "egress": Asked(_prober_out),
        "ingress": Asked(lambda subject: [{"from": [_scraper(subject)], "ports": tcp(9090)}]),
        "podSelector": {"matchLabels": Asked(_of_prober)},
        "policyTypes": _BOTH,
    },
)


def host_of(subject: Subject) -> str:
    """The host of a model's route."""
    model, domain = model_of(subject), subject.facts.profile.domain
    below = "internal." if model.spec.access == "permissive" else ""
    return f"{model.name}--{model.project}.{below}{domain}"


def _backends(subject: Subject) -> list[Plain]:
    model = model_of(subject)
    rollout = model.spec.rollout
    weights = {model.name: 100}
    if rollout.strategy == "canary":
        share = rollout.steps[rollout.step]
        weights = {model.name: 100 - share, f"{model.name}-candidate": share}
    return [
        {"kind": "Service", "name": name, "port": 80, "weight": weight}
        for name, weight in weights.items()
    ]


def _copied(subject: Subject) -> Plain:
    model = model_of(subject)
    if model.spec.rollout.strategy != "shadow":
        return {}
    mirror = {
        "backendRef": {"kind": "Service", "name": f"{model.name}-candidate", "port": 80},
        "percent": model.spec.rollout.mirror_percent,
    }
    return {"filters": [{"requestMirror": mirror, "type": "RequestMirror"}]}


def _rules(subject: Subject) -> list[Plain]:
    path = {"path": {"type": "PathPrefix", "value": "/"}}
    probe = {"headers": [{"name": PROBE_HEADER, "type": "Exact", "value": "true"}]}
    callers: Plain = {"name": CALLERS_RULE} if keys_asked(model_of(subject)) else {}
    return [
        {
            **_copied(subject),
            "backendRefs": _backends(subject),
            "matches": [match],
            "timeouts": {"request": f"{model_of(subject).spec.timeout_seconds}s"},
            **name,
        }
        for match, name in ((path | probe, {}), (path, callers))
    ]


def _parents(subject: Subject) -> list[Plain]:
    name = {"permissive": "internal"}.get(model_of(subject).spec.access, "public")
    return [{"kind": "Gateway", "name": name, "namespace": GATEWAY_NAMESPACE}]


def keys_asked(model: Model) -> tuple[str, ...]:
    """The callers of a model who have keys, by name."""
    return model.spec.callers.keys if model.spec.callers else ()


HTTP_ROUTE: Final[Plain] = {
    "apiVersion": f"{GATEWAY_API}/v1",
    "kind": "HTTPRoute",
    "metadata": head(labels_of_model),
    "spec": {
        "hostnames": Asked(lambda subject: [host_of(subject)]),
        "parentRefs": Asked(_parents),
        "rules": Asked(_rules),
    },
}
TARGETS: Final = Asked(
    lambda subject: [{"group": GATEWAY_API, "kind": "HTTPRoute", "name": model_of(subject).name}]
)


def _limit(subject: Subject) -> Plain:
    spec = model_of(subject).spec
    often = {"requests": spec.requests_per_minute, "unit": "Minute"}
    if spec.access != "public":
        return {"local": {"rules": [{"limit": often}]}, "type": "Local"}
    names = (CALLER, CLIENT) if keys_asked(model_of(subject)) else (CALLER,)
    callers = [{"headers": [{"name": name, "type": "Distinct"}]} for name in names]
    rules = [{"clientSelectors": [one], "limit": often} for one in callers]
    return {"global": {"rules": rules}, "type": "Global"}


def _silence(subject: Subject) -> Any:
    seconds = model_of(subject).spec.stream_idle_seconds
    return {"http": {"streamIdleTimeout": f"{seconds}s"}} if seconds else ABSENT


TRAFFIC_POLICY: Final[Plain] = {
    "apiVersion": ENVOY,
    "kind": "BackendTrafficPolicy",
    "metadata": head(labels_of_model),
    "spec": {"targetRefs": TARGETS, "rateLimit": Asked(_limit), "timeout": Asked(_silence)},
}
