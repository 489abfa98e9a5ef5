"""One region's API server, with all objects and the guard in force; no Pulumi, no nodes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import requests

from components.kube import Object
from regions.sandbox.kube import Cluster
from tests.engine.hand_edits import BAD, UNPINNED, Edit
from tests.engine.lone_server import lone_server
from tests.engine.site import until
from tests.engine.world import path_of
from tests.examples import Identity, by_identity, identity, objects_of, of_kind

REGION: Final = "sandbox-aws"
POLICY: Final = "ValidatingAdmissionPolicy"
APPLY: Final = "fieldManager=isoserve&force=true&fieldValidation=Strict"
DRY_RUN: Final = "dryRun=All"
"""Admission policies judge as ever, and the object stays as it is for the next test."""
BEFORE: Final = Identity("Deployment", "search", "from-before")
OBJECTS: Final = by_identity(objects_of(REGION))


@dataclass(frozen=True)
class Server:
    """One region's API server with its controllers, and what it said when everything came."""

    cluster: Cluster
    kubeconfig: Path
    said: list[str]

    def send(self, method: str, path: str, body: Any, form: str) -> requests.Response:
        address, headers = self.cluster.url + path, {"Content-Type": f"application/{form}"}
        return self.cluster.session.request(
            method, address, data=json.dumps(body), headers=headers, timeout=30
        )

    def apply(self, made: Object) -> requests.Response:
        """As the provider does it."""
        return self.send("PATCH", f"{path_of(made)}?{APPLY}", made, "apply-patch+yaml")

    def create(self, made: Object) -> requests.Response:
        return self.send("POST", f"{path_of(made).rsplit('/', 1)[0]}?{DRY_RUN}", made, "json")

    def live(self, of: Identity) -> Object:
        found = self.cluster.get(path_of(OBJECTS[of]))
        assert found is not None, f"{of} was applied"
        return found

    def attempt(self, edit: Edit) -> requests.Response:
        """What the person who does this to the live object is told; nothing is kept of it."""
        if edit.creates:
            return self.create(edit.done_to(OBJECTS[edit.of]))
        path = f"{path_of(OBJECTS[edit.of])}?{DRY_RUN}"
        return self.send("PATCH", path, edit.patch(), "json-patch+json")


def from_before() -> Object:
    """What a team ran before it came to us: nothing about it is pinned."""
    made = OBJECTS[Identity("Deployment", "search", "sentiment")]
    labels, container = {"app": "old"}, {"image": UNPINNED, "name": "old"}
    metadata = {"finalizers": ["example.com/old"], "name": BEFORE.name, "namespace": "search"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    spec = {"replicas": 0, "selector": {"matchLabels": labels}, "template": template}
    return {**made, "metadata": metadata, "spec": spec}


def guarded_server(root: Path) -> Iterator[Server]:
    """Everything of one region applied, from a copy of the tree at `root`."""
    with lone_server(root, REGION) as world:
        kubeconfig = world.root / ".isoserve" / REGION / "kubeconfig"
        found = Server(world.cluster(REGION), kubeconfig, [])
        guard = [made for made in OBJECTS.values() if made["kind"].startswith(POLICY)]
        first = [*of_kind("Namespace", OBJECTS.values()), from_before(), *guard]
        for made in first:
            assert (answer := found.apply(made)).ok, answer.text
        last = BAD[-1].done_to(OBJECTS[BAD[-1].of])
        until("the last binding is in force", lambda: not found.create(last).ok)
        for made in OBJECTS.values():
            answer = found.apply(made)
            warning = answer.headers.get("Warning", "")
            if warning or not answer.ok:
                found.said.append(f"{identity(made)}: {warning or answer.text}")
        yield found
