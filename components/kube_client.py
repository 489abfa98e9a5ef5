"""Asks an API server by the paths of its REST API, and says in few words why there is no answer."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

from components.kube import FIELD_MANAGER, Object

MANAGER: Final = "isoserve-handover"
"""The field manager of whatever is patched here."""
_READ_SECONDS: Final = 10.0
"""To connect, and between two parts of an answer: a server that went away must not hold a look."""
_WRITE_SECONDS: Final = 30.0
"""A webhook has so long to answer (ValidatingWebhookConfiguration, timeoutSeconds)."""
_FORBIDDEN, _ABSENT, _CONFLICT, _TOO_MANY = 403, 404, 409, 429
_JSON: Final = "application/json"
_OURS: Final = "app.kubernetes.io%2Fmanaged-by%3Disoserve"
_LISTS: Final = {
    "CronJob": f"/apis/batch/v1/namespaces/{{}}/cronjobs?labelSelector={_OURS}",
    "DaemonSet": f"/apis/apps/v1/namespaces/{{}}/daemonsets?labelSelector={_OURS}",
    "Deployment": f"/apis/apps/v1/namespaces/{{}}/deployments?labelSelector={_OURS}",
    "Job": "/apis/batch/v1/namespaces/{}/jobs",
    "Pod": "/api/v1/namespaces/{}/pods",
}

Body = Object | list[Object] | None
"""What is sent: an object, the steps of a JSON patch, or nothing."""
Lister = Callable[[str, str], list[Object]]
"""(kind, namespace) -> the live objects of a kind of _LISTS."""


class ApiError(Exception):
    """What was asked for and why there is no answer, in one line; never the client's own words.

    It `passes` where the same question may be answered later without anybody's doing.
    """

    def __init__(self, why: str, *, passes: bool) -> None:
        super().__init__(why)
        self.passes = passes


class Forbidden(ApiError):
    """Who asks has no right to it."""


class Unanswered(ApiError):
    """No answer came at all, or not in time."""


def of_status(status: int, reason: str) -> ApiError:
    """An answer that is none. 5xx and 429 pass; any other says what was asked wrongly.

    Source: Kubernetes API conventions, "HTTP Status codes": 429, 500, 503 and 504 are tried again.
    """
    kind = Forbidden if status == _FORBIDDEN else ApiError
    return kind(f"{status} {reason}".strip(), passes=status >= 500 or status == _TOO_MANY)


def of_transport(error: Exception) -> ApiError:
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
            return Unanswered(why, passes=passes)
    return Unanswered("no connection", passes=True)


class KubeClient:
    """One API server, asked plain JSON: the client's typed models cost more than the request.

    Every method raises ApiError where there is no answer, or another than it can tell of.
    """

    def __init__(self, kubeconfig: str, context: str) -> None:
        """Raises ApiError when the kubeconfig has no such context."""
        from kubernetes import config
        from urllib3.exceptions import HTTPError
        from yaml import YAMLError

        try:
            self._api = config.new_client_from_config(config_file=kubeconfig, context=context)
        except (config.ConfigException, OSError, HTTPError, YAMLError, TypeError, ValueError):
            why = f"{kubeconfig} has no usable context {context!r}; write it, or mend `cluster`"
            raise ApiError(why, passes=False) from None

    def text(self, path: str) -> str:
        """The body at a path, such as a log; absence is an ApiError too."""
        return self._body(path, f"get {path.partition('?')[0]}").decode(errors="replace")

    def get(self, path: str) -> Object | None:
        """An object, or a list of them; None where there is none."""
        return self.get_as(path, _JSON)

    def get_as(self, path: str, form: str) -> Object | None:
        """The same in another form of JSON, an Accept header, such as metadata alone."""
        return self._object("GET", path, None, form)

    def apply(self, path: str, body: Object) -> Object | None:
        """The object after a server-side apply of ours that takes what others own of it."""
        where = f"{path}?fieldManager={FIELD_MANAGER}&force=true"
        return self._object("PATCH", where, body, "apply-patch+yaml")

    def patch_by_steps(self, path: str, steps: list[Object]) -> Object | None:
        """The object after a JSON patch by MANAGER; None where it is gone, or has another
        `resourceVersion` than the patch says."""
        where = f"{path}?fieldManager={MANAGER}"
        return self._object("PATCH", where, steps, "json-patch+json")

    def patch(self, path: str, body: Object) -> Object | None:
        """The object after a merge patch by MANAGER; None where it is gone, or has another
        `resourceVersion` than the patch says."""
        where = f"{path}?fieldManager={MANAGER}"
        return self._object("PATCH", where, body, "merge-patch+json")

    def listed(self, kind: str, namespace: str) -> list[Object]:
        """The live objects of a kind of _LISTS: of ours, and all pods and Jobs, which
        controllers make."""
        what = f"list {kind} in {namespace}"
        body = self._body(_LISTS[kind].format(namespace), what)
        try:
            return list(json.loads(body)["items"])
        except (ValueError, KeyError) as error:
            why = of_transport(error)
            raise ApiError(f"{why} ({what})", passes=why.passes) from None

    def _object(self, method: str, path: str, body: Body, form: str) -> Object | None:
        what = f"{method.lower()} {path.partition('?')[0]}"
        status, reason, data = self._answer(method, path, body, form, what)
        if status in (_ABSENT, _CONFLICT):
            return None
        try:
            told: Any = json.loads(data) if data else {}
        except ValueError:
            told = None
        if status >= 300:
            # Whoever refuses a change says why, such as an admission policy.
            is_said = isinstance(told, dict) and method != "GET"
            said = str(told.get("message", "")) if is_said else ""
            why = of_status(status, said or reason)
            raise type(why)(f"{why} ({what})", passes=why.passes)
        if not isinstance(told, dict):
            raise ApiError(f"its answer is no object of Kubernetes ({what})", passes=False)
        return told

    def _body(self, path: str, what: str) -> bytes:
        status, reason, data = self._answer("GET", path, None, _JSON, what)
        if status >= 300:
            why = of_status(status, reason)
            raise type(why)(f"{why} ({what})", passes=why.passes)
        return data

    def _answer(
        self, method: str, path: str, body: Body, form: str, what: str
    ) -> tuple[int, str, bytes]:
        from kubernetes.client import ApiException
        from urllib3.exceptions import HTTPError

        headers = {"Accept": form}
        seconds = _READ_SECONDS
        if body is not None:
            headers = {"Accept": _JSON, "Content-Type": f"application/{form}"}
            seconds = _WRITE_SECONDS
        request = self._api.param_serialize(
            method, path, header_params=headers, body=body, auth_settings=["BearerToken"]
        )
        try:
            answer = self._api.call_api(*request, _request_timeout=seconds)
            return answer.status, str(answer.reason or ""), answer.read()
        except ApiException:
            # The client raises it only where TLS failed before there was an answer.
            why: ApiError = Unanswered("its certificate is refused", passes=False)
        except (HTTPError, OSError) as error:
            why = of_transport(error)
        raise type(why)(f"{why} ({what})", passes=why.passes)
