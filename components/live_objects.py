"""Lists the live objects of ours, and says in few words when the API server does not answer."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

from components.kube import Object

_REQUEST_SECONDS: Final = 10.0
"""To connect, and between two parts of an answer: a server that went away must not hold a look."""
_TOO_MANY: Final = 429

Lister = Callable[[str, str], list[Object]]
"""(kind, namespace) -> the live objects of ours: Deployment, DaemonSet or Pod."""


class ListError(Exception):
    """What was asked for and why there is no answer, in one line; never the client's own words.

    It `passes` where the same question may be answered later without anybody's doing.
    """

    def __init__(self, why: str, *, passes: bool) -> None:
        super().__init__(why)
        self.passes = passes


def of_status(status: int, reason: str) -> ListError:
    """An answer that is none. 5xx and 429 pass; any other says what was asked wrongly.

    Source: Kubernetes API conventions, "HTTP Status codes": 429, 500, 503 and 504 are tried again.
    """
    return ListError(f"{status} {reason}".strip(), passes=status >= 500 or status == _TOO_MANY)


def of_transport(error: Exception) -> ListError:
    """A request that got no answer: only its kind is told, the client's text names objects of its
    own, addresses and time-outs of its own tries."""
    from urllib3 import exceptions

    cause = error.reason if isinstance(error, exceptions.MaxRetryError) else error
    rows: tuple[tuple[type[Exception], str, bool], ...] = (
        (exceptions.SSLError, "its certificate is refused", False),
        (exceptions.ProxyError, "the proxy to it does not answer", True),
        (exceptions.NameResolutionError, "its name is not resolved", True),
        (exceptions.NewConnectionError, "connection refused", True),
        (exceptions.TimeoutError, "timed out", True),
        (exceptions.ProtocolError, "connection reset", True),
        (ValueError, "its answer was cut short", True),
    )
    for kind, why, passes in rows:
        if isinstance(cause, kind):
            return ListError(why, passes=passes)
    return ListError("no connection", passes=True)


def lister_of(kubeconfig: str, context: str) -> Lister:
    """Lists through one API client, one request a call; it raises ListError.

    Raises ListError itself when the kubeconfig has no such context.
    """
    from kubernetes import client, config
    from urllib3.exceptions import HTTPError

    try:
        api = config.new_client_from_config(config_file=kubeconfig, context=context)
    except (config.ConfigException, OSError):
        why = f"{kubeconfig} has no usable context {context!r}; write it, or mend `cluster`"
        raise ListError(why, passes=False) from None
    apps, core = client.AppsV1Api(api), client.CoreV1Api(api)
    calls: dict[str, Callable[..., Any]] = {
        "DaemonSet": apps.list_namespaced_daemon_set,
        "Deployment": apps.list_namespaced_deployment,
        "Pod": core.list_namespaced_pod,
    }

    def listed(kind: str, namespace: str) -> list[Object]:
        selector = "" if kind == "Pod" else "app.kubernetes.io/managed-by=isoserve"
        try:
            # Plain JSON: the client's typed models cost more than the request.
            answer = calls[kind](
                namespace,
                label_selector=selector,
                _preload_content=False,
                _request_timeout=_REQUEST_SECONDS,
            )
            return list(json.loads(answer.data)["items"])
        except client.ApiException as error:
            # The client has status 0 where TLS failed before there was an answer.
            failed = of_status(error.status, str(error.reason or "")) if error.status else None
            why = failed or ListError("its certificate is refused", passes=False)
        except (HTTPError, OSError, ValueError, KeyError) as error:
            why = of_transport(error)
        raise ListError(f"{why} (list {kind} in {namespace})", passes=why.passes)

    return listed
