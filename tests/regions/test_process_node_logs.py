"""A process node tells the API server what its containers wrote, as a kubelet does."""

from __future__ import annotations

from pathlib import Path

import pytest

from regions.sandbox.process_node.container_logs import answer
from regions.sandbox.process_node.setting import log_of

PATH = "/containerLogs/search/prober-7d9f-x2/prober"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    log = log_of(tmp_path, "search", "prober-7d9f-x2", "prober")
    log.parent.mkdir()
    log.write_text("one\ntwo\nthree\n")
    return tmp_path


@pytest.mark.parametrize(
    ("query", "lines"), [("", "one\ntwo\nthree\n"), ("?tailLines=2", "two\nthree\n")]
)
def test_the_last_lines_are_those_asked_for(home: Path, query: str, lines: str) -> None:
    assert answer(home, PATH + query) == lines.encode()


@pytest.mark.parametrize(
    "path",
    ["/containerLogs/search/other/prober", "/pods", "/containerLogs/a/../../etc/passwd", "/"],
)
def test_there_is_nothing_else_to_read(home: Path, path: str) -> None:
    assert answer(home, path) is None, "a file of this machine is no container's log"
