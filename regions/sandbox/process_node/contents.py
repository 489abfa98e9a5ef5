"""What the API server knows of the files of a pod's volume: one function a kind of source."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from regions.sandbox.kube import Cluster, Object, Refused
from regions.sandbox.process_node import api
from regions.sandbox.process_node.atomic_folder import DATA, File
from regions.sandbox.process_node.fields import UnknownField, field

_MODE: Final = 0o644
_TOKEN_SECONDS: Final = 3600
_SPENT: Final = 0.8
"""The part of its life after which a token is renewed, as the kubelet does."""
_PRIVATE: Final = 0o600


class VolumeError(Exception):
    """Why a pod's volume can't be had, and the reason in Kubernetes' words."""

    def __init__(self, reason: str, sentence: str) -> None:
        """Keep the reason beside the sentence."""
        super().__init__(sentence)
        self.reason = reason


def refused(sentence: str) -> VolumeError:
    """A volume that can't be mounted now; the next attempt may succeed."""
    return VolumeError("FailedMount", sentence)


@dataclass(frozen=True, slots=True)
class Asker:
    """For whom contents are asked: the pod, its cluster, and where the volume stands."""

    pod: Object
    cluster: Cluster
    folder: Path

    def path(self, kind: str, name: str) -> str:
        """The API path of an object in the pod's namespace."""
        return f"/api/v1/namespaces/{self.pod['metadata']['namespace']}/{kind}/{name}"


def files_of(kind: str, source: Object, asker: Asker) -> dict[str, File]:
    """The files of a volume of that kind. Raises VolumeError."""
    mode = source.get("defaultMode", _MODE)
    parts = source.get("sources") or () if kind == "projected" else ({kind: source},)
    made: dict[str, File] = {}
    for part in parts:
        for name, one in part.items():
            if name not in _SOURCES:
                raise refused(f"process nodes know no projected {name}")
            made.update(_SOURCES[name](one, mode, asker))
    for path in made:
        if path.startswith("/") or ".." in Path(path).parts:
            raise refused(f"path {path!r} leads out of the volume")
    return made


def _config_map(source: Object, mode: int, asker: Asker) -> dict[str, File]:
    def values(found: Object) -> dict[str, bytes]:
        texts = {key: text.encode() for key, text in (found.get("data") or {}).items()}
        return texts | _decoded(found.get("binaryData"))

    return _keyed("configmap", source, mode, asker, values)


def _secret(source: Object, mode: int, asker: Asker) -> dict[str, File]:
    return _keyed("secret", source, mode, asker, lambda found: _decoded(found.get("data")))


def _decoded(values: Mapping[str, str] | None) -> dict[str, bytes]:
    return {key: base64.b64decode(text) for key, text in (values or {}).items()}


def _keyed(
    kind: str,
    source: Object,
    mode: int,
    asker: Asker,
    values: Callable[[Object], dict[str, bytes]],
) -> dict[str, File]:
    # A Secret's name has another field in a volume of its own than as a part of one.
    name, optional = source.get("secretName") or source.get("name"), source.get("optional")
    found = asker.cluster.get(asker.path(f"{kind}s", str(name)))
    if found is None:
        if optional:
            return {}
        raise refused(f'{kind} "{name}" not found')
    data = values(found)
    items: Iterable[Object] = source.get("items") or [{"key": key, "path": key} for key in data]
    made = {}
    for item in items:
        if item["key"] in data:
            made[item["path"]] = File(data[item["key"]], item.get("mode", mode), None)
        elif not optional:
            raise refused(f'{kind} "{name}" references non-existent key: {item["key"]}')
    return made


def _downward(source: Object, mode: int, asker: Asker) -> dict[str, File]:
    return {
        item["path"]: File(_told(item, asker.pod).encode(), item.get("mode", mode), None)
        for item in source.get("items") or ()
    }


def _told(item: Object, pod: Object) -> str:
    path = (item.get("fieldRef") or {}).get("fieldPath")
    if path is None:
        raise refused(f"process nodes write only fieldRefs into files, not {', '.join(item)}")
    if path in ("metadata.labels", "metadata.annotations"):
        pairs = (pod["metadata"].get(path.partition(".")[2]) or {}).items()
        return "\n".join(f"{k}={json.dumps(v, ensure_ascii=False)}" for k, v in sorted(pairs))
    try:
        return field(pod, path)
    except UnknownField as error:
        raise refused(str(error)) from error


def _token(source: Object, mode: int, asker: Asker) -> dict[str, File]:
    present = asker.folder / DATA / source["path"]
    token = present.read_bytes() if present.exists() else b""
    if _is_spent(token):
        token = _asked_for(source, asker).encode()
    user = _only_user(asker.pod)
    security = asker.pod["spec"].get("securityContext") or {}
    is_private = user is not None or security.get("fsGroup") is not None
    return {source["path"]: File(token, _PRIVATE if is_private else mode, user)}


def _asked_for(source: Object, asker: Asker) -> str:
    about = asker.pod["metadata"]
    account = asker.pod["spec"].get("serviceAccountName") or "default"
    pod = {"apiVersion": "v1", "kind": "Pod", "name": about["name"], "uid": about["uid"]}
    spec = {
        "audiences": [source["audience"]] if source.get("audience") else [],
        "boundObjectRef": pod,
        "expirationSeconds": source.get("expirationSeconds", _TOKEN_SECONDS),
    }
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
    path = asker.path("serviceaccounts", f"{account}/token")
    try:
        answer = api.create(asker.cluster, path, request)
    except Refused as error:
        raise refused(f"failed to fetch token: {error}") from error
    return str(answer["status"]["token"])


def _is_spent(token: bytes) -> bool:
    """Whether most of the token's life is over, or nothing tells how long it is."""
    try:
        claims = token.split(b".")[1]
        told = json.loads(base64.urlsafe_b64decode(claims + b"=" * (-len(claims) % 4)))
        began, ends = float(told["iat"]), float(told["exp"])
    except (IndexError, KeyError, TypeError, ValueError):
        return True
    return time.time() > began + _SPENT * (ends - began)


def _only_user(pod: Object) -> int | None:
    """The user of all containers, if it is one: then nobody else needs to read its token."""
    spec = pod["spec"]
    general = (spec.get("securityContext") or {}).get("runAsUser")
    users = {
        (one.get("securityContext") or {}).get("runAsUser", general)
        for one in (*spec["containers"], *(spec.get("initContainers") or ()))
    }
    return users.pop() if len(users) == 1 else None


_SOURCES: Final[Mapping[str, Callable[[Object, int, Asker], dict[str, File]]]] = {
    "configMap": _config_map,
    "downwardAPI": _downward,
    "secret": _secret,
    "serviceAccountToken": _token,
}
