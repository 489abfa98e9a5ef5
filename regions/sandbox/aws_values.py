"""Translation between Pulumi's values and AWS's: names, shapes, drift and differences."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from regions.sandbox.aws_session import Props

UNKNOWN: Final = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
"""What the engine sends for a value that isn't known before an update."""

_SIGNATURE: Final = "4dabf18193072939515e22adb298388d"
_INTERNAL: Final = ("__defaults", "__internal")


def plain(value: Any) -> Any:
    """A decoded protobuf value without secret wrappers, whole numbers as int."""
    if isinstance(value, dict):
        if _SIGNATURE in value:
            return plain(value.get("value"))
        return {key: plain(item) for key, item in value.items() if key not in _INTERNAL}
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def shaped(value: Any, shape: Any) -> Any:
    """Pulumi's value in the form of a botocore shape: names, numbers and flags as AWS wants them.

    Keys that AWS doesn't know are left out.
    """
    if shape.type_name == "structure" and isinstance(value, dict):
        members = {name.lower(): name for name in shape.members}
        known = ((members.get(key.lower()), item) for key, item in value.items())
        return {
            name: shaped(item, shape.members[name])
            for name, item in known
            if name and item is not None
        }
    if shape.type_name == "list":
        return _shaped_list(value, shape.member)
    if shape.type_name == "map" and isinstance(value, dict):
        return {key: str(item) for key, item in value.items()}
    return _shaped_scalar(value, shape.type_name)


def _shaped_list(value: Any, member: Any) -> Any:
    if isinstance(value, dict) and {"Key", "Value"} <= set(getattr(member, "members", ())):
        return [{"Key": key, "Value": item} for key, item in value.items()]
    items = value if isinstance(value, list) else [value]
    return [shaped(item, member) for item in items]


def _shaped_scalar(value: Any, type_name: str) -> Any:
    if type_name == "boolean" and isinstance(value, str):
        return value.lower() == "true"
    if type_name in ("integer", "long"):
        return int(value)
    if type_name == "string" and isinstance(value, dict):
        return json.dumps(value)
    return value


def observed(wanted: Any, found: Any) -> Any:
    """What AWS has, in the words of the program, so that only real drift differs from `wanted`.

    Fields that the program leaves to AWS, and fields that AWS doesn't tell, count as they were.
    """
    if found is None or wanted is None:
        return wanted
    if isinstance(wanted, dict) and isinstance(found, list):
        found = {tag["Key"]: tag["Value"] for tag in found if "Key" in tag}
    if isinstance(wanted, dict) and isinstance(found, dict):
        by_name = {key.lower(): item for key, item in found.items()}
        return {key: observed(item, by_name.get(key.lower())) for key, item in wanted.items()}
    if isinstance(wanted, list) and isinstance(found, list):
        return _observed_list(wanted, found)
    return wanted if _same_scalar(wanted, found) else _told(found)


def _observed_list(wanted: list[Any], found: list[Any]) -> list[Any]:
    if len(wanted) != len(found):
        return [_told(item) for item in found]
    if all(isinstance(item, str) for item in (*wanted, *found)):
        return wanted if sorted(wanted) == sorted(found) else found
    return [observed(one, other) for one, other in zip(wanted, found, strict=True)]


def _told(found: Any) -> Any:
    if isinstance(found, dict):
        return {key[:1].lower() + key[1:]: _told(item) for key, item in found.items()}
    return [_told(item) for item in found] if isinstance(found, list) else found


def _same_scalar(one: Any, other: Any) -> bool:
    left, right = document(one), document(other)
    return bool(left == right) or str(left).lower() == str(right).lower()


def document(value: Any) -> Any:
    """A JSON document in a string as its value: policies are equal when their contents are."""
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


def differences(old: Any, new: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Every differing path (`tags.team`, `rules[0].id`) with `add`, `delete` or `update`."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted(old.keys() | new.keys()):
            step = f"{path}.{key}" if path else key
            yield from _difference(old.get(key), new.get(key), step)
    elif isinstance(old, list) and isinstance(new, list):
        for index in range(max(len(old), len(new))):
            yield from _difference(_at(old, index), _at(new, index), f"{path}[{index}]")
    elif document(old) != document(new):
        yield path, "update"


def _difference(old: Any, new: Any, path: str) -> Iterator[tuple[str, str]]:
    if old is None and new is not None:
        yield path, "add"
    elif new is None and old is not None:
        yield path, "delete"
    else:
        yield from differences(old, new, path)


def _at(items: list[Any], index: int) -> Any:
    return items[index] if index < len(items) else None


def all_tags(inputs: Props, defaults: dict[str, str]) -> dict[str, str]:
    """The resource's own tags over the provider's."""
    return {**defaults, **(inputs.get("tags") or {})}
