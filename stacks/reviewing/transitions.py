"""Proves that every order which `up` may take from one plan to another is safe, model by model.

Every moment that the engine may come to (stacks.reviewing.moments) is looked at, of each model by
itself: acts of other models change nothing of its own but through walls of the project, which are
counted in. A finding says so where there are more moments than are given.

Counts are lower bounds: of pods that are being replaced, all but one serve (maxUnavailable), and a
lone one counts as one, since `lone replica restarts` speaks of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from components.gates.acts import HANDOVER, POD_DRAIN, takes
from components.kube import Object
from components.model_network import LABEL_VERSION
from components.order import ROWS, WORKLOADS, Row, Step
from components.ownership import left_alone, targeted
from components.parts import Part, parts
from regions.plan import RegionPlan
from stacks.reviewing.moments import (
    Moment,
    Side,
    acts_between,
    all_moments,
    asked,
    objects_at,
    rolled,
    side_of,
)
from stacks.reviewing.sides import Sides
from stacks.reviewing.steps import Step as Change

CROWDED, FEWER, UNSEEN = "no room side by side", "fewer serve", "orders not looked at"
ACCEPTABLE: Final = frozenset({FEWER, UNSEEN})
"""Findings that a person may accept, in an incident for example: users are still served. So are
they where it is CROWDED, which stacks.reviewing.side_by_side finds."""
_RUNS: Final = ("CronJob", "Job")
_DEFAULT_REPLICAS: Final = 1
"""What the API server sets where a manifest has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A moment that neither plan has: what is wrong, what led to it, and what to do."""

    model: str
    region: str
    name: str
    reason: str
    order: tuple[str, ...]
    cure: str


class Users:
    """What a model's users meet at a moment of the change."""

    def __init__(self, name: str, old: Side, new: Side) -> None:
        self.name, self.old, self.new = name, old, new

    def backends(self, at: Moment) -> dict[str, int]:
        """The share of users' requests by role; the Service's where there is no route."""
        services: dict[str, str] = {}
        shares: dict[str, int] = {}
        routes = [made for made in at.objects.values() if made["kind"] == "HTTPRoute"]
        for made in at.objects.values():
            chosen = made["spec"].get("selector", {}) if made["kind"] == "Service" else {}
            if LABEL_VERSION in chosen:
                services[made["metadata"]["name"]] = chosen[LABEL_VERSION]
        if routes:
            for backend in routes[0]["spec"]["rules"][-1]["backendRefs"]:
                role = services.get(backend["name"], "nobody")
                shares[role] = shares.get(role, 0) + backend["weight"]
        else:
            own = self.name.rpartition("/")[2]
            shares = {role: 100 for name, role in services.items() if name == own}
        return {role: share for role, share in shares.items() if share}

    def _deployments(self, at: Moment) -> list[Object]:
        return [
            made
            for made in at.objects.values()
            if made["kind"] == "Deployment" and _role(made) in ("stable", "candidate")
        ]

    def versions(self, at: Moment) -> dict[str, int]:
        """The most of users' requests that each version may answer, in percent."""
        shares: dict[str, int] = {}
        for role, share in self.backends(at).items():
            found = {
                version
                for key, made in at.objects.items()
                if made["kind"] == "Deployment" and _role(made) == role
                for version in self._running(at, key)
            }
            for version in found:
                shares[version] = shares.get(version, 0) + share
        return shares

    def _running(self, at: Moment, key: str) -> set[str]:
        """The versions of a Deployment's pods: while they are replaced, both."""
        made = at.objects[key]
        found = {version_of(made)}
        old = self.old.steps.get(key)
        if key in at.done and rolled(key) not in at.done and old is not None and old.made:
            found.add(version_of(old.made))
        return found

    def capacity(self, at: Moment) -> int:
        """Pods that serve users, at least."""
        roles = self.backends(at)
        return sum(
            self._ready(at, key)
            for key, made in at.objects.items()
            if made["kind"] == "Deployment" and _role(made) in roles
        )

    def _ready(self, at: Moment, key: str) -> int:
        made, old = at.objects[key], self.old.steps.get(key)
        was = self._live(self.old, old.made) if old is not None and old.made else 0
        if key not in at.done:
            taken = self._taken(at, (made["metadata"]["namespace"], made["metadata"]["name"]))
            left = was if taken is None else min(was, taken)
            return left if self.is_reached(at, made) else 0
        wanted = self._wanted(at, key, was)
        if rolled(key) in at.done:
            return max(wanted, self._live(self.new, made) if wanted else 0)
        if old is None or old.made is None:
            return 0
        reached = self.is_reached(at, old.made) and self.is_reached(at, made)
        if not reached:
            return 0
        least = min(was, wanted)
        if _template(old.made) == _template(made):
            return least
        unavailable: int = made["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"]
        return max(least - unavailable, min(least, 1))

    def _wanted(self, at: Moment, key: str, was: int) -> int:
        """The replicas once the Deployment is changed."""
        made = at.objects[key]
        if "spec.replicas" in left_alone(made, self.new.scaled) and was:
            return min(was, self._live(self.new, made))
        wanted = int(made["spec"].get("replicas", _DEFAULT_REPLICAS))
        own = (made["metadata"]["namespace"], made["metadata"]["name"])
        if own in self.old.scaled and not self._is_stopped(at, own):
            return min(wanted, self.old.scaled[own])
        return wanted

    def _is_stopped(self, at: Moment, own: tuple[str, str]) -> bool:
        """Whether the autoscaler that had the replicas sets them no more, or still shall."""
        if own in self.new.scaled:
            return True
        return self._taken(at, own) is not None or own not in targeted(at.objects.values())

    def _taken(self, at: Moment, own: tuple[str, str]) -> int | None:
        """The replicas that a hand-over has set by now; None where none has."""
        named = f"{own[0]}/{own[1]}"
        for key, step in self.new.steps.items():
            if step.kind == HANDOVER and step.name == named and key in at.done:
                olds, news = asked(self.old, key), asked(self.new, key)
                if takes(olds, news):
                    return int(news["replicas"])
        return None

    def _live(self, side: Side, made: Object) -> int:
        own = (made["metadata"]["namespace"], made["metadata"]["name"])
        if own in side.scaled:
            return side.scaled[own]
        return int(made["spec"].get("replicas", _DEFAULT_REPLICAS))

    def is_reached(self, at: Moment, made: Object) -> bool:
        """Whether a policy of the model lets requests in to the pods' own port."""
        ports = made["spec"]["template"]["spec"]["containers"][0]["ports"]
        own = {port["containerPort"] for port in ports if port["name"] == "http"}
        labels = made["spec"]["template"]["metadata"]["labels"]
        for policy in at.objects.values():
            if policy["kind"] != "NetworkPolicy":
                continue
            chosen = policy["spec"]["podSelector"]
            if chosen and chosen.get("matchLabels", {}).items() <= labels.items():
                rules = policy["spec"].get("ingress", ())
                if own & {port["port"] for rule in rules for port in rule.get("ports", ())}:
                    return True
        return False

    def entrances(self, at: Moment) -> set[tuple[str, bool, bool]]:
        """Gateways that lead in: whether callers sign in, and whether there is a limit."""
        kinds = {made["kind"] for made in at.objects.values()}
        signed, limited = "SecurityPolicy" in kinds, "BackendTrafficPolicy" in kinds
        return {
            (parent["name"], signed, limited)
            for made in at.objects.values()
            if made["kind"] == "HTTPRoute"
            for parent in made["spec"]["parentRefs"]
        }

    def is_open(self, at: Moment) -> bool:
        """Whether pods may run that no policy of the project closes."""
        closed = any(
            made["kind"] == "NetworkPolicy"
            and not made["spec"].get("podSelector")
            and {"Egress", "Ingress"} <= set(made["spec"].get("policyTypes", ()))
            for made in at.objects.values()
        )
        runs = any(made["kind"] in _RUNS for made in at.objects.values())
        return (runs or bool(self._deployments(at))) and not closed

    def is_left_to_drain(self, at: Moment) -> bool:
        """Whether pods may still end though their account or a policy around them is gone, or
        nobody waits for their end."""
        gone = [(key, step) for key, step in self.old.steps.items() if key not in self.new.steps]
        waits = {f"-{key}" for key, step in gone if step.kind == POD_DRAIN}
        own = {f"-{k}" for k, step in gone if step.kind in WORKLOADS and step.model == self.name}
        needed = {f"-{key}" for key, step in gone if _needed(step, self.name)}
        if waits and waits <= at.done:
            return not own <= at.done
        is_over = not any(step.model == self.name for step in self.new.steps.values())
        return bool(needed & at.done) and (bool(waits) or (bool(own) and is_over))


def _needed(step: Step, model: str) -> bool:
    """Whether a model's pods need it until they have ended: a policy, or their account."""
    return step.kind == "NetworkPolicy" or (step.kind == "ServiceAccount" and step.model == model)


def _role(made: Object) -> str:
    labels: dict[str, str] = made["spec"]["template"]["metadata"].get("labels", {})
    return labels.get(LABEL_VERSION, "")


def _template(made: Object) -> Any:
    return made["spec"]["template"]


def version_of(made: Object) -> str:
    """What decides a pod's answers: the model, the image and its settings."""
    template = _template(made)
    notes = template["metadata"].get("annotations", {})
    container = template["spec"]["containers"][0]
    told = [container.get(field) for field in ("image", "command", "args")]
    return f"{notes.get('isoserve.dev/model-digest')} {told}"


Check = Callable[[Users, Moment, Moment, Moment], str]
"""(model, the moment, the first, the last) -> what is wrong; empty if nothing is."""


def _capacity(model: Users, at: Moment, first: Moment, last: Moment) -> str:
    had, gets, now = (model.capacity(one) for one in (first, last, at))
    if not had or not gets:
        return ""
    if not now or now >= min(had, gets) - 1:
        return ""  # of none at all `_nobody` speaks
    return f"{now} pods may be all that serve, {had} did and {gets} shall"


def _nobody(model: Users, at: Moment, first: Moment, last: Moment) -> str:
    if not model.capacity(first) or not model.capacity(last) or model.capacity(at):
        return ""
    return "no pod may serve, though some did and some shall"


def _versions(model: Users, at: Moment, first: Moment, last: Moment) -> str:
    before, after = model.versions(first), model.versions(last)
    if not before or not after:
        return ""
    for version, share in model.versions(at).items():
        allowed = max(before.get(version, 0), after.get(version, 0))
        if share > allowed:
            what = "the old version" if version in before else "a version"
            return f"{what} may answer {share} % of users again, {allowed} % was the most"
    return ""


def _access(model: Users, at: Moment, first: Moment, last: Moment) -> str:
    known = model.entrances(first) | model.entrances(last)
    for gateway, signed, limited in sorted(model.entrances(at)):
        if not any(
            gateway == other and signed >= signs and limited >= limits
            for other, signs, limits in known
        ):
            who = "anybody" if not signed else "whoever signs in"
            return f"{who} may come in through gateway {gateway}, as in neither plan"
    return ""


def _open(model: Users, at: Moment, first: Moment, last: Moment) -> str:
    if model.is_open(at) and not model.is_open(first) and not model.is_open(last):
        return "its pods may run while no policy of the project closes them"
    if model.is_left_to_drain(at):
        return "its pods may still end while their account or a policy around them is gone already"
    return ""


CHECKS: Final[dict[str, tuple[Check, str]]] = {
    FEWER: (_capacity, "change one thing at a time: first what adds, then what removes"),
    "nobody serves": (_nobody, "change one thing at a time: first what adds, then what removes"),
    "old version again": (
        _versions,
        "promote in two steps: the new version beside its candidate first, then without",
    ),
    "access opens": (_access, "close the old way first, in a change of its own"),
    "pods without walls": (_open, "make the project in a change of its own"),
}
"""What must hold at every moment, by the name of its finding, and what to write instead."""


def all_transitions(sides: Sides, steps: Iterable[Change]) -> list[Finding]:
    """What may go wrong for the models that a change touches, in every region."""
    touched: dict[str, set[str]] = {}
    for step in steps:
        for region in step.regions if step.key.model else ():
            touched.setdefault(region, set()).add(step.key.model)
    found: list[Finding] = []
    for region, models in sorted(touched.items()):
        old, new = (_only(side.plans.get(region), models) for side in (sides.base, sides.work))
        if new[0] is None:
            continue  # its stack is left as it is
        for model in sorted(models):
            found += transitions(model, region, old, new, ROWS)
    return found


def _only(plan: RegionPlan | None, models: set[str]) -> tuple[RegionPlan | None, Sequence[Part]]:
    """A plan with these models alone, and what is made of it."""
    if plan is None:
        return None, ()
    servers = tuple(server for server in plan.servers if server.workload.id in models)
    jobs = tuple(job for job in plan.jobs if job.workload.id in models)
    plan = replace(plan, servers=servers, jobs=jobs, caches=(), pools=())
    return plan, list(parts(plan))


def transitions(
    model: str,
    region: str,
    old: tuple[RegionPlan | None, Sequence[Part]],
    new: tuple[RegionPlan | None, Sequence[Part]],
    rows: Sequence[Row],
) -> Iterator[Finding]:
    """What may go wrong for one model on the way from one plan of a region to another.

    `rows` is the order that the engine keeps (components.order.ROWS). Each kind of finding comes
    once, with the shortest way to it.
    """
    sides = side_of(*old, model, rows), side_of(*new, model, rows)
    acts = acts_between(*sides)
    if not acts:
        return
    seen = Users(model, *sides)
    labels = {act.id: act.label for act in acts}
    first = Moment(frozenset(), objects_at(*sides, frozenset()))
    whole = frozenset(labels)
    last = Moment(whole, objects_at(*sides, whole))
    left = dict(CHECKS)
    looked = 0
    for at in all_moments(sides[0], acts, sides[1]):
        looked += 1
        for name, (check, cure) in list(left.items()):
            reason = check(seen, at, first, last)
            if reason:
                del left[name]
                order = tuple(labels[act.id] for act in acts if act.id in at.done)
                yield Finding(
                    model=model, region=region, name=name, reason=reason, order=order, cure=cure
                )
        if not left:
            return
    if at.done != whole:  # the whole is the largest, so it comes last
        reason = f"there are more than {looked} moments, and not all were looked at"
        cure = "change fewer things at once"
        yield Finding(model=model, region=region, name=UNSEEN, reason=reason, order=(), cure=cure)
