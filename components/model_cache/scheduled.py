"""Which versions the pods on this node need: watched by one thread for each project.

The scheduler decides where pods run, so the API server is asked for the pods of this node alone,
and of them for the metadata alone: no agent reads what tenants give their pods. Without the API
server no pod comes or goes, so that what was known last stays true.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from typing import Any, Final
from urllib.parse import urlencode

from components.model_cache.api_server import ApiServer
from components.model_registry import keys
from components.model_registry.errors import RegistryError

DIGEST: Final = "isoserve.dev/model-digest"
"""The annotation that names the version a pod waits for, as model_pod.py renders it."""
MODEL: Final = "isoserve.dev/model"
"""The label that names its model; as model_specs.names has it."""
_AS: Final = "application/json;as={};g=meta.k8s.io;v=v1"
_LEAST_WATCH_SECONDS: Final = 60.0
_MORE_WATCH_SECONDS: Final = 60.0
_SILENCE_SECONDS: Final = 15.0
"""What a watch may take longer than it was asked for, and a list altogether."""
_PAUSE_SECONDS: Final = 30.0
_log = logging.getLogger("cache")

Needs = Mapping[str, frozenset[tuple[str, str]]]
"""By project, model and digest of each version that pods of this node need. A project that is not
in it is one of whose pods nothing is known."""
Pod = dict[str, Any]


class Scheduled:
    """What the pods of a node need. For any number of threads."""

    def __init__(
        self,
        where: ApiServer | None,
        chance: Callable[[float], float],
        sleep: Callable[[float], None],
    ) -> None:
        """By the API server at `where`; without one nothing is ever known."""
        self._where = where
        self._chance = chance
        self._sleep = sleep
        self._lock = threading.Lock()
        self._followed: frozenset[str] = frozenset()
        self._watchers: dict[str, int] = {}
        self._last_watcher = 0
        self._needs: dict[str, frozenset[tuple[str, str]]] = {}

    def needs(self) -> Needs:
        """What is known now, of the projects that are followed."""
        with self._lock:
            return {name: found for name, found in self._needs.items() if name in self._followed}

    def follow(self, projects: Collection[str]) -> None:
        """Know of the pods of just these projects from now on."""
        if self._where is None:
            return
        with self._lock:
            self._followed = frozenset(projects)
            new = sorted(self._followed - self._watchers.keys())
            for project in new:
                self._last_watcher += 1
                self._watchers[project] = self._last_watcher
            args = [(self._where, project, self._watchers[project]) for project in new]
        for one in args:
            threading.Thread(name=f"pods {one[1]}", target=self._run, args=one, daemon=True).start()

    def _run(self, where: ApiServer, project: str, watcher: int) -> None:
        last = ""
        while self._goes_on(project, watcher):
            try:
                version, pods = _listed(where, project)
                last = ""
                self._know(project, watcher, pods)
                while version and self._goes_on(project, watcher):
                    version = self._watch(where, project, watcher, version, pods)
            except Exception as error:  # whatever it is, what is held stays held
                if str(error) != last:
                    last = str(error)
                    _log.warning("which pods of %s are on this node is not told: %s", project, last)
                self._sleep(1.0 + self._chance(_PAUSE_SECONDS))

    def _goes_on(self, project: str, watcher: int) -> bool:
        """Whether this thread still watches. One that has heard no never hears yes again: if the
        project is followed anew, another thread does it."""
        with self._lock:
            if self._watchers.get(project) != watcher:
                return False
            if project in self._followed:
                return True
            del self._watchers[project]
            self._needs.pop(project, None)
            return False

    def _know(self, project: str, watcher: int, pods: Mapping[str, Pod]) -> None:
        found = frozenset(need for pod in pods.values() for need in _need(pod))
        with self._lock:
            if self._watchers.get(project) == watcher:
                self._needs[project] = found

    def _watch(
        self, where: ApiServer, project: str, watcher: int, version: str, pods: dict[str, Pod]
    ) -> str:
        """Take changes in until the watch ends; the version to go on from, empty to list anew."""
        seconds = _LEAST_WATCH_SECONDS + self._chance(_MORE_WATCH_SECONDS)
        for event in _events(where, project, version, seconds):
            pod, kind = event.get("object") or {}, event.get("type")
            if kind not in ("ADDED", "MODIFIED", "DELETED", "BOOKMARK"):
                return ""  # an ERROR: the version is too old to go on from
            version = pod["metadata"]["resourceVersion"]
            if kind != "BOOKMARK":
                uid = pod["metadata"]["uid"]
                pods.pop(uid, None)
                pods |= {} if kind == "DELETED" else {uid: pod}
                self._know(project, watcher, pods)
            if not self._goes_on(project, watcher):
                break
        return version


def _need(pod: Pod) -> Iterator[tuple[str, str]]:
    head = pod["metadata"]
    digest = (head.get("annotations") or {}).get(DIGEST, "")
    model = (head.get("labels") or {}).get(MODEL, "")
    with suppress(RegistryError):  # whoever wrote it, names become directories of a root process
        keys.address(f"{head['namespace']}/{model}@sha256:{digest}")
        yield model, digest


def _path(where: ApiServer, project: str, **more: str) -> str:
    # A finished pod needs nothing more; the API server tells of it as DELETED.
    node = f"spec.nodeName={where.node},status.phase!=Succeeded,status.phase!=Failed"
    return f"/api/v1/namespaces/{project}/pods?{urlencode({'fieldSelector': node, **more})}"


def _listed(where: ApiServer, project: str) -> tuple[str, dict[str, Pod]]:
    """All pods by uid, and the version from which to watch. From the API server's memory (0): what
    is newer comes with the watch."""
    accept = {"Accept": _AS.format("PartialObjectMetadataList")}
    path = _path(where, project, resourceVersion="0")
    with where.open(path, accept, _SILENCE_SECONDS) as answer:
        found = json.load(answer)
    pods = {pod["metadata"]["uid"]: pod for pod in found.get("items") or ()}
    return str(found["metadata"]["resourceVersion"]), pods


def _events(where: ApiServer, project: str, version: str, seconds: float) -> Iterator[Pod]:
    accept = {"Accept": _AS.format("PartialObjectMetadata")}
    words = {"watch": "1", "allowWatchBookmarks": "1", "resourceVersion": version}
    path = _path(where, project, timeoutSeconds=str(round(seconds)), **words)
    with where.open(path, accept, seconds + _SILENCE_SECONDS) as answer:
        for line in answer:
            yield json.loads(line)
