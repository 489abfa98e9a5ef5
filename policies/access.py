"""Rules about who reaches a model: exactly those whom its `access` and `share_with` allow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from model_specs.names import LABEL_PROJECT
from policies.entrances import strange_doors
from policies.gateways import attaches
from policies.podsets import TCP, PodSet, pod_sets
from policies.reach import Reach
from policies.resources import Resource
from policies.rule import Estate, Fault, Rule, whole
from policies.walls import LABEL_NAMESPACE, Sender, admits
from policies.wishes import PROMISED, Wish, refusal, remedy, wish_of


def _refused(reach: Reach, pods: PodSet, wish: Wish) -> Iterator[Fault]:
    facts = reach.estate.facts
    for path in reach.paths(pods, wish.most):
        why = refusal(path, wish)
        if why is not None:
            field = "share_with" if path.who in facts.projects else "access"
            what = f"can be reached {path}, {why}"
            yield Fault(pods.workload, what, remedy(path, wish, facts, pods.model), field)


def ports(service: Resource, pods: PodSet) -> Iterator[int]:
    """The ports of the pods that a Service sends to."""
    for port in service.spec.get("ports") or ():
        target = port.get("targetPort", port["port"])
        named = (number for number, _ in pods.ports.get(str(target), ()))
        yield from named if isinstance(target, str) else (target,)


def _lets_in(reach: Reach, pods: PodSet, service: Resource, namespace: str) -> bool:
    """Whether the walls let every pod of a namespace to some port of the Service."""
    labels = {LABEL_NAMESPACE: namespace, LABEL_PROJECT: namespace}
    sender, walls = Sender(namespace, labels, {}, ""), reach.walls(pods)
    return any(admits(walls, pods, sender, port, TCP) for port in ports(service, pods))


def _is_promised(reach: Reach, pods: PodSet, gate: str) -> bool:
    """Whether the promised gateway has a route to these pods, takes it, and is let in."""
    led = any(
        door.gate is not None
        and (door.opener.kind, door.gate.name) == ("HTTPRoute", gate)
        and attaches(reach.estate, door.opener, door.parent)
        for door in reach.doors(pods)
    )
    proxies = reach.estate.facts.profile.proxy_namespaces
    return led and any(
        all(_lets_in(reach, pods, service, namespace) for namespace in proxies)
        for service in reach.services(pods)
    )


def _missed(reach: Reach, sets: Sequence[PodSet], wish: Wish) -> Iterator[Fault]:
    """Who is allowed and cannot come."""
    first, gate = sets[0], PROMISED[wish.access]
    name = first.model.partition("/")[2]
    served = [
        (pods, service)
        for pods in sets
        for service in reach.services(pods)
        if service.metadata["name"] == name
    ]
    for caller in sorted(wish.callers):
        if not any(_lets_in(reach, pods, service, caller) for pods, service in served):
            what = f"cannot be reached from {caller}, which its spec allows"
            fix = f"let {caller} in at the port to which Service {first.namespace}/{name} sends"
            yield Fault(first.workload, what, fix, "share_with")
    if gate and not any(_is_promised(reach, pods, gate) for pods in sets):
        what = f"cannot be reached through Gateway {gate}, which access: {wish.access} promises"
        fix = "give it an HTTPRoute that the gateway takes, and let the gateway in"
        yield Fault(first.workload, what, fix, "access")


def by_model(estate: Estate) -> Mapping[str, list[PodSet]]:
    """Pods by the model that they serve, and a project's other pods or those of some Service."""
    found: dict[str, list[PodSet]] = {}
    reach, projects = estate.once(Reach), estate.facts.projects
    for pods in estate.once(pod_sets):
        if pods.model or pods.namespace in projects or reach.services(pods):
            found.setdefault(pods.model or str(pods.workload), []).append(pods)
    return found


def _asked(estate: Estate) -> list[tuple[list[PodSet], Wish]]:
    """The pods of each model, and what was asked for them."""
    sets = estate.once(by_model).values()
    return [(pods, wish_of(pods[0], estate.facts)) for pods in sets]


def _judged(estate: Estate, access: str) -> Iterator[Fault]:
    """Everything wrong with the models that asked for `access`; a path is told once a model."""
    reach = estate.once(Reach)
    for sets, wish in estate.once(_asked):
        if wish.access != access:
            continue
        found = [fault for pods in sets for fault in _refused(reach, pods, wish)]
        yield from {fault.what: fault for fault in reversed(found)}.values()
        if wish.serves:
            yield from _missed(reach, sets, wish)


@whole("P04", "public-needs-auth")
def _public_needs_auth(estate: Estate) -> Iterator[Fault]:
    """A public model is reached through the public gateway alone: by TLS, signed in, by quota.

    Every rule of every route to it must demand a token that the profile's sign_in or, for the
    prober, the cluster issued, or a key of a caller, and count each caller by a name that the
    caller cannot choose.
    """
    yield from _judged(estate, "public")


@whole("P05", "private-no-ingress")
def _private_no_ingress(estate: Estate) -> Iterator[Fault]:
    """A private model is reached from its own project and those it is shared with, by no route.

    The scraper may read it too. Jobs and a project's other pods, such as its prober, are private.
    """
    yield from _judged(estate, "private")


@whole("P06", "permissive-inside-only")
def _permissive_inside_only(estate: Estate) -> Iterator[Fault]:
    """A permissive model is reached through the internal gateway, under one limit for everybody.

    It has no date on which it ends and no environment, as permissive is a lasting way to serve.
    """
    yield from _judged(estate, "permissive")


@whole("P05", "no-side-door")
def _no_side_door(estate: Estate) -> Iterator[Fault]:
    """Every way to a model is one that can be followed: what nobody can judge is refused.

    Hand-written endpoints, names that lead elsewhere, mesh and vendor kinds are such ways.
    """
    for resource in estate.resources:
        for what in strange_doors(resource) if resource.is_object else ():
            yield Fault(resource, what, "remove it; routes and Services follow from access", "")


RULES: Final[tuple[Rule, ...]] = (
    _public_needs_auth,
    _private_no_ingress,
    _permissive_inside_only,
    _no_side_door,
)
