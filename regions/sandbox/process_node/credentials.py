"""Gives pods the credentials of their role, as the EKS Pod Identity Agent does on each node.

The pod shows its token; the API server says whose it is, and the ServiceAccount names the role.
"""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final
from xml.etree import ElementTree

import requests

from regions.sandbox.complaints import Complaints
from regions.sandbox.errors import SandboxError
from regions.sandbox.kube import Cluster, Object, own_session
from regions.sandbox.process_node.api import create
from regions.sandbox.process_node.roles import (
    AUDIENCE,
    CREDENTIALS_PATH,
    CREDENTIALS_PORT,
    role_of,
)

_REVIEWS: Final = "/apis/authentication.k8s.io/v1/tokenreviews"
_ACCOUNT: Final = "system:serviceaccount:"
_SESSION_SECONDS: Final = 3600
_TIMEOUT_SECONDS: Final = 10
_ANSWERS: Final = {
    "AccessKeyId": "AccessKeyId",
    "SecretAccessKey": "SecretAccessKey",
    "SessionToken": "Token",
    "Expiration": "Expiration",
}


class Denied(Exception):
    """Whoever asks gets nothing, and reads why."""


def serve(cluster: Cluster, address: str, sts_url: str) -> ThreadingHTTPServer:
    """Answer the node's pods from now on. Raises SandboxError when the address is taken."""

    complaints = Complaints("no credentials for a pod")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            try:
                if self.path != CREDENTIALS_PATH:
                    raise Denied(f"ask for {CREDENTIALS_PATH}")
                code, body = 200, exchange(cluster, self.headers.get("Authorization", ""), sts_url)
                complaints.settled()
            except (Denied, SandboxError) as reason:
                complaints.say(reason)
                # A client tries again only after the second of these.
                code, body = 403 if isinstance(reason, Denied) else 503, {"message": str(reason)}
            data = json.dumps(body).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None:
            """What is denied is written down above; all else is nobody's business."""

    try:
        server = ThreadingHTTPServer((address, CREDENTIALS_PORT), Handler)
    except OSError as reason:
        raise SandboxError(
            f"{address}:{CREDENTIALS_PORT} can't be listened on ({reason}); end what holds it"
        ) from reason
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, name="credentials", daemon=True).start()
    return server


def exchange(cluster: Cluster, token: str, sts_url: str) -> Object:
    """Credentials of the role of the token's account. Raises Denied, SandboxError."""
    namespace, name = _account(cluster, token)
    account = cluster.get(f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}")
    role = role_of(account) if account else ""
    if not role:
        raise Denied(f"ServiceAccount {namespace}/{name} names no role")
    return _assume(role, f"{namespace}-{name}"[:64], token, sts_url)


def _account(cluster: Cluster, token: str) -> tuple[str, str]:
    review = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenReview",
        "spec": {"token": token, "audiences": [AUDIENCE]},
    }
    status = create(cluster, _REVIEWS, review)["status"]
    user = str((status.get("user") or {}).get("username", ""))
    if not status.get("authenticated") or not user.startswith(_ACCOUNT):
        raise Denied("the API server doesn't know this token for AWS")
    namespace, _, name = user.removeprefix(_ACCOUNT).partition(":")
    return namespace, name


def _assume(role: str, session_name: str, token: str, sts_url: str) -> Object:
    form = {
        "Action": "AssumeRoleWithWebIdentity",
        "Version": "2011-06-15",
        "RoleArn": role,
        "RoleSessionName": session_name,
        "WebIdentityToken": token,
        "DurationSeconds": str(_SESSION_SECONDS),
    }
    try:
        with own_session() as session:
            answer = session.post(sts_url, data=form, timeout=_TIMEOUT_SECONDS)
    except requests.RequestException as reason:
        raise SandboxError(
            f"STS at {sts_url} can't be reached ({type(reason).__name__})"
        ) from reason
    if not answer.ok:
        raise Denied(f"STS refuses {role}: {answer.text[:300]}")
    return credentials_in(answer.text)


def credentials_in(answer: str) -> Object:
    """What STS said, as the Pod Identity Agent says it. Raises Denied."""
    try:
        found = {
            element.tag.rpartition("}")[2]: (element.text or "")
            for element in ElementTree.fromstring(answer).iter()
        }
        return {title: found[name].strip() for name, title in _ANSWERS.items()}
    except (ElementTree.ParseError, KeyError) as reason:
        raise Denied(f"STS answered something else: {answer[:200]}") from reason
