"""Rules about who sets replicas: one hand a Deployment, within bounds, safe when it goes blind."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

from policies.facts import Facts
from policies.models import contract_of
from policies.pods import Block
from policies.resources import Resource
from policies.rule import Estate, Fault, Rule, each, whole
from policies.tracks import BOUNDS, SCALERS, Track, by_model, slots, target, tracks

_WINDOW_SECONDS: Final = 300
_LONGEST_SECONDS: Final = 3600  # the most that Kubernetes takes
_SHRINK: Final = "currentReplicasIfHigher"
_OWNERSHIP: Final = "validations.keda.sh/hpa-ownership"
"""KEDA's webhook passes over an HPA where this says false (scaledobject_webhook.go of 2.21)."""

_TRACKS: Final = ("candidate", "spot", "stable")
_BETTER: Final = frozenset({"custom_metrics", "keda"})
_OWN_SERIES: Final = "isoserve_dev_model="
"""What a query of pods' own series has; others read the gateway's."""
_MATCHERS: Final = re.compile(r"\{([^}]*)\}")
_OF_TRACK: Final = re.compile(r'isoserve_dev_track=~?"([^"]*)"')


def _window(scaler: Resource) -> Any:
    """For how long load must be low before a replica goes; None where it is not stated."""
    spec: Block = scaler.spec
    if scaler.kind == "ScaledObject":
        spec = (spec.get("advanced") or {}).get("horizontalPodAutoscalerConfig") or {}
    down = (spec.get("behavior") or {}).get("scaleDown") or {}
    return down.get("stabilizationWindowSeconds")


@each("P14", "scaler-stated", *SCALERS)
def _scaler_stated(resource: Resource, facts: Facts) -> Iterator[Fault]:
    """An autoscaler states its least and most replicas in order and has a signal: left out, KEDA
    takes 0 and 100. An HPA yields to KEDA by its annotation: in a region that gains KEDA its
    webhook would else refuse the ScaledObject that takes over."""
    spec, fields = resource.spec, BOUNDS[resource.kind]
    least, most = spec.get(fields.min_field), spec.get(fields.max_field)
    if not (isinstance(least, int) and isinstance(most, int) and 0 <= least <= most > 0):
        what = f"scales between {least} and {most}"
        yield Fault(resource, what, "state both, the lower first", "scaling")
    if len(spec.get("triggers") or spec.get("metrics") or ()) == 0:
        yield Fault(resource, "has no signal", "give it a trigger or metric", "scaling.queue_depth")
    owned = (resource.metadata.get("annotations") or {}).get(_OWNERSHIP)
    if resource.kind == "HorizontalPodAutoscaler" and owned != "false":
        what = "would have KEDA's webhook refuse the ScaledObject that takes over from it"
        yield Fault(resource, what, f'annotate it with {_OWNERSHIP}: "false"', "scaling")


def _cold(track: Track) -> int:
    """How long a pod of a Deployment is sure to be given to start: up to its last probe but one,
    since the number of probes is rounded up."""
    probes = [one.get("startupProbe") or {} for one in track.pod.get("containers") or ()]
    given = [(p.get("failureThreshold", 1) - 1) * p.get("periodSeconds", 0) for p in probes]
    return max(given, default=0)


def _bound_faults(track: Track, estate: Estate) -> Iterator[tuple[str, str, str]]:
    """What is wrong with one track's bounds, what to do, and the field."""
    room = slots(estate.facts.profile, track.machine, track.capacity)
    if track.most > room:
        what = f"may have {track.most} pods, {track.capacity} {track.machine} holds {room}"
        yield what, "lower scaling.max, add nodes or leave the region out", "scaling.max"
    if track.scaler is not None:
        begins = track.deployment.spec.get("replicas")
        fits = isinstance(begins, int) and max(track.least, 1) <= begins <= track.most
        if not fits and "spec.replicas" not in track.deployment.kept:
            what = f"begins with {begins} replicas, {track.scaler} keeps {track.least} at least"
            yield what, "begin with the least, and one at least", "scaling.min"
        window, cold = _window(track.scaler), 2 * _cold(track)
        least = min(max(_WINDOW_SECONDS, cold), _LONGEST_SECONDS)
        if window is None or window < least:
            what = f"loses a pod after {window} s of low load, a new one takes {cold // 2} to start"
            yield what, f"wait {least} s, which the plan derives", "scaling"
    elif track.deployment.spec.get("replicas") is None:
        what = "has neither replicas nor an autoscaler"
        yield what, "render one of both", "scaling"
    options = track.deployment.options
    if "ignoreChanges" in options and bool(options["ignoreChanges"]) != (track.scaler is not None):
        owner = str(track.scaler) if track.scaler else "nobody else"
        what = f"is registered with ignoreChanges {options['ignoreChanges']}: {owner} scales it"
        yield what, "leave alone what an autoscaler sets, and no more", "scaling"


@whole("P14", "scaler-bounds")
def _scaler_bounds(estate: Estate) -> Iterator[Fault]:
    """A server's replicas are set by its Deployment or by one autoscaler, which begins from what
    the Deployment states; they never exceed its pool, and fall only after twice the time that a new
    one would take to be back. Left out, they would be one as soon as an autoscaler takes over; `up`
    leaves them alone where there is one, and nowhere else."""
    wanted = {(d.namespace, d.metadata.get("name")) for d in estate.of("Deployment")}
    scalers = estate.of(*SCALERS)
    for pair, number in Counter(map(target, scalers)).items():
        if number > 1 or pair not in wanted:
            who = "which is not made" if pair not in wanted else f"as {number - 1} others do"
            first = next(one for one in scalers if target(one) == pair)
            what = f"scales Deployment {pair[0]}/{pair[1]}, {who}"
            yield Fault(first, what, "render one autoscaler for each Deployment", "scaling")
    for track in tracks(estate):
        for what, fix, field in _bound_faults(track, estate):
            yield Fault(track.deployment, what, fix, field)


@whole("P14", "scaling-as-asked")
def _as_asked(estate: Estate) -> Iterator[Fault]:
    """A model's replicas, on all nodes together, stay between scaling.min and scaling.max; none
    at all only where scale_to_zero is asked for, since nothing else wakes it."""
    for found in estate.once(by_model).values():
        spec = found[0].model.spec.scaling
        stable = [track for track in found if not track.is_candidate]
        awake = 0 if spec.scale_to_zero else 1
        groups = [(stable, awake * spec.min)]
        groups += [([track], awake) for track in found if track.is_candidate]
        for group, asked in groups:
            first = (group or found)[0].deployment
            least, most = sum(t.least for t in group), sum(t.most for t in group)
            if least < asked:
                what = f"and its like keep {least} pods, the spec asks for {asked}"
                yield Fault(first, what, "keep scaling.min or use scale_to_zero", "scaling.min")
            if most > spec.max:
                what = f"and its like may have {most} pods, the spec allows {spec.max}"
                yield Fault(first, what, "keep to scaling.max, or raise it", "scaling.max")
            if group is stable and most < spec.max and not any(t.scaler for t in group):
                what = f"has no autoscaler and {most} pods, the spec asks for up to {spec.max}"
                yield Fault(first, what, "render the autoscaler", "scaling.max")


def _blind(trigger: Block) -> str:
    """What a trigger does when its metric is lost; empty if the fallback hears of it."""
    kind, metadata = trigger.get("type"), trigger.get("metadata") or {}
    if kind == "cron":
        return ""  # a floor, read from the clock
    if kind != "prometheus":
        return f"is scaled by {kind}, of which a loss is not noticed"
    if metadata.get("ignoreNullValues") != "false":
        return "takes a lost metric for 0"
    if trigger.get("metricType") != "AverageValue":
        return f"is scaled by {trigger.get('metricType')}, for which there is no fallback"
    return ""


@each("P15", "keda-fallback", "ScaledObject")
def _keda_fallback(resource: Resource, facts: Facts) -> Iterator[Fault]:
    """When its metrics are lost, KEDA keeps the replicas that run, and never fewer than the least:
    its own default reads nothing as no load and takes pods away in the middle of an outage."""
    spec, fallback = resource.spec, resource.spec.get("fallback") or {}
    kept, least = fallback.get("replicas", 0), max(spec.get("minReplicaCount", 0), 1)
    if kept < least:
        what = f"keeps {kept} pods without metrics, its least is {least}"
        yield Fault(resource, what, "let fallback.replicas be the least", "scaling.min")
    if fallback.get("failureThreshold", 0) < 1:
        what = "never falls back"
        yield Fault(resource, what, "state fallback.failureThreshold", "scaling")
    if fallback.get("behavior") != _SHRINK:
        what = f"falls back to {fallback.get('behavior') or 'a fixed number'}"
        yield Fault(resource, what, f"let fallback.behavior be {_SHRINK}", "scaling")
    for trigger in spec.get("triggers") or ():
        what = _blind(trigger)
        if what:
            yield Fault(resource, what, "make its loss an error", "scaling.queue_depth")


def _taken(query: str) -> set[str]:
    """The tracks whose series of pods a query reads; all where it does not say."""
    found = set()
    for matchers in _MATCHERS.findall(query):
        if _OWN_SERIES in matchers:
            chosen = _OF_TRACK.search(matchers)
            pattern = chosen.group(1) if chosen else ".*"
            found |= {track for track in _TRACKS if re.fullmatch(pattern, track)}
    return found


def _signal_faults(track: Track, scaler: Resource) -> Iterator[tuple[str, str]]:
    """What is wrong with that by which a ScaledObject measures its track, and what to do."""
    triggers = scaler.spec.get("triggers") or ()
    queries = [str((t.get("metadata") or {}).get("query", "")) for t in triggers]
    own = [query for query in queries if _OWN_SERIES in query]
    wanted = {"candidate"} if track.is_candidate else {"spot", "stable"}
    taken = set().union(*map(_taken, own))
    if taken != wanted:
        what = f"scales on the requests of {', '.join(sorted(taken)) or 'no track'}"
        yield what, f"measure {', '.join(sorted(wanted))} by isoserve_dev_track"
    runtime = contract_of(track.model, track.is_candidate)
    metrics = filter(None, (runtime.queue_metric, runtime.running_metric))
    missing = [name for name in metrics if not any(f"{name}{{" in query for query in own)]
    if missing:
        what = f"does not measure {', '.join(missing)}"
        yield what, "scale on requests running and waiting: a busy replica may have no queue"


def _is_blunt(scaler: Resource) -> bool:
    """Whether an HPA reads what the kubelet measures, CPU or memory, and no requests."""
    return any(m.get("type") == "Resource" for m in scaler.spec.get("metrics") or ())


@whole("P14", "scaler-own-load")
def _own_load(estate: Estate) -> Iterator[Fault]:
    """A server scales on the requests in its own version's servers, running and waiting: by those
    of another it would grow without load, by its queue alone lose busy replicas. CPU is no signal
    where the region has a better one."""
    better = _BETTER & set(estate.facts.profile.all_capabilities)
    for track in tracks(estate):
        scaler = track.scaler
        if scaler is not None and scaler.kind == "ScaledObject":
            for what, fix in _signal_faults(track, scaler):
                yield Fault(scaler, what, fix, "scaling.queue_depth")
        elif scaler is not None and better and _is_blunt(scaler):
            fix = f"use {', '.join(sorted(better))}, which the region has"
            yield Fault(scaler, "scales on CPU", fix, "scaling")


RULES: Final[tuple[Rule, ...]] = (
    _scaler_stated,
    _scaler_bounds,
    _as_asked,
    _own_load,
    _keda_fallback,
)
