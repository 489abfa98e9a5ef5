"""What the profile itself says: images that registries have, and no values of an example."""

from __future__ import annotations

from typing import Final

from model_specs.errors import dotted
from model_specs.runtimes import RUNTIMES
from model_specs.source import Source
from regions.placeholders import Placeholder, placeholders
from stacks.doctor.findings import Answers, Finding, Site, Unseen, named
from stacks.images.errors import ImageError

_FIELDS: Final = ("agent_image", "prober_image")
_SURE: Final = ("has no such image", "answers with no image's manifest", " instead; ")
"""How stacks.images.registry says that a registry was reached and the image is not to be had; all
else may be so from this machine alone."""


def images(site: Site) -> Answers:
    """Registries answer for the manifests of the agent's and the prober's image.

    They are asked from this machine with its own sign-in: that nodes may pull them is not seen, nor
    for which architectures they are.
    """
    for field in _FIELDS:
        image = getattr(site.profile, field)
        try:
            site.ask_image(image)
        except ImageError as error:
            if not any(words in str(error) for words in _SURE):
                yield Unseen(check="images", why=f"{field}: {error}")
                continue
            what, _, _ = str(error).partition("; ")
            mend = f"isoserve image pin --set {field}=HOST/PATH:TAG {site.file}"
            yield Finding(check="images", what=f"{field}: {what}", mend=f"push it, then {mend}")


def example_values(site: Site) -> Answers:
    """No value of the profile is still an example's, nor an image of the catalogue."""
    source = Source(site.file, site.profile.model_dump(mode="json"))
    catalogue = {name: runtime.image for name, runtime in RUNTIMES.items()}
    kinds: dict[str, list[Placeholder]] = {}
    for one in placeholders(source, site.region, catalogue):
        kinds.setdefault(one.kind.what, []).append(one)
    for what, alike in kinds.items():
        paths = [dotted(one.where) for one in alike if one.where]
        where = f"{site.file}, {named(paths)}: " if paths else ""
        told = f"{where}{what}, got {alike[0].got}"
        mend = f"{where}{alike[0].kind.instead}"
        yield Finding(check="placeholders", what=told, mend=mend)
