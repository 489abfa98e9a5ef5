"""Copies of a model's rendered pods in a namespace of their own, with or without their preStop.

The admission guard lets nobody take preStop out of a project's pod: it guards the namespaces that
are ours. This one is a stranger's whom the gateway lets in, so what is copied can be changed here.
"""

from __future__ import annotations

import base64
import copy
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Final

from components.kube import Object
from model_specs.names import LABEL_PROJECT
from tests.engine.load import Request
from tests.engine.site import DEPLOYMENT, REGION, Site, has_condition, until

NAMESPACE: Final = "drain-copies"
MODEL_FILES: Final = "model-files"
VARIANTS: Final = ("with-pre-stop", "without-pre-stop")
_LABEL: Final = "copy"
_SPACE: Final = f"/api/v1/namespaces/{NAMESPACE}"
_ROUTES: Final = "/apis/gateway.networking.k8s.io/v1/namespaces"


@contextmanager
def copied_pods(site: Site) -> Iterator[dict[str, Request]]:
    """Two pods of each variant behind a Service and a route of theirs: how each is asked."""
    cluster = site.world.cluster(REGION)
    head = {"name": NAMESPACE, "labels": {LABEL_PROJECT: NAMESPACE}}
    try:
        cluster.apply(_SPACE, {"apiVersion": "v1", "kind": "Namespace", "metadata": head})
        account = f"{_SPACE}/serviceaccounts/default"
        until("pods may be made", lambda: cluster.get(account) is not None)
        cluster.apply(f"{_SPACE}/configmaps/{MODEL_FILES}", _files(site))
        for variant in VARIANTS:
            for number in (1, 2):
                made = _pod(site, variant, f"{variant}-{number}")
                cluster.apply(pod_path(variant, number), made)
        yield {variant: _opened(site, variant) for variant in VARIANTS}
    finally:
        cluster.delete(_SPACE)
        until("the copies are gone", lambda: cluster.get(_SPACE) is None)


def pod_path(variant: str, number: int) -> str:
    """Where the API server keeps a copy."""
    return f"{_SPACE}/pods/{variant}-{number}"


def _files(site: Site) -> Object:
    """The model's files: its volume is bound to the project's own namespace."""
    folder = site.world.root / ".isoserve" / "example" / "ranker"
    texts = {one.name: base64.b64encode(one.read_bytes()).decode() for one in folder.iterdir()}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": MODEL_FILES, "namespace": NAMESPACE},
        "binaryData": texts,
    }


def _pod(site: Site, variant: str, name: str) -> Object:
    """The rendered pod; what waits for a node's cache is left out, and preStop if so wanted."""
    deployment = site.world.cluster(REGION).get(DEPLOYMENT)
    assert deployment is not None, DEPLOYMENT
    spec = copy.deepcopy(deployment["spec"]["template"]["spec"])
    for name_of_another in ("affinity", "initContainers", "serviceAccount", "serviceAccountName",
                            "topologySpreadConstraints"):  # fmt: skip
        spec.pop(name_of_another, None)
    (main,) = spec["containers"]
    assert "preStop" in main["lifecycle"], "what is rendered has the drain"
    if variant == "without-pre-stop":
        del main["lifecycle"]
    (mount,) = [one for one in main["volumeMounts"] if one["name"] == "models"]
    del mount["subPath"]
    others = [one for one in spec["volumes"] if one["name"] != "models"]
    spec["volumes"] = [*others, {"name": "models", "configMap": {"name": MODEL_FILES}}]
    metadata = {"name": name, "namespace": NAMESPACE, "labels": {_LABEL: variant}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def _opened(site: Site, variant: str) -> Request:
    """Once both pods are ready: a Service and a route before them, and how to ask there."""
    cluster, own = site.world.cluster(REGION), site.request()
    metadata = {"name": variant, "namespace": NAMESPACE}
    ports = [{"name": "http", "port": 80, "targetPort": "http"}]
    service = {"selector": {_LABEL: variant}, "ports": ports}
    kind = {"apiVersion": "v1", "kind": "Service", "metadata": metadata}
    cluster.apply(f"{_SPACE}/services/{variant}", {**kind, "spec": service})
    live = cluster.get(f"{_ROUTES}/search/httproutes/ranker")
    assert live is not None, "the model has a route"
    _, _, domain = own.host.partition(".")
    host = f"{variant}--{NAMESPACE}.{domain}"
    rule = {"backendRefs": [{"kind": "Service", "name": variant, "port": 80}]}
    spec = {"parentRefs": live["spec"]["parentRefs"], "hostnames": [host], "rules": [rule]}
    route = {"apiVersion": live["apiVersion"], "kind": "HTTPRoute", "metadata": metadata}
    cluster.apply(f"{_ROUTES}/{NAMESPACE}/httproutes/{variant}", {**route, "spec": spec})
    pods = f"{_SPACE}/pods?labelSelector={_LABEL}%3D{variant}"

    def both_ready() -> bool:
        return [has_condition(pod, "Ready") for pod in site.objects(pods)] == [True, True]

    until(f"both copies {variant} are ready", both_ready)
    request = Request(address=own.address, host=host, path=own.path, body=own.body)
    until("both copies have answered", lambda: _has_answered_by_both(site, request, variant))
    return request


def _has_answered_by_both(site: Site, request: Request, variant: str) -> bool:
    request.send()
    right = {one.pod for one in site.answers() if one.status == HTTPStatus.OK}
    return {f"{NAMESPACE}/{variant}-1", f"{NAMESPACE}/{variant}-2"} <= right
