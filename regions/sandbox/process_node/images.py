"""What stands in for pulling images: the program of each, on this machine. One row an image.

A program of an image takes an address to listen on, since all pods share one network.
"""

from __future__ import annotations

import sys
import sysconfig
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from regions.sandbox.kube import Object
from regions.sandbox.layout import ROOT, SERVERS
from regions.sandbox.process_node.root import DEFAULT_PATH


class ImageError(Exception):
    """There is no program for an image; the reason in Kubernetes' words."""

    reason = "ErrImagePull"


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """What to run, and the environment that the image brings; the pod's own goes over it."""

    argv: tuple[str, ...]
    env: Mapping[str, str]


def command(image: str, container: Object, address: str) -> Program:
    """The program of a container. Raises ImageError for an image without a row."""
    name = image.partition("@")[0].rpartition("/")[2].partition(":")[0]
    if name not in _ROWS:
        raise ImageError(
            f"no process stands in for the image {image}; process nodes run "
            f"{', '.join(sorted(_ROWS))} (regions/sandbox/process_node/images.py)"
        )
    words = tuple(container.get("args") or ())
    made = _ROWS[name](words, address)
    if container.get("command"):  # replaces the image's own, as everywhere
        return Program(argv=(*container["command"], *words), env=made.env)
    return made


def _cache_agent(words: tuple[str, ...], address: str) -> Program:
    # The spread is against herds of hundreds of nodes; here it would only be waited for.
    listening = ("--host", address, "--spread-seconds", "1") if words[:1] == ("hold",) else ()
    return _python("components.model_cache.agent", (*words, *listening))


def _prober(words: tuple[str, ...], address: str) -> Program:
    return _python("components.synthetic_probe.prober", (*words, "--host", address))


def _python(module: str, words: tuple[str, ...]) -> Program:
    env = {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    return Program(argv=(sys.executable, "-m", module, *words), env=env)


def _mlserver(words: tuple[str, ...], address: str) -> Program:
    env = {"MLSERVER_HOST": address, "PATH": f"{SERVERS / 'bin'}:{DEFAULT_PATH}"}
    return Program(argv=words, env=env)


def _scorer(words: tuple[str, ...], address: str) -> Program:
    # The SDK of S3 comes from the sandbox's own packages, the rest from the model servers'.
    paths = (ROOT / "regions" / "sandbox" / "example", sysconfig.get_path("purelib"))
    env = {
        "PATH": f"{SERVERS / 'bin'}:{DEFAULT_PATH}",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPATH": ":".join(map(str, paths)),
    }
    return Program(argv=("python", "-m", "scorer", *words), env=env)


_ROWS: Final[Mapping[str, Callable[[tuple[str, ...], str], Program]]] = {
    "cache-agent": _cache_agent,
    "mlserver": _mlserver,
    "prober": _prober,
    "scorer": _scorer,
}
