"""The Secret with the registry's keys, where pods have no role at the store.

In a real region people make it, with keys that read the project's own prefix and no more. moto
takes every key.
"""

from __future__ import annotations

import threading
import time
from typing import Final

from regions.sandbox.errors import SandboxError
from regions.sandbox.kube import Cluster, Object
from regions.sandbox.plans import plan_of
from regions.sandbox.toolchain import Say

_KEYS: Final = {"access_key_id": "sandbox", "secret_access_key": "sandbox"}
_TIMEOUT_SECONDS: Final = 600
_POLL_SECONDS: Final = 0.5


def apply(cluster: Cluster, say: Say, given_up: threading.Event) -> None:
    """Apply the Secret that the region's profile names to each namespace that has a use for it.

    Waits for the namespaces, which the stack makes, unless it is `given_up`. Raises SandboxError
    when they don't come.
    """
    wanted = _wanted(cluster.region)
    for namespace, name in wanted:
        if not await_namespace(cluster, namespace, given_up):
            return
        cluster.apply(f"/api/v1/namespaces/{namespace}/secrets/{name}", _secret(name, namespace))
    if wanted:
        say(f"keys of the registry in {', '.join(namespace for namespace, _ in wanted)}")


def _wanted(region: str) -> list[tuple[str, str]]:
    """Namespaces whose pods name the Secret, and its name in each; none where AWS gives roles.

    Pods that download name it, and the cache agents: a Secret that nobody names is in no plan.
    """
    plan = plan_of(region)
    held = [(row.workload, track.weights) for row in plan.servers for track in row.tracks]
    held += [(row.workload, row.weights) for row in plan.jobs]
    downloads = (work for work, weights in held if weights.mode == "download")
    named = {(work.namespace, work.registry_secret) for work in downloads}
    named |= {(cache.namespace, cache.registry_secret) for cache in plan.caches}
    return sorted((namespace, name) for namespace, name in named if name)


def _secret(name: str, namespace: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": namespace},
        "stringData": _KEYS,
    }


def await_namespace(cluster: Cluster, name: str, given_up: threading.Event) -> bool:
    """Whether the namespace came; False when it was `given_up`."""
    deadline = time.monotonic() + _TIMEOUT_SECONDS
    while time.monotonic() < deadline:
        if cluster.get(f"/api/v1/namespaces/{name}") is not None:
            return True
        if given_up.wait(_POLL_SECONDS):
            return False
    raise SandboxError(
        f"region {cluster.region}: after {_TIMEOUT_SECONDS} s there is no namespace {name}, which "
        "the stack makes; look at what `pulumi up` says, and run this again"
    )
