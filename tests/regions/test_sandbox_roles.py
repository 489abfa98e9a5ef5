"""Roles of pods on real machines, as far as no machine is needed."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from components.aws_policies import assume_from_cluster
from regions.plan import GrantPlan
from regions.sandbox.control_plane import issuer_of
from regions.sandbox.forwarder import forward
from regions.sandbox.kube import Cluster, Object
from regions.sandbox.layout import AWS_REGIONS, ROOT
from regions.sandbox.node import aws, pod_identity
from regions.sandbox.node.certificates import authority
from regions.sandbox.node.network import Network
from regions.sandbox.processes import free_ports
from regions.sandbox.web_identity import trusts
from tests.builders import a_registry

ROLE = "arn:aws:iam::123456789012:role/reader"
ISSUER = "oidc.eks.us-east-1.amazonaws.com/id/5A4DB0C5"
GRANT = GrantPlan(
    name="a", role="a", namespace="search", service_account="scores", reads=(), writes=()
)


def a_trust(**changes: Any) -> Object:
    """A trust policy as the project writes it for one account, with changes to its statement."""
    document = assume_from_cluster(a_registry(oidc_issuer=ISSUER), GRANT)
    document["Statement"][0] |= changes
    return document


def test_a_role_trusts_the_account_that_its_policy_names_and_no_other() -> None:
    account = "system:serviceaccount:search:scores"
    assert trusts(a_trust(), ISSUER, account)
    assert not trusts(a_trust(), ISSUER, "system:serviceaccount:chat:scores"), "another namespace"
    assert not trusts(a_trust(), ISSUER, "system:serviceaccount:search:other"), "another account"
    assert not trusts(a_trust(), "another.issuer", account), "another cluster's tokens"
    assert not trusts(a_trust(Action="sts:AssumeRole"), ISSUER, account), "another action"
    assert not trusts(a_trust(Effect="Deny"), ISSUER, account)
    assert not trusts({}, ISSUER, account), "a role that is not there"


def test_a_trust_with_a_test_that_is_not_known_is_none() -> None:
    condition = {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}
    assert not trusts(a_trust(Condition=condition), ISSUER, "system:serviceaccount:search:scores")


def test_a_star_counts_where_it_is_a_pattern_only() -> None:
    subject = {f"{ISSUER}:sub": "system:serviceaccount:search:*"}
    for test, is_so in (("StringLike", True), ("StringEquals", False)):
        trust = a_trust(Condition={test: subject})
        assert trusts(trust, ISSUER, "system:serviceaccount:search:scores") is is_so, test


@pytest.mark.parametrize("region", AWS_REGIONS)
def test_the_api_server_signs_as_the_issuer_that_roles_trust(region: str) -> None:
    profile = yaml.safe_load((ROOT / "regions" / f"{region}.yaml").read_text())
    assert issuer_of(region) == profile["cluster"]["oidc_issuer"]


def test_a_region_without_roles_has_the_api_servers_own_issuer() -> None:
    assert issuer_of("nowhere") == "kubernetes.default.svc"


class Accounts(Cluster):
    """A cluster in which one account has a role."""

    def get(self, path: str) -> Object | None:
        notes = {pod_identity.ROLE: ROLE} if path.endswith("/search/serviceaccounts/a") else {}
        return {"metadata": {"annotations": notes}}


def spec_after(pod: Object) -> Object:
    """The pod's spec after the webhook; as it was where that changes nothing."""
    cluster = Accounts("sandbox-aws", "https://127.0.0.1", requests.Session())
    request = {"uid": "1", "namespace": "search", "object": pod}
    review = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}
    answer = pod_identity.reviewed(review, cluster, "us-east-1")
    assert answer["response"]["uid"] == "1"
    assert answer["response"]["allowed"]
    if "patch" not in answer["response"]:
        spec: Object = pod["spec"]
        return spec
    (change,) = json.loads(base64.b64decode(answer["response"]["patch"]))
    assert (change["op"], change["path"]) == ("replace", "/spec")
    changed: Object = change["value"]
    return changed


def test_the_webhook_gives_a_pod_what_eks_gives_it() -> None:
    spec: Object = {"serviceAccountName": "a", "containers": [{"name": "c"}]}
    changed = spec_after({"metadata": {}, "spec": spec})
    (container,), (volume,) = changed["containers"], changed["volumes"]
    env = {entry["name"]: entry["value"] for entry in container["env"]}
    mount = "/var/run/secrets/eks.amazonaws.com/serviceaccount"
    assert env["AWS_ROLE_ARN"] == ROLE
    assert env["AWS_WEB_IDENTITY_TOKEN_FILE"] == f"{mount}/token"
    assert env["AWS_STS_REGIONAL_ENDPOINTS"] == "regional"
    assert env["AWS_DEFAULT_REGION"] == env["AWS_REGION"] == "us-east-1"
    (mounted,) = container["volumeMounts"]
    assert mounted == {"mountPath": mount, "name": volume["name"], "readOnly": True}
    assert volume["name"] == "aws-iam-token"
    token = volume["projected"]["sources"][0]["serviceAccountToken"]
    assert (token["audience"], token["expirationSeconds"]) == ("sts.amazonaws.com", 86400)
    assert env["SSL_CERT_FILE"] == env["AWS_CA_BUNDLE"] == f"{mount}/ca.crt"


def test_a_container_that_names_a_region_itself_gets_no_other_name_of_one() -> None:
    own = {"name": "AWS_REGION", "value": "eu-west-1"}
    spec: Object = {"serviceAccountName": "a", "containers": [{"name": "c", "env": [own]}]}
    (container,) = spec_after({"metadata": {}, "spec": spec})["containers"]
    assert [one for one in container["env"] if one["name"].endswith("REGION")] == [own]


def test_the_webhook_leaves_pods_alone_that_have_no_role_or_have_it_already() -> None:
    for name in ("b", ""):
        spec = {"serviceAccountName": name, "containers": [{"name": "c"}]}
        assert spec_after({"metadata": {}, "spec": spec}) == spec, "its account names no role"
    once = spec_after({"metadata": {}, "spec": {"serviceAccountName": "a", "containers": []}})
    assert spec_after({"metadata": {}, "spec": once}) == once, "it may be asked again"


def test_the_webhook_skips_the_containers_that_the_pod_names() -> None:
    spec = {"serviceAccountName": "a", "containers": [{"name": "c"}, {"name": "d"}]}
    notes = {pod_identity.ROLELESS: "x, c"}
    skipped, other = spec_after({"metadata": {"annotations": notes}, "spec": spec})["containers"]
    assert skipped == {"name": "c"}
    assert other["env"]


def test_aws_names_lead_to_the_host() -> None:
    zones = aws.zones(Network(7))
    first, *_ = zones.splitlines()
    assert first.removesuffix(" {").split() == [f"{name}:53" for name in aws.NAMES]
    assert 'answer "{{ .Name }} 5 IN A 198.18.7.1"' in zones


def test_the_webhook_is_asked_by_a_certificate_of_the_region() -> None:
    made = pod_identity.configuration("198.18.7.1", b"PEM")
    (webhook,) = made["webhooks"]
    told = webhook["clientConfig"]
    assert base64.b64decode(told["caBundle"]) == b"PEM"
    assert told["url"] == "https://198.18.7.1:9443/mutate"


@pytest.mark.parametrize("name", [*aws.NAMES, "models.s3.us-east-1.amazonaws.com"])
def test_tls_ends_before_the_store_and_its_certificate_has_the_name(
    tmp_path: Path, name: str
) -> None:
    trust = ssl.create_default_context(cafile=str(authority(tmp_path).certificate))

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"heard " + await reader.readline())
        writer.close()

    async def ask() -> bytes:
        store, front = free_ports(2)
        async with await asyncio.start_server(serve, "127.0.0.1", store):
            tls = aws.tls_of(tmp_path, "127.0.0.1")
            listening = await forward(("127.0.0.1", front), ("127.0.0.1", store), tls)
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", front, ssl=trust, server_hostname=name
            )
            writer.write(b"a question\n")
            told = await reader.read()
            writer.close()
            listening.close()
        return told

    assert asyncio.run(ask()) == b"heard a question\n"
