"""Decides for which reason a failed request is counted, and what the log may say of it."""

from __future__ import annotations

from typing import Final

import aiohttp

from components.synthetic_probe.verdict import Reason

_REASONS: Final = (
    (aiohttp.ClientConnectorDNSError, Reason.DNS),
    (aiohttp.ClientSSLError, Reason.TLS),
    (aiohttp.ClientConnectorError, Reason.CONNECT),
    (aiohttp.ServerDisconnectedError, Reason.DISCONNECT),
    (aiohttp.ClientOSError, Reason.DISCONNECT),
    (aiohttp.ClientPayloadError, Reason.DISCONNECT),
    (aiohttp.InvalidURL, Reason.CONFIG),
    (aiohttp.NonHttpUrlClientError, Reason.CONFIG),
    (aiohttp.ClientError, Reason.PROTOCOL),
)
"""The first row that fits decides."""


def _words(error: Exception) -> str:
    """What OpenSSL or the system says; else the name only: an HTTP error quotes the answer."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return str(getattr(error.certificate_error, "verify_message", "certificate refused"))
    if isinstance(error, aiohttp.ClientConnectorError):
        return str(error.os_error.strerror or type(error).__name__)
    return type(error).__name__


def blame(error: Exception) -> tuple[Reason, str]:
    """The reason and the words for `error`; what is not of the network is the prober's fault."""
    fits = (reason for kind, reason in _REASONS if isinstance(error, kind))
    return next(fits, Reason.INTERNAL), _words(error)
