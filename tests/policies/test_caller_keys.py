"""Keys let in those whom a spec names, and nothing else that looks like it is legal.

The corpus is the examples', of which one public model has callers with keys.
"""

from __future__ import annotations

import base64
import copy
from collections.abc import Callable
from functools import cache
from typing import Any, Final

import pytest

from components.model_route import objects
from model_specs.callers import Callers
from model_specs.load import Specs
from policies.access import RULES as ACCESS
from policies.caller_keys import RULES
from policies.catalogue import RULES as ALL
from policies.judge import Finding, judge
from policies.resources import Resource
from regions.resolve import resolve
from stacks.policy import resources
from tests.examples import ROOT, profiles
from tests.policies.attacks import made, messages
from tests.policies.cases import GONE, Failing, respecified, setting
from tests.policies.estate import NO_WAIVERS, REGION, changed, facts, said
from tests.policies.mutants import mutated

(CALLER_KEYS,) = RULES
MODEL: Final = "chat/assistant"
OF_KEYS: Final = "SecurityPolicy chat/assistant--keys"
OF_ROUTE: Final = "SecurityPolicy chat/assistant"
KEY: Final = "0123456789abcdef" * 4


@cache
def wished() -> Specs:
    callers = Callers(keys=("shop", "partner"))
    return respecified(MODEL, callers=callers, cors_origins=("https://app.example.com",))


@cache
def estate() -> tuple[Resource, ...]:
    return tuple(resources(resolve(wished(), profiles()[REGION], REGION), ROOT))


def good(label: str) -> Resource:
    (found,) = [one for one in estate() if str(one) == label]
    return found


def judged(*others: Resource, without: str = "", specs: Specs | None = None) -> list[Finding]:
    """What all rules say after `others` took the place of their namesakes, or came beside them."""
    taken = {str(one): one for one in others}
    seen = [taken.pop(str(one), one) for one in estate() if str(one) != without]
    known = facts(REGION, specs or wished())
    return list(judge([*seen, *taken.values()], known, ALL, NO_WAIVERS).findings)


def told(*others: Resource, without: str = "") -> str:
    return messages(judged(*others, without=without))


def keys(path: str, value: Any) -> Resource:
    return changed(good(OF_KEYS), setting(f"spec apiKeyAuth {path}".rstrip(), value))


def a_secret(name: str = "api-key--shop", **entries: str) -> Resource:
    data = {key: base64.b64encode(text.encode()).decode() for key, text in entries.items()}
    return made("v1", "Secret", "chat", name, {}, data=data)


def a_copy(label: str, name: str, change: Callable[[Any], None]) -> Resource:
    values = copy.deepcopy(dict(good(label).values))
    values["metadata"]["name"] = name
    change(values["spec"])
    metadata = values["metadata"]
    return made(values["apiVersion"], values["kind"], metadata["namespace"], name,
                metadata["labels"], spec=values["spec"])  # fmt: skip


FAILING: Final[Failing] = {CALLER_KEYS.name: lambda: said(CALLER_KEYS, a_secret(other=KEY))}


def test_a_model_with_keys_passes_every_rule() -> None:
    assert judged() == []


def test_its_route_is_shut_but_for_the_prober_and_one_rule_of_it_takes_keys() -> None:
    whole, rule = good(OF_ROUTE).spec, good(OF_KEYS).spec
    assert [one["name"] for one in whole["jwt"]["providers"]] == ["prober"]
    assert [one["name"] for one in whole["authorization"]["rules"]] == ["prober"]
    assert "cors" not in whole, "what pages ask comes to the callers' rule"
    assert rule["cors"]["allowOrigins"] == ["https://app.example.com"]
    probe, callers = good(f"HTTPRoute {MODEL}").spec["rules"]
    assert "name" not in probe
    assert rule["targetRefs"][0]["sectionName"] == callers["name"]


def test_the_quota_is_counted_by_the_name_that_every_way_to_sign_in_sets() -> None:
    rules = good(f"BackendTrafficPolicy {MODEL}").spec["rateLimit"]["global"]["rules"]
    counted = [rule["clientSelectors"][0]["headers"][0]["name"] for rule in rules]
    (claims,) = (one["claimToHeaders"] for one in good(OF_ROUTE).spec["jwt"]["providers"])
    header = good(OF_KEYS).spec["apiKeyAuth"]["forwardClientIDHeader"]
    assert counted == [claims[0]["header"], header]
    assert header != claims[0]["header"], "Envoy takes that one out of every request"


@pytest.mark.parametrize(
    "label", [OF_KEYS, OF_ROUTE, f"HTTPRoute {MODEL}", f"BackendTrafficPolicy {MODEL}"]
)
def test_every_other_form_of_what_lets_callers_in_is_refused(label: str) -> None:
    one = good(label)
    passing = [
        (steps, how)
        for steps, how, values in mutated(dict(one.values["spec"]), ("spec",))
        if not judged(changed(one, setting("spec", values)))
    ]
    assert passing == [], "no rule refuses these changes"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (keys("credentialRefs 0 namespace", "search"), "no api-key-- Secret of chat"),
        (keys("credentialRefs 0 kind", "ConfigMap"), "takes keys from ConfigMap api-key--shop"),
        (keys("credentialRefs 0 name", "registry"), "takes keys from Secret registry"),
        (keys("credentialRefs 0 name", "api-key--other"), "asked for is 'api-key--shop'"),
        (keys("credentialRefs 2", {"group": "", "kind": "Secret", "name": "api-key--other"}),
         "credentialRefs"),
        (keys("credentialRefs", []), "takes keys from Secret None"),
        (keys("forwardClientIDHeader", ""), "tells nobody whose key it was"),
        (keys("forwardClientIDHeader", "x-other"), "by more than the names of callers"),
        (keys("extractFrom 0", {"params": ["key"]}), "elsewhere than the header Authorization"),
        (keys("extractFrom 1", {"cookies": ["key"]}), "elsewhere than the header Authorization"),
        (keys("sanitize", False), "sends keys on to the model"),
        (keys("more", True), "uses more beside keys"),
        (changed(good(OF_KEYS), setting("spec authorization", GONE)), "does not deny by default"),
        (changed(good(OF_KEYS), setting("spec authorization rules 0 principal", {})),
         "allows callers by more than the names of callers"),
        (changed(keys("forwardClientIDHeader", "x-other"),
                 setting("spec authorization rules 0 principal headers 0 name", "x-other")),
         "without a quota of 120 a minute"),
        (changed(good(OF_KEYS), setting("spec basicAuth", {})), "uses basicAuth beside keys"),
        (changed(good(OF_KEYS), setting("spec targetRefs 0 sectionName", "probe")), "sectionName"),
        (a_copy(OF_KEYS, "more", lambda spec: spec["targetRefs"][0].pop("sectionName")), "more"),
        (changed(good(f"HTTPRoute {MODEL}"), setting("spec rules 0 name", "callers")), "rules"),
        (changed(good(OF_ROUTE), setting("spec apiKeyAuth", {})), "apiKeyAuth"),
    ],
    ids=[
        "of another namespace", "no Secret", "another Secret", "nobody's whom the spec names",
        "one more", "no Secret at all", "no name", "another name", "in the address", "in a cookie",
        "shown on", "a field more", "nobody denied", "everybody allowed", "counted by another name",
        "another way beside it", "another rule", "the whole route",
        "the prober's rule too", "keys and tokens",
    ],
)  # fmt: skip
def test_what_a_change_of_it_would_do_is_said(change: Resource, words: str) -> None:
    assert words in told(change)


def test_keys_that_no_spec_names_are_refused() -> None:
    found = messages(judged(specs=respecified(MODEL, callers=Callers(groups=("users",)))))
    assert "the spec names none of them" in found
    assert "spec.rules" in found, "no rule has a name then"


def test_without_its_policy_nobody_can_call_and_that_is_said() -> None:
    assert "is not made" in told(without=OF_KEYS)
    found = judged(without=OF_KEYS)
    assert {one.rule for one in found} == {"nothing-missing"}, "and nobody gets in by it"


def test_without_the_policy_of_the_route_the_probers_rule_is_open_and_that_is_said() -> None:
    found = judged(without=OF_ROUTE)
    assert ACCESS[0].name in {one.rule for one in found}
    assert "without signing in" in messages(found)


@pytest.mark.parametrize(
    ("secret", "words"),
    [
        (a_secret(shop=KEY), ""),
        (a_secret("registry", anything="x"), ""),
        (a_secret(), "those of another model may count"),
        (a_secret(shop=KEY, other=KEY), "lets in other, whom no spec names"),
        (a_secret(shop=""), "a key that is guessed, or that no gateway reads"),
        (a_secret(shop=KEY[:31]), "a key that is guessed"),
        (a_secret(shop=f"{KEY}\n"), "a key that is guessed, or that no gateway reads"),
        (a_secret(shop="ü" * 40), "a key that is guessed, or that no gateway reads"),
        (changed(a_secret(shop=KEY), setting("data shop", "!")), "that no gateway reads"),
        (changed(a_secret(), setting("stringData", {"shop": "short"})), "a key that is guessed"),
    ],
    ids=["its own", "another Secret", "none", "two entries", "empty", "short", "a line break",
         "no ASCII", "no base64", "plain and short"],
)  # fmt: skip
def test_a_secret_holds_one_key_that_gateways_can_read(secret: Resource, words: str) -> None:
    found = messages(said(CALLER_KEYS, secret))
    assert words in found
    assert bool(found) == bool(words)


def test_every_secret_that_is_named_is_one_of_keys() -> None:
    (server,) = [
        one
        for one in resolve(wished(), profiles()[REGION], REGION).servers
        if one.workload.id == MODEL
    ]
    (policy,) = [one for one in objects(server) if one["metadata"]["name"].endswith("--keys")]
    refs = policy["spec"]["apiKeyAuth"]["credentialRefs"]
    assert [ref["name"] for ref in refs] == ["api-key--shop", "api-key--partner"]
