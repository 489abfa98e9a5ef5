"""Who a container's program runs as: the container's security context over its pod's."""

from __future__ import annotations

from typing import Any, Final

from regions.sandbox.kube import Object
from regions.sandbox.process_node.environment import ConfigError
from regions.sandbox.process_node.spec import User

# What container runtimes give a root user whom nobody told otherwise.
_USUAL: Final = (
    "AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE",
    "NET_RAW", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT",
)  # fmt: skip


def user_of(container: Object, pod: Object) -> User:
    """The container's user. Raises ConfigError for a root that must not be one."""
    whole = pod["spec"].get("securityContext") or {}
    own = container.get("securityContext") or {}
    uid = int(_first("runAsUser", own, whole) or 0)
    if uid == 0 and _first("runAsNonRoot", own, whole):
        raise ConfigError(
            "container has runAsNonRoot and would run as root; set runAsUser to another user"
        )
    groups = (*(whole.get("supplementalGroups") or ()), whole.get("fsGroup"))
    return User(
        uid=uid,
        gid=int(_first("runAsGroup", own, whole) or 0),
        groups=tuple(sorted({int(group) for group in groups if group is not None})),
        capabilities=_capabilities(own.get("capabilities") or {}),
    )


def _first(key: str, own: Object, whole: Object) -> Any:
    return own[key] if own.get(key) is not None else whole.get(key)


def _capabilities(wanted: Object) -> tuple[str, ...]:
    dropped = {name.removeprefix("CAP_") for name in wanted.get("drop") or ()}
    kept = set() if "ALL" in dropped else set(_USUAL) - dropped
    return tuple(sorted(kept | {name.removeprefix("CAP_") for name in wanted.get("add") or ()}))
