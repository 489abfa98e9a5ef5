"""What is registered with the engine when a gate fails: everything but what comes after it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Collection
from contextlib import nullcontext
from contextvars import Context
from pathlib import Path
from typing import Any

import pulumi
import pytest
from pulumi.runtime import mocks, stack
from pulumi.runtime.proto import resource_pb2

from components.engine import register
from components.gates.acts import HANDOVER, TRAFFIC
from components.gates.claims import CLAIM, REGION, owner, projects_of
from components.gates.foreign_fields import FOREIGN
from components.gates.resources import _GateProvider, _WaitProvider
from components.model_job import run_name
from components.order import ROWS, ordered
from components.parts import parts
from components.rollout_gate import RolloutGate, stop_if_incomplete
from regions.plan import RegionPlan
from stacks.program import cluster
from stacks.recorded import without_trace
from tests.examples import a_model, a_profile, an_offer, planned

NOWHERE = {"asked": "{}", "context": "none", "fault": "", "kind": TRAFFIC, "model": "chat/helper"}


class NoAnswers(mocks.Mocks):
    """The program asks for nothing."""

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        raise LookupError(args.name)

    def call(self, args: mocks.MockCallArgs) -> Any:
        raise LookupError(args.token)


class Engine(mocks.MockMonitor):
    """Makes what it is asked for; gates named in `faults` say that they failed.

    Told to go on, it passes over what is named in `skipped`.
    """

    def __init__(self, faults: dict[str, str], skipped: Collection[str] = ()) -> None:
        super().__init__(NoAnswers())
        self.faults = faults
        self.skipped = skipped
        self.made: set[str] = set()
        self.after: dict[str, set[str]] = {}

    def RegisterResource(self, request: Any) -> Any:  # the protocol's name
        self.made.add(f"{request.type.rpartition(':')[2]} {request.name}")
        urn = self.make_urn("", request.type, request.name)
        own = f"{request.type.rpartition(':')[2]} {request.name}"
        self.after[own] = set(map(_shown, request.dependencies))
        answer = resource_pb2.RegisterResourceResponse(urn=urn, id=request.name)
        if request.name in self.skipped:
            answer.result = resource_pb2.Result.FAIL
            return answer
        answer.object.CopyFrom(request.object)
        answer.object.update({"fault": self.faults.get(request.name, "")})
        return answer


def _shown(urn: str) -> str:
    """Kind and name of an URN."""
    *_, kind, name = urn.split("::")
    return f"{kind.rpartition(':')[2]} {name}"


def two_models() -> RegionPlan:
    """One model in each of two projects, with a route each."""
    room = {"gpu.l4.1": an_offer(100, 100)}
    names = ("chat/helper", "search/sentiment")
    models = [a_model(*name.split("/"), access="permissive") for name in names]
    return planned(*models, profile=a_profile(machines=room))


class Role(pulumi.CustomResource):
    """Stands for a role of IAM."""

    def __init__(self, name: str) -> None:
        super().__init__("aws:iam/role:Role", name, {})


def run(plan: RegionPlan, engine: Engine, program: Callable[[], None], *, preview: bool) -> None:
    """Run a program of `plan` against an engine that only records."""

    async def in_loop() -> None:
        mocks.set_mocks(engine.mocks, "isoserve", plan.region, preview, monitor=engine)
        await stack.run_pulumi_func(program)

    with without_trace(), asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        runner.run(in_loop(), context=Context())


def registered(
    faults: dict[str, str], *, preview: bool, skipped: Collection[str] = ()
) -> tuple[set[str], list[list[str]]]:
    """What the engine was asked to make, and what RolloutGate would be told."""
    plan, engine = two_models(), Engine(faults, skipped)
    told: list[str] = []

    def program() -> None:
        done = register(list(parts(plan)), plan, cluster(plan.cluster, Path()), "kubeconfig", {})
        pulumi.Output.from_input(done.faults).apply(told.append)

    run(plan, engine, program, preview=preview)
    (faulty,) = told
    return engine.made, json.loads(faulty)


def test_a_failed_gate_leaves_only_what_comes_after_it_as_it_is() -> None:
    everything, none = registered({}, preview=False)
    assert none == []
    made, faults = registered({f"chat/helper/{TRAFFIC}": "no pod serves"}, preview=False)
    assert faults == [["chat/helper", "no pod serves"]]
    left = everything - made
    after = {"HTTPRoute chat/helper", "Resource chat/helper/RouteDrain", "Service chat/helper"}
    assert left == after, "its users stay where they are"
    assert "HTTPRoute search/sentiment" in made, "and the other project goes through"


def test_whatever_comes_after_what_was_left_is_left_too() -> None:
    everything, _ = registered({}, preview=False)
    made, _ = registered({f"chat/helper/{HANDOVER}": "it is away"}, preview=False)
    left = {one.partition(" ")[0] for one in everything - made}
    assert {"Deployment", "ScaledObject", "HTTPRoute"} <= left
    assert not any("search/" in one for one in everything - made)


def test_a_name_that_is_anothers_leaves_all_of_its_project_and_nothing_else() -> None:
    everything, _ = registered({}, preview=False)
    made, faults = registered({f"chat/{CLAIM}": "Namespace chat stands there"}, preview=False)
    assert faults == [["chat", "Namespace chat stands there"]]
    nouns = {f"{part.noun} {part.name}" for part in parts(two_models())}
    objects = everything - made
    plan = two_models()
    projects = projects_of(plan)
    of_chat = sum(owner(one, projects) == "chat" for part in parts(plan) for one in part.objects)
    gates = sum(one.startswith("Resource chat/") for one in objects)
    assert len(objects) == of_chat + gates, "every object of it, and its gates"
    assert not any("search" in one.partition(" ")[2] for one in objects)
    assert nouns <= made, "components hold them in the state"


def test_a_name_of_the_region_that_is_anothers_holds_no_project_up() -> None:
    everything, _ = registered({}, preview=False)
    made, faults = registered({f"{REGION}/{CLAIM}": "somebody's guard stands there"}, preview=False)
    assert faults == [["", "somebody's guard stands there"]]
    left = everything - made
    assert any("ValidatingAdmissionPolicy" in one for one in left), "the region's own stays"
    assert "Namespace chat" in made, "which the guard comes before"
    assert not any(" chat/" in one or " search/" in one for one in left)


def test_the_guard_of_this_version_comes_before_what_it_judges() -> None:
    """That of the version before would refuse what only this one makes."""
    plan = two_models()
    order = {step.key: earlier for step, earlier in ordered(list(parts(plan)), plan, ROWS)}
    guards = {key for key in order if "ValidatingAdmissionPolicy " in key}
    assert guards
    for key, earlier in order.items():
        if "Namespace " in key:
            assert guards <= {one.key for one in earlier}, key


def test_what_comes_after_a_gate_that_was_passed_over_stays_in_the_program() -> None:
    everything, _ = registered({}, preview=False)
    skipped = {f"chat/helper/{TRAFFIC}", f"chat/{CLAIM}"}
    made, faults = registered({}, preview=False, skipped=skipped)
    assert made == everything, "the engine deletes what it is not told of, and passes over the rest"
    assert faults == []


@pytest.mark.parametrize(
    ("skipped", "preview", "fails"),
    [((), False, False), (("rollout",), False, True), (("rollout",), True, False)],
    ids=["passed", "passed over", "preview"],
)
def test_a_program_whose_last_gate_has_not_passed_fails(
    skipped: tuple[str, ...], preview: bool, fails: bool
) -> None:
    plan, engine = two_models(), Engine({}, skipped)

    def program() -> None:
        stop_if_incomplete(RolloutGate([], plan, "kubeconfig", [], "[]", 0))

    ends = pytest.raises(pulumi.RunError, match="nothing was deleted") if fails else nullcontext()
    with ends:
        run(plan, engine, program, preview=preview)


def test_a_preview_shows_everything_whatever_a_gate_said_last_time() -> None:
    everything, _ = registered({}, preview=True)
    made, faults = registered({f"chat/helper/{TRAFFIC}": "no pod serves"}, preview=True)
    assert (made, faults) == (everything, [])


def test_a_gate_that_failed_outputs_why_and_counts_as_never_asked(
    capfd: pytest.CaptureFixture[str],
) -> None:
    plan = {"share": 1, "candidate": {"targets": [], "version": "new"}, "answers": []}
    target = {"kind": "Deployment", "namespace": "chat", "name": "helper-candidate", "least": 1}
    plan["candidate"]["targets"] = [  # type: ignore[index]
        {**target, "timeout_seconds": 1, "project": "chat", "may_lack": "", "fallback_seconds": 0}
    ]
    plan["stable"] = {"targets": [], "version": "old"}
    gate = _WaitProvider()
    wanted = {**NOWHERE, "kubeconfig": "/nowhere", "asked": json.dumps(plan)}
    outs = gate.create(wanted).outs
    assert outs is not None
    assert "/nowhere has no usable context 'none'" in outs["fault"]
    assert "asked" not in outs, "the next `up` asks it again, as it would have now"
    assert gate.diff("", outs, wanted).changes
    assert "chat/helper stays as it is, all else goes on: " in capfd.readouterr().out
    before = {**NOWHERE, "kubeconfig": "/nowhere", "asked": json.dumps({"share": 0})}
    outs = gate.update("", before, wanted).outs
    assert outs is not None
    assert outs["asked"] == before["asked"], "or what was asked last that passed"
    assert gate.diff("", outs, before).changes, "a spec that is taken back clears the fault"
    assert isinstance(gate, _GateProvider)


def test_what_others_have_set_is_looked_at_last_also_where_a_gate_failed() -> None:
    plan, engine = two_models(), Engine({f"chat/helper/{TRAFFIC}": "no pod serves"})

    def program() -> None:
        register(list(parts(plan)), plan, cluster(plan.cluster, Path()), "kubeconfig", {})

    run(plan, engine, program, preview=False)
    for project in ("chat", "search", "isoserve"):
        after = engine.after[f"Resource {project}/{FOREIGN}"]
        assert "Deployment search/sentiment" in after
        assert f"Resource search/sentiment/{TRAFFIC}" in after


def test_an_account_comes_after_its_role_and_pods_after_their_account() -> None:
    model = a_model("search", "sentiment", cache="never")
    plan = planned(model, profile=a_profile(machines={"gpu.l4.1": an_offer(9, 9)}))
    engine = Engine({})

    def program() -> None:
        roles = {"isoserve.test-region.search": Role("reader-search"), "other": Role("other")}
        register(list(parts(plan)), plan, cluster(plan.cluster, Path()), "kubeconfig", roles)

    run(plan, engine, program, preview=False)
    account = engine.after["ServiceAccount search/sentiment"]
    assert "Role reader-search" in account, "a pod that starts earlier has no role for ever"
    assert "Role other" not in account
    deployment = engine.after["Deployment search/sentiment"]
    assert {"Role reader-search", "ServiceAccount search/sentiment"} <= deployment


@pytest.mark.parametrize("batch", [{}, {"schedule": "0 3 * * *"}], ids=["Job", "CronJob"])
def test_all_that_a_job_s_pods_need_goes_after_them(batch: dict[str, str]) -> None:
    fields = {"command": ["score"], "input": "pairs", **batch}
    job = a_model("search", "scores", batch=fields)
    plan, engine = (
        planned(job, profile=a_profile(machines={"gpu.l4.1": an_offer(9, 9)})),
        Engine({}),
    )
    own = plan.jobs[0]

    def program() -> None:
        roles = {own.data.role: Role("job"), "other": Role("other")}
        register(list(parts(plan)), plan, cluster(plan.cluster, Path()), "kubeconfig", roles)

    run(plan, engine, program, preview=False)
    name = run_name(own)
    runs = f"{'CronJob' if batch else 'Job'} search/{name}"
    drain = f"Resource search/{name}/PodDrain"
    assert drain in engine.after[runs], "what is deleted first is waited for"
    policies = {one for one in engine.made if one.startswith("NetworkPolicy search/")}
    account = "ServiceAccount search/scores"
    assert "NetworkPolicy search/scores" in policies, "its own, and its project's"
    assert {account, *policies} <= engine.after[drain]
    assert "Role job" in engine.after[account]
    assert "Role job" in engine.after[drain], "the role may go where the account stays"
    assert "Role other" not in engine.after[drain]
