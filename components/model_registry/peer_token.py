"""A project's token for peers: who may read its models here may ask other nodes for them too.

It stands in the registry beside the models, so that the registry's own rights decide who has it.
"""

from __future__ import annotations

import re
import secrets
from typing import Final

from components.model_registry import keys
from components.model_registry.errors import RegistryError
from components.model_registry.store import Store

_BYTES: Final = 32
_FORM: Final = re.compile("[0-9a-f]{64}")


def is_token(text: str) -> bool:
    """Whether `text` is one: 256 bits in hex digits."""
    return bool(_FORM.fullmatch(text))


def ensure(store: Store, project: str) -> None:
    """Make the project's token unless it has one."""
    store.create(keys.peer_token(project), secrets.token_hex(_BYTES).encode())


def read(store: Store, project: str) -> str:
    """The project's token. Raises NotFound where nothing was pushed since there are tokens."""
    key = keys.peer_token(project)
    found = store.read(key).decode("ascii", "replace").strip()
    if not is_token(found):
        raise RegistryError(f"{key} in the registry's bucket is no token; remove it and push again")
    return found
