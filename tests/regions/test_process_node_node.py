"""What a process node says of itself, and what STS says, as others read it."""

from __future__ import annotations

import pytest

from regions.sandbox.kube import Object
from regions.sandbox.process_node.credentials import Denied, credentials_in
from regions.sandbox.process_node.node import is_ready, lease, status
from regions.sandbox.process_node.roles import role_of

NODE: Object = {"metadata": {"name": "cpu-01", "uid": "u-1"}}
ANSWER = """<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
<AssumeRoleWithWebIdentityResult><Credentials><SessionToken>session</SessionToken>
<SecretAccessKey>secret</SecretAccessKey><Expiration>2026-01-01T00:00:00Z</Expiration>
<AccessKeyId>ASIA</AccessKeyId></Credentials></AssumeRoleWithWebIdentityResult>
</AssumeRoleWithWebIdentityResponse>"""


def test_a_node_is_ready_without_pressure_and_has_its_address() -> None:
    made = status(NODE, "127.9.16.255", "v1.36.0")
    said = {one["type"]: one["status"] for one in made["conditions"]}
    assert said.pop("Ready") == "True"
    assert set(said.values()) == {"False"}, "no pressure of any kind"
    assert {"type": "InternalIP", "address": "127.9.16.255"} in made["addresses"]
    assert made["nodeInfo"]["kubeletVersion"] == "v1.36.0"
    assert is_ready(NODE | {"status": made})


def test_a_node_that_others_thought_dead_is_ready_from_now_on() -> None:
    long_ago = "2020-01-01T00:00:00Z"
    before = [
        {"type": "Ready", "status": "Unknown", "lastTransitionTime": long_ago},
        {"type": "DiskPressure", "status": "False", "lastTransitionTime": long_ago},
    ]
    dead = NODE | {"status": {"conditions": before}}
    assert not is_ready(dead)
    made = {one["type"]: one for one in status(dead, "127.9.16.255", "")["conditions"]}
    assert made["Ready"]["lastTransitionTime"] != long_ago
    assert made["DiskPressure"]["lastTransitionTime"] == long_ago, "this one was so all the time"


def test_a_lease_goes_with_its_node() -> None:
    made = lease(NODE)
    assert made["spec"]["holderIdentity"] == "cpu-01"
    owner = made["metadata"]["ownerReferences"][0]
    assert (owner["kind"], owner["uid"]) == ("Node", "u-1")


def test_what_sts_answers_is_told_in_the_words_of_the_pod_identity_agent() -> None:
    assert credentials_in(ANSWER) == {
        "AccessKeyId": "ASIA",
        "SecretAccessKey": "secret",
        "Token": "session",
        "Expiration": "2026-01-01T00:00:00Z",
    }


@pytest.mark.parametrize("answer", ["", "<html/>", ANSWER.replace("SessionToken", "Other")])
def test_an_answer_of_another_shape_gives_nobody_credentials(answer: str) -> None:
    with pytest.raises(Denied):
        credentials_in(answer)


@pytest.mark.parametrize("annotations", [None, {}, {"other": "x"}])
def test_an_account_without_a_role_has_none(annotations: Object | None) -> None:
    assert role_of({"metadata": {"annotations": annotations}}) == ""
