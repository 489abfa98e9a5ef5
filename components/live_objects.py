"""Lists the live objects of ours, and bears a control plane that is away for a moment."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any, Final

from components.kube import Object

_BLIND_SECONDS: Final = 60.0
"""An API server that restarts is back by then; a refusal that lasts longer is one."""
_AGAIN_SECONDS: Final = 1.0

Lister = Callable[[str, str], list[Object]]
"""(kind, namespace) -> the live objects of ours: Deployment, DaemonSet or Pod."""


class ListError(Exception):
    """The API server could not be asked, and why."""


def lister_of(kubeconfig: str, context: str) -> Lister:
    """Lists through one API client; raises ListError after a minute without an answer."""
    from kubernetes import client, config
    from urllib3.exceptions import HTTPError

    api = config.new_client_from_config(config_file=kubeconfig, context=context)
    apps, core = client.AppsV1Api(api), client.CoreV1Api(api)
    calls: dict[str, Callable[..., Any]] = {
        "DaemonSet": apps.list_namespaced_daemon_set,
        "Deployment": apps.list_namespaced_deployment,
        "Pod": core.list_namespaced_pod,
    }

    def listed(kind: str, namespace: str) -> list[Object]:
        selector = "" if kind == "Pod" else "app.kubernetes.io/managed-by=isoserve"
        deadline = time.monotonic() + _BLIND_SECONDS
        while True:
            try:
                # Plain JSON: the client's typed models cost more than the request.
                answer = calls[kind](namespace, label_selector=selector, _preload_content=False)
                return list(json.loads(answer.data)["items"])
            except (client.ApiException, HTTPError) as error:
                if time.monotonic() >= deadline:
                    raise ListError(f"cannot list {kind} in {namespace}: {error}") from error
                time.sleep(_AGAIN_SECONDS)

    return listed
