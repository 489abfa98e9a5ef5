"""What keeps an image from being built, pushed or pinned, in sentences for the person who asked."""

from __future__ import annotations


class ImageError(Exception):
    """An image could not be built, pushed or found; the text says which, and what to do."""
