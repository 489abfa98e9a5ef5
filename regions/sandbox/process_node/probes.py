"""One question to a container: is it started, ready, alive? And what a preStop hook asks of it."""

from __future__ import annotations

import socket
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import requests

from regions.sandbox.kube import Object, own_session

RunInside = Callable[[Sequence[str], float], tuple[int, str]]
_HEADERS: Final = {"User-Agent": "kube-probe/1.36", "Accept": "*/*", "Connection": "close"}
_GOOD: Final = range(200, 400)


@dataclass(frozen=True, slots=True)
class Outcome:
    """Whether it passed; the message says why not, in the kubelet's words."""

    passed: bool
    message: str = ""


@dataclass(frozen=True, slots=True)
class Target:
    """The container that is asked."""

    address: str
    ports: Sequence[Object]
    run_inside: RunInside

    def port(self, wanted: int | str) -> int:
        """A port by number or by the name that the container gives it. Raises ValueError."""
        for port in self.ports:
            if port.get("name") == wanted:
                return int(port["containerPort"])
        return int(wanted)


def ask(action: Object, target: Target, timeout_seconds: float) -> Outcome:
    """Do a probe's or a hook's action once; it takes no longer than the timeout."""
    for kind, asked in ACTIONS.items():
        if kind in action:
            try:
                return asked(action[kind], target, timeout_seconds)
            except ValueError as reason:
                return Outcome(False, f"{kind} can't be asked: {reason}")
    kinds = ", ".join(action) or "nothing"
    return Outcome(False, f"process nodes know no {kinds}; use {', '.join(ACTIONS)}")


def _http_get(wanted: Object, target: Target, timeout_seconds: float) -> Outcome:
    scheme = str(wanted.get("scheme") or "HTTP").lower()
    host = wanted.get("host") or target.address
    path = "/" + str(wanted.get("path") or "/").lstrip("/")
    url = f"{scheme}://{host}:{target.port(wanted['port'])}{path}"
    own = {header["name"]: header["value"] for header in wanted.get("httpHeaders") or ()}
    with own_session() as session, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a probe doesn't verify certificates, and needs no warning
        session.verify = False
        session.headers.clear()
        try:
            with session.get(
                url, headers={**_HEADERS, **own}, timeout=timeout_seconds, stream=True
            ) as answer:
                code = answer.status_code
        except requests.Timeout:
            return Outcome(False, f"HTTP probe: no answer within {timeout_seconds:g} s from {url}")
        except requests.RequestException as reason:
            return Outcome(False, f"HTTP probe: {url}: {type(reason).__name__}")
    if code in _GOOD:
        return Outcome(True)
    return Outcome(False, f"HTTP probe failed with statuscode: {code}")


def _tcp_socket(wanted: Object, target: Target, timeout_seconds: float) -> Outcome:
    place = (str(wanted.get("host") or target.address), target.port(wanted["port"]))
    try:
        socket.create_connection(place, timeout=timeout_seconds).close()
    except OSError as reason:
        return Outcome(False, f"TCP probe: {place[0]}:{place[1]}: {reason}")
    return Outcome(True)


def _exec(wanted: Object, target: Target, timeout_seconds: float) -> Outcome:
    code, output = target.run_inside(wanted.get("command") or [], timeout_seconds)
    return Outcome(code == 0, "" if code == 0 else f"exited with {code}: {output.strip()[:400]}")


ACTIONS: Final[dict[str, Callable[[Object, Target, float], Outcome]]] = {
    "httpGet": _http_get,
    "tcpSocket": _tcp_socket,
    "exec": _exec,
}
