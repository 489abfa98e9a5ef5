"""Pods that have no role at the registry's store find its keys in their namespace, as told."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import boto3
import pytest
import requests

from components.gates.extra_objects import secrets_of
from regions.sandbox import object_store
from regions.sandbox.example import data_keys, registry_secret
from regions.sandbox.kube import Cluster
from regions.sandbox.plans import plan_of
from tests.examples import objects_of
from tests.moto_store import moto_store

NAMESPACES = ("chat", "isoserve-cache", "search", "vision")
BOUND_SECONDS = 30


@dataclass
class Api:
    """What an API server has and was told, at its address."""

    url: str = ""
    there: set[str] = field(default_factory=set)
    applied: dict[str, Any] = field(default_factory=dict)
    asked: threading.Event = field(default_factory=threading.Event)


@pytest.fixture
def api() -> Iterator[Api]:
    found = Api()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found.asked.set()
            self._answer(200 if self.path.rpartition("/")[2] in found.there else 404)

        def do_PATCH(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            found.applied[self.path.partition("?")[0]] = json.loads(body)
            self._answer(200)

        def _answer(self, code: int) -> None:
            self.send_response(code)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield found
    server.shutdown()
    thread.join()
    server.server_close()


def applied_in(region: str, api: Api, given_up: threading.Event) -> list[str]:
    said: list[str] = []
    session = requests.Session()
    session.trust_env = False
    registry_secret.apply(Cluster(region, api.url, session), said.append, given_up)
    return said


def namespaces_that_name(secret: str) -> set[str]:
    return {
        made["metadata"]["namespace"]
        for made in objects_of("sandbox-onprem")
        if secret in secrets_of(made)
    }


def test_every_namespace_whose_pods_name_the_secret_has_it(api: Api) -> None:
    api.there = set(NAMESPACES)
    applied_in("sandbox-onprem", api, threading.Event())
    name = {cache.registry_secret for cache in plan_of("sandbox-onprem").caches}.pop()
    wanted = {f"/api/v1/namespaces/{one}/secrets/{name}" for one in namespaces_that_name(name)}
    assert set(api.applied) == wanted, "one that nobody names would be an object in no plan"
    for secret in api.applied.values():
        keys = secret["stringData"]
        assert set(keys) == {"access_key_id", "secret_access_key"}, "the agent reads these files"


def test_a_job_without_a_role_has_keys_of_a_user_with_its_rights(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.there = set(NAMESPACES)
    with moto_store() as url:
        iam = boto3.client(
            "iam",
            endpoint_url=url,
            region_name="us-east-1",
            aws_access_key_id="sandbox",
            aws_secret_access_key="sandbox",
        )
        monkeypatch.setattr(object_store, "client", lambda service: iam)
        for _ in range(3):  # IAM gives a user two keys at most
            cluster = Cluster("sandbox-onprem", api.url, requests.Session())
            cluster.session.trust_env = False
            data_keys.apply(cluster, lambda told: None, threading.Event())
        user = {"UserName": "sandbox-onprem.search.scores"}
        (key,) = iam.list_access_keys(**user)["AccessKeyMetadata"]
        document = iam.get_user_policy(**user, PolicyName="data")["PolicyDocument"]
    path = "/api/v1/namespaces/search/secrets/scores--data"
    assert key["AccessKeyId"] in api.applied[path]["stringData"]["credentials"]
    resources = {one["Resource"] for one in document["Statement"]}
    bucket = f"arn:aws:s3:::{plan_of('sandbox-onprem').registry.bucket}"
    data = f"{bucket}/_datasets/search"
    assert resources == {bucket, f"{data}/pairs/*", f"{data}/scores/*"}, "and no model"


def test_on_aws_pods_have_roles_and_nothing_is_applied(api: Api) -> None:
    assert applied_in("sandbox-aws", api, threading.Event()) == []
    assert not api.applied


def test_it_waits_for_the_stack_to_make_the_namespaces(api: Api) -> None:
    ended: list[list[str]] = []
    running = threading.Thread(
        target=lambda: ended.append(applied_in("sandbox-onprem", api, threading.Event())),
        daemon=True,
    )
    running.start()
    assert api.asked.wait(BOUND_SECONDS), "it has looked, and found none"
    api.there = set(NAMESPACES)
    running.join(BOUND_SECONDS)
    assert ended, "it goes on once they are there"
    assert api.applied, "the Secrets come after them"


def test_it_ends_when_they_will_not_come(api: Api) -> None:
    given_up = threading.Event()
    given_up.set()
    assert applied_in("sandbox-onprem", api, given_up) == []
    assert not api.applied, "a Secret needs its namespace"
