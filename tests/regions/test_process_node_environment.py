"""A container's variables, user and role are those that a kubelet and EKS would give it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from regions.sandbox.kube import Object
from regions.sandbox.process_node.environment import (
    ConfigError,
    expand,
    expanded,
    of_the_api_server,
    variables,
)
from regions.sandbox.process_node.fields import UnknownField, field, quantity, resource
from regions.sandbox.process_node.roles import with_role
from regions.sandbox.process_node.user import user_of

POD: Object = {
    "metadata": {
        "name": "p",
        "namespace": "search",
        "uid": "u-1",
        "labels": {"app.kubernetes.io/name": "x"},
        "annotations": {"note": "two words"},
    },
    "spec": {"nodeName": "n", "serviceAccountName": "ranker"},
    "status": {"podIP": "127.9.16.1", "hostIP": "127.9.16.255"},
}
KNOWN = {("configMap", "words"): {"a": "1", "b": "2"}, ("secret", "keys"): {"token": "t"}}


def read(kind: str, name: str) -> Mapping[str, str] | None:
    return KNOWN.get((kind, name))


def made(*env: Object, **container: Any) -> dict[str, str]:
    found = variables({"name": "c", "env": list(env), **container}, POD, {"cpu": "8"}, read)
    assert found.pop("HOSTNAME") == "p"
    return found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$(A) and $(B)", "1 and $(B)"),
        ("$$(A)", "$(A)"),
        ("$$$(A)", "$1"),
        ("$$$$(A)", "$$(A)"),
        ("$(A", "$(A"),
        ("$A $", "$A $"),
        ("$(A)$(A)", "11"),
        ("$()", "$()"),
        ("a$\n$(A)", "a$\n1"),
    ],
)
def test_references_are_filled_in_as_kubernetes_does(text: str, expected: str) -> None:
    assert expand(text, {"A": "1"}) == expected


def test_every_container_is_told_where_the_api_server_is() -> None:
    told = of_the_api_server("https://127.0.0.1:26443")
    assert told == {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": "26443"}


def test_a_variable_sees_those_above_it_and_not_those_below_or_of_env_from() -> None:
    env = made(
        {"name": "FIRST", "value": "$(LAST) $(a)"},
        {"name": "LAST", "value": "x"},
        {"name": "SECOND", "value": "$(LAST)"},
        envFrom=[{"configMapRef": {"name": "words"}}],
    )
    assert env["FIRST"] == "$(LAST) $(a)"
    assert env["SECOND"] == "x"
    assert env["a"] == "1", "envFrom still reaches the program"


def test_env_goes_over_env_from_and_a_later_source_over_an_earlier_one() -> None:
    sources = [
        {"configMapRef": {"name": "words"}},
        {"secretRef": {"name": "keys"}, "prefix": "KEY_"},
        {"configMapRef": {"name": "absent", "optional": True}},
    ]
    env = made({"name": "a", "value": "own"}, envFrom=sources)
    assert env == {"a": "own", "b": "2", "KEY_token": "t"}


def test_command_and_arguments_see_all_variables() -> None:
    container = {"command": ["run", "$(A)"], "args": ["$(B)", "$$(A)"], "image": "$(A)"}
    filled = expanded(container, {"A": "1", "B": "2"})
    assert (filled["command"], filled["args"]) == (["run", "1"], ["2", "$(A)"])
    assert filled["image"] == "$(A)", "only these two are filled in"


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ({"configMapKeyRef": {"name": "absent", "key": "a"}}, 'configmap "absent" not found'),
        ({"secretKeyRef": {"name": "keys", "key": "x"}}, 'key "x" in secret "keys"'),
        ({"fieldRef": {"fieldPath": "spec.secret"}}, "variable X: fieldPath spec.secret"),
        ({"fileKeyRef": {}}, "fileKeyRef"),
    ],
)
def test_what_is_missing_is_named(source: Object, words: str) -> None:
    with pytest.raises(ConfigError, match=words.replace(".", r"\.")):
        made({"name": "X", "valueFrom": source})


@pytest.mark.parametrize("name", ["absent", "words"])
def test_an_optional_value_that_is_missing_is_left_out(name: str) -> None:
    reference = {"configMapKeyRef": {"name": name, "key": "absent", "optional": True}}
    assert made({"name": "X", "valueFrom": reference}) == {}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("metadata.name", "p"),
        ("metadata.namespace", "search"),
        ("metadata.uid", "u-1"),
        ("metadata.labels['app.kubernetes.io/name']", "x"),
        ("metadata.annotations['note']", "two words"),
        ("metadata.labels['absent']", ""),
        ("spec.nodeName", "n"),
        ("spec.serviceAccountName", "ranker"),
        ("status.podIP", "127.9.16.1"),
        ("status.hostIP", "127.9.16.255"),
    ],
)
def test_a_pod_may_ask_what_it_is(path: str, expected: str) -> None:
    assert field(POD, path) == expected


@pytest.mark.parametrize(
    ("wanted", "divisor", "expected"),
    [
        ("limits.cpu", "1", "2"),
        ("limits.cpu", "1m", "1500"),
        ("limits.memory", "1Mi", "64"),
        ("limits.memory", "0", "67108864"),
        ("limits.ephemeral-storage", "1", "1000"),
        ("requests.cpu", "1", "0"),
    ],
)
def test_resources_are_rounded_up_and_unlimited_ones_are_the_nodes(
    wanted: str, divisor: str, expected: str
) -> None:
    container = {"resources": {"limits": {"cpu": "1500m", "memory": "64Mi"}}}
    reference = {"resource": wanted, "divisor": divisor}
    assert resource(container, {"ephemeral-storage": "1k"}, reference) == expected


@pytest.mark.parametrize("text", ["", "Mi", "1Q", "1.2.3", "one"])
def test_what_is_no_quantity_is_refused(text: str) -> None:
    with pytest.raises(UnknownField):
        quantity(text)


def test_the_containers_user_goes_over_the_pods() -> None:
    whole = {"runAsUser": 10001, "runAsGroup": 10002, "fsGroup": 7, "supplementalGroups": [9, 7]}
    own = {"runAsUser": 5, "capabilities": {"drop": ["ALL"], "add": ["CHOWN"]}}
    user = user_of({"securityContext": own}, {"spec": {"securityContext": whole}})
    assert (user.uid, user.gid, user.groups) == (5, 10002, (7, 9))
    assert user.capabilities == ("CHOWN",), "what is added counts after ALL is dropped"


def test_root_is_refused_where_it_must_not_be_and_has_the_usual_rights_elsewhere() -> None:
    with pytest.raises(ConfigError, match="runAsNonRoot"):
        user_of({}, {"spec": {"securityContext": {"runAsNonRoot": True}}})
    usual = user_of({"securityContext": {"capabilities": {"drop": ["KILL"]}}}, {"spec": {}})
    assert "CHOWN" in usual.capabilities
    assert "KILL" not in usual.capabilities


def test_a_container_that_the_pod_names_as_roleless_gets_nothing() -> None:
    spec: Object = {"initContainers": [{"name": "i"}], "containers": [{"name": "c"}]}
    notes = {"eks.amazonaws.com/skip-containers": "c, d"}
    pod = {"metadata": {"annotations": notes}, "spec": spec}
    changed = with_role(pod, "us-east-1", "127.9.16.255", "127.9.0.2")["spec"]
    assert changed["containers"] == [{"name": "c"}]
    assert changed["initContainers"][0]["env"], "the download has it"


def test_a_role_reaches_every_container_and_changes_nothing_they_say_themselves() -> None:
    own = {"name": "AWS_REGION", "value": "eu-west-1"}
    spec: Object = {"initContainers": [{"name": "i"}], "containers": [{"name": "c", "env": [own]}]}
    pod = {"metadata": {}, "spec": spec}
    changed = with_role(pod, "us-east-1", "127.9.16.255", "127.9.0.2")["spec"]
    for container in (*changed["initContainers"], *changed["containers"]):
        env = {entry["name"]: entry["value"] for entry in container["env"]}
        assert env["AWS_ENDPOINT_URL"] == "http://127.9.0.2:9000"
        assert env["AWS_CONTAINER_CREDENTIALS_FULL_URI"].startswith("http://127.9.16.255:")
        mount = container["volumeMounts"][0]
        assert env["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"] == f"{mount['mountPath']}/token"
    assert changed["containers"][0]["env"].count(own) == 1
    assert [e["name"] for e in changed["containers"][0]["env"]].count("AWS_REGION") == 1
    assert changed["volumes"][0]["projected"]["sources"][0]["serviceAccountToken"]["audience"]
    assert spec["containers"][0] == {"name": "c", "env": [own]}, "the pod itself is not changed"
