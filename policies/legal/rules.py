"""Rules that refuse whatever is not written down as legal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from model_specs.names import KEYS_POLICY, LABEL_ROLE
from policies.facts import Facts
from policies.legal import (
    gateways,
    job_pods,
    model_pods,
    network,
    own_pods,
    platform,
    sign_in,
    together,
    watching,
)
from policies.legal.asked import NotAsked
from policies.legal.aws import AWS
from policies.legal.options import NOUNS, OUR_OWN, wrong_options
from policies.legal.shapes import Checker, Deviation, Subject, compiled
from policies.resources import Resource, registered
from policies.rule import Estate, Fault, Rule, each, whole

_MODEL, _PROJECT, _PLATFORM, _BOARD = "model", "project", "platform", "board"
_KEYS: Final = "callers-keys"
SHAPES: Final[dict[tuple[str, str], object]] = {
    ("BackendTrafficPolicy", _MODEL): network.TRAFFIC_POLICY,
    ("Certificate", _PLATFORM): gateways.CERTIFICATE,
    ("ConfigMap", "cache-agent"): watching.AGENT_CONFIG,
    ("ConfigMap", "dashboard"): watching.REGION_BOARD,
    ("ConfigMap", "prober"): watching.PROBER_CONFIG,
    ("ConfigMap", _BOARD): watching.MODEL_BOARD,
    ("ConfigMap", _MODEL): watching.RULE_FILE,
    ("CronJob", "model-job"): job_pods.SCHEDULED_JOB,
    ("DaemonSet", "cache-agent"): own_pods.CACHE_AGENT,
    ("Deployment", "model-server"): model_pods.MODEL_SERVER,
    ("Deployment", "prober"): own_pods.PROBER_DEPLOYMENT,
    ("Gateway", _PLATFORM): gateways.GATEWAY,
    ("HTTPRoute", _PLATFORM): gateways.REDIRECT,
    ("HTTPRoute", _MODEL): network.HTTP_ROUTE,
    ("HorizontalPodAutoscaler", _MODEL): watching.HPA,
    ("Job", "model-job"): job_pods.SINGLE_JOB,
    ("LimitRange", _PROJECT): platform.LIMITS,
    ("Namespace", _PLATFORM): platform.PLATFORM_SPACE,
    ("Namespace", _PROJECT): platform.PROJECT_SPACE,
    ("NetworkPolicy", "cache-agent"): network.AGENT_POLICY,
    ("NetworkPolicy", "default-callers"): network.DEFAULT_CALLERS,
    ("NetworkPolicy", "prober"): network.PROBER_POLICY,
    ("NetworkPolicy", _MODEL): network.MODEL_POLICY,
    ("NetworkPolicy", _PROJECT): network.DEFAULT_DENY,
    ("Node", _PLATFORM): platform.NODE,
    ("PersistentVolume", _PROJECT): platform.VOLUME,
    ("PersistentVolumeClaim", _PROJECT): platform.CLAIM,
    ("PodDisruptionBudget", _MODEL): platform.BUDGET,
    ("PodMonitor", "cache-agent"): watching.AGENT_MONITOR,
    ("PodMonitor", "prober"): watching.PROBER_MONITOR,
    ("PodMonitor", _MODEL): watching.MODEL_MONITOR,
    ("PodMonitor", _PLATFORM): watching.PROXY_MONITOR,
    ("PriorityClass", _PLATFORM): platform.PRIORITY_CLASS,
    ("PrometheusRule", _MODEL): watching.PROMETHEUS_RULE,
    ("ResourceQuota", _PROJECT): platform.QUOTA,
    ("Role", "cache-agent"): platform.AGENT_ROLE,
    ("Role", _PROJECT): platform.PROJECT_ROLE,
    ("RoleBinding", "cache-agent"): platform.AGENT_BINDING,
    ("RoleBinding", _PROJECT): platform.PROJECT_BINDING,
    ("ScaledObject", _MODEL): watching.SCALED_OBJECT,
    ("SecurityPolicy", _KEYS): sign_in.KEYS,
    ("SecurityPolicy", _MODEL): sign_in.SECURITY_POLICY,
    ("Service", "cache-agent"): network.AGENT_SERVICE,
    ("Service", _MODEL): network.MODEL_SERVICE,
    ("ServiceAccount", "cache-agent"): platform.AGENT_ACCOUNT,
    ("ServiceAccount", "prober"): platform.PROBER_ACCOUNT,
    ("ServiceAccount", _MODEL): platform.MODEL_ACCOUNT,
    ("ValidatingAdmissionPolicy", _PLATFORM): platform.GUARD,
    ("ValidatingAdmissionPolicyBinding", _PLATFORM): platform.GUARD_BINDING,
    **{(kind, ""): shape for kind, shape in AWS.items()},
}
"""Everything that isoserve makes: the shape by kind and by whose or what it is."""
_CHECKERS: Final[dict[tuple[str, str], Checker]] = {
    key: compiled(shape) for key, shape in SHAPES.items()
}


def variant(resource: Resource) -> str:
    """Whose an object is, or what it is of the platform; empty for what is no object."""
    if not resource.is_object:
        return ""
    labels, name = resource.labels, str(resource.metadata.get("name"))
    role = str(labels.get(LABEL_ROLE, ""))
    if role:
        return role
    if resource.model:
        if (resource.kind, name.endswith(KEYS_POLICY)) == ("SecurityPolicy", True):
            return _KEYS
        return _BOARD if "grafana_dashboard" in labels else _MODEL
    if name == "default-callers":
        return "default-callers"
    return _PROJECT if resource.project else _PLATFORM


_PLACES: Final = {
    "args": "args",
    "command": "image",
    "env": "env",
    "image": "image",
    "schedule": "batch.schedule",
    "subjects": "members",
    "triggers": "scaling",
}
"""By step of a path, the field of the spec or project that it follows."""


def deviations(resource: Resource, facts: Facts) -> list[Deviation]:
    """What of a resource is not as isoserve makes it of these facts."""
    checker = _CHECKERS.get((resource.kind, variant(resource)))
    if checker is None:
        return [Deviation((), f"is a part that this program never makes, {variant(resource)}")]
    try:
        return checker(dict(resource.values), Subject(resource, facts))
    except NotAsked as why:
        return [Deviation((), str(why))]


def _place(one: Deviation, resource: Resource) -> str:
    """The field that a person would look at; empty is the file as a whole."""
    found = [_PLACES[step] for step in one.path if isinstance(step, str) and step in _PLACES]
    return found[-1] if found and (resource.model or resource.project) else ""


def _is_kept(one: Deviation, resource: Resource) -> bool:
    kept = (tuple(path.split(".")) for path in resource.kept)
    return any(one.path[: len(steps)] == steps for steps in kept)


_KINDS: Final = frozenset(kind for kind, _ in SHAPES)


@each("P37", "as-asked", *sorted(_KINDS))
def _as_asked(resource: Resource, facts: Facts) -> Iterator[Fault]:
    """Every field of everything is legal by name and has the value that specs, profile and
    catalogues ask for: images, commands, arguments, variables, volumes, Secrets, accounts, routes,
    limits, nodes, buckets, providers. A field that this program never sets is refused by name; one
    that `up` leaves alone (components/ownership.md) may be as an earlier `up` made it."""
    for one in deviations(resource, facts):
        if _is_kept(one, resource):
            continue
        fix = "render it as specs and profile say"
        yield Fault(resource, str(one), fix, _place(one, resource))


_REGISTERED: Final = _KINDS | OUR_OWN | NOUNS
"""Everything that this program registers with the engine."""


@each("P37", "options-closed", *sorted(_REGISTERED))
def _options_closed(resource: Resource, facts: Facts) -> Iterator[Fault]:
    """By no option of the engine is anything left alone, kept, adopted, replaced, renamed or
    changed on its way but what the program is known to register so: `ignoreChanges`, `protect`,
    `retainOnDelete`, `import`, `aliases`, timeouts, hooks, transforms, a plugin's address and every
    other option are legal by kind and value, and refused by name."""
    for what in wrong_options(resource, facts):
        yield Fault(resource, what, "register it without", "")


_PATCHES: Final = {"kubernetes:core/v1:NodePatch": "kubernetes:core/v1:Node"}
"""What is there before isoserve, which it only labels."""


@whole("P37", "known-kinds")
def _known_kinds(estate: Estate) -> Iterator[Fault]:
    """Nothing is made of a kind, or by a package, that this program never makes, and every object
    is registered as what it says it is: the provider goes by the one, rules by the other."""
    for resource in estate.resources:
        token = _PATCHES.get(resource.type, resource.type)
        if resource.is_object and registered(resource.values) != token:
            what = f"is registered as {resource.type} and says {registered(resource.values)}"
            yield Fault(resource, what, "register it as what it is", "")
        if resource.kind not in _REGISTERED:
            fix = "take it out, or write down what is legal of it first"
            yield Fault(resource, "is of a kind that this program never makes", fix, "")


RULES: Final[tuple[Rule, ...]] = (_as_asked, _options_closed, _known_kinds, *together.RULES)
