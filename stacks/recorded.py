"""What the program would send to the engine through its providers, written down without an engine.

The program's own code runs against a monitor that only records, in a context and an event loop of
its own, so that one process can record many regions and none leaves a trace.
"""

from __future__ import annotations

import asyncio
import hashlib
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import Context
from functools import partialmethod
from pathlib import Path
from typing import Any, Final

from google.protobuf import empty_pb2, json_format
from pulumi.runtime import mocks, rpc, settings, stack
from pulumi.runtime.proto import resource_pb2
from pulumi_aws import ec2, eks, iam, kms, s3

from policies.resources import GROUPS, STACK, Resource, Unknown
from regions.plan import RegionPlan
from stacks.program import aws_part, cluster

_AMBIENT: Final = (
    "callbacks", "dry_run", "engine", "monitor", "monitor_features", "organization", "project",
    "rpc_manager", "stack",
)  # fmt: skip
"""What pulumi's mocks set; what one sets first becomes everyone's default."""


def load(plans: Iterable[RegionPlan]) -> None:
    """Load what the recording of these plans will need, so that processes forked after this have
    it: AWS's packages are executed when one of their names is looked up first."""
    everywhere, with_nodes = (kms, s3), (ec2, eks, iam)
    on_aws = any(plan.provider == "aws" for plan in plans)
    for package in (*everywhere, *(with_nodes if on_aws else ())):
        hasattr(package, "anything")


def _made(plan: RegionPlan, token: str, name: str) -> dict[str, Any]:
    """What AWS decides when it makes a thing, in its form and the same in every run."""
    account, region = plan.account.account_id, plan.account.region
    partition = plan.account.partition
    digest = hashlib.sha256(f"{token} {name}".encode()).hexdigest()
    outputs: dict[str, dict[str, Any]] = {
        "aws:ec2/launchTemplate:LaunchTemplate": {"latestVersion": 1},
        "aws:iam/role:Role": {"arn": f"arn:{partition}:iam::{account}:role/{name}"},
        "aws:kms/key:Key": {
            "arn": f"arn:{partition}:kms:{region}:{account}:key/{digest[:32]}",
            "keyId": digest[:32],
        },
    }
    return outputs.get(token, {})


def _plain(value: Any, path: str) -> Any:
    """A value as sent, without the engine's wrappers; what is not known yet says so when used."""
    if value == rpc.UNKNOWN:
        return Unknown(path)
    if isinstance(value, dict):
        if value.get(rpc._special_sig_key) == rpc._special_secret_sig:
            return _plain(value["value"], path)
        return {key: _plain(below, f"{path}.{key}") for key, below in value.items()}
    if isinstance(value, list):
        return [_plain(below, f"{path}[{index}]") for index, below in enumerate(value)]
    # The protocol has only floats.
    return int(value) if isinstance(value, float) and value.is_integer() else value


_NO_OPTIONS: Final = frozenset({
    # What it is and holds, or follows from the program's order.
    "type", "name", "object", "parent", "dependencies", "propertyDependencies",
    # Judged by themselves (provider-pinned, protected-registry); children carry their own.
    "protect", "provider", "providers",
    # What the language's host can do, and where the program stands.
    "acceptSecrets", "acceptResources", "accepts_byte_string", "aliasSpecs",
    "supportsPartialValues", "supportsResultReporting",
    "sourcePosition", "stackTrace", "parentStackTraceHandle",
    # Says whether deleteBeforeReplace was set.
    "deleteBeforeReplaceDefined",
})  # fmt: skip
OPTIONS: Final = tuple(
    field.name
    for field in resource_pb2.RegisterResourceRequest.DESCRIPTOR.fields
    if field.name not in _NO_OPTIONS
)
"""Every option that a resource can be registered with, those of a later engine too."""


def _options(request: Any) -> dict[str, Any]:
    """The options of a request by the protocol's name, None where one is not set."""
    written = json_format.MessageToDict(request, preserving_proto_field_name=True)
    found = {name: written.get(name) or None for name in OPTIONS}
    if request.deleteBeforeReplaceDefined:
        found["deleteBeforeReplace"] = request.deleteBeforeReplace
    aliases: list[dict[str, Any]] = []
    for alias in written.get("aliases", ()):
        said = {key: value for key, value in alias.get("spec", alias).items() if value}
        aliases += [said] if said not in aliases else []  # SDKs write some of them twice
    return found | {"aliases": aliases or None}


class _NoAnswers(mocks.Mocks):
    """The program asks AWS nothing: a plan is all it needs."""

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        raise LookupError(f"{args.name} is made, not looked up: only the recorder answers")

    def call(self, args: mocks.MockCallArgs) -> Any:
        raise LookupError(f"{args.token} would ask AWS: a plan must hold all that is needed")


class _Recorder(mocks.MockMonitor):
    """A monitor that keeps what is registered and answers with it.

    With `known` it also answers what AWS would decide (ARNs, ids); without, as a preview of the
    first `up` sees it, before anything is made.
    """

    def __init__(self, plan: RegionPlan, known: bool) -> None:
        super().__init__(_NoAnswers())
        self.plan = plan
        self.known = known
        self.found: list[Resource] = []

    def RegisterResource(self, request: Any) -> Any:  # the protocol's name
        token, name = request.type, request.name
        sent = json_format.MessageToDict(request.object)
        options = _options(request)
        groups = token == STACK or token.startswith(GROUPS)
        if (
            not groups or request.protect or any(options.values())
        ):  # whatever makes or changes something is judged
            self.found.append(
                Resource(
                    type=token,
                    name=name,
                    values=_plain(sent, f"{token} {name}"),
                    protected=request.protect,
                    # A provider is referred to as <urn>::<id>, and a urn ends with the name.
                    provider=request.provider.rpartition("::")[0].rpartition("::")[2],
                    options=options,
                )
            )
        answer = resource_pb2.RegisterResourceResponse(urn=self.make_urn("", token, name))
        answer.object.CopyFrom(request.object)
        if self.known:
            answer.id = name
            answer.object.update(_made(self.plan, token, str(sent.get("name", name))))
        return answer

    def _change(self, kind: str, request: Any) -> Any:
        """What the program asks the engine to run or change on every resource's way: of a kind
        that no rule knows, so that it is refused by name."""
        self.found.append(Resource(f"pulumi:pulumi:{kind}", "", {}, protected=False, provider=""))
        return empty_pb2.Empty()

    RegisterStackTransform = partialmethod(_change, "StackTransform")
    RegisterStackInvokeTransform = partialmethod(_change, "StackInvokeTransform")
    RegisterResourceHook = partialmethod(_change, "ResourceHook")
    RegisterErrorHook = partialmethod(_change, "ErrorHook")


@contextmanager
def without_trace() -> Iterator[None]:
    """What pulumi keeps for a whole process is afterwards as it was before.

    Of every resource it would send the call stack (pulumi.runtime.resource), which nobody reads
    here, and which takes a fifth of the time: one frame holds none that it sends.
    """
    before = {name: Context().run(getattr, settings.SETTINGS, name) for name in _AMBIENT}
    limit = getattr(sys, "tracebacklimit", None)
    sys.tracebacklimit = 1
    try:
        yield
    finally:
        if limit is None:
            del sys.tracebacklimit
        else:
            sys.tracebacklimit = limit
        for name, value in before.items():
            Context().run(setattr, settings.SETTINGS, name, value)


async def _run(recorder: _Recorder, root: Path) -> None:
    plan = recorder.plan
    mocks.set_mocks(recorder.mocks, "isoserve", plan.region, not recorder.known, monitor=recorder)

    def program() -> None:
        cluster(plan.cluster, root)
        aws_part(plan, root)

    await stack.run_pulumi_func(program)


def recorded(plan: RegionPlan, root: Path, *, known: bool = True) -> list[Resource]:
    """The region's providers and AWS resources, sorted by type and name.

    Without `known` they are as the engine's first preview sees them: what AWS will decide is an
    Unknown.
    """
    recorder = _Recorder(plan, known)
    with without_trace(), asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        runner.run(_run(recorder, root), context=Context())
    return sorted(recorder.found, key=lambda one: (one.type, one.name))
