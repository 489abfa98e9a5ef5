"""Progress lines whose reader goes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Final

_WORK: Final = """
import sys
from pathlib import Path
from regions.sandbox.console import OUT, line
for number in range(1000):
    line("region", "machine", f"{number} ended")
OUT.print("a table")
Path(sys.argv[1]).write_text("all of it")
"""


def test_a_reader_that_goes_does_not_stop_the_work(tmp_path: Path) -> None:
    done = tmp_path / "done"
    with subprocess.Popen(
        [sys.executable, "-c", _WORK, str(done)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline().split() == [b"region", b"machine", b"0", b"ended"]
        process.stdout.close()
        told = process.stderr.read()
    assert (process.returncode, told) == (0, b"")
    assert done.read_text() == "all of it", "`down | head` takes the regions down"
