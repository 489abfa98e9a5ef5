"""Has pods run the images that were built here in place of those that profiles and specs name.

A digest in a profile is that of a company's own build, which no registry here has. An admission
policy of the API server writes the digest of the local build into each pod, so that the kubelet
pulls by digest, and `kubectl get pod` tells what runs. Every other image stays as it is named.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

from regions.sandbox.kube import Cluster, Object

_GROUP: Final = "admissionregistration.k8s.io/v1"
_NAME: Final = "isoserve-sandbox-images"
_IS_OF: Final = "c.image.matches('/' + name + '(:[^/@]+)?(@.+)?$')"
_KINDS: Final = ("initContainers", "containers")


def apply(cluster: Cluster, built: Mapping[str, str]) -> None:
    """Replace from now on each image by the one of its name: `built` has paths in the registry."""
    for plural, made in (
        ("mutatingadmissionpolicies", policy(built)),
        ("mutatingadmissionpolicybindings", _binding()),
    ):
        cluster.apply(f"/apis/{_GROUP}/{plural}/{_NAME}", made)


def renew(cluster: Cluster, built: Mapping[str, str]) -> int:
    """Delete the pods that run another build of such an image, so that new ones come; how many."""
    gone = 0
    for pod in (cluster.get("/api/v1/pods") or {}).get("items", []):
        named = [one["image"] for kind in _KINDS for one in pod["spec"].get(kind, ())]
        paths = [path.partition("@") for path in built.values()]
        if any(
            f"/{at}@" in name and digest not in name for name in named for at, _, digest in paths
        ):
            metadata = pod["metadata"]
            cluster.delete(f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}")
            gone += 1
    return gone


def policy(built: Mapping[str, str]) -> Object:
    """The policy; names are the last part of an image's repository."""
    lists = ", ".join(f"{kind}: {_replaced(kind)}" for kind in _KINDS)
    pods = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"]}
    return {
        "apiVersion": _GROUP,
        "kind": "MutatingAdmissionPolicy",
        "metadata": {"name": _NAME},
        "spec": {
            "matchConstraints": {"resourceRules": [{**pods, "resources": ["pods"]}]},
            "failurePolicy": "Fail",
            "reinvocationPolicy": "Never",
            "variables": [{"name": "built", "expression": json.dumps(dict(built))}],
            "mutations": [
                {
                    "patchType": "ApplyConfiguration",
                    "applyConfiguration": {
                        "expression": f"Object{{spec: Object.spec{{{lists}}}}}",
                    },
                }
            ],
        },
    }


def _replaced(kind: str) -> str:
    """The containers of a kind whose image was built here, with that one, in CEL."""
    containers = f"object.spec.{kind}"
    ours = f"{containers}.filter(c, variables.built.exists(name, {_IS_OF}))"
    path = f"variables.built[variables.built.filter(name, {_IS_OF})[0]]"
    image = f"c.image.split('/')[0] + '/' + {path}"
    changed = f"Object.spec.{kind}{{name: c.name, image: {image}}}"
    return f"has({containers}) ? {ours}.map(c, {changed}) : []"


def _binding() -> Object:
    return {
        "apiVersion": _GROUP,
        "kind": "MutatingAdmissionPolicyBinding",
        "metadata": {"name": _NAME},
        "spec": {"policyName": _NAME},
    }
