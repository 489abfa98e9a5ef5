"""`python -m regions.sandbox.process_node REGION NODE`: be that node until ended by SIGTERM."""

from __future__ import annotations

import signal
import sys

from regions.sandbox.errors import SandboxError
from regions.sandbox.layout import REGIONS
from regions.sandbox.process_node.agent import Agent


def main(arguments: list[str]) -> int:
    """Run the agent; 0 when it was ended or its Node was deleted, 2 when it can't be that node."""
    if len(arguments) != 2 or arguments[0] not in REGIONS:
        names = "|".join(REGIONS)
        print(f"usage: python -m regions.sandbox.process_node {{{names}}} NODE", file=sys.stderr)
        return 2
    agent = Agent(*arguments)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: agent.switch_off())
    try:
        agent.run()
    except SandboxError as reason:
        print(f"process node: {reason}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
