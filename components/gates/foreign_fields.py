"""Finds what others have added to our objects, and takes it back.

Server-side apply leaves every field to whoever set it, and the provider compares only the fields
that it sends: a container, a volume, an environment variable or a label that a hand adds beside
ours is seen by no refresh, or is found and stays. The API server notes each field's manager in the
object (`metadata.managedFields`), so the gates here ask for it: a refresh finds the fields whose
only manager is another than ours, and the `up` after it applies ours again and removes the rest.

Whoever applies under our manager's name owns as we do: what we own and have not rendered is taken
back too (components.gates.own_fields).

What others may set is listed (OTHERS); all else is taken back. A field that a webhook or a default
has set while we applied has no manager, and stays; so does one inside a value owned as a whole that
is there again once we have applied ours.
"""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol

from components.gates import managed_fields
from components.gates.acts import Asked, Gate
from components.gates.claims import JOINED, REGION, folder, is_ours, projects_of
from components.gates.handover import Api as Patches
from components.gates.handover import disown
from components.gates.managed_fields import Fields, Steps, in_words, index, owned, plain
from components.gates.own_fields import Beyond, beyond
from components.kube import FIELD_MANAGER, Object
from components.ownership import left_alone, targeted
from components.parts import Part
from regions.plan import RegionPlan

FOREIGN: Final = "ForeignFields"
_TRIES: Final = 5
"""Of one object, where somebody writes between the look and the change."""


class Api(Patches, Protocol):
    """What is asked of an API server (components.kube_client.KubeClient)."""

    def apply(self, path: str, body: Object) -> Object | None:
        """The object after a server-side apply by FIELD_MANAGER that takes what others own."""

    def patch_by_steps(self, path: str, steps: list[Object]) -> Object | None:
        """The object after a JSON patch; None where somebody wrote in between."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Others:
    """Fields that somebody else may set: of which kinds (none: of all), below which path, who, and
    where that is known from."""

    kinds: frozenset[str]
    path: tuple[str, ...]
    who: str
    source: str


def _others(
    kinds: str, where: tuple[str, ...], names: str, who: str, source: str
) -> Iterator[Others]:
    for name in names.split():
        path = (*where, name)
        yield Others(kinds=frozenset(kinds.split()), path=path, who=who, source=source)


_ANNOTATIONS: Final = ("metadata", "annotations")
_FINALIZERS: Final = ("metadata", "finalizers")
_BINDS: Final = "the controller that binds volumes"
_VOLUMES: Final = "kubernetes, pkg/controller/volume/persistentvolume"
OTHERS: Final[tuple[Others, ...]] = (
    *_others("", (), "status", "whoever reports it", "Kubernetes API conventions"),
    *_others(
        "",
        _FINALIZERS,
        "[foregroundDeletion] [orphan]",
        "the garbage collector, while it deletes",
        "kubernetes, apimachinery, meta/v1/types.go",
    ),
    *_others(
        "Deployment",
        _ANNOTATIONS,
        "deployment.kubernetes.io/revision",
        "the Deployment controller",
        "kubernetes, pkg/controller/deployment/util",
    ),
    *_others(
        "DaemonSet",
        _ANNOTATIONS,
        "deprecated.daemonset.template.generation",
        "the API server",
        "kubernetes, pkg/apis/apps/v1/conversion.go",
    ),
    *_others(
        "Deployment DaemonSet",
        ("spec", "template", *_ANNOTATIONS),
        "kubectl.kubernetes.io/restartedAt",
        "a person who restarts the pods",
        "kubectl rollout restart",
    ),
    *_others(
        "Deployment",
        ("spec",),
        "replicas",
        "an autoscaler, or a person who scales by hand; a refresh restores a fixed number",
        "the first table",
    ),
    *_others(
        "PersistentVolumeClaim",
        _ANNOTATIONS,
        "pv.kubernetes.io/bind-completed pv.kubernetes.io/bound-by-controller "
        "volume.beta.kubernetes.io/storage-provisioner volume.kubernetes.io/selected-node "
        "volume.kubernetes.io/storage-provisioner",
        "the controllers that bind and provision volumes",
        "kubernetes, component-helpers/storage/volume",
    ),
    *_others("PersistentVolumeClaim", ("spec",), "volumeName", _BINDS, _VOLUMES),
    *_others(
        "PersistentVolume", _ANNOTATIONS, "pv.kubernetes.io/bound-by-controller", _BINDS, _VOLUMES
    ),
    *_others("PersistentVolume", ("spec",), "claimRef", _BINDS, _VOLUMES),
    *_others(
        "PersistentVolume PersistentVolumeClaim",
        _FINALIZERS,
        "[kubernetes.io/pv-protection] [kubernetes.io/pvc-protection]",
        "the controllers that protect volumes in use",
        "kubernetes, pkg/volume/util/finalizer.go",
    ),
    *_others(
        "ScaledObject",
        _FINALIZERS,
        "[finalizer.keda.sh]",
        "KEDA",
        "keda, controllers/keda/scaledobject_finalizer.go",
    ),
    *_others(
        "ScaledObject",
        ("metadata", "labels"),
        "scaledobject.keda.sh/name",
        "KEDA",
        "keda, controllers/keda/scaledobject_controller.go",
    ),
)
"""Whatever else another manager sets in an object of ours is taken back."""


def _rows(kind: str, path: Steps) -> list[tuple[str, ...]]:
    """The paths of OTHERS that may be at, above or below a path."""
    at = tuple(map(plain, path))
    mine = (row.path for row in OTHERS if not row.kinds or kind in row.kinds)
    return [one for one in mine if all(a == b for a, b in zip(one, at, strict=False))]


def _whole(kind: str, node: Fields, path: Steps) -> Iterator[Steps]:
    """What is foreign of a part that has nothing of ours: the part itself, or what others may not
    set of it."""
    rows = _rows(kind, path)
    if any(len(row) <= len(path) for row in rows):
        return
    below = [key for key in node if key != "."]
    # A map of which nothing but itself is set is what remains of one that was emptied.
    remains = bool(node) and not below and path[-1].startswith("f:")
    if not remains and not (rows and below):
        yield path
    for key in below if rows else ():
        yield from _whole(kind, node[key], (*path, key))


def _beside(kind: str, theirs: Fields, ours: Fields, path: Steps) -> Iterator[Steps]:
    for key, node in theirs.items():
        if key == ".":
            continue
        if key in ours:
            yield from _beside(kind, node, ours[key], (*path, key))
        else:
            yield from _whole(kind, node, (*path, key))


def foreign(live: Object, kind: str) -> dict[Steps, list[str]]:
    """The paths of a live object that others alone have set and may not, with their managers.

    A list as the API server gives it names no kind in its items.
    """
    ours, found = owned(live), dict[Steps, list[str]]()
    for entry in live["metadata"].get("managedFields", ()):
        if not managed_fields.is_ours(entry):
            for path in _beside(kind, entry.get("fieldsV1", {}), ours, ()):
                found.setdefault(path, []).append(entry["manager"])
    return found


def _pointer(live: Any, path: Steps) -> list[Any] | None:
    """The keys and indexes that lead to a path; None where there is nothing."""
    found: list[Any] = []
    for step in path:
        key = step[2:] if step.startswith("f:") else index(live, step)
        if key is None or (isinstance(live, dict) and key not in live):
            return None
        found.append(key)
        live = live[key]
    return found


def removal(live: Object, paths: Collection[Steps]) -> list[Object]:
    """The JSON patch that removes paths from a live object, if nobody has written since.

    Of a list the last items go first, so that no index names another item.
    """
    found = [one for path in paths if (one := _pointer(live, path)) is not None]
    # Where two differ first they lie in one map or in one list: both are names, or both indexes.
    steps: list[Object] = [
        {"op": "remove", "path": "".join(f"/{_escaped(key)}" for key in one)}
        for one in sorted(found, reverse=True)
    ]
    version = live["metadata"]["resourceVersion"]
    test = {"op": "replace", "path": "/metadata/resourceVersion", "value": version}
    return [test, *steps] if steps else []


def _escaped(key: str | int) -> str:
    return str(key).replace("~", "~0").replace("/", "~1")


def _name(made: Object) -> str:
    return str(made["metadata"]["name"])


def _list(made: Object) -> str:
    """The API server's path of all objects of an object's kind and namespace."""
    return folder(made["apiVersion"], made["kind"], made["metadata"].get("namespace", ""))


def _path(made: Object) -> str:
    """The API server's path of an object."""
    return f"{_list(made)}/{_name(made)}"


def packed(objects: Iterable[Object]) -> str:
    """Objects as a short text: what is taken back is theirs, and a state holds it."""
    told = json.dumps(list(objects), sort_keys=True, separators=(",", ":"))
    return base64.b64encode(zlib.compress(told.encode(), 9)).decode()


def unpacked(text: str) -> list[Object]:
    """What was `packed`."""
    found: list[Object] = json.loads(zlib.decompress(base64.b64decode(text)))
    return found


def foreign_fields(parts: Iterable[Part], plan: RegionPlan) -> Iterator[Gate]:
    """One gate for what is in no namespace of a project and one for each project, so that each is
    named, and fails, by itself."""
    projects = projects_of(plan)
    made = [one for part in parts for one in part.objects if one["kind"] != JOINED]
    scaled, of = targeted(made), defaultdict[str, list[Object]](list)
    for one in made:
        of[projects.get(one["metadata"].get("namespace", ""), "")].append(one)
    for project, objects in of.items():
        sent = [{"left_alone": left_alone(one, scaled), "object": one} for one in objects]
        lists = {_list(one): one["kind"] for one in objects}
        asked = {"lists": lists, "region": plan.region, "rendered": packed(sent)}
        yield Gate(kind=FOREIGN, name=project or REGION, model=project, asked=asked)


def without(gate: Gate, held: Iterable[Object]) -> Gate:
    """The gate for an `up` that leaves `held` as it was: nothing is applied of that, or said of it
    but what others have set."""
    paths = {_path(one) for one in held}
    rows = unpacked(gate.asked["rendered"]) if paths else []
    kept = [row for row in rows if _path(row["object"]) not in paths]
    return replace(gate, asked={**gate.asked, "rendered": packed(kept)}) if paths else gate


def is_as_asked(olds: Asked, news: Asked) -> bool:
    """Whether the same objects are looked at. By what is packed: two machines may pack in two
    ways."""
    had, gets = olds.get("rendered"), news["rendered"]
    if olds.get("lists") != news["lists"] or had is None:
        return False
    return bool(had == gets or unpacked(had) == unpacked(gets))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Drifted:
    """A live object of ours in which something is foreign, or ours and not rendered.

    `row` is what we apply of it, empty where it is rendered no more.
    """

    path: str
    kind: str
    live: Object
    row: dict[str, Any]
    foreign: dict[Steps, list[str]]
    beyond: list[Beyond]

    def lines(self) -> Iterator[str]:
        """Each field in words: object, path, and who has set it."""
        space = self.live["metadata"].get("namespace", "")
        name = _name(self.live)
        what = f"{self.kind} {space}/{name}" if space else f"{self.kind} {name}"
        for path, managers in self.foreign.items():
            yield f"{what}: {in_words(path)} was set by {', '.join(sorted(managers))}"
        for field, _ in self.beyond:
            yield f"{what}: {field} was set under our name, {FIELD_MANAGER}, and is not rendered"

    def marks(self) -> list[str]:
        """What is not rendered, each with its value, by digest."""
        told = ([self.path, field, value] for field, value in self.beyond)
        return [hashlib.sha256(json.dumps(one).encode()).hexdigest()[:16] for one in told]


def _drifted(api: Api, asked: Asked, stays: Collection[str]) -> Iterator[_Drifted]:
    """Each such object: one question for each kind and namespace."""
    packed_rows = asked.get("rendered")
    rows = {_path(row["object"]): row for row in unpacked(packed_rows)} if packed_rows else {}
    for where, kind in asked.get("lists", {}).items():
        for live in (api.get(where) or {}).get("items", ()):
            if not is_ours(live, asked["region"]):
                continue
            path = f"{where}/{_name(live)}"
            row = rows.get(path, {})
            found = _Drifted(
                path=path,
                kind=kind,
                live=live,
                row=row,
                foreign=foreign(live, kind),
                beyond=beyond(live, row) if row else [],
            )
            fresh = [b for b, mark in zip(found.beyond, found.marks(), strict=True)
                     if mark not in stays]  # fmt: skip
            if found.foreign or fresh:
                yield replace(found, beyond=fresh)


def look(api: Api, asked: Asked, stays: Collection[str]) -> list[str]:
    """Each field in words that others have set, or somebody under our name; but what `lasting`
    found to be the API server's own."""
    return sorted(line for one in _drifted(api, asked, stays) for line in one.lines())


def lasting(api: Api, asked: Asked) -> list[str]:
    """What is not rendered and is there right after we have applied ours: defaults, or a webhook's
    doing. By digest."""
    return sorted(mark for one in _drifted(api, asked, ()) for mark in one.marks())


def _sent(made: Object, ignored: Iterable[str], live: Object) -> Object:
    """What the engine sends of an object that exists: fields that only its creation sets stay as
    they are, ours where they are ours."""
    sent, own = json.loads(json.dumps(made)), owned(live)
    for path in ignored:
        *steps, last = path.split(".")
        place, there, mine = sent, live, own
        for step in steps:
            place, there, mine = place[step], there.get(step, {}), mine.get(f"f:{step}", {})
        if f"f:{last}" in mine:
            place[last] = there[last]
        else:
            place.pop(last, None)
    return sent  # type: ignore[no-any-return]


def take_back(api: Api, asked: Asked, stays: Collection[str]) -> None:
    """Apply ours once more where something is foreign, and remove what is left of that.

    An object that is rendered no more is left to the engine.
    """
    for one in list(_drifted(api, asked, stays)):
        if one.row:
            api.apply(one.path, _sent(one.row["object"], one.row["left_alone"], one.live))
            _remove(api, one.path, one.kind)


def _remove(api: Api, path: str, kind: str) -> None:
    for _ in range(_TRIES):
        live = api.get(path)
        steps = removal(live, foreign(live, kind)) if live else []
        if not steps:
            return
        if api.patch_by_steps(path, steps) is not None:
            # What is removed may come back as its default, and then it would be the patch's.
            disown(api, path)
            return
