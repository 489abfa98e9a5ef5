"""A model that its team no longer wants is not rolled out again."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

import pytest

from policies.judge import Finding
from policies.lifetime import RULES
from tests.policies.cases import respecified
from tests.policies.estate import said

(TTL,) = RULES


def judged(model: str, ttl: datetime) -> list[Finding]:
    """What is said on 2026-11-22 of a model that is wanted until `ttl`."""
    return said(TTL, wished=respecified(model, ttl=ttl))


FAILING: Final = {TTL.name: lambda: judged("search/embedder", datetime(2026, 1, 1, tzinfo=UTC))}


@pytest.mark.parametrize("model", ["search/embedder", "chat/helper", "search/nightly-index"])
def test_what_is_over_is_refused_once_at_its_own_line(model: str) -> None:
    (finding,) = judged(model, datetime(2026, 11, 21, 23, 59, tzinfo=UTC))
    assert finding.place.path == "ttl"
    assert finding.place.file == f"model_specs/{model}.yaml"
    assert "whose ttl ended on 2026-11-21" in finding.place.message


def test_what_ends_today_is_still_wanted_today() -> None:
    assert judged("search/embedder", datetime(2026, 11, 22, 0, 1, tzinfo=UTC)) == []
