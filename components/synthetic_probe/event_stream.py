"""Reads a stream of server-sent events as it comes, and when each token of a model came.

Of https://html.spec.whatwg.org/multipage/server-sent-events.html only `data` counts here, and a
line ends in LF or CRLF: no server of models ends one in a lone CR.
"""

from __future__ import annotations

from typing import Any, Final

from components.synthetic_probe.judge import has_path, parse_json
from components.synthetic_probe.verdict import Pace, Reason, WrongError

_DONE: Final = "[DONE]"
# vLLM has had both names for what a model thinks before it speaks.
_SAYS: Final = ("content", "reasoning_content", "reasoning")


def _tokens(event: Any) -> str | None:
    """The text that an event adds; None where it adds none, as one that only names the role."""
    if not isinstance(event, dict) or "choices" not in event:
        return ""  # another protocol: an event is a token, and its words are nobody's guess
    for choice in event["choices"]:
        delta = choice.get("delta", {})
        said = (choice.get("text"), *(delta.get(key) for key in _SAYS))
        if text := next(filter(None, said), None):
            return str(text)
    return None


def _count(event: Any) -> int | None:
    """The server's own count of tokens so far, where the event has one."""
    usage = event.get("usage") if isinstance(event, dict) else None
    return int(usage["completion_tokens"]) if usage and "completion_tokens" in usage else None


class EventStream:
    """What the events say. Feed it bytes with the second they came at, then ask `end`.

    The events are not kept: parsed, they take ten times the memory of their bytes.
    """

    def __init__(self, path: str) -> None:
        self.done = False
        """Whether the server said that this is all."""
        self.found = False
        """Whether an event has something at `path`."""
        self._path = path
        self._openai = False
        self._counted: int | None = None
        self._text: list[str] = []
        self._rest = bytearray()
        self._data: list[str] = []
        self._token_seconds: list[float] = []

    def feed(self, chunk: bytes, seconds: float) -> None:
        """Take the next bytes, which came `seconds` after the request was sent."""
        self._rest += chunk
        if b"\n" not in chunk:
            return  # else a long line in small pieces is searched again for each
        *lines, self._rest = self._rest.split(b"\n")
        for line in lines:
            self._line(line.removesuffix(b"\r").decode(errors="replace"), seconds)

    def _line(self, line: str, seconds: float) -> None:
        if line.startswith("data:"):
            self._data.append(line.removeprefix("data:").removeprefix(" "))
        elif not line and self._data:
            self._event("\n".join(self._data), seconds)
            self._data = []

    def _event(self, data: str, seconds: float) -> None:
        if data == _DONE:
            self.done = True
            return
        event = parse_json(data)
        if isinstance(event, dict) and event.get("error"):
            # The status was sent before the fault was known.
            raise WrongError(Reason.STREAM, "an event reports an error")
        self.found = self.found or has_path(event, self._path)
        try:
            text = _tokens(event)
            self._counted = _count(event) or self._counted
        except (AttributeError, TypeError, ValueError):
            raise WrongError(Reason.STREAM, "an event is of another shape") from None
        self._openai = self._openai or (isinstance(event, dict) and "choices" in event)
        if text is not None:
            self._text.append(text)
            self._token_seconds.append(seconds)

    @property
    def text(self) -> str:
        """What the model said: a word may be split over events."""
        return "".join(self._text)

    def end(self) -> Pace:
        """The pace of the whole stream; WrongError where it said nothing or stopped half-way."""
        if not self._token_seconds:
            raise WrongError(Reason.STREAM, "no event has a token")
        if self._openai and not self.done:
            raise WrongError(Reason.STREAM, f"the stream ended before {_DONE}")
        first, last = self._token_seconds[0], self._token_seconds[-1]
        # A server may put several tokens into an event; only its own count is exact.
        later = (self._counted or len(self._token_seconds)) - 1
        rate = later / (last - first) if later > 0 and last > first else None
        return Pace(first_token_seconds=first, tokens_per_second=rate)
