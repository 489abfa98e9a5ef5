"""Rules about what runs: images and models are pinned by digest."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from policies.facts import Facts
from policies.pods import containers
from policies.resources import Resource
from policies.rule import WORKLOADS, Fault, Rule, each

_PINNED: Final = re.compile(r"[a-z0-9][a-z0-9.:-]*(/[a-z0-9][a-z0-9._-]*)+@sha256:[0-9a-f]{64}")


@each("P02", "image-digest", *WORKLOADS)
def _image_digest(resource: Resource, facts: Facts) -> Iterator[Fault]:
    """Every container's image is pinned by digest: a tag can be moved under a running rollout."""
    for container in containers(resource):
        image = str(container.get("image", ""))
        if not _PINNED.fullmatch(image):
            what = f"runs {image!r} in container {container.get('name')}"
            yield Fault(resource, what, "pin it as registry/name@sha256:<64 hex digits>", "image")


@each("P02", "image-host", *WORKLOADS)
def _image_host(resource: Resource, facts: Facts) -> Iterator[Fault]:
    """Every container's image comes from a registry that the region's profile lists: one that is
    pinned is the same tomorrow, and may still be a stranger's."""
    for container in containers(resource):
        host = str(container.get("image", "")).partition("/")[0]
        if host not in facts.profile.image_hosts:
            what = f"runs an image of {host!r} in container {container.get('name')}"
            fix = f"mirror it to {' or '.join(facts.profile.image_hosts)}"
            yield Fault(resource, what, fix, "image")


RULES: Final[tuple[Rule, ...]] = (_image_digest, _image_host)
