"""Makes the folder that an image is built from: what its program imports, and nothing else."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from stacks.images import sbom
from stacks.images.errors import ImageError

ROOT: Final = Path(__file__).resolve().parents[2]
ROOMS: Final = frozenset({"components", "model_specs", "regions"})
"""The folders whose modules a program may import."""
REQUIREMENTS: Final = "requirements.txt"


def make_context(folder: Path, module: str, packages: Iterable[str]) -> None:
    """Fill the empty `folder` for an image of `module` with the pinned `packages`.

    Modes are fixed, so that a person's umask makes no other image. Raises ImageError for a package
    without a pin.
    """
    for source in sorted(sources(module)):
        _put(folder / source, (ROOT / source).read_bytes())
    _put(folder / REQUIREMENTS, pins(packages).encode())
    _put(folder / Path(sbom.__file__).name, Path(sbom.__file__).read_bytes())
    for below in (folder, *folder.rglob("*")):
        below.chmod(0o755 if below.is_dir() else 0o644)


def sources(module: str) -> set[Path]:
    """The files of ours that `module` is made of, from the root: it, and all that it imports."""
    found: set[Path] = set()
    waiting = [module]
    while waiting:
        path = _file(waiting.pop())
        if path is None or path in found:
            continue
        found.add(path)
        waiting += imports(ROOT / path)
        waiting += [".".join(parent.parts) for parent in path.parents if parent.parts]
    return found


def imports(path: Path) -> Iterator[str]:
    """What a file imports as it runs, in functions too; what only a type checker reads is not."""
    waiting: list[ast.AST] = [ast.parse(path.read_bytes())]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            waiting += node.orelse
            continue
        waiting += ast.iter_child_nodes(node)
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _file(module: str) -> Path | None:
    """The file of a module of ours; None for what is another's, or no module."""
    path = Path(*module.split("."))
    if path.parts[0] not in ROOMS:
        return None
    for file in (path.with_suffix(".py"), path / "__init__.py"):
        if (ROOT / file).is_file():
            return file
    return None


def pins(packages: Iterable[str]) -> str:
    """The lines of our requirements.txt about `packages`, each with its hashes."""
    blocks = re.split(r"(?m)^(?=[A-Za-z0-9])", (ROOT / REQUIREMENTS).read_text())
    by_name = {block.partition("==")[0]: block for block in blocks if "==" in block}
    missing = sorted(set(packages) - set(by_name))
    if missing:
        raise ImageError(f"{', '.join(missing)}: no pin in {REQUIREMENTS}; `make pins` writes them")
    return "".join(by_name[name] for name in sorted(packages))


def _put(path: Path, body: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(body)
