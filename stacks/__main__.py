"""The Pulumi program: a stack is a region, or the add-ons of its cluster, and is named so."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# The engine runs this folder as the program: the root is put first, so that the rooms are found
# and no file beside this one shadows the standard library.
sys.path[0] = str(ROOT)

import pulumi  # noqa: E402

from model_specs.errors import SpecErrors  # noqa: E402
from model_specs.load import load  # noqa: E402
from model_specs.moment import moment  # noqa: E402
from model_specs.names import ADDONS_STACK  # noqa: E402
from regions.profile import load_profiles  # noqa: E402
from regions.resolve import resolve  # noqa: E402
from stacks import addons  # noqa: E402
from stacks.oversize import oversized  # noqa: E402
from stacks.program import build, tell  # noqa: E402


def main() -> None:
    """Plan the stack's region and register it. Raises RunError with every error, one a line."""
    stack = pulumi.get_stack()
    region = stack.removesuffix(ADDONS_STACK)
    try:
        at = moment("")
        profile = load_profiles(ROOT / "regions", (region,))[region]
        if region != stack:
            addons.build(profile, ROOT)
            return
        plan = resolve(load(ROOT / "model_specs").wanted_at(at), profile, region)
        if errors := list(oversized(plan)):
            raise SpecErrors(errors)
    except SpecErrors as refused:
        raise pulumi.RunError(f"the specs or the profile are refused:\n{refused}") from None
    except ValueError as error:
        raise pulumi.RunError(str(error)) from None
    tell(plan, at)
    build(plan, ROOT)


main()
