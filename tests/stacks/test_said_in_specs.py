"""What a spec may say of its pods passes every judge: `check`, `parity` and the rules."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from model_specs.load import load
from policies.catalogue import RULES
from policies.judge import judge_one
from tests.policies.estate import facts, good
from tests.stacks.conftest import Isoserve, git

REGION = "us-east-1"


def say(root: Path, model: str, **fields: Any) -> None:
    path = root / "model_specs" / f"{model}.yaml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), **fields}))


def refusals(isoserve: Isoserve) -> list[str]:
    """What the judges say against the tree."""
    answers = [isoserve(command) for command in ("check", "parity", "policy")]
    return [answer.out[-3000:] for answer in answers if answer.code != 0]


def test_sizes_of_tmp_and_shared_memory(isoserve: Isoserve, here: Path) -> None:
    for model in ("search/sentiment", "search/nightly-index"):
        say(here, model, tmp_gib=10, shared_memory_gib=2)
    assert refusals(isoserve) == []


def test_another_machine_type_replicas_and_sizes_in_a_region(
    isoserve: Isoserve, here: Path
) -> None:
    say(here, "search/ranker", regions={REGION: {"machine_type": "gpu.l4.1"}})
    say(here, "search/nightly-index", regions={REGION: {"machine_type": "cpu.4", "tmp_gib": 9}})
    sleeping = {"scale_to_zero": True, "queue_depth": 9, "idle_seconds": 100}
    say(
        here,
        "search/sentiment",
        access="permissive",
        regions={
            REGION: {"scaling": sleeping, "shared_memory_gib": 3},
            "eu-central-1": {"scaling": {"max": 3}},
        },
    )
    say(here, "search/project", cpu_quota=200, memory_quota_gib=900, gpu_quota={"gpu.l4.1": 60})
    assert refusals(isoserve) == []


@pytest.mark.parametrize(
    ("model", "differs"),
    [
        ("search/sentiment", {"scaling": {"max": 3}}),
        ("search/ranker", {"machine_type": "gpu.l4.1"}),
    ],
    ids=["replicas", "machine type"],
)
def test_a_review_of_one_region_tells_that_region_alone(
    isoserve: Isoserve, here: Path, model: str, differs: dict[str, Any]
) -> None:
    say(here, "search/project", cpu_quota=200, memory_quota_gib=900, gpu_quota={"gpu.l4.1": 60})
    for words in (("init", "-q", "-b", "main"), ("add", "."), ("commit", "-qm", "base")):
        git(here, *words)
    say(here, model, regions={REGION: differs})
    told = isoserve("review", "--base", "main", "--json").data
    (wish,) = told["models"]
    assert wish["id"] == model
    assert [effect["regions"] for effect in wish["effects"]] == [[REGION]]
    assert {region for step in told["steps"] for region in step["regions"]} == {REGION}
    assert not [f for f in told["flags"] if f["level"] == "BLOCKED"], told["flags"]


def test_names_by_which_callers_ask(isoserve: Isoserve, here: Path) -> None:
    say(here, "search/sentiment", served_names=["team/sentiment-1.5", "sentiment"])
    assert refusals(isoserve) == []


def test_rates_at_which_files_come(isoserve: Isoserve, here: Path) -> None:
    slow = {"load_mib_per_second": 40, "fetch_mib_per_second": 20}
    say(
        here,
        "search/sentiment",
        rates=slow,
        regions={REGION: {"rates": {"load_mib_per_second": 9}}},
    )
    say(here, "search/nightly-index", rates=slow)
    assert refusals(isoserve) == []


@pytest.mark.parametrize(
    ("model", "fields"),
    [
        ("search/scores", {"regions": {REGION: {"tmp_gib": 9}}}),
        ("search/nightly-index",
         {"cache": "always", "regions": {REGION: {"machine_type": "cpu.4"}}}),
        ("vision/tagger", {"regions": {REGION: {"rates": {"load_mib_per_second": 1}}}}),
        ("chat/helper", {"access": "permissive", "scaling": {"min": 1, "max": 4,
                                                             "scale_to_zero": True}}),
    ],
    ids=["a single run", "a cached model of another spec", "a candidate's start", "scale to zero"],
)  # fmt: skip
def test_what_follows_from_a_spec_is_declared(
    isoserve: Isoserve, here: Path, model: str, fields: dict[str, Any]
) -> None:
    say(here, model, **fields)
    answer = isoserve("parity")
    assert answer.code == 0, answer.out[-2000:]


def test_the_plan_names_what_differs(isoserve: Isoserve, here: Path) -> None:
    say(here, "search/sentiment", regions={REGION: {"scaling": {"max": 3}, "tmp_gib": 6}})
    line = "search/sentiment  the spec says for this region: scaling.max, tmp_gib\n"
    assert line in isoserve("plan", "-r", REGION).out
    assert line not in isoserve("plan", "-r", "seoul-dc1").out


# -- how long an answer, a silence and a drain may take ----------------------------------------


@pytest.mark.parametrize("model", ["chat/assistant", "search/ranker", "vision/tagger"])
def test_times_of_answers_pass_every_judge(isoserve: Isoserve, here: Path, model: str) -> None:
    say(here, model, timeout_seconds=1800, stream_idle_seconds=60, drain_seconds=75)
    assert refusals(isoserve) == []


def rendered(isoserve: Isoserve, kind: str, name: str) -> Any:
    """The one object of a kind and name in REGION."""
    made = yaml.safe_load_all(isoserve("render", "-r", REGION).out)
    (found,) = [
        one for one in made if one and (one["kind"], one["metadata"]["name"]) == (kind, name)
    ]
    return found


def test_times_of_answers_stand_where_the_gateway_and_the_kubelet_read_them(
    isoserve: Isoserve, here: Path
) -> None:
    say(here, "chat/assistant", timeout_seconds=1800, stream_idle_seconds=60, drain_seconds=900)
    route = rendered(isoserve, "HTTPRoute", "assistant")
    assert {rule["timeouts"]["request"] for rule in route["spec"]["rules"]} == {"1800s"}
    policy = rendered(isoserve, "BackendTrafficPolicy", "assistant")
    assert policy["spec"]["timeout"] == {"http": {"streamIdleTimeout": "60s"}}
    pod = rendered(isoserve, "Deployment", "assistant")["spec"]["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] == 15 + 900 + 5, "first it is sent no more"
    args = pod["containers"][0]["args"]
    assert args[args.index("--shutdown-timeout") + 1] == "900", "the server is told"


def test_a_spec_without_times_has_those_of_before(isoserve: Isoserve) -> None:
    route = rendered(isoserve, "HTTPRoute", "assistant")
    assert {rule["timeouts"]["request"] for rule in route["spec"]["rules"]} == {"300s"}
    policy = rendered(isoserve, "BackendTrafficPolicy", "assistant")
    assert "timeout" not in policy["spec"], "an older Envoy Gateway has no such field"


@pytest.mark.parametrize(
    ("model", "fields", "path"),
    [
        ("search/sentiment", {"timeout_seconds": 60}, "timeout_seconds"),
        ("search/sentiment", {"stream_idle_seconds": 60}, "stream_idle_seconds"),
        ("chat/assistant", {"stream_idle_seconds": 301}, "stream_idle_seconds"),
        ("chat/assistant", {"drain_seconds": 301}, "drain_seconds"),
        ("chat/helper", {"drain_seconds": 81}, "drain_seconds"),
        ("chat/assistant", {"timeout_seconds": 14}, "timeout_seconds"),
    ],
    ids=["private", "private and silent", "longer silent than it lasts", "drained for longer",
         "on spot nodes", "sooner than the promise"],
)  # fmt: skip
def test_times_that_nothing_would_keep_are_refused(
    isoserve: Isoserve, here: Path, model: str, fields: dict[str, int], path: str
) -> None:
    say(here, model, **fields)
    errors = isoserve("check", "--json").data["errors"]
    assert {(error["code"], error["path"]) for error in errors} == {("E353", path)}


def test_a_private_model_may_drain_as_long_as_it_answers(isoserve: Isoserve, here: Path) -> None:
    say(here, "search/sentiment", drain_seconds=900)
    assert refusals(isoserve) == [], "no gateway ends its answers after timeout_seconds"


def test_a_rollout_waits_for_the_pod_whose_gpu_it_needs(isoserve: Isoserve, here: Path) -> None:
    before = rendered(isoserve, "Deployment", "sentiment")["spec"]["progressDeadlineSeconds"]
    say(here, "search/sentiment", drain_seconds=900)
    after = rendered(isoserve, "Deployment", "sentiment")["spec"]["progressDeadlineSeconds"]
    assert after - before == 1.2 * (900 - 40), "else one long answer fails it"


def test_a_review_tells_that_answers_may_take_longer(isoserve: Isoserve, here: Path) -> None:
    for words in (("init", "-q", "-b", "main"), ("add", "."), ("commit", "-qm", "base")):
        git(here, *words)
    say(here, "chat/assistant", timeout_seconds=1800, stream_idle_seconds=60)
    (model,) = isoserve("review", "--base", "main", "--json").data["models"]
    told = str(model["effects"])
    assert "an answer may take 1800 s" in told
    assert "nothing may come of an answer for 60 s" in told


# -- who may call a public model ---------------------------------------------------------------

GROUPS = ["search users", "team:ml/serving"]


@pytest.mark.parametrize(
    "callers", [{"groups": GROUPS}, {"keys": ["web-shop", "partner"]}], ids=str
)
def test_callers_pass_every_judge(
    isoserve: Isoserve, here: Path, callers: dict[str, list[str]]
) -> None:
    say(here, "chat/assistant", callers=callers, cors_origins=["https://app.example.com"])
    assert refusals(isoserve) == []


def test_only_the_groups_of_a_spec_and_the_prober_are_let_in(
    isoserve: Isoserve, here: Path
) -> None:
    say(here, "chat/assistant", callers={"groups": GROUPS})
    bounds = rendered(isoserve, "SecurityPolicy", "assistant")["spec"]["authorization"]
    people, prober = (rule["principal"]["jwt"] for rule in bounds["rules"])
    assert [claim["name"] for claim in people["claims"]] == ["iss", "groups"], "all must be there"
    assert people["claims"][1]["values"] == GROUPS, "and one of these"
    assert people["claims"][1]["valueType"] == "StringArray", "a caller has several groups"
    assert prober["claims"][0]["values"] == ["system:serviceaccount:chat:prober"]


def test_a_rule_that_lets_in_more_than_the_groups_is_refused(here: Path) -> None:
    say(here, "chat/assistant", callers={"groups": GROUPS})
    tree = load(here / "model_specs")
    (policy,) = [one for one in good(REGION) if str(one) == "SecurityPolicy chat/assistant"]
    found = judge_one(policy, facts(REGION, tree), RULES)
    assert {finding.rule for finding in found} == {"as-asked"}, "everybody who signs in is too many"


@pytest.mark.parametrize(
    ("fields", "code", "path"),
    [
        ({"access": "permissive", "callers": {"groups": ["a"]}}, "E353", "callers"),
        ({"callers": {"groups": []}}, "E301", "callers.groups"),
        ({"callers": {"groups": ["a", "b", "a"]}}, "E301", "callers.groups"),
        ({"callers": {"groups": [" a"]}}, "E301", "callers.groups[0]"),
        ({"callers": {}}, "E203", "callers.groups"),
        ({"access": "permissive", "callers": {"keys": ["a"]}}, "E353", "callers"),
        ({"callers": {"keys": []}}, "E301", "callers.keys"),
        ({"callers": {"keys": ["a", "b", "a"]}}, "E301", "callers.keys"),
        ({"callers": {"keys": ["Shop"]}}, "E311", "callers.keys[0]"),
        ({"callers": {"keys": ["a--b"]}}, "E311", "callers.keys[0]"),
        ({"callers": {"groups": ["a"], "keys": ["b"]}}, "E353", "callers.keys"),
    ],
    ids=[
        "nobody signs in", "no group", "a group twice", "a blank before", "nothing",
        "nobody has a key", "no key", "a key twice", "a capital", "two hyphens", "both",
    ],
)  # fmt: skip
def test_callers_that_say_nothing_are_refused(
    isoserve: Isoserve, here: Path, fields: dict[str, Any], code: str, path: str
) -> None:
    say(here, "chat/assistant", **fields)
    (error,) = isoserve("check", "--json").data["errors"]
    assert (error["code"], error["path"]) == (code, path)


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ({"groups": ["a"]}, {"groups": ["a", "b"]}, "groups that may call it newly: b"),
        ({"groups": ["a"]}, None, "everybody who signs in may call it, and not only groups"),
        ({"groups": ["a", "b"]}, {"groups": ["a"]}, ""),
        (None, {"groups": ["a"]}, ""),
        ({"keys": ["a"]}, {"keys": ["a", "b"]}, "callers whose keys let them in newly: b"),
        ({"keys": ["a", "b"]}, {"keys": ["a"]}, ""),
        (None, {"keys": ["a"]}, "callers whose keys let them in newly: a"),
        ({"groups": ["a"]}, {"keys": ["a"]}, "callers whose keys let them in newly: a"),
        ({"keys": ["a"]}, {"groups": ["a"]}, "groups that may call it newly: a"),
        ({"keys": ["a"]}, None, "everybody who signs in may call it, and not only callers with"),
    ],
    ids=[
        "one more", "everybody", "one fewer", "groups for the first time", "one more key",
        "one key fewer", "keys for the first time", "keys for groups", "groups for keys",
        "everybody for keys",
    ],
)  # fmt: skip
def test_a_review_asks_who_is_let_in_newly(
    isoserve: Isoserve,
    here: Path,
    before: dict[str, list[str]] | None,
    after: dict[str, list[str]] | None,
    said: str,
) -> None:
    say(here, "chat/assistant", callers=before)
    for words in (("init", "-q", "-b", "main"), ("add", "."), ("commit", "-qm", "base")):
        git(here, *words)
    say(here, "chat/assistant", callers=after)
    raised = isoserve("review", "--base", "main", "--json").data["flags"]
    told = [flag["reason"] for flag in raised if flag["name"] == "access widened"]
    assert [said in one for one in told] == [True] * bool(said)
    assert not [flag for flag in raised if flag["level"] == "BLOCKED"], "it is safe on the way"


@pytest.mark.parametrize(
    ("callers", "said"),
    [
        ({"groups": ["a"]}, "answered to callers of a"),
        ({"keys": ["a"]}, "answered to callers with keys: a"),
    ],
    ids=["groups", "keys"],
)
def test_a_review_tells_who_may_call_no_longer(
    isoserve: Isoserve, here: Path, callers: dict[str, list[str]], said: str
) -> None:
    for words in (("init", "-q", "-b", "main"), ("add", "."), ("commit", "-qm", "base")):
        git(here, *words)
    say(here, "chat/assistant", callers=callers)
    (model,) = isoserve("review", "--base", "main", "--json").data["models"]
    assert said in str(model["effects"])


KEY = {"kty": "EC", "kid": "k", "alg": "ES256", "crv": "P-256", "x": "x" * 43, "y": "y" * 43}


@pytest.mark.parametrize(
    ("part", "field", "value"),
    [("cluster", "jwks", [KEY]), ("sign_in", "jwks", [KEY]), ("sign_in", "groups_claim", "roles")],
    ids=["the cluster's keys", "people's keys", "another claim"],
)
def test_what_one_region_says_of_sign_in_is_declared(
    isoserve: Isoserve, here: Path, part: str, field: str, value: Any
) -> None:
    path = here / "regions" / "seoul-dc1.yaml"
    profile = yaml.safe_load(path.read_text())
    profile[part][field] = value
    path.write_text(yaml.safe_dump(profile))
    say(here, "chat/assistant", callers={"groups": GROUPS})
    assert refusals(isoserve) == []


# -- web pages that call a public model ----------------------------------------------------------

PAGES = ["https://app.example.com", "https://localhost:8443"]


def test_pages_that_may_call_pass_every_judge_and_no_other(isoserve: Isoserve, here: Path) -> None:
    say(here, "chat/assistant", cors_origins=PAGES)
    assert refusals(isoserve) == []
    spec = rendered(isoserve, "SecurityPolicy", "assistant")["spec"]
    assert spec["cors"]["allowOrigins"] == PAGES
    assert "allowCredentials" not in spec["cors"], "a token is in a header, never in a cookie"
    assert spec["authorization"]["defaultAction"] == "Deny", "who has no token is refused"
    tree = load(here / "model_specs")
    (policy,) = [one for one in good(REGION) if str(one) == "SecurityPolicy chat/assistant"]
    found = judge_one(policy, facts(REGION, tree), RULES)
    assert {finding.rule for finding in found} == {"as-asked"}, "none of them could call"


@pytest.mark.parametrize(
    ("fields", "code", "path"),
    [
        ({"access": "permissive", "cors_origins": PAGES}, "E353", "cors_origins"),
        ({"cors_origins": ["*"]}, "E301", "cors_origins[0]"),
        ({"cors_origins": ["https://*.example.com"]}, "E301", "cors_origins[0]"),
        ({"cors_origins": ["http://app.example.com"]}, "E301", "cors_origins[0]"),
        ({"cors_origins": ["https://app.example.com/"]}, "E301", "cors_origins[0]"),
        ({"cors_origins": ["https://App.example.com"]}, "E301", "cors_origins[0]"),
        ({"cors_origins": ["null"]}, "E301", "cors_origins[0]"),
        ({"cors_origins": [PAGES[0], PAGES[0]]}, "E301", "cors_origins"),
    ],
    ids=["no browser comes", "all pages", "a wildcard", "no TLS", "a path", "upper case", "null",
         "twice"],
)  # fmt: skip
def test_what_is_no_origin_of_a_page_is_refused(
    isoserve: Isoserve, here: Path, fields: dict[str, Any], code: str, path: str
) -> None:
    say(here, "chat/assistant", **fields)
    (error,) = isoserve("check", "--json").data["errors"]
    assert (error["code"], error["path"]) == (code, path)


def test_a_review_asks_about_each_page_that_may_call_newly(isoserve: Isoserve, here: Path) -> None:
    say(here, "chat/assistant", cors_origins=PAGES[:1])
    for words in (("init", "-q", "-b", "main"), ("add", "."), ("commit", "-qm", "base")):
        git(here, *words)
    say(here, "chat/assistant", cors_origins=PAGES)
    raised = isoserve("review", "--base", "main", "--json").data["flags"]
    (told,) = [flag["reason"] for flag in raised if flag["name"] == "access widened"]
    assert told == "web pages whose scripts may call it newly: https://localhost:8443"


def test_the_plan_tells_who_may_call_and_how_long_it_may_take(
    isoserve: Isoserve, here: Path
) -> None:
    times = {"timeout_seconds": 900, "stream_idle_seconds": 60, "drain_seconds": 600}
    say(here, "chat/assistant", callers={"groups": GROUPS}, cors_origins=PAGES[:1], **times)
    line = (
        "chat/assistant  the gateway lets in callers of search users, team:ml/serving, "
        "and scripts of https://app.example.com, waits 900 s for an answer, "
        "60 s for its next part, a pod that must go has 620 s\n"
    )
    assert line in isoserve("plan", "-r", REGION).out
