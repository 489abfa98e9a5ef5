from __future__ import annotations

import datetime
import gzip
import ipaddress
import itertools
import json
import socket
import ssl
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from components.synthetic_probe import ask as asking
from components.synthetic_probe.verdict import Reason
from model_specs.names import PROBE_HEADER
from tests.loopback import Handler, a_row, result_of, results_in_turn, results_of, says, serving

# For an answer that never begins: however short, the end is the same.
SHORT_SECONDS = 0.3
# For one that begins and never ends: a loaded machine must get to the beginning.
LONG_SECONDS = 3.0
LLM = b'{"choices": [{"text": "pong"}]}'
SECRET = "hunter2-in-the-answer"
EVENTS = "text/event-stream"
ZIPPED = [("Content-Encoding", "gzip")]
STREAMED = {"body": {"stream": True}}
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n"


def event(value: Any) -> bytes:
    return f"data: {json.dumps(value)}\n\n".encode()


def begin_events(handler: Handler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Type", EVENTS)
    handler.end_headers()


# -- what is sent ----------------------------------------------------------------------------


def test_probe_is_the_request_of_the_spec_marked_as_a_probe() -> None:
    with serving(says(LLM)) as served:
        (result,) = results_of(a_row(url=f"{served.url}?a=%2F&b", body={"prompt": "ping"}))
    assert result.reason is None, result.detail
    (request,) = served.requests
    assert request.body == {"prompt": "ping"}, "the answer that is expected is to this request"
    assert request.path == "/v1/completions?a=%2F&b", "the path goes as it was written"
    assert request.headers[PROBE_HEADER] == "true", "else it counts against the users' limits"
    assert request.headers["content-type"] == "application/json", "servers refuse other types"
    assert request.headers["host"] == served.url.split("/")[2], "the gateway routes by host"
    assert "authorization" not in request.headers, "no token where none is asked for"


def test_header_of_the_program_is_the_one_that_routes_know() -> None:
    assert asking.PROBE_HEADER == PROBE_HEADER, "the image cannot import where it is defined"


def test_token_is_read_anew_for_each_request(tmp_path: Path) -> None:
    token = tmp_path / "token"
    with serving(says(LLM)) as served:
        row = a_row(url=served.url, token_path=str(token))
        for text in ("first\n", "second\n"):
            token.write_text(text)
            assert results_of(row)[0].reason is None, "the token is there"
        token.unlink()
        (lost,) = results_of(row)
    sent = [request.headers["authorization"] for request in served.requests]
    assert sent == ["Bearer first", "Bearer second"], "the kubelet rotates tokens"
    assert lost.reason == Reason.TOKEN, "not the model's fault, and never sent without one"


def test_each_probe_opens_a_connection_of_its_own() -> None:
    def keep_alive(handler: Handler) -> None:
        handler.protocol_version = "HTTP/1.1"
        handler.close_connection = False
        handler.reply(LLM, headers=[("Set-Cookie", "replica=1; Path=/")])

    with serving(keep_alive) as served:
        row = a_row(url=served.url)
        results_in_turn([row], [row])
        first, second = served.requests
    assert first.connection != second.connection, "one kept open stays with one replica for ever"
    assert "cookie" not in second.headers, "a sticky session stays with one replica too"


@pytest.mark.parametrize("to_other_host", [False, True], ids=["same-host", "other-host"])
def test_redirect_is_not_followed(tmp_path: Path, to_other_host: bool) -> None:
    token = tmp_path / "token"
    token.write_text("bearer")
    with serving(says(LLM)) as stranger:

        def redirect(handler: Handler) -> None:
            own = f"http://{handler.headers['Host']}/elsewhere"
            target = stranger.url if to_other_host else own
            handler.reply(b"", status=307, headers=[("Location", target)])

        with serving(redirect) as served:
            (result,) = results_of(a_row(url=served.url, token_path=str(token)))
        assert (result.reason, result.detail) == (Reason.STATUS, "status 307, not 200")
        assert not stranger.requests, "a stranger would hold the token"
        assert len(served.requests) == 1, "what is judged is what the URL answers"


# -- how it is judged ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "over", "reason"),
    [
        (says(LLM), {"json_path": "choices[0].text", "matches": "(?i)PONG"}, None),
        (says(b"", status=503), {}, Reason.STATUS),
        (says(b"", status=404), {"status": 404}, None),
        (says(b"<html>"), {"json_path": "choices"}, Reason.JSON),
        (says(gzip.compress(LLM), headers=ZIPPED), {"json_path": "choices"}, Reason.JSON),
        (says(b'{"a": NaN}'), {"json_path": "a"}, Reason.JSON),
        (says(b"[" * 100_000), {"json_path": "a"}, Reason.JSON),
        (says(b'{"choices": []}'), {"json_path": "choices[0]"}, Reason.PATH),
        (says(LLM), {"json_path": "choices..text"}, Reason.CONFIG),
        (says(LLM), {"matches": "^pong$"}, Reason.REGEX),
        (says(LLM), {"matches": "("}, Reason.CONFIG),
        (says(b" " * (asking.MAX_BYTES + 1)), {}, Reason.TOO_LARGE),
        (says(b" " * asking.MAX_BYTES), {}, None),
        (says(LLM), STREAMED, Reason.STREAM),
        (lambda handler: handler.raw(b"SSH-2.0\r\n\r\n"), {}, Reason.PROTOCOL),
        (lambda handler: None, {}, Reason.DISCONNECT),
        (lambda handler: handler.raw(HEAD + b"\r\nhalf"), {}, Reason.DISCONNECT),
    ],
    ids=[
        "right", "wrong-status", "other-status-expected", "no-json", "zipped-unasked", "nan",
        "too-deep", "no-path", "malformed-path", "no-match", "malformed-pattern", "too-large",
        "just-not-too-large", "no-stream", "no-http", "closed", "closed-half-way",
    ],
)  # fmt: skip
def test_answer_is_judged_for_a_reason(
    answer: Callable[[Handler], None], over: dict[str, Any], reason: Reason | None
) -> None:
    result = result_of(answer, **over)
    assert result.reason == reason, result.detail


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ([0.5] * 1024, None),
        ([0.5] * 768, Reason.LENGTH),
        ([0.5] * 1025, Reason.LENGTH),
        ("0.5" * 1024, Reason.LENGTH),
        (None, Reason.LENGTH),
    ],
    ids=["right", "another model's", "one more", "no list", "null"],
)
def test_an_embedding_is_held_to_its_length(answer: Any, reason: Reason | None) -> None:
    said = says(json.dumps({"data": [{"embedding": answer}]}).encode())
    result = result_of(said, json_path="data[0].embedding", length=1024)
    assert result.reason == reason, result.detail


def test_a_list_that_is_not_there_has_no_length() -> None:
    result = result_of(says(b"{}"), json_path="data[0].embedding", length=1024)
    assert result.reason == Reason.PATH, "that it is missing says more"


def test_wedged_server_is_timed_out_while_its_health_is_good() -> None:
    with serving(Handler.hang) as served:
        health = served.url.replace("/v1/completions", "/health")
        with urllib.request.urlopen(health) as answer:
            assert answer.status == 200, "so no health check sees it"
        (result,) = results_of(a_row(url=served.url, latency_seconds=SHORT_SECONDS))
    assert result.reason == Reason.TIMEOUT, result.detail
    assert result.seconds >= SHORT_SECONDS, "the whole time was given"


def test_trickling_headers_are_no_answer() -> None:
    def answer(handler: Handler) -> None:
        handler.raw(HEAD)
        handler.trickle(f"x-{i}: x\r\n".encode() for i in itertools.count())

    result = result_of(answer, latency_seconds=SHORT_SECONDS)
    assert result.reason == Reason.TIMEOUT, "each byte is in time, the answer is not"


def test_answer_that_begins_and_does_not_end_is_cut_at_the_deadline() -> None:
    def body(handler: Handler) -> None:
        handler.raw(HEAD + b"\r\n")
        handler.trickle(itertools.repeat(b" "))

    def stream(handler: Handler) -> None:
        begin_events(handler)
        handler.raw(event({"choices": [{"text": "a"}]}))
        handler.hang()

    with serving(body) as slow, serving(stream) as stuck:
        found = results_of(
            a_row(url=slow.url, latency_seconds=LONG_SECONDS),
            a_row(url=stuck.url, latency_seconds=LONG_SECONDS, **STREAMED),
        )
    reasons = [result.reason for result in found]
    assert reasons == [Reason.TOO_SLOW, Reason.TOO_SLOW], "slow, and not wedged"


def test_endless_pattern_is_given_up() -> None:
    text = json.dumps("a" * 60).encode()  # backtracking tries 2 ** 60 ways
    result = result_of(says(text), matches="(a|a)+c$")
    assert result.reason == Reason.REGEX, result.detail
    assert "CPU" in result.detail, "a bad pattern is told from a wrong answer"


def test_refused_connection_has_its_reason() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    (result,) = results_of(a_row(url=f"http://127.0.0.1:{port}/"))
    assert result.reason == Reason.CONNECT, result.detail


def test_unknown_host_has_its_reason() -> None:
    # `.invalid` is never registered (RFC 2606), and a machine without a resolver fails as fast.
    (result,) = results_of(a_row(url="http://models.invalid/"))
    assert result.reason == Reason.DNS, result.detail


@pytest.mark.parametrize("url", ["models/no-scheme", "ftp://models/", "http://"])
def test_malformed_url_is_told_from_a_failing_model(url: str) -> None:
    (result,) = results_of(a_row(url=url))
    assert result.reason == Reason.CONFIG, result.detail


def test_detail_never_quotes_the_answer() -> None:
    secret = SECRET.encode()
    no_json = event(SECRET) + b"data: " + secret + b"\n\n"
    answers: list[tuple[Callable[[Handler], None], dict[str, Any]]] = [
        (says(secret), {"json_path": "a", "matches": "x"}),
        (says(secret), {"matches": "x"}),
        (says(secret, status=500), {}),
        (lambda handler: handler.raw(secret + b"\r\n\r\n"), {}),
        (says(event({"error": SECRET}), kind=EVENTS), STREAMED),
        (says(no_json, kind=EVENTS), STREAMED),
    ]
    for answer, over in answers:
        result = result_of(answer, **over)
        assert result.reason is not None, "each of these is wrong"
        assert SECRET not in result.detail, "the detail is logged, and answers may hold secrets"


# -- TLS -------------------------------------------------------------------------------------


def certificate(directory: Path, name: x509.GeneralName) -> Path:
    """A certificate for `name` that signs itself, with its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([name]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    file = directory / "certificate.pem"
    file.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return file


@pytest.mark.parametrize(
    ("name", "trusted", "reason"),
    [
        (x509.DNSName("localhost"), True, None),
        (x509.DNSName("localhost"), False, Reason.TLS),
        (x509.IPAddress(ipaddress.ip_address("192.0.2.1")), True, Reason.TLS),
    ],
    ids=["right", "unknown-signer", "other-host"],
)
def test_certificate_is_verified(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: x509.GeneralName,
    trusted: bool,
    reason: Reason | None,
) -> None:
    file = certificate(tmp_path, name)
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(file))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    with serving(says(LLM), tls=context) as served:
        (result,) = results_of(a_row(url=served.url))
    assert result.reason == reason, result.detail


def test_plain_server_behind_https_fails_as_tls() -> None:
    with serving(says(LLM)) as served:
        (result,) = results_of(a_row(url=served.url.replace("http:", "https:")))
    assert result.reason == Reason.TLS, result.detail


# -- streams ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "reason"),
    [("choices[0].text", None), ("choices[1]", Reason.PATH), ("a..b", Reason.CONFIG)],
)
def test_path_is_looked_for_in_every_event(path: str, reason: Reason | None) -> None:
    texts = [event({"choices": [{"text": word}]}) for word in ("a", "b")]
    usage = event({"choices": [], "usage": {"completion_tokens": 2}})
    body = b"".join([*texts, usage, b"data: [DONE]\n\n"])
    result = result_of(says(body, kind=EVENTS), json_path=path, **STREAMED)
    assert result.reason == reason, result.detail


def test_stream_is_over_when_the_server_says_so() -> None:
    def answer(handler: Handler) -> None:
        begin_events(handler)
        handler.raw(event({"choices": [{"text": "a"}]}) + b"data: [DONE]\n\n")
        handler.hang()

    result = result_of(answer, **STREAMED)
    assert result.reason is None, "no client of a user waits for the connection to close"


def test_stream_of_a_language_model_has_a_pace() -> None:
    words = ["", "Par", "is", "!"]
    pieces = [event({"choices": [{"delta": {"content": word}}]}) for word in words]

    def answer(handler: Handler) -> None:
        begin_events(handler)
        handler.trickle([*pieces, b"data: [DONE]\n\n"])

    over = {"json_path": "choices[0].delta.content", "matches": "^Paris!$"}
    result = result_of(answer, **STREAMED, **over)
    assert result.reason is None, result.detail
    assert result.pace, "a stream has a pace"
    assert 0 < result.pace.first_token_seconds < result.seconds, "it came before the end"
    assert result.pace.tokens_per_second, "three tokens have a rate"
