"""Who signs tokens, in a region of real machines: the company's sign-in, and EKS for pods.

A pod shows their public keys where the profile says, by TLS of the region's authority, and the
region's DNS leads there. A real provider has people sign in; this one lets in whoever reads its
private key, which is made anew with each sandbox.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from joserfc import jwt
from joserfc.jwk import RSAKey

from regions.profile import RegionProfile
from regions.sandbox.errors import SandboxError
from regions.sandbox.kube import Cluster, Object
from regions.sandbox.layout import certificates_of, write_atomically
from regions.sandbox.node.certificates import authority, issue
from regions.sandbox.node.network import ISSUER_SERVICE
from regions.sandbox.plans import profile_of
from regions.urls import host_of, service_namespace

NAMESPACE: Final = "sign-in"
_NAME: Final = "issuer"
_PORT: Final = 8443
_BITS: Final = 2048
_LIFE_SECONDS: Final = 3600
_CLUSTER_KEYS: Final = "/openid/v1/jwks"
_USER: Final = 65532
_LABELS: Final = {"app": _NAME}
_PROGRAM: Final = f"""
import http.server, json, ssl
with open("/issuer/documents.json") as file:
    documents = json.load(file)
class Documents(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = documents.get(self.headers.get("Host", "").partition(":")[0] + self.path)
        self.send_response(404 if body is None else 200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write((body or "").encode())
server = http.server.ThreadingHTTPServer(("", {_PORT}), Documents)
tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
tls.load_cert_chain("/issuer/tls.crt", "/issuer/tls.key")
server.socket = tls.wrap_socket(server.socket, server_side=True)
server.serve_forever()
"""
"""All that the pod runs: by host and path, the document that is there."""


def hosts(profile: RegionProfile) -> list[str]:
    """The hosts of the profile's issuers that are no Service of the cluster."""
    urls = [profile.cluster.jwks_uri, profile.sign_in.jwks_uri if profile.sign_in else ""]
    return [host_of(url) for url in urls if url and not service_namespace(url)]


def objects(cluster: Cluster, image: str) -> list[Object]:
    """The pod, with what it shows, and its Service; `image` has a Python.

    Raises SandboxError where the profile is wrong, or the API server does not tell its keys.
    """
    profile = profile_of(cluster.region)
    shown = sorted(hosts(profile))
    pair = issue(authority(certificates_of(cluster.region)), _NAME, _NAME, "", tuple(shown))
    files = {
        "documents.json": json.dumps(_documents(cluster, profile), sort_keys=True).encode(),
        "tls.crt": pair.certificate.read_bytes(),
        "tls.key": pair.key.read_bytes(),
    }
    data = {name: base64.b64encode(body).decode() for name, body in files.items()}
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    service = {
        "clusterIP": ISSUER_SERVICE,
        "selector": _LABELS,
        "ports": [{"name": "https", "port": 443, "targetPort": "https"}],
    }
    return [
        namespace,
        _object("v1", "Secret", data=data),
        _object("apps/v1", "Deployment", spec=_deployment(image)),
        _object("v1", "Service", spec=service),
    ]


def token(region: str, subject: str, groups: Sequence[str]) -> str:
    """A token of the sign-in for `subject` in `groups`, for an hour from now.

    Raises SandboxError where the profile is wrong, or has no sign-in.
    """
    profile = profile_of(region)
    sign_in = profile.sign_in
    if sign_in is None or not certificates_of(region).exists():
        raise SandboxError(f"region {region} is not up, or its profile has no sign_in")
    now = int(time.time())
    claims: dict[str, Any] = {
        "iss": sign_in.issuer,
        "aud": sign_in.audience,
        "sub": subject,
        "iat": now,
        "exp": now + _LIFE_SECONDS,
        sign_in.groups_claim: list(groups),
    }
    key = signing_key(region)
    return jwt.encode({"alg": "RS256", "kid": key.kid}, claims, key)


def signing_key(region: str) -> RSAKey:
    """The private key of the region's sign-in, made where there is none."""
    path = certificates_of(region) / "sign-in.key"
    if not path.exists():
        made = RSAKey.generate_key(_BITS)
        write_atomically(path, made.as_pem(private=True), mode=0o600)
    return RSAKey.import_key(path.read_text(), {"kid": "sign-in", "alg": "RS256", "use": "sig"})


def _documents(cluster: Cluster, profile: RegionProfile) -> dict[str, str]:
    """By host and path, the keys that are there."""
    found = {}
    if profile.sign_in:
        own = signing_key(cluster.region).as_dict(private=False)
        found[_place(profile.sign_in.jwks_uri)] = json.dumps({"keys": [own]})
    found[_place(profile.cluster.jwks_uri)] = json.dumps(cluster.get(_CLUSTER_KEYS))
    return found


def _place(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.hostname}{parts.path}"


def _object(api_version: str, kind: str, **more: Object) -> Object:
    metadata = {"name": _NAME, "namespace": NAMESPACE}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **more}


def _deployment(image: str) -> Object:
    container = {
        "name": _NAME,
        "image": image,
        "args": ["-c", _PROGRAM],
        "ports": [{"name": "https", "containerPort": _PORT}],
        "readinessProbe": {"tcpSocket": {"port": "https"}, "periodSeconds": 1},
        "resources": {"requests": {"memory": "32Mi"}, "limits": {"memory": "128Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
        "volumeMounts": [{"name": "files", "mountPath": "/issuer", "readOnly": True}],
    }
    pod = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "nodeSelector": {"isoserve.dev/sandbox-machine": "true"},
        "terminationGracePeriodSeconds": 1,
        "tolerations": [{"operator": "Exists"}],
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": _USER,
            "fsGroup": _USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
        "volumes": [{"name": "files", "secret": {"secretName": _NAME, "defaultMode": 0o440}}],
    }
    return {
        "replicas": 1,
        "selector": {"matchLabels": _LABELS},
        "template": {"metadata": {"labels": _LABELS}, "spec": pod},
    }
