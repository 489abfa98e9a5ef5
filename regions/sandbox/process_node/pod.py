"""The life of one pod on its node, on a thread of its own."""

from __future__ import annotations

import shutil
import threading
import time
import traceback
from typing import Any, Final

from regions.sandbox.complaints import Complaints
from regions.sandbox.errors import SandboxError
from regions.sandbox.kube import Object, Refused
from regions.sandbox.process_node import api, volumes
from regions.sandbox.process_node.container_life import ContainerLife, pause_seconds
from regions.sandbox.process_node.placing import Placing
from regions.sandbox.process_node.setting import Machine, Setting, pod_folder
from regions.sandbox.process_node.status import (
    FINISHED,
    PodView,
    build,
    moment,
    waiting,
)

REFRESH_SECONDS: Final = 2.0
"""How often ConfigMaps and Secrets are read again; a kubelet takes up to a minute."""
POWER_OFF_SECONDS: Final = 2.0
_QUICK_SECONDS, _CALM_SECONDS = 0.05, 0.25
_QUICK_FOR_SECONDS: Final = 3.0
_BETWEEN_WRITES_SECONDS: Final = 0.2
_AFTER_TROUBLE_SECONDS: Final = 1.0
_LIVE_VOLUMES: Final = ("configMap", "secret", "projected", "downwardAPI")
_TOO_LONG: Final = (
    "Failed",
    "DeadlineExceeded",
    "Pod was active on the node longer than the specified deadline",
)


class PodLife:
    """Brings a pod to what the API server says of it, until it is gone."""

    def __init__(self, machine: Machine, placing: Placing, pod: Object) -> None:
        """Begin; `pod` is how it was first seen."""
        self._machine, self._placing, self._pod = machine, placing, pod
        self.uid = str(pod["metadata"]["uid"])
        status = pod.get("status") or {}
        self._before = {one["type"]: one for one in status.get("conditions") or ()}
        self._final = status.get("phase") in FINISHED
        self._started_at = status.get("startTime") or moment()
        self._born = time.monotonic()
        self._init, self._main = _containers(pod)
        meta = pod["metadata"]
        self._path = f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}"
        self._complaints = Complaints(f"pod {meta['namespace']}/{meta['name']}")
        self._setting: Setting | None = None
        self._sent: Object = {}
        self._write_at = self._set_up_at = self._refreshed = 0.0
        self._failures, self._stopped = 0, set[str]()
        self._grace = self._grace_ends = float("inf")
        self._initialized = self._vanished = self._finished = False
        self._ending: tuple[str, str, str] | None = None
        self._off, self._killed, self._wake = False, False, threading.Event()
        self._changed_at = time.monotonic()
        self._thread = threading.Thread(target=self._run, name=meta["name"], daemon=True)
        self._thread.start()

    def update(self, pod: Object) -> None:
        """The API server says something new about it."""
        self._pod = pod
        self._wake.set()

    def vanish(self) -> None:
        """The API server has it no more."""
        self._vanished = True
        self._wake.set()

    def switch_off(self, *, at_once: bool) -> None:
        """Its machine goes: end its processes and say nothing."""
        self._killed, self._off = at_once, True
        self._wake.set()

    def wait(self, timeout_seconds: float) -> bool:
        """Whether it has ended in time."""
        self._thread.join(timeout_seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while not self._finished:
            try:
                self._step()
            except Exception:  # one pod's trouble is never another's
                self._complaints.say(traceback.format_exc())
                self._wake.wait(_AFTER_TROUBLE_SECONDS)
            calm = time.monotonic() - self._changed_at > _QUICK_FOR_SECONDS
            self._wake.wait(_CALM_SECONDS if calm else _QUICK_SECONDS)
            self._wake.clear()
        self._placing.free(self.uid)

    def _step(self) -> None:
        everyone = [*self._init, *self._main]
        for life in everyone:
            life.look()
        if self._off:
            self._power_off()
            return
        if self._is_terminating:
            self._terminate()
        elif self._final or self._ending:
            self._stop_all(self._usual_grace)
        else:
            self._bring_up()
        is_told = self._report() if self._sent or not self._final else True
        if is_told and self._is_terminating and not any(life.is_running for life in everyone):
            self._leave()

    @property
    def _is_terminating(self) -> bool:
        return self._vanished or "deletionTimestamp" in self._pod["metadata"]

    @property
    def _usual_grace(self) -> float:
        return float(self._pod["spec"].get("terminationGracePeriodSeconds", 30))

    def _bring_up(self) -> None:
        limit = self._pod["spec"].get("activeDeadlineSeconds")
        if limit is not None and time.monotonic() - self._born > limit:
            self._ending = _TOO_LONG
            return
        if self._setting is None:
            self._set_up()
        if self._setting is not None:
            self._refresh(self._setting)
            self._start_in_order(self._setting)

    def _set_up(self) -> None:
        if time.monotonic() < self._set_up_at:
            return
        try:
            self._setting = self._placing.place(self._pod)
        except (volumes.VolumeError, SandboxError) as reason:
            self._failures += 1
            self._set_up_at = time.monotonic() + pause_seconds(self._failures + 1)
            self._machine.notices.tell(self._pod, "", "FailedMount", str(reason))
            for life in (*self._init, *self._main):
                life.state = waiting("ContainerCreating", str(reason))

    def _start_in_order(self, setting: Setting) -> None:
        for life in self._init:
            if not (life.succeeded and not life.is_sidecar):
                life.start_when_due(setting)
            if not (life.started if life.is_sidecar else life.succeeded):
                return
        self._initialized = True
        for life in self._main:
            life.start_when_due(setting)

    def _refresh(self, setting: Setting) -> None:
        used = setting.pod["spec"].get("volumes") or ()
        is_live = any(kind in volume for volume in used for kind in _LIVE_VOLUMES)
        if not is_live or time.monotonic() - self._refreshed < REFRESH_SECONDS:
            return
        try:
            meta = self._pod["metadata"]  # labels and annotations may have changed
            volumes.refresh(
                {**setting.pod, "metadata": meta}, setting.folder, self._machine.cluster
            )
            self._complaints.settled()
        except (volumes.VolumeError, SandboxError) as reason:
            self._complaints.say(reason)
        self._refreshed = time.monotonic()

    def _terminate(self) -> None:
        grace = float(self._pod["metadata"].get("deletionGracePeriodSeconds") or 0)
        # Deleted by force, or with a pod that nobody saw go: nobody waits for it.
        self._stop_all(1.0 if self._vanished else max(1.0, grace))

    def _stop_all(self, grace_seconds: float) -> None:
        """Containers first, all at once; sidecars when those are gone; one grace for all."""
        now = time.monotonic()
        if grace_seconds < self._grace:  # the first time, or somebody wants it faster
            self._grace = grace_seconds
            self._grace_ends = min(self._grace_ends, now + grace_seconds)
            self._stopped.clear()
        running = [life for life in (*self._init, *self._main) if life.is_running]
        for life in [life for life in running if not life.is_sidecar] or running:
            if life.name not in self._stopped:
                self._stopped.add(life.name)
                life.stop(max(0.0, self._grace_ends - now))

    def _power_off(self) -> None:
        lives = [life for life in (*self._init, *self._main) if life.is_running]
        for life in lives:
            life.power_off()
        deadline = time.monotonic() + (0.0 if self._killed else POWER_OFF_SECONDS)
        while any(life.is_running for life in lives) and time.monotonic() < deadline:
            time.sleep(_QUICK_SECONDS)
            for life in lives:
                life.look()
        for life in lives:
            life.kill()
        self._finished = True

    def _report(self) -> bool:
        """Whether the API server knows how the pod is."""
        made = build(self._pod, self._view(), self._before, moment())
        if made == self._sent or self._vanished:
            return True
        if time.monotonic() < self._write_at:
            return False
        self._changed_at = time.monotonic()
        self._write_at = self._changed_at + _BETWEEN_WRITES_SECONDS
        changes = {"metadata": {"uid": self.uid}, "status": made}
        try:
            api.patch(self._machine.cluster, f"{self._path}/status", changes)
            self._complaints.settled()
        except Refused as reason:
            # Said once: the same status would be refused again, and a pod that is gone is told of.
            self._complaints.say(reason)
        except SandboxError as reason:
            self._complaints.say(reason)
            self._write_at = time.monotonic() + _AFTER_TROUBLE_SECONDS
            return False
        self._sent = made
        self._before = {one["type"]: one for one in made["conditions"]}
        self._final = made["phase"] in FINISHED
        return True

    def _view(self) -> PodView:
        everyone = [*self._init, *self._main]
        ending = self._ending
        if ending is None and self._is_terminating and not any(one.is_running for one in everyone):
            ending = ("Succeeded" if all(one.succeeded for one in self._main) else "Failed", "", "")
        return PodView(
            init=[one.view() for one in self._init],
            main=[one.view() for one in self._main],
            initialized=self._initialized or not self._init,
            sandboxed=self._setting is not None,
            address=self._setting.address if self._setting else "",
            host=self._machine.address,
            started_at=self._started_at,
            ending=ending,
        )

    def _leave(self) -> None:
        """Nothing of it runs: remove what it had, and let the API server forget it."""
        try:
            if not self._vanished:
                api.delete_now(self._machine.cluster, self._path, self.uid)
        except SandboxError as reason:
            self._complaints.say(reason)
            time.sleep(_AFTER_TROUBLE_SECONDS)
            return
        shutil.rmtree(pod_folder(self._machine, self._pod), ignore_errors=True)
        self._machine.notices.forget(self.uid)
        self._finished = True


def _containers(pod: Object) -> tuple[list[ContainerLife], list[ContainerLife]]:
    """The pod's containers as they are when this agent first sees it."""
    spec: dict[str, Any] = pod["spec"]
    policy = spec.get("restartPolicy", "Always")
    first = waiting("PodInitializing" if spec.get("initContainers") else "ContainerCreating")
    once = "OnFailure" if policy == "Always" else policy
    init = [
        ContainerLife(
            one, one.get("restartPolicy") or once, first, is_sidecar="restartPolicy" in one
        )
        for one in spec.get("initContainers") or ()
    ]
    main = [ContainerLife(one, policy, first, is_sidecar=False) for one in spec["containers"]]
    if policy != "Always":
        # The API server lets no such container run a second time after it has ended well.
        _inherit(init, pod, "initContainerStatuses")
        _inherit(main, pod, "containerStatuses")
    return init, main


def _inherit(lives: list[ContainerLife], pod: Object, key: str) -> None:
    states = {one["name"]: one.get("state") or {} for one in pod.get("status", {}).get(key) or ()}
    for life in lives:
        if not life.is_sidecar:
            life.inherit(states.get(life.name, {}))
