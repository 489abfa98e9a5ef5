"""Where everything stands in a registry's bucket, and how a model is called.

All models of a project are below its own prefix, since readers are granted one prefix and no more.
The data of jobs is below another (model_specs.names.DATA).
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Final

from components.model_registry.errors import RegistryError

# The same words as a spec's `model:`; told here again since a running part has no pydantic.
_NAME = r"[a-z](?:[a-z0-9-]*[a-z0-9])?"
_LABEL = r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}"
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_ADDRESS: Final = re.compile(
    rf"(?P<project>{_NAME})/(?P<model>{_NAME})(?::(?P<label>{_LABEL}))?(?:@(?P<digest>\S+))?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """`project/model:label@digest`; `label` (a version or a tag) and `digest` may be empty."""

    project: str
    model: str
    label: str
    digest: str

    def __str__(self) -> str:
        label = f":{self.label}" if self.label else ""
        return f"{self.project}/{self.model}{label}{'@' if self.digest else ''}{self.digest}"


def address(text: str) -> Address:
    """The address that `text` is. Raises RegistryError when it is none."""
    found = _ADDRESS.fullmatch(text)
    if not found or (found["digest"] and not _DIGEST.fullmatch(found["digest"])):
        form = "project/model:version, project/model:tag or project/model@sha256:<64 hex digits>"
        raise RegistryError(f"a model's address is {form}, got {ascii(text)[:160]}")
    return Address(
        project=found["project"],
        model=found["model"],
        label=found["label"] or "",
        digest=found["digest"] or "",
    )


def check_label(label: str) -> None:
    """Raise RegistryError unless a version or a tag may be called `label`."""
    if not re.fullmatch(_LABEL, label):
        form = "letters, digits, '.', '_' and '-', at most 63, the first a letter or digit"
        raise RegistryError(f"a version or tag is {form}; got {ascii(label)[:80]}")


def check_project(name: str) -> None:
    """Raise RegistryError unless a project may be called `name`."""
    if not re.fullmatch(_NAME, name):
        form = "lower-case letters, digits and hyphens, the first a letter"
        raise RegistryError(f"a project is {form}; got {ascii(name)[:80]}")


def blob(project: str, sha256: str) -> str:
    """The content with this SHA-256 (hex), once for all models of the project."""
    return f"{project}/blobs/sha256/{sha256}"


def prefixes(project: str, sha256: str) -> str:
    """The digests of the beginnings of that content (prefixes.py)."""
    return f"{project}/prefixes/sha256/{sha256}"


def manifest(project: str, digest: str) -> str:
    """The manifest with this digest (`sha256:<hex>`)."""
    return f"{project}/manifests/{digest.replace(':', '/', 1)}"


def peer_token(project: str) -> str:
    """By what nodes ask each other for the project's models (peer_token.py)."""
    return f"{project}/peers/token"


def models(project: str) -> str:
    """The prefix of all models of a project."""
    return f"{project}/models/"


def versions(project: str, model: str) -> str:
    """The prefix of a model's versions, each written once."""
    return f"{models(project)}{model}/versions/"


def tags(project: str, model: str) -> str:
    """The prefix of a model's tags, which may move."""
    return f"{models(project)}{model}/tags/"


def version(project: str, model: str, label: str) -> str:
    """The pointer from a version to its manifest."""
    return f"{versions(project, model)}{label}"


def tag(project: str, model: str, label: str) -> str:
    """The pointer from a tag to a manifest."""
    return f"{tags(project, model)}{label}"


def pointer(digest: str) -> bytes:
    """What stands at a version or a tag."""
    return json.dumps({"digest": digest}).encode()


def pointed(raw: bytes, key: str) -> str:
    """The digest that the pointer at `key` names. Raises RegistryError when it is none."""
    try:
        digest = json.loads(raw)["digest"]
        if _DIGEST.fullmatch(digest):
            return str(digest)
    except (ValueError, TypeError, KeyError, RecursionError):
        pass
    raise RegistryError(f"{key} in the registry's bucket names no digest; repair or remove it")
