"""Lists the differences between regions that are meant, one row each, and when they are."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from regions.plan import RegionPlan
from stacks.compare import Key

When = Callable[[RegionPlan, RegionPlan, Key, str], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """Objects (`Noun/Kind`) and paths, as whole regular expressions, that may differ, and when."""

    objects: str
    path: str
    when: When
    reason: str


_SERVED: Final[dict[int, tuple[RegionPlan, frozenset[str]]]] = {}
"""What `_served` found of the plans compared last, by their identity: a hash would read it all."""
_MOST_SERVED: Final = 32


def _served(plan: RegionPlan) -> frozenset[str]:
    known = _SERVED.get(id(plan))
    if known is not None and known[0] is plan:
        return known[1]
    found = frozenset(work.id for work in plan.works)
    if len(_SERVED) >= _MOST_SERVED:
        _SERVED.clear()
    _SERVED[id(plan)] = plan, found
    return found


def _always(here: RegionPlan, there: RegionPlan, key: Key, path: str) -> bool:
    return True


def _unserved(here: RegionPlan, there: RegionPlan, key: Key, path: str) -> bool:
    """One region does not serve the object's model, or the model that the path names."""
    models = _served(here) ^ _served(there)
    return key.model in models or any(f"[{m}]" in path or f"[{m}:" in path for m in models)


def _other_models(here: RegionPlan, there: RegionPlan, key: Key, path: str) -> bool:
    return _served(here) != _served(there)


def _nodes(plan: RegionPlan) -> frozenset[str]:
    return frozenset(name for pool in plan.pools for name in pool.node_names)


def _own_node(here: RegionPlan, there: RegionPlan, key: Key, path: str) -> bool:
    return key.name in _nodes(here) ^ _nodes(there)


def _own_space(here: RegionPlan, there: RegionPlan, key: Key, path: str) -> bool:
    return key.namespace in {*here.system_namespaces} ^ {*there.system_namespaces}


def _provider(here: RegionPlan, there: RegionPlan, key: Key, path: str) -> bool:
    return here.provider != there.provider


def _store(here: RegionPlan, there: RegionPlan, key: Key, path: str) -> bool:
    return bool(here.registry.endpoint) != bool(there.registry.endpoint)


def _keys(here: RegionPlan, there: RegionPlan, key: Key, path: str) -> bool:
    """The registry's keys are a Secret of another name, or none where roles serve."""

    def secrets(plan: RegionPlan) -> set[str]:
        return {work.registry_secret for work in plan.works}

    return secrets(here) != secrets(there)


def _differ(fact: Callable[[RegionPlan], object]) -> When:
    """The two regions differ in a fact of their profiles."""

    def when(here: RegionPlan, there: RegionPlan, key: Key, path: str) -> bool:
        return fact(here) != fact(there)

    return when


def _others_taints(plan: RegionPlan) -> frozenset[object]:
    """What pods of each machine type tolerate."""
    tracks = (track.placement for server in plan.servers for track in server.tracks)
    places = (*tracks, *(job.placement for job in plan.jobs))
    return frozenset((place.machine_type, place.tolerations) for place in places)


def _zones(here: RegionPlan, there: RegionPlan, key: Key, path: str) -> bool:
    return (len(here.zones) > 1) != (len(there.zones) > 1)


def _lacks(capability: str) -> When:
    """Exactly one of the two regions has the capability."""

    def when(here: RegionPlan, there: RegionPlan, key: Key, path: str) -> bool:
        return (capability in here.capabilities) != (capability in there.capabilities)

    return when


def _callees(plan: RegionPlan, namespace: str) -> tuple[str, ...]:
    return next((p.callee_namespaces for p in plan.projects if p.namespace == namespace), ())


def _other_callees(here: RegionPlan, there: RegionPlan, key: Key, path: str) -> bool:
    """The wall is the one for callers, and its project may call elsewhere in the other region."""
    callees = (_callees(plan, key.namespace) for plan in (here, there))
    return key.name == "default-callers" and len({*callees}) > 1


def _less(*features: str) -> When:
    """A downgrade of these features is recorded for the object's model in just one region."""

    def when(here: RegionPlan, there: RegionPlan, key: Key, path: str) -> bool:
        return _has_less(here, key.model, features) != _has_less(there, key.model, features)

    return when


def _has_less(plan: RegionPlan, model: str, features: tuple[str, ...]) -> bool:
    return any(d.feature in features and d.model == model for d in plan.downgrades)


def _said(*fields: str) -> When:
    """The spec says of the object's model that one of these fields differs in a region."""

    def when(here: RegionPlan, there: RegionPlan, key: Key, path: str) -> bool:
        return any(_says(plan, key.model, fields) for plan in (here, there))

    return when


def _says(plan: RegionPlan, model: str, fields: tuple[str, ...]) -> bool:
    found = next((work.differs for work in plan.works if work.id == model), ())
    return any(one == field or one.startswith(f"{field}.") for one in found for field in fields)


def _moved(here: RegionPlan, there: RegionPlan) -> Iterator[str]:
    """Addresses of what models serve that have another machine type in one region, by their specs'
    word. Caches have their rows by address, and two specs may serve one model."""
    works = (*here.works, *there.works)
    moved = {work.id for work in works if "machine_type" in work.differs}
    for plan in (here, there):
        for server in plan.servers:
            if server.workload.id in moved:
                yield from (track.weights.address for track in server.tracks)
        yield from (job.weights.address for job in plan.jobs if job.workload.id in moved)


def _other_pool(here: RegionPlan, there: RegionPlan, key: Key, path: str) -> bool:
    """A whole object, or the row of a model, in the cache of another machine type's nodes."""
    return any(not path or f"[{address}]" in path for address in _moved(here, there))


_SCALERS = r"ReplicaAutoscaler/(ScaledObject|HorizontalPodAutoscaler)"
_PODS = r"Model(Server|Job)/(Deployment|CronJob|Job)"
_OWN_FILES = (
    r".*\.(resources\.(limits|requests)\.ephemeral-storage"
    r"|initContainers\[[\w-]+\]\.(args\[\d+\]|volumeMounts\[[\w-]+\]\.readOnly)"
    r"|volumes\[[\w-]+\]\.(emptyDir|persistentVolumeClaim))"
)
_OF_MACHINE = (
    r".*\.(nodeSelector|tolerations)([.\[].*)?"
    r"|.*\.resources\.(limits|requests)([.\[].*)?"
    r"|.*\.containers\[model-server\]\.(args(\[\d+\])?|startupProbe\.failureThreshold)"
    r"|.*\.volumes\[(models|shared-memory)\]\..*"
    r"|spec\.progressDeadlineSeconds"
)
"""What a pod has of its machine type, and of its model's size on it."""
_OF_SCALING = (
    r"spec\.(m(ax|in)Replica(s|Count)|fallback\.replicas|cooldownPeriod|pollingInterval"
    r"|(triggers|metrics)(\[.*)?)"
)
_STORE = r".*\.env\[ISOSERVE_REGISTRY_ENDPOINT\]"
_KEYS = (
    r".*\.(env\[ISOSERVE_REGISTRY_CREDENTIALS\]"
    r"|volumes\[registry-credentials\](\.secret\.secretName)?"
    r"|volumeMounts\[registry-credentials\])"
)
_DATA = (
    r".*\.(env\[AWS_(ENDPOINT_URL_S3|SHARED_CREDENTIALS_FILE)\]"
    r"|(volumes|volumeMounts)\[secret-[a-z0-9-]+--data\])"
)
_TLS_CA = r".*\[prober\]\.env|.*\.(volumes|volumeMounts)\[tls-ca\]"
_TOKEN = r".*\.(volumes|volumeMounts)\[(token|\d+)\]|spec\.egress(\[\d+\].*)?"

DECLARED: Final[tuple[Declared, ...]] = tuple(
    Declared(objects=objects, path=path, when=when, reason=reason)
    for objects, path, when, reason in (
        (r".*", r"(.*\[.*\].*)?", _unserved, "the region does not serve the model"),
        (
            "ProjectSpace/ResourceQuota",
            r"spec\.hard\..*|spec\.hard\[.*",
            _always,
            "the quota leaves room for the surge, which follows the pool's room",
        ),
        (r"P(latform|roject)Space/.*", r"metadata\.annotations.*isoserve\.dev/region\]?", _always,
         "whose the object is"),
        ("ProjectSpace/NetworkPolicy", r"spec\.egress\[0\]\.to(\[\d+\].*)?", _other_callees,
         "a project calls whoever serves it there"),
        (_PODS, _OF_MACHINE, _said("machine_type"), "the spec says another machine type there"),
        (r"ModelServer/Deployment", r".*\.startupProbe\.failureThreshold|spec\.progressDeadline.*",
         _said("rates"), "its starts take another time there"),
        (_SCALERS, r".*\.stabilizationWindowSeconds", _said("machine_type", "rates"), "as above"),
        (r"SyntheticProbe/PrometheusRule", r".*\.(expr|for)", _said("machine_type", "rates"),
         "as above"),
        (r"ModelJob/Job", r"", _said("machine_type", "tmp_gib", "shared_memory_gib"),
         "what differs there is a run of its own"),
        (r"ServiceDashboard/ConfigMap", r".*\.panels\[\d+\].*", _said("machine_type"),
         "GPUs have panels of their own"),
        (r"ModelCache/.*", r".*", _other_pool, "the nodes of the other machine type keep it there"),
        (_SCALERS, rf"({_OF_SCALING})?", _said("scaling"), "the spec says other replicas there"),
        (r"ModelServer/Deployment", r"(spec\.replicas)?", _said("scaling"), "as above"),
        (r"ModelServer/PodDisruptionBudget", r"", _said("scaling"), "a lone pod has none"),
        (r"SyntheticProbe/PrometheusRule", r".*\.expr", _said("scaling.scale_to_zero"),
         "a model that sleeps is no incident"),
        (_PODS, r".*\.volumes\[tmp\]\..*|.*\.resources\.(limits|requests)\.ephemeral-storage"
         r"|.*\.volumes\[models\]\.emptyDir\.sizeLimit", _said("tmp_gib"),
         "the spec says another size there"),
        (_PODS, r".*\.volumes\[shared-memory\]\..*", _said("shared_memory_gib"), "as above"),
        (_PODS, r"spec\.strategy\.rollingUpdate\..*", _always, "surge follows the pool's room"),
        (r"GpuNodePool/Node", r"", _own_node, "the nodes are the place's own"),
        (r"ModelCache/.*", r"(.*\.storage|.*\.disk_budget_gib)", _always, "disks differ in size"),
        (r"ModelCache/ConfigMap", r".*\.disk_free_percent", _always,
         "kubelets differ in the disk they keep free"),
        (r"ModelCache/PersistentVolume(Claim)?", r"", _lacks("cluster_scope"), "no cache there"),
        (r"ModelCache/.*", r"", _other_models, "none of the models there is cached"),
        (r".*/ServiceAccount", r".*role-arn.*", _provider, "only AWS has IAM roles"),
        (r".*", _STORE, _store, "only an own store needs its endpoint named"),
        (r".*", _KEYS, _keys, "only a store without roles needs keys"),
        (r".*/NetworkPolicy", r"spec\.egress\[\d+\]\.ports(\[\d+\].*)?",
         _differ(lambda plan: plan.registry.ports), "each store has ports of its own"),
        (r".*/NetworkPolicy", r"spec\.egress\[\d+\]\.to(\[\d+\].*)?",
         _differ(lambda plan: plan.registry.addresses), "each store has networks of its own"),
        (r"Model(Server|Job)/NetworkPolicy", r"spec\.egress\[\d+\]\.to(\[\d+\].*)?",
         _differ(lambda plan: plan.reachable), "a host has other networks there"),
        (r".*/NetworkPolicy", r"spec\.(egress\[\d+\]\.to|ingress\[\d+\]\.from)(\[\d+\].*)?",
         _differ(lambda plan: plan.proxy_namespaces), "the gateways' proxies stand elsewhere"),
        (r"Gateway/Certificate", r"", _differ(lambda plan: [g.tls_issuer for g in plan.gateways]),
         "elsewhere others write the gateway's Secret"),
        (r"Gateway/Certificate", r"spec\.issuerRef.*", _always, "each place has its own issuers"),
        (r"Gateway/PodMonitor", r"spec\.namespaceSelector\.matchNames.*",
         _differ(lambda plan: plan.proxy_namespaces), "as above"),
        (r".*/(PodMonitor|PrometheusRule)", r"metadata\.labels.*",
         _differ(lambda plan: plan.prometheus.labels), "each Prometheus selects by its own labels"),
        (r"ModelRoute/SecurityPolicy", r"spec\.jwt\.providers\[[^\]]*\]\.(local|remote)JWKS.*",
         _differ(lambda plan: {(s.access.jwks, s.access.prober_jwks) for s in plan.servers}),
         "only one place has the issuer's keys in its profile"),
        (r"ModelRoute/SecurityPolicy", r"spec\.authorization\.rules\[[^\]]*\]\..*\.claims.*",
         _differ(lambda plan: {s.access.groups_claim for s in plan.servers}),
         "each identity provider has a claim of its own for groups"),
        (r"Gateway/Gateway", r"spec\.infrastructure.*",
         _differ(lambda plan: [g.annotations for g in plan.gateways]),
         "each cloud has its own words for the side of the internet"),
        (r"AdmissionGuard/ValidatingAdmissionPolicy",
         r"spec\.variables\[(addresses|hosts|provider|proxies|reachable|registry|scraper)\]\.expression.*",
         _always, "the place's own facts, from its profile"),
        (r"(Model(Server|Job|Cache)|SyntheticProbe)/.*", r".*\.imagePullSecrets.*",
         _differ(lambda plan: plan.pull_secret), "each region pulls images by a Secret of its own"),
        (r"Model(Server|Job|Cache)/.*", r".*\.tolerations.*", _differ(_others_taints),
         "others put taints of their own on the nodes there"),
        (_PODS, _OWN_FILES, _less("model cache"), "the pod downloads the model"),
        (_PODS, _KEYS, _less("model cache"), "as above"),
        (_PODS, r".*skip-containers.*", _less("model cache"), "the download has a role"),
        (r"Model(Server|Job)/NetworkPolicy", r"spec\.egress.*", _less("model cache"),
         "the download reaches the registry"),
        (r"Model(Server|Job)/ServiceAccount", r".*role-arn.*", _less("model cache"), "as above"),
        (r"ModelJob/(CronJob|Job)", _DATA, _less("role of a job"), "its pods have keys there"),
        (_PODS, r".*\.priorityClassName", _lacks("cluster_scope"), "no priority classes"),
        (_PODS, r".*\.topologySpreadConstraints", _zones, "one zone needs no spread"),
        (r"AdmissionGuard/.*", r"", _lacks("cluster_scope"), "namespace rights only"),
        (r".*/(Namespace|PriorityClass)", r"", _lacks("cluster_scope"), "namespace rights only"),
        (r".*", r"", _own_space, "the platform has no namespace of its own there"),
        (_SCALERS, r"", _lacks("keda"), "KEDA's objects need KEDA"),
        (r"SyntheticProbe/PrometheusRule", r"spec\.groups\[[\w.-]+-load\]", _lacks("keda"),
         "the load of what an HPA scales is watched"),
        (r"SyntheticProbe/PrometheusRule", r".*\.expr", _less("scale to zero"),
         "a model that sleeps is no incident"),
        (r"SyntheticProbe/PrometheusRule", r".*\.labels\.severity", _lacks("cluster_scope"),
         "what may be preempted pages nobody, and only a cluster's own classes say so"),
        (_SCALERS, r"", _less("spot nodes"), "a model without spot is one Deployment"),
        (_SCALERS, r"spec\.m(ax|in)Replica(s|Count)", _less("spot nodes"), "as above"),
        (_SCALERS, r"spec\.triggers\[\d+\].*", _less("spot nodes"), "as above"),
        (_SCALERS, r"spec\.metrics\[.*", _lacks("custom_metrics"), "scales on CPU"),
        (r"ModelJob/(CronJob|Job)", r".*\.(nodeSelector|tolerations|affinity).*",
         _less("spot nodes"), "runs on on-demand nodes there"),
        (r"Model(Job/(CronJob|Job)|Server/Deployment)", r".*\.(nodeSelector|affinity).*",
         _less("spot fallback"), "its spot pods wait for spot nodes there"),
        (r"ModelServer/Deployment", r"", _less("spot nodes"), "no Deployment of spot replicas"),
        (r"ModelServer/Deployment", r"spec\.replicas", _less("spot nodes"), "as above"),
        (r"ModelServer/Deployment", r"spec\.replicas", _lacks("keda"), "an HPA keeps one at least"),
        (r".*/(PodMonitor|PrometheusRule|Probe|ConfigMap)", r"", _lacks("prometheus_operator"),
         "rules are handed over in a ConfigMap"),
        (r".*", r".*prometheus\.io/.*", _lacks("prometheus_operator"), "pods are found by labels"),
        (r"SyntheticProbe/Deployment", r".*config-sha256.*", _always,
         "it follows the config, which is compared itself"),
        (r"SyntheticProbe/.*", _TOKEN, _other_models, "a token for public models only"),
        (r"SyntheticProbe/.*", _TLS_CA, _differ(lambda plan: {p.tls_ca for p in plan.probers}),
         "the gateway's certificate is of an authority of the region's own"),
    )
)  # fmt: skip
"""A difference without a row here is an error."""

_PATTERNS: Final = [(re.compile(row.objects), re.compile(row.path), row) for row in DECLARED]


def declared(here: RegionPlan, there: RegionPlan, key: Key, path: str) -> Declared | None:
    """The row that declares this difference, if any."""
    name = f"{key.noun}/{key.kind}"
    for objects, paths, row in _PATTERNS:
        if objects.fullmatch(name) and paths.fullmatch(path) and row.when(here, there, key, path):
            return row
    return None
