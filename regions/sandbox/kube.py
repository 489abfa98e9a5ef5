"""A small client of one region's API server, made from its kubeconfig."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import requests
import yaml

from regions.sandbox.errors import SandboxError

FIELD_MANAGER: Final = "isoserve-sandbox"
REQUEST_TIMEOUT_SECONDS: Final = 30
_COMMAND_TIMEOUT_SECONDS: Final = 60
Object = dict[str, Any]


class Refused(SandboxError):
    """The API server understood and said no; `status` is its HTTP code."""

    def __init__(self, status: int, message: str) -> None:
        """Remember the code beside what was said."""
        super().__init__(message)
        self.status = status


def own_session() -> requests.Session:
    """A session that reaches what stands on this machine, whatever the environment says.

    Neither a proxy nor a netrc of the environment has a say in it.
    """
    session = requests.Session()
    session.trust_env = False
    return session


@dataclass(frozen=True, slots=True)
class Cluster:
    """An API server and the session that is allowed in. Methods raise SandboxError, and Refused
    where the server said no."""

    region: str
    url: str
    session: requests.Session

    def get(self, path: str) -> Object | None:
        """The object or list at an API path; None when there is none."""
        answer = self._send("GET", path)
        return None if answer.status_code == 404 else self._body(answer, path)

    def apply(self, path: str, wanted: Object, *, subresource: str = "") -> Object:
        """Server-side apply to the path of the object; takes over fields of other managers."""
        query = f"fieldManager={FIELD_MANAGER}&force=true"
        address = f"{path}/{subresource}" if subresource else path
        return self.send("PATCH", f"{address}?{query}", wanted, "application/apply-patch+yaml")

    def send(self, method: str, path: str, body: Object, content_type: str) -> Object:
        """Send an object, and get one."""
        headers = {"Content-Type": content_type}
        answer = self._send(method, path, data=json.dumps(body), headers=headers)
        return self._body(answer, path.partition("?")[0])

    def delete(self, path: str) -> None:
        """Delete the object at an API path; an absent one is fine."""
        answer = self._send("DELETE", path)
        if answer.status_code != 404:
            self._body(answer, path)

    def is_ready(self) -> bool:
        """Whether the API server says that it is ready."""
        try:
            return self.session.get(f"{self.url}/readyz", timeout=2).status_code == 200
        except requests.RequestException:
            return False

    def wait_until_ready(self, timeout_seconds: float) -> bool:
        """Whether the API server became ready in time."""
        deadline = time.monotonic() + timeout_seconds
        while not (ready := self.is_ready()) and time.monotonic() < deadline:
            time.sleep(0.05)
        return ready

    def _send(self, method: str, path: str, **kwargs: Any) -> requests.Response:
        try:
            return self.session.request(
                method, self.url + path, timeout=REQUEST_TIMEOUT_SECONDS, **kwargs
            )
        except requests.RequestException as reason:
            raise SandboxError(
                f"region {self.region}: the API server at {self.url} doesn't answer "
                f"({type(reason).__name__}); run `python -m regions.sandbox up`"
            ) from reason

    def _body(self, answer: requests.Response, path: str) -> Object:
        if answer.ok:
            body: Object = answer.json()
            return body
        raise Refused(
            answer.status_code,
            f"region {self.region}: {answer.request.method} {path} was refused with "
            f"{answer.status_code}: {answer.text[:500]}",
        )


def execute(kubeconfig: Path, namespace: str, name: str, *command: str) -> str:
    """What a command prints in the first container of a pod, as by `kubectl exec`.

    Raises SandboxError where that container does not run, or ends.
    """
    # Imported late, as in `connect`.
    from kubernetes import client, config
    from kubernetes.stream import stream
    from websocket import WebSocketException

    with config.new_client_from_config(str(kubeconfig)) as api:
        api.configuration.no_proxy = "*"  # as in `own_session`
        try:
            pods = client.CoreV1Api(api)
            asked = pods.read_namespaced_pod(name, namespace).spec
            session = stream(
                pods.connect_get_namespaced_pod_exec,
                name,
                namespace,
                container=asked.containers[0].name if asked else "",
                command=list(command),
                stdout=True,
                stderr=True,
                stdin=False,
                tty=False,
                _preload_content=False,
            )
            session.run_forever(timeout=_COMMAND_TIMEOUT_SECONDS)
        except (client.ApiException, WebSocketException, OSError) as reason:
            raise SandboxError(
                f"pod {namespace}/{name} runs no `{command[0]}`: {reason}"
            ) from reason
        told: str = session.read_stdout()
        session.sock.shutdown()  # its own close leaves the socket open when the other was first
    return told


def connect(region: str, kubeconfig: Path, context: str | None = None) -> Cluster:
    """The cluster of a kubeconfig's context, by default the current one.

    Raises SandboxError when the file or the context is missing or can't be used.
    """
    # Imported late: it costs half a second, and most of the sandbox doesn't need it.
    from kubernetes import client
    from kubernetes.config import ConfigException
    from kubernetes.config.kube_config import KubeConfigLoader

    document = read_kubeconfig(kubeconfig)
    settings = client.Configuration()
    try:
        loader = KubeConfigLoader(
            document, active_context=context, config_base_path=str(kubeconfig.parent)
        )
        loader.load_and_set(settings)
    except ConfigException as reason:
        raise SandboxError(f"kubeconfig {kubeconfig} can't be used: {reason}") from reason
    session = own_session()
    session.verify = (settings.ssl_ca_cert or True) if settings.verify_ssl else False
    if settings.cert_file:
        session.cert = (settings.cert_file, str(settings.key_file))
    token = settings.get_api_key_with_prefix("BearerToken")
    if token:
        session.headers["Authorization"] = token
    return Cluster(region, settings.host, session)


def read_kubeconfig(path: Path) -> Object:
    """The kubeconfig as plain values; raises SandboxError when it isn't one."""
    try:
        document = yaml.safe_load(path.read_text())
    except FileNotFoundError as reason:
        raise SandboxError(f"there is no kubeconfig {path}") from reason
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as reason:
        raise SandboxError(f"kubeconfig {path} can't be read: {reason}") from reason
    if not isinstance(document, dict) or not document.get("contexts"):
        raise SandboxError(f"{path} is no kubeconfig: it has no contexts")
    return document
