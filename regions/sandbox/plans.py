"""What the specs decide for a region of the sandbox, as its stack does."""

from __future__ import annotations

from model_specs.errors import SpecErrors
from model_specs.load import load
from model_specs.moment import moment
from regions.plan import RegionPlan
from regions.profile import RegionProfile, load_profiles
from regions.resolve import resolve
from regions.sandbox.errors import SandboxError
from regions.sandbox.layout import ROOT


def profile_of(region: str) -> RegionProfile:
    """The region's profile. Raises SandboxError with what is wrong in it."""
    try:
        return load_profiles(ROOT / "regions", (region,))[region]
    except SpecErrors as errors:
        raise SandboxError(f"{errors}\nmend this, then `isoserve check` finds nothing") from None


def plan_of(region: str) -> RegionPlan:
    """The region's plan of this moment's specs. Raises SandboxError with what is wrong in them."""
    try:
        specs = load(ROOT / "model_specs").wanted_at(moment(""))
        return resolve(specs, profile_of(region), region)
    except ValueError as error:
        raise SandboxError(str(error)) from None
    except SpecErrors as errors:
        raise SandboxError(f"{errors}\nmend this, then `isoserve check` finds nothing") from None
