"""The registry that a command works on, and how it refuses."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from components.model_registry.account import Account
from components.model_registry.catalogue import resolved
from components.model_registry.errors import RegistryError
from components.model_registry.keys import Address, address
from components.model_registry.manifest import Manifest
from components.model_registry.sessions import Registry, connect
from components.model_registry.store import Store
from model_specs.catalogue_files import project_root
from regions.profile import RegionProfile, load_profiles
from stacks.outcome import Outcome, refusal
from stacks.places import check_regions

CODE: Final = "E391"


Verb = Callable[[Namespace], Outcome]


def answering(verbs: Mapping[str, Verb]) -> Verb:
    """Does what the verb says, and tells what the registry refuses as an error of the command."""

    def run(args: Namespace) -> Outcome:
        try:
            return verbs[args.verb](args)
        except RegistryError as error:
            raise refusal(f"model {args.verb}", CODE, str(error)) from None

    return run


def home(profiles: dict[str, RegionProfile]) -> str:
    """The region whose registry the others are copied from."""
    homes = [name for name, profile in profiles.items() if profile.registry.replicate_to]
    if len(profiles) == 1 or len(homes) == 1:
        return [*homes, *profiles][0]
    which = "several regions" if homes else "no region"
    names = ", ".join(homes or profiles)
    message = f"{which} copy their registry to others, so name the one you mean: {names}"
    raise refusal("--region", CODE, message)


def registry(args: Namespace) -> Registry:
    """The registry of the chosen region."""
    root = project_root()
    folder = args.regions or root / "regions"
    if not folder.is_dir():
        raise refusal(str(folder), "E100", "no such directory; give the one of <region>.yaml")
    chosen = (args.region,) if args.region else ()
    check_regions(list(chosen), folder)
    profiles = load_profiles(folder, chosen)
    profile = profiles[args.region or home(profiles)]
    account = profile.account
    return connect(
        profile.registry.bucket,
        args.endpoint or profile.registry.endpoint,
        Account(
            region=account.region,
            profile=account.profile,
            config_file=_located(root, account.config_file),
            credentials_file=_located(root, account.credentials_file),
        ),
    )


def _located(root: Path, path: str) -> str:
    return str(root / Path(path).expanduser()) if path else ""


def wanted(args: Namespace, store: Store) -> tuple[Address, Manifest]:
    """The model that the command names, with its digest."""
    where = address(args.address)
    known = resolved(store, where)
    return replace(where, digest=known.digest), known.manifest
