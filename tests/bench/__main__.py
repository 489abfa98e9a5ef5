"""`make bench`: every benchmark, one after the other; each prints a table for README.md."""

from __future__ import annotations

import subprocess
import sys

for name in ("check", "review", "render", "policy", "batching", "up", "transfer"):
    print(f"## {name}", flush=True)
    subprocess.run([sys.executable, "-m", f"tests.bench.{name}"], check=True)
