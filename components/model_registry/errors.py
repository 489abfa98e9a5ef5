"""What a registry cannot do, in sentences for the person who asked."""

from __future__ import annotations


class RegistryError(Exception):
    """Something that keeps the registry from doing what was asked; the text says what to do."""


class NotFound(RegistryError):
    """There is no such object, version or tag."""


class Denied(RegistryError):
    """The store refuses this reader, who may not list what is there: S3 answers so as well for an
    object that is missing (docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html, "404")."""


class Corrupt(RegistryError):
    """What the bucket holds is not what its digest says."""
