"""What a registry cannot do, in sentences for the person who asked."""

from __future__ import annotations


class RegistryError(Exception):
    """Something that keeps the registry from doing what was asked; the text says what to do."""


class NotFound(RegistryError):
    """There is no such object, version or tag."""


class Corrupt(RegistryError):
    """What the bucket holds is not what its digest says."""
