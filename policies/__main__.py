"""The CrossGuard pack: every rule at every preview and `up`, mandatory, for each resource first."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

ROOT = Path(__file__).resolve().parents[1]
# The engine runs this folder as the pack: the root is put first, so that the rooms are found and
# no file beside this one shadows the standard library.
sys.path[0] = str(ROOT)

from pulumi_policy import (  # noqa: E402
    EnforcementLevel,
    PolicyPack,
    PolicyResourceOptions,
    ReportViolation,
    ResourceValidationArgs,
    ResourceValidationPolicy,
    StackValidationArgs,
    StackValidationPolicy,
)
from pulumi_policy.proxy import UnknownValueError  # noqa: E402

from model_specs.moment import moment  # noqa: E402
from policies.pack import BRIDGED, Court, Inputs, StateNotRead, plain  # noqa: E402
from policies.resources import Resource  # noqa: E402

_STATE_SECONDS: Final = 120


def _state(stack: str) -> Mapping[str, Inputs]:
    """The inputs in the state of the stack, as its backend has it now; nothing is locked."""
    owner = os.environ.get("PULUMI_ORGANIZATION", "organization")
    name = f"{owner}/{os.environ['PULUMI_PROJECT']}/{stack}"
    try:
        done = subprocess.run(
            ["pulumi", "stack", "export", "--stack", name, "--non-interactive", "--cwd", ROOT],
            capture_output=True, check=True, text=True, timeout=_STATE_SECONDS,
        )  # fmt: skip
    except subprocess.CalledProcessError as failed:
        raise StateNotRead(f"`pulumi stack export` says: {failed.stderr.strip()}") from failed
    except (OSError, subprocess.TimeoutExpired) as failed:
        raise StateNotRead(f"`pulumi stack export` did not run: {failed}") from failed
    found = json.loads(done.stdout)["deployment"].get("resources") or ()
    return {one["urn"]: one.get("inputs") or {} for one in found if not one.get("delete")}


COURT = Court(ROOT, moment(""), _state)


def _options(seen: PolicyResourceOptions) -> dict[str, Any]:
    """The options that the engine tells of, which are not all of them (AnalyzerResourceOptions in
    analyzer.proto of v3.272.0); the others are judged as the program is recorded offline. Aliases
    come in their older form only, as URNs, which nothing here sets."""
    limits = vars(seen.custom_timeouts)
    return {
        "additionalSecretOutputs": [*seen.additional_secret_outputs] or None,
        "customTimeouts": limits if any(limits.values()) else None,
        "deleteBeforeReplace": seen.delete_before_replace,
        "ignoreChanges": [*seen.ignore_changes] or None,
        **({"aliases": [*seen.aliases]} if seen.aliases else {}),
    }


def _resource(args: ResourceValidationArgs) -> Resource:
    is_bridged = args.resource_type.startswith(BRIDGED)
    return Resource(
        type=args.resource_type,
        name=args.name,
        values=plain(args.props, UnknownValueError, "", is_bridged=is_bridged),
        protected=args.opts.protect,
        provider=args.provider.name if args.provider else "",
        options=_options(args.opts),
    )


def _each(args: ResourceValidationArgs, report: ReportViolation) -> None:
    for message in COURT.one(args.urn, _resource(args)):
        report(message, None)


def _whole(args: StackValidationArgs, report: ReportViolation) -> None:
    for message in COURT.whole():
        report(message, None)


# Two policies and not one a rule: the engine decodes every resource anew for each of them.
PolicyPack(
    name="isoserve",
    enforcement_level=EnforcementLevel.MANDATORY,
    policies=[
        ResourceValidationPolicy(
            name="resource",
            description="every resource meets the rules of policies/rules.md",
            validate=_each,
        ),
        StackValidationPolicy(
            name="region",
            description="all resources together meet the rules of policies/rules.md",
            validate=_whole,
        ),
    ],
)
