"""Events about pods, as a kubelet writes them; never waited for, and never twice in a row."""

from __future__ import annotations

import queue
import threading
import time
from typing import Final

from regions.sandbox.errors import SandboxError
from regions.sandbox.kube import Cluster, Object
from regions.sandbox.process_node.api import create
from regions.sandbox.process_node.status import moment

AGAIN_SECONDS: Final = 60.0
_MOST_WAITING: Final = 200


class Notices:
    """What people read by `kubectl describe pod`. For any number of threads."""

    def __init__(self, cluster: Cluster, node: str) -> None:
        """Write as the kubelet of `node`."""
        self._cluster, self._node = cluster, node
        self._waiting: queue.Queue[Object] = queue.Queue(_MOST_WAITING)
        self._told: dict[tuple[str, str, str], tuple[str, float]] = {}
        threading.Thread(target=self._write, name="notices", daemon=True).start()

    def tell(
        self, pod: Object, container: str, reason: str, message: str, *, warns: bool = True
    ) -> None:
        """Say something of a container, or of the whole pod when it is empty."""
        key, now = (pod["metadata"]["uid"], container, reason), time.monotonic()
        last, when = self._told.get(key, ("", 0.0))
        if last == message and now - when < AGAIN_SECONDS:
            return
        self._told[key] = (message, now)
        try:
            self._waiting.put_nowait(self._event(pod, container, reason, message, warns))
        except queue.Full:  # the API server is away, and its pods aren't: the newest is dropped
            return

    def forget(self, uid: str) -> None:
        """The pod is gone."""
        self._told = {key: value for key, value in list(self._told.items()) if key[0] != uid}

    def _event(self, pod: Object, container: str, reason: str, message: str, warns: bool) -> Object:
        meta, now = pod["metadata"], moment()
        about = {
            "apiVersion": "v1",
            "kind": "Pod",
            "name": meta["name"],
            "namespace": meta["namespace"],
            "uid": meta["uid"],
        }
        if container:
            about["fieldPath"] = f"spec.containers{{{container}}}"
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"generateName": f"{meta['name']}.", "namespace": meta["namespace"]},
            "involvedObject": about,
            "reason": reason,
            "message": message[:1000],
            "type": "Warning" if warns else "Normal",
            "source": {"component": "kubelet", "host": self._node},
            "reportingComponent": "kubelet",
            "reportingInstance": self._node,
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        }

    def _write(self) -> None:
        while True:
            event = self._waiting.get()
            path = f"/api/v1/namespaces/{event['metadata']['namespace']}/events"
            try:
                create(self._cluster, path, event)
            except SandboxError as reason:
                # An event is told once or not at all; its namespace may be going.
                about = event["involvedObject"]["name"]
                print(f"event of {about} ({event['reason']}) is lost: {reason}", flush=True)
