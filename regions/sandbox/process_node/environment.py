"""The environment of a container, and `$(VARIABLES)` in it and in its command, as the kubelet does.

Pure: ConfigMaps and Secrets come through a function.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import urlsplit

from regions.sandbox.kube import Object
from regions.sandbox.process_node.fields import UnknownField, field, resource

Read = Callable[[str, str], Mapping[str, str] | None]
"""The texts of a `configMap` or `secret` by its name; None when there is none."""
_SOURCES: Final = {
    "configMapKeyRef": ("configMap", "configmap"),
    "secretKeyRef": ("secret", "secret"),
    "configMapRef": ("configMap", "configmap"),
    "secretRef": ("secret", "secret"),
}
_REFERENCE: Final = re.compile(r"\$(?:\$|\(([^)]*)\)|.)", re.DOTALL)


class ConfigError(Exception):
    """The container can't be made from what its pod says; a person has to change something."""


def of_the_api_server(url: str) -> dict[str, str]:
    """Where a pod finds the API server: the kubelet tells every container of this one Service."""
    found = urlsplit(url)
    return {
        "KUBERNETES_SERVICE_HOST": str(found.hostname),
        "KUBERNETES_SERVICE_PORT": str(found.port),
    }


def expand(text: str, variables: Mapping[str, str]) -> str:
    """Replace `$(NAME)`; `$$` is a dollar, and the name of no variable stays as it is written."""

    def one(found: re.Match[str]) -> str:
        if found[0] == "$$":
            return "$"
        name = found[1]
        return found[0] if name is None else variables.get(name, found[0])

    return _REFERENCE.sub(one, text)


def expanded(container: Object, variables: Mapping[str, str]) -> Object:
    """The container with its command and arguments filled in."""
    filled = {
        key: [expand(text, variables) for text in container[key]]
        for key in ("command", "args")
        if container.get(key)
    }
    return {**container, **filled}


def variables(
    container: Object, pod: Object, allocatable: Mapping[str, str], read: Read
) -> dict[str, str]:
    """All variables of one container: `envFrom` first, `env` over it.

    `pod` has its addresses in its status. Raises ConfigError.
    """
    made = {"HOSTNAME": str(pod["spec"].get("hostname") or pod["metadata"]["name"])}
    for source in container.get("envFrom") or ():
        made.update(_whole(source, read))
    own: dict[str, str] = {}
    for entry in container.get("env") or ():
        try:
            value = _value(entry, container, pod, allocatable, read, own)
        except UnknownField as reason:
            raise ConfigError(f"variable {entry['name']}: {reason}") from reason
        if value is not None:
            own[entry["name"]] = value
    return {**made, **own}


def _value(
    entry: Object,
    container: Object,
    pod: Object,
    allocatable: Mapping[str, str],
    read: Read,
    own: Mapping[str, str],
) -> str | None:
    source = entry.get("valueFrom")
    if not source:
        # Only from variables of `env` above it, never of `envFrom`: so the kubelet has it.
        return expand(str(entry.get("value", "")), own)
    if "fieldRef" in source:
        return field(pod, source["fieldRef"]["fieldPath"])
    if "resourceFieldRef" in source:
        return resource(container, allocatable, source["resourceFieldRef"])
    for kind in ("configMapKeyRef", "secretKeyRef"):
        if kind in source:
            return _one(kind, source[kind], read)
    raise UnknownField(f"a value from {', '.join(source)} is unknown here")


def _one(kind: str, reference: Object, read: Read) -> str | None:
    data = _data(kind, reference, read)
    if data is None:
        return None
    if reference["key"] in data:
        return data[reference["key"]]
    if reference.get("optional"):
        return None
    title = _SOURCES[kind][1]
    raise ConfigError(f'couldn\'t find key "{reference["key"]}" in {title} "{reference["name"]}"')


def _whole(source: Object, read: Read) -> dict[str, str]:
    for kind in ("configMapRef", "secretRef"):
        if kind in source:
            data = _data(kind, source[kind], read) or {}
            prefix = source.get("prefix") or ""
            return {prefix + key: text for key, text in data.items() if "=" not in key}
    return {}


def _data(kind: str, reference: Object, read: Read) -> Mapping[str, str] | None:
    what, title = _SOURCES[kind]
    data = read(what, reference["name"])
    if data is None and not reference.get("optional"):
        raise ConfigError(f'{title} "{reference["name"]}" not found')
    return data
