"""Nodes whose agents ask each other, on addresses of this machine."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from components.model_cache.config import Wanted
from components.model_cache.neighbours import Neighbours
from components.model_cache.peers import Peers
from components.model_cache.serve import giving
from components.model_cache.tokens import Tokens
from components.model_registry import peer_token
from tests.cache_node import Node
from tests.counted_store import Counted, sha256
from tests.tracked import ROOT

GIVER, ASKER, BAD = "127.0.0.2", "127.0.0.3", "127.0.0.4"
PROTECTION_SECONDS = 60.0


def pushed(store: Counted, files: dict[str, bytes], name: str) -> Wanted:
    one = store.push(files, name)
    peer_token.ensure(store.store, one.project)
    return one


def content(size: int, seed: int) -> bytes:
    return b"".join(sha256(f"{seed} {n}".encode()).encode() for n in range(size // 64))


def asking_of(node: Node, host: str, port: int) -> Node:
    """The node, with an agent at `host` for its only peer."""
    near = Neighbours(host, port, "", lambda: node.seconds)
    node.peers = Peers(near, Tokens(node.root, node.store), node.signs.peer_failed)
    node.restart()
    return node


def know_token(node: Node, project: str, token: str) -> None:
    """As an agent keeps it on its disk."""
    node.shelf(project).prepare()
    node.shelf(project).token.write_text(token)


@contextmanager
def given(giver: Node, *models: Wanted) -> Iterator[int]:
    """The models on a node that answers its peers; its port."""
    giver.hold(*models)
    tokens = Tokens(giver.root, giver.store)
    tokens.learn_all()
    with giving(GIVER, 0, giver.root, tokens) as port:
        yield port


def config_of(path: Path, one: Wanted) -> Path:
    """What an agent is told to hold."""
    row = {"address": one.address, "bytes": 1, "digest": one.digest, "pinned": False}
    row["project"] = one.project
    told = {"disk_budget_gib": 1, "disk_free_percent": 0, "models": [row]}
    path.write_text(json.dumps(told))
    return path


def free_port() -> int:
    with socket.socket() as one:
        one.bind((GIVER, 0))
        return int(one.getsockname()[1])


@contextmanager
def agent(
    store: Counted, root: Path, config: Path, host: str, peer: str, port: int
) -> Iterator[subprocess.Popen[bytes]]:
    words = ["hold", "--config", config, "--root", root, "--spread-seconds", "0", "--port", "0"]
    words += ["--host", host, "--peers", peer, "--peer-port", port]
    env = {"PATH": os.environ["PATH"], "NODE_NAME": host, **store.env()}
    command = [sys.executable, "-m", "components.model_cache.agent", *map(str, words)]
    process = subprocess.Popen(command, cwd=ROOT, env=env, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def held(store: Counted, root: Path, one: Wanted) -> None:
    """Wait as a pod does."""
    window = root / one.project
    window.mkdir(parents=True, exist_ok=True)
    words = ["wait", "--digest", one.digest, "--root", str(window)]
    env = {"PATH": os.environ["PATH"], **store.env()}
    subprocess.run(
        [sys.executable, "-m", "components.model_cache.agent", *words],
        cwd=ROOT, env=env, check=True, capture_output=True, timeout=PROTECTION_SECONDS,
    )  # fmt: skip
