"""The life of one container on its node: waiting, running, ended, and running again."""

from __future__ import annotations

import shutil
import signal
import time
from typing import Final

from regions.sandbox.errors import SandboxError
from regions.sandbox.kube import Object
from regions.sandbox.process_node.container import Running, start
from regions.sandbox.process_node.environment import ConfigError
from regions.sandbox.process_node.images import ImageError
from regions.sandbox.process_node.probes import ACTIONS, Outcome, Target, ask
from regions.sandbox.process_node.probing import Probing
from regions.sandbox.process_node.setting import Setting
from regions.sandbox.process_node.status import ContainerView, moment, terminated, waiting
from regions.sandbox.process_node.stopping import Stopping
from regions.sandbox.process_node.volumes import VolumeError

FIRST_PAUSE_SECONDS: Final = 1.0
LONGEST_PAUSE_SECONDS: Final = 30.0
"""A kubelet waits 10 s, then twice as long each time, up to 300 s; nobody learns from that here."""
_SET_UP_FAILED: Final = 128


def pause_seconds(attempts: int) -> float:
    """How long to wait after so many failures in a row; after the first one not at all."""
    if attempts < 2:
        return 0.0
    return float(min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2 ** min(attempts - 2, 20)))


class ContainerLife:
    """One container of a pod. Only its pod's thread calls it."""

    def __init__(self, spec: Object, policy: str, first_state: Object, *, is_sidecar: bool) -> None:
        """`policy` is Always, OnFailure or Never, for a sidecar Always."""
        self.is_sidecar = is_sidecar
        self.spec, self.name, self._policy = spec, str(spec["name"]), policy
        self.state, self._restarts = first_state, 0
        self._last_state: Object = {}
        self._setting: Setting | None = None
        self._running: Running | None = None
        self._probing: Probing | None = None
        self._stopping: Stopping | None = None
        self._started_at, self._began, self._runs = "", 0.0, 0
        self._failures, self._due = 0, 0.0
        self._id = ""

    @property
    def is_running(self) -> bool:
        """Whether it has a process."""
        return self._running is not None

    @property
    def succeeded(self) -> bool:
        """Whether it ended well."""
        return self._exit_code() == 0

    @property
    def started(self) -> bool:
        """Whether it runs and its startup probe has passed."""
        return self._probing is not None and self._probing.started

    @property
    def is_over(self) -> bool:
        """Whether it has ended for good."""
        code = self._exit_code()
        return code is not None and not self._restarts_after(code)

    def view(self) -> ContainerView:
        """What the status shows."""
        return ContainerView(
            name=self.name,
            image=self.spec["image"],
            state=self.state,
            last_state=self._last_state,
            restarts=self._restarts,
            # An init container that ended well counts as ready, so the kubelet has it.
            ready=self._probing.ready if self._probing else self.succeeded,
            started=self.started,
            container_id=self._id,
        )

    def start_when_due(self, setting: Setting) -> None:
        """Start it, unless it runs, has ended for good, or has to wait after a failure."""
        if self._running is not None or self.is_over or time.monotonic() < self._due:
            return
        self._setting, self.spec = setting, setting.spec(self.name)
        try:
            self._start(setting)
        except ImageError as reason:
            self._cannot("ErrImagePull" if not self._failures else "ImagePullBackOff", reason)
        except VolumeError as reason:
            self._cannot(reason.reason, reason)
        except (ConfigError, SandboxError) as reason:
            self._cannot("CreateContainerConfigError", reason)

    def look(self) -> None:
        """See whether it has ended, or has to be ended by what its probes say."""
        if self._running is None:
            return
        code = self._running.poll()
        if code is not None:
            self._ended(code)
        elif self._probing and self._probing.failed and self._stopping is None:
            self._tell(
                "Killing", f"Container {self.name} {self._probing.failed}, will be restarted"
            )
            self.stop(self._grace_after_probe())

    def stop(self, grace_seconds: float) -> None:
        """Let it end; one that is ending already gets no more time than this."""
        if self._running is None or self._probing is None:
            return
        if self._stopping is not None:
            self._stopping.hurry(grace_seconds)
            return
        self._probing.spare()
        hook = (self.spec.get("lifecycle") or {}).get("preStop")
        self._stopping = Stopping(
            self._running,
            hook,
            grace_seconds,
            self._act,
            lambda message: self._tell("FailedPreStopHook", message),
        )

    def power_off(self) -> None:
        """Its machine is switched off: neither a hook nor its grace counts."""
        if self._running is not None:
            self._running.signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it at once and wait until it is gone."""
        if self._running is not None:
            self._running.kill()
            self.look()

    def inherit(self, state: Object) -> None:
        """Its state under an agent that is gone; what ran then has not ended well."""
        if "running" in state:
            why = "the node's agent was started anew"
            state = terminated(137, "ContainerStatusUnknown", why, "", moment())
        if "terminated" in state:
            self.state = state

    def _start(self, setting: Setting) -> None:
        container = setting.container(self.spec, self._runs)
        shutil.rmtree(setting.folder / "runs" / f"{self.name}-{self._runs - 1}", ignore_errors=True)
        self._runs += 1
        self._running = start(container)
        self._id = f"process://{self._running.pid}"
        self._started_at, self._began = moment(), time.monotonic()
        if "terminated" in self.state or self._last_state:
            self._restarts += 1
            self._last_state = self.state if "terminated" in self.state else self._last_state
        self.state = {"running": {"startedAt": self._started_at}}
        self._probing = Probing(
            self.spec, self._attempt, lambda text: self._tell("Unhealthy", text)
        )
        self._probing.begin()
        self._tell("Started", f"Started container {self.name}", warns=False)

    def _ended(self, code: int) -> None:
        running = self._running
        if running is None:
            return
        if self._probing:
            self._probing.end()
        if self._stopping:
            self._stopping.over()
        running.kill()  # what its first process has left behind
        reason = "Completed" if code == 0 else "Error"
        if code == _SET_UP_FAILED and running.failure:
            reason = "StartError"
        words = running.last_words() or running.failure
        self.state = terminated(code, reason, words, self._started_at, moment())
        self._running = self._probing = self._stopping = None
        if time.monotonic() - self._began > 2 * LONGEST_PAUSE_SECONDS:
            self._failures = 0
        self._failures += 1
        pause = pause_seconds(self._failures)
        self._due = time.monotonic() + pause
        if pause and self._restarts_after(code):
            self._last_state = self.state
            message = f"back-off {pause:g}s restarting failed container={self.name}"
            self.state = waiting("CrashLoopBackOff", message)
            self._tell("BackOff", f"Back-off restarting failed container {self.name}")

    def _cannot(self, reason: str, why: Exception) -> None:
        self._failures += 1
        # Also after the first failure: nothing has changed in the meantime.
        self._due = time.monotonic() + pause_seconds(self._failures + 1)
        if "terminated" in self.state:
            self._last_state = self.state
        self.state = waiting(reason, str(why))
        self._tell("Failed", f"{reason}: {why}")

    def _exit_code(self) -> int | None:
        ended = self.state.get("terminated")
        return None if ended is None else int(ended["exitCode"])

    def _restarts_after(self, code: int) -> bool:
        return self._policy == "Always" or (self._policy == "OnFailure" and code != 0)

    def _grace_after_probe(self) -> float:
        failed = self.spec.get("livenessProbe" if self.started else "startupProbe") or {}
        pod = self._setting.pod["spec"] if self._setting else {}
        grace = failed.get("terminationGracePeriodSeconds")
        return float(pod.get("terminationGracePeriodSeconds", 30) if grace is None else grace)

    def _attempt(self, probe: Object) -> Outcome:
        return self._act(probe, float(probe.get("timeoutSeconds") or 1))

    def _act(self, action: Object, timeout_seconds: float) -> Outcome:
        setting, running = self._setting, self._running
        if setting is None or running is None:
            return Outcome(False, "the container has ended")
        ports = self.spec.get("ports") or ()
        kinds: Object = {kind: action[kind] for kind in ACTIONS if kind in action}
        return ask(kinds, Target(setting.address, ports, running.run_inside), timeout_seconds)

    def _tell(self, reason: str, message: str, *, warns: bool = True) -> None:
        if self._setting:
            self._setting.tell(self.name, reason, message, warns=warns)
