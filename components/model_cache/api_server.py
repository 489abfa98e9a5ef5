"""The API server as the agent's pod reaches it: where, by whose right, and one request."""

from __future__ import annotations

import http.client
import ssl
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiServer:
    """Where the API server is, who asks (a folder as the pod's volume), and of which node."""

    url: str
    folder: Path
    node: str

    def told(self, name: str) -> str:
        """One of the volume's files, read each time: a token is renewed in its file."""
        return (self.folder / name).read_text(encoding="utf-8").strip()

    def open(
        self, path: str, headers: Mapping[str, str], seconds: float, body: bytes | None = None
    ) -> http.client.HTTPResponse:
        """The answer to a GET, or to a POST of `body`, given up after `seconds` of silence.

        Raises OSError (HTTPError among it) and ValueError.
        """
        token = {"Authorization": f"Bearer {self.told('token')}"}
        request = urllib.request.Request(f"{self.url}{path}", body, {**token, **headers})
        trust = ssl.create_default_context(cafile=str(self.folder / "ca.crt"))
        direct = urllib.request.ProxyHandler({})
        opener = urllib.request.build_opener(direct, urllib.request.HTTPSHandler(context=trust))
        return cast(http.client.HTTPResponse, opener.open(request, timeout=seconds))


def api_server(env: Mapping[str, str], folder: Path) -> ApiServer | None:
    """As a pod is told; None where there is no API server or no token for it."""
    host, port = env.get("KUBERNETES_SERVICE_HOST", ""), env.get("KUBERNETES_SERVICE_PORT", "443")
    if not host or not (folder / "token").exists():
        return None
    name = f"[{host}]" if ":" in host else host
    return ApiServer(url=f"https://{name}:{port}", folder=folder, node=env.get("NODE_NAME", ""))
