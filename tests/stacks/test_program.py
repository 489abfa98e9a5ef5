"""The AWS provider is handed what this machine has: a profile of the shared files, or nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pulumi
import pytest

from regions.plan import ExpiredPlan, RegionPlan
from stacks.program import tell, with_known_profile
from stacks.recorded import recorded
from tests.examples import ROOT, plan_of

SHARED = "[profile ml-serving]\nregion = us-east-1\n"


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """What the engine would print; no shared file of this machine is read."""
    lines: list[str] = []
    monkeypatch.setattr(pulumi.log, "info", lines.append)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    return lines


def profile_of(plan: RegionPlan) -> object:
    """What the provider of AWS is given."""
    (provider,) = (one for one in recorded(plan, ROOT) if one.type == "pulumi:providers:aws")
    return provider.values.get("profile")


def test_a_profile_of_the_shared_files_is_used(said: list[str], tmp_path: Path) -> None:
    (tmp_path / "config").write_text(SHARED)
    known = with_known_profile(ROOT, plan_of("us-east-1"))
    assert profile_of(known) == "ml-serving"
    assert said == [], "as the region's profile says, so nothing is to be told"


def test_without_it_the_environment_is_used_and_told(said: list[str]) -> None:
    known = with_known_profile(ROOT, plan_of("us-east-1"))
    assert profile_of(known) is None, "the provider refuses a profile that is not there"
    (line,) = said
    assert "no AWS profile 'ml-serving' on this machine" in line
    assert "account 111122223333 alone" in line, "whoever the environment is, it is held to that"


def test_an_own_store_keeps_its_profile(said: list[str]) -> None:
    known = with_known_profile(ROOT, plan_of("seoul-dc1"))
    assert profile_of(known) == "seoul-dc1", "it has the endpoint: without it AWS would be asked"


def test_a_profile_is_looked_for_in_the_regions_own_files(said: list[str], tmp_path: Path) -> None:
    (tmp_path / "own").write_text(SHARED)
    plan = plan_of("us-east-1")
    account = replace(plan.account, config_file=str(tmp_path / "own"))
    known = with_known_profile(ROOT, replace(plan, account=account))
    assert profile_of(known) == "ml-serving"


def test_the_moment_and_what_it_leaves_out_are_told(said: list[str]) -> None:
    gone = ExpiredPlan(model="search/ranker", ttl="2026-11-20T00:00:00Z")
    tell(replace(plan_of("us-east-1"), expired=(gone,)), datetime(2026, 11, 22, tzinfo=UTC))
    assert said == [
        "planned for 2026-11-22T00:00:00Z; ISOSERVE_AT=2026-11-22T00:00:00Z plans the same again",
        "search/ranker is planned no more: its ttl passed on 2026-11-20T00:00:00Z",
    ]
