"""Asks registries which image a tag stands for, by the OCI distribution API.

Sources, read 2026-11-29: opencontainers/distribution-spec, spec.md ("Pulling manifests");
distribution/distribution, docs/content/spec/auth/token.md and oauth.md.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import urlsplit

import requests

from model_specs.errors import shown
from stacks.images.credentials import Credentials, credentials
from stacks.images.errors import ImageError
from stacks.images.reference import DOCKER_HUB, Reference

SERVERS: Final = {DOCKER_HUB: "registry-1.docker.io"}
"""Of a host in names, the one that answers, where that is another."""
MANIFESTS: Final = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
"""Indexes first: one digest for all architectures."""
MOST_BYTES: Final = 4 * 1024 * 1024
"""Of a manifest: what registries must take at least; nobody makes larger ones."""
_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")
_SCHEME: Final = re.compile(r"(?:^|,)\s*(Bearer|Basic)\s+", re.IGNORECASE)
_PARAMETER: Final = re.compile(r'(\w+)\s*=\s*(?:"([^"]*)"|([^\s,"]+))')
_SECONDS: Final = (10.0, 30.0)
"""To connect, and between two pieces of an answer."""
_CLIENT: Final = "isoserve"

Keep = Callable[[str, str], Credentials | None]
"""From a host and a repository to what there is to sign in to it."""


class Registries:
    """Registries, asked over connections that are kept; to be closed after use."""

    def __init__(self, keep: Keep = credentials, plain_http: bool = False) -> None:
        self._keep = keep
        self._scheme = "http" if plain_http else "https"
        self._session = requests.Session()
        # A callable, so that `requests` looks into no ~/.netrc and keeps our header.
        self._session.auth = lambda request: request

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, it: BaseException | None, at: TracebackType | None
    ) -> None:
        self._session.close()

    def digest(self, image: Reference) -> str:
        """The digest of the manifest, or of the index of manifests, that `image` names.

        Raises ImageError where no registry says so.
        """
        answer = self._manifest("HEAD", image)
        # Neither HEAD nor its header is in every registry.
        if answer.status_code == 405 or (answer.ok and not _told(answer)):
            answer = self._manifest("GET", image)
        with answer:
            _require_good(image, answer)
            return _digest(image, answer)

    def _manifest(self, method: str, image: Reference) -> requests.Response:
        host = SERVERS.get(image.host, image.host)
        url = f"{self._scheme}://{host}/v2/{image.repository}/manifests/{image.digest or image.tag}"
        headers = {"Accept": ", ".join(MANIFESTS)}
        answer = self._ask(image, method, url, headers=headers)
        if answer.status_code != 401:
            return answer
        answer.close()
        headers["Authorization"] = self._signed(image, answer.headers.get("WWW-Authenticate", ""))
        return self._ask(image, method, url, headers=headers)

    def _signed(self, image: Reference, challenge: str) -> str:
        """The header that answers a registry's challenge."""
        known = self._keep(image.host, image.repository)
        for scheme, values in _challenges(challenge):
            if scheme == "bearer" and "realm" in values:
                return f"Bearer {self._token(image, values, known)}"
            if scheme == "basic" and known:
                return _basic(known)
        why = "the registry wants a sign-in" if known is None else "no sign-in that we know"
        raise ImageError(f"{image}: {why}, got {shown(challenge)}; `docker login {image.host}`")

    def _token(self, image: Reference, values: dict[str, str], known: Credentials | None) -> str:
        realm = values["realm"]
        if _scheme(realm) not in ("https", self._scheme):
            why = f"its tokens are given without TLS, got {shown(realm)}"
            raise ImageError(f"{image}: {why}; tell the registry's owner")
        asked = {
            "service": values.get("service", ""),
            "scope": values.get("scope") or f"repository:{image.repository}:pull",
        }
        if known and known.identity_token:
            form = {"grant_type": "refresh_token", "refresh_token": known.identity_token}
            body = asked | form | {"client_id": _CLIENT}
            # Whoever redirects it would be told the token that stands for a password.
            answer = self._ask(image, "POST", realm, data=body, allow_redirects=False)
        else:
            headers = {"Authorization": _basic(known)} if known else {}
            answer = self._ask(image, "GET", realm, params=asked, headers=headers)
        with answer:
            _require_good(image, answer)
            token = _object(_body(image, answer))
        text = token.get("token") or token.get("access_token")
        if not isinstance(text, str) or not (text.isascii() and text.isprintable()):
            raise ImageError(f"{image}: {urlsplit(realm).netloc} gave no token; try again later")
        return text

    def _ask(self, image: Reference, method: str, url: str, **words: Any) -> requests.Response:
        try:
            answer = self._session.request(method, url, timeout=_SECONDS, stream=True, **words)
        except requests.exceptions.SSLError:
            why = f"{urlsplit(url).netloc} has no certificate that this machine trusts"
            cure = (
                "name your authorities by REQUESTS_CA_BUNDLE; --plain-http is for one without TLS"
            )
            raise ImageError(f"{image}: {why}; {cure}") from None
        except requests.Timeout:
            why = f"{urlsplit(url).netloc} has not answered within {_SECONDS[1]:.0f} s"
            raise ImageError(f"{image}: {why}; try again later") from None
        except (requests.RequestException, ValueError):  # of a host that is none
            why = f"{urlsplit(url).netloc} cannot be reached from here"
            raise ImageError(
                f"{image}: {why}; look at its name, the network and HTTPS_PROXY"
            ) from None
        if any(urlsplit(one.url).scheme not in ("https", self._scheme) for one in _hops(answer)):
            answer.close()
            raise ImageError(f"{image}: it is redirected to where there is no TLS; ask its owner")
        return answer


def _hops(answer: requests.Response) -> tuple[requests.Response, ...]:
    return (*answer.history, answer)


def _scheme(url: str) -> str:
    """The scheme of a URL that somebody else wrote; empty where it is none."""
    try:
        return urlsplit(url).scheme
    except ValueError:  # such as an open bracket
        return ""


def _challenges(header: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Scheme and parameters of each challenge of a WWW-Authenticate header."""
    pieces = _SCHEME.split(header)
    for scheme, text in zip(pieces[1::2], pieces[2::2], strict=True):
        found = _PARAMETER.findall(text)
        yield scheme.lower(), {name.lower(): quoted or bare for name, quoted, bare in found}


def _basic(known: Credentials) -> str:
    return "Basic " + base64.b64encode(f"{known.name}:{known.password}".encode()).decode()


def _told(answer: requests.Response) -> str:
    return answer.headers.get("Docker-Content-Digest", "")


def _require_good(image: Reference, answer: requests.Response) -> None:
    """Raise ImageError for every answer but 200."""
    code, host = answer.status_code, urlsplit(answer.url).netloc
    if code == 200:
        return
    if code in (401, 403):
        why = f"{host} refuses us, so it is not there or not ours to read"
        raise ImageError(f"{image}: {why}; mend the name, or `docker login {image.host}`")
    if code == 404:
        raise ImageError(f"{image}: {host} has no such image; mend its name or tag, or push it")
    if code == 429:
        why = f"{host} has had too many questions from here"
        raise ImageError(f"{image}: {why}; wait, or `docker login {image.host}`")
    raise ImageError(f"{image}: {host} answers {code}; try again later")


def _digest(image: Reference, answer: requests.Response) -> str:
    kind = answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    host, told = urlsplit(answer.url).netloc, _told(answer)
    if kind not in MANIFESTS:
        why = f"{host} answers with no image's manifest, got {shown(kind)}"
        raise ImageError(f"{image}: {why}; look whether a proxy or a page answers, or push it anew")
    if answer.request.method == "GET":
        made = f"sha256:{hashlib.sha256(_body(image, answer)).hexdigest()}"
        if told and told != made and told.startswith("sha256:"):
            raise ImageError(f"{image}: {host} gives other bytes than {told}; ask its owner")
        told = made
    if not _DIGEST.fullmatch(told):
        raise ImageError(f"{image}: {host} tells no sha256 digest, got {shown(told)}; push it anew")
    if image.digest and told != image.digest:
        raise ImageError(f"{image}: {host} has {told} instead; ask its owner")
    return told


def _body(image: Reference, answer: requests.Response) -> bytes:
    body = b""
    try:
        for piece in answer.iter_content(65_536):
            body += piece
            if len(body) > MOST_BYTES:
                why = f"its manifest is larger than {MOST_BYTES} bytes"
                raise ImageError(f"{image}: {why}; look whether a registry answers there")
    except requests.RequestException:
        host = urlsplit(answer.url).netloc
        raise ImageError(f"{image}: the answer of {host} broke off; try again") from None
    return body


def _object(body: bytes) -> dict[str, Any]:
    """The JSON object that a token service answers; empty where it is none."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
