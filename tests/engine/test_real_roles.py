"""Roles of AWS on real machines: by the ServiceAccount that a pod has, as on EKS, and by no other.

The roles are those that the project gives to sandbox-aws, with its policies; pods reach S3 and STS
by AWS's names, through NetworkPolicies like a tenant's.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from components.kube import Object
from regions.sandbox.kube import Refused
from tests.engine.real_images import built_images
from tests.engine.real_region import RealRegion, eventually, python_pod, real_region
from tests.engine.world import path_of

pytestmark = pytest.mark.engine

ROLE: Final = "eks.amazonaws.com/role-arn"
ROLELESS: Final = "eks.amazonaws.com/skip-containers"
FOLDER: Final = "/var/run/secrets/eks.amazonaws.com/serviceaccount"
GUARD: Final = ("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding")
DRY_RUN: Final = "/api/v1/namespaces/search/pods?dryRun=All"
_BEFORE: Final = """
from regions.sandbox import object_store, ports
ports.choose_ports(anything_runs=False)
object_store.start()
"""
_FILL: Final = """
import json
from components.aws_policies import assume_from_cluster, granted
from regions.sandbox import object_store
from regions.sandbox.plans import plan_of
registry = plan_of("{region}").registry
iam, s3 = object_store.client("iam"), object_store.client("s3")
s3.create_bucket(Bucket=registry.bucket)
for grant in registry.grants:
    trust = json.dumps(assume_from_cluster(registry, grant))
    iam.create_role(RoleName=grant.role, AssumeRolePolicyDocument=trust)
    rights = json.dumps(granted(registry, grant))
    iam.put_role_policy(RoleName=grant.role, PolicyName="registry", PolicyDocument=rights)
for key in ("_datasets/search/pairs/a", "chat/a", "search/a"):
    s3.put_object(Bucket=registry.bucket, Key=key, Body=key.encode())
roles = {{grant.service_account: grant.role for grant in registry.grants}}
print(json.dumps({{"bucket": registry.bucket, "roles": roles}}))
"""
_END: Final = """
from regions.sandbox import object_store
object_store.stop()
"""
_ASSUME: Final = """
import json, os, re, urllib.error, urllib.parse, urllib.request
def asked(url, data=None, headers={}):
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data, headers), timeout=20) as got:
            return got.status, got.read().decode()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read().decode()
def assumed(role, file):
    form = {"Action": "AssumeRoleWithWebIdentity", "Version": "2011-06-15", "RoleArn": role,
            "RoleSessionName": "test", "WebIdentityToken": open(file).read()}
    url = "https://sts.us-east-1.amazonaws.com/"
    return asked(url, urllib.parse.urlencode(form).encode())[1]
def found(name, text):
    return "".join(re.findall(f"<{name}>(.*?)</{name}>", text)[:1])
"""
_READ: Final = (
    _ASSUME
    + """
told = assumed(os.environ["AWS_ROLE_ARN"], os.environ["AWS_WEB_IDENTITY_TOKEN_FILE"])
credential = found("AccessKeyId", told) + "/20261129/us-east-1/s3/aws4_request"
signed = {"Authorization": "AWS4-HMAC-SHA256 Credential=" + credential + ", SignedHeaders=host, "
          "Signature=0", "X-Amz-Security-Token": found("SessionToken", told)}
bucket = "BUCKET"
names = ("https://s3.us-east-1.amazonaws.com/" + bucket, "https://" + bucket + ".s3.amazonaws.com")
paths = ("/_datasets/search/pairs/a", "/search/a", "/chat/a", "/?list-type=2",
         "/?list-type=2&prefix=_datasets/search/pairs/")
print(json.dumps([[asked(name + path, None, signed)[0] for path in paths] for name in names]))
"""
)
_OF_ANOTHER: Final = (
    _ASSUME + 'print(json.dumps(found("Code", assumed("ROLE", "/var/run/own/token"))))'
)
_ENVIRONMENT: Final = f"""
import json, os
names = sorted(name for name in os.environ if name.startswith("AWS_"))
print(json.dumps([names, os.path.exists("{FOLDER}")]))
"""
_AGENT: Final = """
import json
from components.model_registry.store import Store
store = Store("s3://BUCKET", "", "us-east-1", None)
print(json.dumps([store.read(key).decode() for key in ("chat/a", "search/a")]))
"""
_JOB: Final = """
import boto3, json
store = boto3.client("s3")
rows = store.list_objects_v2(Bucket="BUCKET", Prefix="_datasets/search/pairs/")["Contents"]
body = store.get_object(Bucket="BUCKET", Key=rows[0]["Key"])["Body"].read().decode()
store.put_object(Bucket="BUCKET", Key="_datasets/search/scores/a", Body=b"1.0")
print(json.dumps(body))
"""
_BOTO3: Final = "isoserve.dev/tests/boto3:1"
_PUSH: Final = f"""
from regions.sandbox.layout import region_home
from regions.sandbox.node import example_images, images
from regions.sandbox.node.network import claimed
layer, below = example_images.scorer_layer(print), images.PYTHON_IMAGE
made = images.Image("{_BOTO3}", below, layer, ("/usr/bin/python3",), "0:0", "/")
images.push(made, claimed(region_home("{{region}}")))
"""


@pytest.fixture(scope="module")
def region(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealRegion]:
    """One machine, the local AWS, and a namespace that reaches DNS and port 443 alone."""
    root = tmp_path_factory.mktemp("roles") / "tree"
    with real_region(root, ("machine-1",), "sandbox-aws", _BEFORE) as made:
        try:
            made.make("networkpolicies", only_dns_and_tls("search"))
            yield made
        finally:
            made.run_program(_END)


@pytest.fixture(scope="module")
def facts(region: RealRegion) -> dict[str, Any]:
    """The bucket, and each account's role."""
    told: dict[str, Any] = json.loads(region.run_program(_FILL).splitlines()[-1])
    for name, role in told["roles"].items():
        if name != "*":
            notes = {ROLE: f"arn:aws:iam::123456789012:role/{role}"}
            space = "isoserve-cache" if name == "cache-agent" else "search"
            if space == "isoserve-cache":
                region.make("namespaces", {"apiVersion": "v1", "kind": "Namespace",
                                           "metadata": {"name": space}})  # fmt: skip
            region.make("serviceaccounts", account(space, name, notes))
    region.make("serviceaccounts", account("search", "other", {}))
    return told


def account(space: str, name: str, notes: dict[str, str]) -> Object:
    """A ServiceAccount with annotations."""
    metadata = {"namespace": space, "name": name, "annotations": notes}
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}


def only_dns_and_tls(space: str) -> Object:
    """What the rendered policies of a job let out."""
    to_dns = {"ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]}
    to_tls = {"ports": [{"port": 443, "protocol": "TCP"}]}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"namespace": space, "name": "only-dns-and-tls"},
        "spec": {"podSelector": {}, "policyTypes": ["Egress"], "egress": [to_dns, to_tls]},
    }


def test_a_pod_reads_what_its_accounts_role_may_and_nothing_else(
    region: RealRegion, facts: dict[str, Any]
) -> None:
    program = _READ.replace("BUCKET", facts["bucket"])
    region.run("search", "reader", program, serviceAccountName="scores")
    by_path, by_host = region.said("search", "reader")
    assert by_path == [200, 403, 403, 403, 200], "its input, a model, another's, all, its prefix"
    assert by_host == by_path, "the same with the bucket in the host's name, as boto3 asks"


def test_a_skipped_container_gets_no_role(region: RealRegion, facts: dict[str, Any]) -> None:
    pod = python_pod("search", "skipped", _ENVIRONMENT, serviceAccountName="scores")
    pod["metadata"]["annotations"] = {ROLELESS: "model,main"}
    region.make("pods", pod)
    assert region.said("search", "skipped") == [[], False]


def test_an_account_without_a_role_gets_none(region: RealRegion, facts: dict[str, Any]) -> None:
    region.run("search", "plain", _ENVIRONMENT, serviceAccountName="other")
    assert region.said("search", "plain") == [[], False]


def test_a_role_is_not_given_to_an_account_that_it_does_not_trust(
    region: RealRegion, facts: dict[str, Any]
) -> None:
    role = f"arn:aws:iam::123456789012:role/{facts['roles']['scores']}"
    token = {"audience": "sts.amazonaws.com", "path": "token"}
    authority = {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}
    sources = [{"serviceAccountToken": token}, {"configMap": authority}]
    region.run(
        "search",
        "stranger",
        _OF_ANOTHER.replace("ROLE", role),
        serviceAccountName="other",
        volumes=[{"name": "own", "projected": {"sources": sources}}],
        container={
            "env": [{"name": "SSL_CERT_FILE", "value": "/var/run/own/ca.crt"}],
            "volumeMounts": [{"name": "own", "mountPath": "/var/run/own"}],
        },
    )
    assert region.said("search", "stranger") == "AccessDenied"


def test_the_agents_image_reads_s3_with_the_endpoint_of_its_profile(
    region: RealRegion, facts: dict[str, Any], image_storage: Path
) -> None:
    image = built_images(region, image_storage)["cache-agent"]
    command = ["python", "-u", "-c", _AGENT.replace("BUCKET", facts["bucket"])]
    container = {"image": image, "command": command, "args": []}
    account = {"serviceAccountName": "cache-agent"}
    region.run("isoserve-cache", "agent", "", container=container, **account)
    assert region.said("isoserve-cache", "agent") == ["chat/a", "search/a"], "by obstore"


def test_a_job_reads_and_writes_with_boto3_as_on_aws(
    region: RealRegion, facts: dict[str, Any]
) -> None:
    region.run_program(_PUSH)
    program = _JOB.replace("BUCKET", facts["bucket"])
    container = {"image": _BOTO3, "resources": {"limits": {"memory": "256Mi"}}}
    region.run("search", "job", program, container=container, serviceAccountName="scores")
    assert region.said("search", "job") == "_datasets/search/pairs/a"


def test_the_guard_lets_a_tenants_pod_in_as_the_webhook_has_changed_it(region: RealRegion) -> None:
    # The last one: its rules would refuse the pods of the others, which are no model's.
    done = region.world.run(
        sys.executable, "-m", "stacks.cli", "render", "-r", region.name, "-o", "rendered"
    )
    assert done.returncode == 0, done.stderr
    made = [
        one
        for path in sorted((region.world.root / "rendered").rglob("*.yaml"))
        for one in yaml.safe_load_all(path.read_text())
    ]
    for kind in ("Namespace", "PriorityClass", "ServiceAccount", *GUARD):
        for one in made:
            if one["kind"] == kind:
                region.cluster.apply(path_of(one), one)
    (template,) = (
        one["spec"]["template"]
        for one in made
        if (one["kind"], one["metadata"]["name"]) == ("Deployment", "embedder")
    )
    pod = {"apiVersion": "v1", "kind": "Pod", **template}
    pod["metadata"] |= {"name": "embedder", "namespace": "search"}

    def refused() -> str | None:
        harmful = {**pod, "spec": {**pod["spec"], "automountServiceAccountToken": True}}
        try:
            region.cluster.send("POST", DRY_RUN, harmful, "application/json")
        except Refused as told:
            return str(told) if "change the spec, not the cluster" in str(told) else None
        return None

    eventually(refused, "the guard is in force", seconds=30)
    changed = region.cluster.send("POST", DRY_RUN, pod, "application/json")["spec"]
    given = {
        one["name"]: {entry["name"] for entry in one.get("env", ())}
        for one in (*changed["initContainers"], *changed["containers"])
    }
    assert "AWS_ROLE_ARN" in given["model"], "it downloads"
    assert "AWS_ROLE_ARN" not in given["model-server"], "it serves, and needs no role"
