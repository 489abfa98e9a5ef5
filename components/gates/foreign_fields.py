"""Finds what others have added to our objects, and takes it back.

Server-side apply leaves every field to whoever set it, and the provider compares only the fields
that it sends: a container, a volume, an environment variable or a label that a hand adds beside
ours is seen by no refresh, or is found and stays. The API server notes each field's manager in the
object (`metadata.managedFields`), so the gates here ask for it: a refresh finds the fields whose
only manager is another than ours, and the `up` after it applies ours again and removes the rest.

What others may set is listed (OTHERS); all else is taken back. A field that a webhook or a default
has set while we applied has no manager, and stays.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from components.gates.acts import Asked, Gate
from components.gates.claims import JOINED, REGION, folder, is_ours, projects_of
from components.gates.handover import Api as Patches
from components.gates.handover import disown
from components.kube import FIELD_MANAGER, Object
from components.ownership import left_alone, targeted
from components.parts import Part
from regions.plan import RegionPlan

FOREIGN: Final = "ForeignFields"
_TRIES: Final = 5
"""Of one object, where somebody writes between the look and the change."""
Fields = Mapping[str, Any]
"""A set of fields as `managedFields[].fieldsV1` writes it: `f:name`, `k:{keys of a list's item}`,
`v:value of a set`, `.` for the item itself (structured-merge-diff, fieldpath/serialize.go)."""
Steps = tuple[str, ...]
"""A path by the keys of Fields."""


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


def _plain(step: str) -> str:
    """A step as a person writes it: a name, or what is chosen of a list."""
    kind, _, rest = step.partition(":")
    if kind == "k":
        return "[" + ",".join(f"{k}={v}" for k, v in sorted(json.loads(rest).items())) + "]"
    return f"[{json.loads(rest)}]" if kind == "v" else f"[{rest}]" if kind == "i" else rest


def in_words(path: Steps) -> str:
    """`spec.template.spec.containers[name=proxy].env[name=A]`."""
    return in_names(map(_plain, path))


def in_names(path: Iterable[str]) -> str:
    """A path of OTHERS in words."""
    return ".".join(path).replace(".[", "[")


def _rows(kind: str, path: Steps) -> list[tuple[str, ...]]:
    """The paths of OTHERS that may be at, above or below a path."""
    at = tuple(map(_plain, path))
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


def _own(live: Object) -> Fields:
    for entry in live["metadata"].get("managedFields", ()):
        if (entry["manager"], entry["operation"]) == (FIELD_MANAGER, "Apply"):
            found: Fields = entry["fieldsV1"]
            return found
    return {}


def foreign(live: Object, kind: str) -> dict[Steps, list[str]]:
    """The paths of a live object that others alone have set and may not, with their managers.

    A list as the API server gives it names no kind in its items.
    """
    ours, found = _own(live), dict[Steps, list[str]]()
    for entry in live["metadata"].get("managedFields", ()):
        if (entry["manager"], entry["operation"]) != (FIELD_MANAGER, "Apply"):
            for path in _beside(kind, entry.get("fieldsV1", {}), ours, ()):
                found.setdefault(path, []).append(entry["manager"])
    return found


def _index(items: list[Any], step: str) -> int | None:
    """Where in a list the item is that a step chooses."""
    kind, _, rest = step.partition(":")
    wanted = json.loads(rest)
    for at, item in enumerate(items):
        if (kind == "i" and at == wanted) or (kind == "v" and item == wanted):
            return at
        if kind == "k" and all(item.get(name) == value for name, value in wanted.items()):
            return at
    return None


def _pointer(live: Any, path: Steps) -> list[Any] | None:
    """The keys and indexes that lead to a path; None where there is nothing."""
    found: list[Any] = []
    for step in path:
        key = step[2:] if step.startswith("f:") else _index(live, step)
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
        asked = {"lists": lists, "objects": packed(sent), "region": plan.region}
        yield Gate(kind=FOREIGN, name=project or REGION, model=project, asked=asked)


_Drifted = tuple[str, str, Object, dict[Steps, list[str]]]
"""Path, kind and live object of an object of ours, and what is foreign in it."""


def _drifted(api: Api, asked: Asked) -> Iterator[_Drifted]:
    """Each object in which something is foreign: one question for each kind and namespace."""
    for where, kind in asked.get("lists", {}).items():
        for live in (api.get(where) or {}).get("items", ()):
            if is_ours(live, asked["region"]) and (fields := foreign(live, kind)):
                yield f"{where}/{_name(live)}", kind, live, fields


def look(api: Api, asked: Asked) -> list[str]:
    """Each foreign field in words: object, path, and who has set it."""
    found = []
    for _, kind, live, fields in _drifted(api, asked):
        space = live["metadata"].get("namespace", "")
        what = f"{kind} {space}/{_name(live)}" if space else f"{kind} {_name(live)}"
        for path, managers in fields.items():
            found.append(f"{what}: {in_words(path)} was set by {', '.join(sorted(managers))}")
    return sorted(found)


def _sent(made: Object, ignored: Iterable[str], live: Object) -> Object:
    """What the engine sends of an object that exists: fields that only its creation sets stay as
    they are, ours where they are ours."""
    sent, own = json.loads(json.dumps(made)), _own(live)
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


def take_back(api: Api, asked: Asked) -> None:
    """Apply ours once more where something is foreign, and remove what is left of that.

    An object that is rendered no more is left to the engine.
    """
    wanted: dict[str, Object] = {}
    for row in unpacked(asked["objects"]):
        wanted[f"{_list(row['object'])}/{_name(row['object'])}"] = row
    for path, kind, live, _ in list(_drifted(api, asked)):
        if path in wanted:
            row = wanted[path]
            api.apply(path, _sent(row["object"], row["left_alone"], live))
            _remove(api, path, kind)


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
