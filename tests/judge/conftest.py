"""All judges see the same objects and the same waivers, and their verdicts end in one table."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.judge.corpus import Corpus, render
from tests.judge.programs import RAW
from tests.judge.verdict import WAIVERS, Verdict, Waiver, read_waivers

VERDICTS: pytest.StashKey[list[Verdict]] = pytest.StashKey()


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """Every object of every example in every region."""
    return render(tmp_path_factory.mktemp("rendered"))


@pytest.fixture(scope="session")
def waivers() -> list[Waiver]:
    """The exceptions in force."""
    return read_waivers(WAIVERS)


@pytest.fixture(scope="session")
def announce(request: pytest.FixtureRequest) -> Callable[[Verdict], None]:
    """Puts a verdict into the closing table."""
    return request.config.stash.setdefault(VERDICTS, []).append


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The table of judges."""
    verdicts = terminalreporter.config.stash.get(VERDICTS, [])
    if not verdicts:
        return
    terminalreporter.section(f"judges (raw answers: {RAW.parent.name}/{RAW.name}/)")
    terminalreporter.write_line(f"{'judge':<14} {'objects':>8} {'findings':>9} {'waived':>7}")
    for one in verdicts:
        terminalreporter.write_line(
            f"{one.judge:<14} {one.judged:>8} {len(one.findings):>9} {one.waived:>7}"
        )
