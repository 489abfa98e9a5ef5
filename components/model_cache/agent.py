"""The cache agent: keeps models on a node, and brings them to pods.

    python -m components.model_cache.agent hold --config models.json --root /var/lib/isoserve
    python -m components.model_cache.agent wait --digest D --root /models/project
    python -m components.model_cache.agent pull --address project/model:version@sha256:D --root DIR

`hold` runs on every node until it is told to stop; `wait` and `pull` are a pod's first container.
All of them may be killed at any point: what is visible is complete and verified at all times.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NoReturn

from components.model_cache import config
from components.model_cache.credentials import credentials
from components.model_cache.duty import API_FOLDER, TURN_SECONDS, Duty, hold
from components.model_cache.keep import pull
from components.model_cache.lock import alone
from components.model_cache.serve import PEER_PORT
from components.model_cache.shelf import Shelf, is_digest, of_pod
from components.model_cache.source import Origin
from components.model_cache.wait import leave_word, patience, wait
from components.model_registry.errors import RegistryError
from components.model_registry.store import Store

METRICS_PORT: Final = 9091  # as objects.py renders it, which would bring more into the image


def _store(env: Mapping[str, str]) -> Store:
    """The registry that the pod's environment names, by its keys, or by the pod's own role."""
    url, region = env.get("ISOSERVE_REGISTRY", ""), env.get("AWS_REGION", "us-east-1")
    folder = env.get("ISOSERVE_REGISTRY_CREDENTIALS", "")
    keys = credentials(Path(folder)) if folder else None
    return Store(url, env.get("ISOSERVE_REGISTRY_ENDPOINT", ""), region, keys)


def _hold(options: argparse.Namespace) -> NoReturn:
    duty = Duty(
        root=options.root,
        config=options.config,
        node=os.environ.get("NODE_NAME", ""),
        host=options.host,
        port=options.port,
        peers=options.peers,
        peer_port=options.peer_port,
        spread_seconds=options.spread_seconds,
        api_folder=options.api_folder,
    )
    hold(duty, _store(os.environ))


def _wait(options: argparse.Namespace) -> str:
    if not is_digest(options.digest):
        return f"--digest is 64 hex digits of a manifest's SHA-256, got {options.digest!r}"
    how = patience(options.silence_seconds, TURN_SECONDS)
    # A pod sees the visible half of its project's shelf.
    return wait(Shelf(options.root, options.root), options.digest, how)


def _pull(options: argparse.Namespace) -> str:
    one = config.wanted(options.address, 0, pinned=False)
    with alone(options.root, lambda: time.sleep(TURN_SECONDS)):
        print(f"fetching {one.address}", flush=True)
        pull(Origin(_store(os.environ), None), of_pod(options.root), one)
    print(f"{one.address} is there", flush=True)
    return ""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="agent", description="Keeps models on a node.")
    verbs = parser.add_subparsers(required=True, metavar="VERB")

    def verb(name: str, does: Any, words: str) -> argparse.ArgumentParser:
        made = verbs.add_parser(name, help=words, description=words)
        made.set_defaults(does=does)
        made.add_argument("--root", type=Path, required=True, help="where the models stand")
        return made

    held = verb("hold", _hold, "hold what the config lists, until stopped")
    held.add_argument("--config", type=Path, required=True, help="what to hold, read again")
    words = "listen on this address; default: all"
    held.add_argument("--host", metavar="ADDRESS", default="", help=words)
    held.add_argument("--port", type=int, default=METRICS_PORT, help="default: %(default)s")
    words = "ask and answer the agents behind this name of the cluster's DNS; default: none"
    held.add_argument("--peers", metavar="NAME", default="", help=words)
    held.add_argument("--peer-port", type=int, default=PEER_PORT, help="default: %(default)s")
    words = "first attempts are spread over so long; default: %(default)s"
    held.add_argument("--spread-seconds", type=float, default=30.0, help=words)
    words = "the token for the API server, if there is one; default: %(default)s"
    held.add_argument("--api-folder", type=Path, default=API_FOLDER, help=words)
    wait_for = verb("wait", _wait, "wait till the node's agent has a version")
    wait_for.add_argument("--digest", required=True, help="of its manifest")
    words = "fail when the agent says nothing for so long; default: %(default)s"
    wait_for.add_argument("--silence-seconds", type=float, default=900.0, help=words)
    one = verb("pull", _pull, "download a version")
    one.add_argument("--address", required=True, help="project/model:version@sha256:...")
    return parser


def main(words: list[str]) -> int:
    """Run the program with the command line's `words`; 0 when it did what was asked."""
    options = _parser().parse_args(words)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    os.umask(0o022)
    try:
        failure = str(options.does(options))
    except (RegistryError, OSError) as error:
        failure = str(error)
    if failure:
        print(f"cache agent: {failure}", file=sys.stderr)
        leave_word(failure)
    return 1 if failure else 0


if __name__ == "__main__":
    # A container's first process has no default for it; all that is on the disk can be continued.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(128 + signal.SIGTERM))
    sys.exit(main(sys.argv[1:]))
