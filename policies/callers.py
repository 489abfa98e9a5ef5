"""Rules about callers: whoever may call a model gets out of its own namespace to it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from model_specs.names import LABEL_PROJECT
from policies.access import by_model, ports
from policies.podsets import TCP, PodSet
from policies.reach import Reach
from policies.resources import absent
from policies.rule import Estate, Fault, Rule, whole
from policies.walls import releases
from policies.wishes import wish_of

_PROXY: Final = 10080
"""Where Envoy Gateway's proxies take what its listeners take at port 80: never below 1024."""


def some_pods(namespace: str) -> PodSet:
    """Pods that others made in a namespace: no model's, and nothing else is known of them."""
    return PodSet(absent("Pod", namespace, "some", {}), {}, {}, on_node=False)


def gets_out(reach: Reach, caller: str, to: PodSet, at: Iterable[int]) -> bool:
    """Whether the walls let every pod of a namespace but its models' out to one of the ports."""
    pods = some_pods(caller)
    walls = reach.walls(pods)
    return any(releases(walls, pods, to, port, TCP) for port in at)


def _may_not_leave(reach: Reach, sets: Sequence[PodSet], callers: Iterable[str]) -> Iterator[str]:
    """The callers that get out to none of a model's pods; its Service is another rule's matter."""
    doors = [(pods, {*ports(one, pods)}) for pods in sets for one in reach.services(pods)]
    for caller in sorted(callers):
        if doors and not any(gets_out(reach, caller, pods, at) for pods, at in doors):
            yield caller


def _kept_in(estate: Estate) -> Iterator[tuple[str, str, str]]:
    """Caller, the namespace to which it has no way out, and the model that it may call there."""
    reach, asked = estate.once(Reach), ""
    for model, sets in estate.once(by_model).items():
        wish = wish_of(sets[0], estate.facts)
        if wish.serves:
            stuck = _may_not_leave(reach, sets, wish.callers)
            yield from ((caller, sets[0].namespace, model) for caller in stuck)
        if wish.access == "permissive":
            asked = model
    for caller in sorted(estate.facts.projects) if asked else ():
        for proxies in estate.facts.profile.proxy_namespaces:
            if not gets_out(reach, caller, some_pods(proxies), [_PROXY]):
                yield caller, proxies, asked


@whole("P28", "callers-reach")
def _callers_reach(estate: Estate) -> Iterator[Fault]:
    """Whoever may call a model gets out to it: its project, those that it is shared with, and to
    the gateways of a permissive one every project.

    The model's own wall lets them in; that is of no use to pods whose own walls keep them.
    """
    found = {(caller, space): model for caller, space, model in _kept_in(estate)}
    for (caller, space), model in sorted(found.items()):
        lacking = absent("NetworkPolicy", caller, "default-callers", {LABEL_PROJECT: caller})
        what = f"lets no pod of {caller} out to {space}, and they may call {model}"
        yield Fault(lacking, what, f"name {space} there, for all pods but those of models", "")


RULES: Final[tuple[Rule, ...]] = (_callers_reach,)
