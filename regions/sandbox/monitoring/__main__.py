"""`python -m regions.sandbox.monitoring REGION`: keeps Prometheus at its region's objects.

What the operator and the discovery of pods do in a real cluster. An API server that is away for a
while is waited for; Prometheus keeps what it had.
"""

from __future__ import annotations

import signal
import sys
import threading
from typing import Final

from regions.sandbox.errors import SandboxError
from regions.sandbox.kube import connect
from regions.sandbox.layout import kubeconfig_of
from regions.sandbox.monitoring import server, snapshot

_PERIOD_SECONDS: Final = 3.0  # discovery in Prometheus gathers changes for 5 s


def follow(region: str, over: threading.Event) -> None:
    """Bring what changes to Prometheus until `over`; a new complaint is a line of the log."""
    cluster, complaint, owed = connect(region, kubeconfig_of(region)), "", False
    while not over.wait(_PERIOD_SECONDS):
        try:
            # Not told yet is told at the next turn, though no file has changed since.
            owed = snapshot.write(cluster) or owed
            if owed:
                server.reload(region)
            owed, said = False, ""
        except (SandboxError, OSError, ValueError, KeyError) as reason:
            said = str(reason)
        if said != complaint:
            print(said or "all is well again", flush=True)
            complaint = said


def main() -> None:
    """Follow the region that is named, until SIGTERM."""
    over = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: over.set())
    follow(sys.argv[1], over)


if __name__ == "__main__":
    main()
