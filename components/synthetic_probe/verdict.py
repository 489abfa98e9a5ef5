"""What one probe can come to: right, or wrong for one of a fixed set of reasons."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Reason(StrEnum):
    """Why an answer was not right; a label of a metric, so the set is closed."""

    CONFIG = "config"
    """The probe itself cannot be used: its URL, path or pattern is none."""
    CONNECT = "connect"
    """Nobody took the connection."""
    DISCONNECT = "disconnect"
    """The connection broke before the answer was whole."""
    DNS = "dns"
    """The host has no address."""
    INTERNAL = "internal"
    """The prober's own fault."""
    JSON = "json"
    """The answer is no JSON."""
    LENGTH = "length"
    """What `json_path` names is no list, or has more or fewer items."""
    PATH = "path"
    """The JSON lacks what `json_path` names."""
    PROTOCOL = "protocol"
    """The answer is no HTTP."""
    REGEX = "regex"
    """The answer does not match."""
    STATUS = "status"
    """Another HTTP status; redirects too, since none is followed."""
    STREAM = "stream"
    """Events were asked for, and these are none, report an error or stop half-way."""
    TIMEOUT = "timeout"
    """Nothing came in time: the server is wedged, or too far."""
    TLS = "tls"
    """The certificate or the handshake is refused."""
    TOKEN = "token"
    """The token file cannot be read."""
    TOO_LARGE = "too_large"
    """More bytes than the prober holds."""
    TOO_SLOW = "too_slow"
    """The answer began, and was not whole in time."""


class WrongError(Exception):
    """The answer is wrong; `detail` is for the log and never quotes the answer."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How fast a stream of tokens came; a stream of one token has no rate."""

    first_token_seconds: float
    tokens_per_second: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One finished probe: right when `reason` is None. Only streams have a pace."""

    seconds: float
    reason: Reason | None
    detail: str
    pace: Pace | None
