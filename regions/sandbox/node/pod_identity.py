"""Gives pods on real machines the role that their ServiceAccount names, as EKS's webhook does.

It stands for amazon-eks-pod-identity-webhook, which EKS runs beside its API server, and adds the
same (its pkg/handler/handler.go at 9dafe2b, read 2026-11). One thing more: here AWS shows a
certificate of the region's authority, so containers are told to trust that. Where a company's
proxy takes TLS apart, pods need the same: SSL_CERT_FILE is read by OpenSSL and obstore,
AWS_CA_BUNDLE by boto3.
"""

from __future__ import annotations

import base64
import json
import ssl
import threading
from collections.abc import Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

from regions.sandbox.complaints import Complaints
from regions.sandbox.errors import SandboxError
from regions.sandbox.kube import Cluster, Object
from regions.sandbox.web_identity import AUDIENCE

ROLE: Final = "eks.amazonaws.com/role-arn"
ROLELESS: Final = "eks.amazonaws.com/skip-containers"
FOLDER: Final = "/var/run/secrets/eks.amazonaws.com/serviceaccount"
TOKEN: Final[Object] = {
    "serviceAccountToken": {"audience": AUDIENCE, "expirationSeconds": 86400, "path": "token"}
}
PORT: Final = 9443
_AUTHORITY: Final[Object] = {
    # Kubernetes keeps it in every namespace; here it is the authority that AWS's certificate has.
    "configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}
}
_VOLUME: Final = "aws-iam-token"
_NAME: Final = "pod-identity-webhook"
_TOGETHER: Final = (
    {"AWS_DEFAULT_REGION", "AWS_REGION"},
    {"AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE"},
)
"""A container that says one of these itself gets none of them."""


def role_of(account: Object) -> str:
    """The role that a ServiceAccount's pods take on; empty when it has none."""
    return str((account["metadata"].get("annotations") or {}).get(ROLE, ""))


def with_role(pod: Object, role: str, aws_region: str) -> Object:
    """The pod with what its containers need to take on the role at STS."""
    wanted = {
        "AWS_CA_BUNDLE": f"{FOLDER}/ca.crt",
        "AWS_DEFAULT_REGION": aws_region,
        "AWS_REGION": aws_region,
        "AWS_ROLE_ARN": role,
        "AWS_STS_REGIONAL_ENDPOINTS": "regional",
        "AWS_WEB_IDENTITY_TOKEN_FILE": f"{FOLDER}/token",
        "SSL_CERT_FILE": f"{FOLDER}/ca.crt",
    }
    return given(pod, wanted, [TOKEN, _AUTHORITY])


def given(pod: Object, wanted: Mapping[str, str], sources: Sequence[Object]) -> Object:
    """The pod whose containers have the environment, and the sources as files in FOLDER.

    Nothing that a container says itself is changed, and nothing of those that it names as roleless.
    """
    noted = (pod["metadata"].get("annotations") or {}).get(ROLELESS, "")
    roleless = {name.strip() for name in noted.split(",")}
    volume = {"name": _VOLUME, "projected": {"sources": [*sources]}}
    spec = pod["spec"]
    changed = {
        key: [one if one["name"] in roleless else _with(one, wanted) for one in spec[key]]
        for key in ("initContainers", "containers")
        if spec.get(key)
    }
    volumes = [*(spec.get("volumes") or ()), volume]
    return {**pod, "spec": {**spec, **changed, "volumes": volumes}}


def _with(container: Object, wanted: Mapping[str, str]) -> Object:
    own = container.get("env") or []
    named = {entry["name"] for entry in own}
    present = named.union(*(names for names in _TOGETHER if names & named))
    added = [{"name": name, "value": wanted[name]} for name in wanted if name not in present]
    mount = {"mountPath": FOLDER, "name": _VOLUME, "readOnly": True}
    mounts = [*(container.get("volumeMounts") or ()), mount]
    return {**container, "env": [*own, *added], "volumeMounts": mounts}


def reviewed(review: Object, cluster: Cluster, aws_region: str) -> Object:
    """The answer to an AdmissionReview of a new pod. Raises SandboxError."""
    request = review["request"]
    pod, response = request["object"], {"uid": request["uid"], "allowed": True}
    name = pod["spec"].get("serviceAccountName") or "default"
    account = cluster.get(f"/api/v1/namespaces/{request['namespace']}/serviceaccounts/{name}")
    role = role_of(account) if account else ""
    has_it = any(one["name"] == _VOLUME for one in pod["spec"].get("volumes") or ())
    if role and not has_it:
        spec = with_role(pod, role, aws_region)["spec"]
        patch = json.dumps([{"op": "replace", "path": "/spec", "value": spec}])
        response |= {"patchType": "JSONPatch", "patch": base64.b64encode(patch.encode()).decode()}
    return {"apiVersion": review["apiVersion"], "kind": review["kind"], "response": response}


def configuration(address: str, authority: bytes) -> Object:
    """How the API server comes to ask the webhook; EKS lets pods in when it does not answer."""
    rule = {
        "apiGroups": [""],
        "apiVersions": ["v1"],
        "operations": ["CREATE"],
        "resources": ["pods"],
        "scope": "Namespaced",
    }
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": _NAME},
        "webhooks": [
            {
                "name": "iam-for-pods.amazonaws.com",
                "admissionReviewVersions": ["v1"],
                "clientConfig": {
                    "caBundle": base64.b64encode(authority).decode(),
                    "url": f"https://{address}:{PORT}/mutate",
                },
                "failurePolicy": "Ignore",
                "reinvocationPolicy": "IfNeeded",
                "rules": [rule],
                "sideEffects": "None",
                "timeoutSeconds": 10,
            }
        ],
    }


def answer(handler: BaseHTTPRequestHandler, code: int, body: Object) -> None:
    """Answer a request with JSON."""
    data = json.dumps(body).encode()
    handler.send_response(code)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Content-Length", str(len(data)))
    handler.end_headers()
    handler.wfile.write(data)


def serve(cluster: Cluster, address: str, aws_region: str, tls: ssl.SSLContext) -> None:
    """Answer the API server from now on. Raises OSError when the address is taken."""
    complaints = Complaints("a pod may lack its role")

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            try:
                review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                code, body = 200, reviewed(review, cluster, aws_region)
                complaints.settled()
            except (KeyError, TypeError, ValueError, SandboxError) as reason:
                complaints.say(reason)
                code, body = 500, {"message": str(reason)}
            answer(self, code, body)

        def log_message(self, format: str, *args: object) -> None:
            """The API server's own log has its questions."""

    server = ThreadingHTTPServer((address, PORT), Handler)
    server.daemon_threads = True
    # Whoever connects and is silent holds up its own thread alone.
    server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever, name="webhook", daemon=True).start()
