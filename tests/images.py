"""What a program's image must hold: all that the program imports, and no more."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Final

from tests.examples import ROOT

# Without what a virtual environment brings to every interpreter.
_MODULES: Final = """
import sys
before = set(sys.modules)
import {module} as program
print(program.__file__, *set(sys.modules) - before)
"""


def check_image(dockerfile: Path, module: str, scratch: Path) -> None:
    """The files that `dockerfile` copies and the packages it pins are just those of `module`."""
    text = dockerfile.read_text()
    copied = re.findall(r"components/\S+\.py\b", text)
    context = Path(f"{dockerfile}.dockerignore").read_text().split()
    given = [pattern.removeprefix("!") for pattern in context if pattern.startswith("!")]
    for name in re.findall(r"(?:components|regions)/\S+\.py\b|requirements\.txt", text):
        assert any(Path(name).match(pattern) for pattern in given), f"no build could copy {name}"
    for name in copied:
        (scratch / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, scratch / name)
    command = [sys.executable, "-c", _MODULES.format(module=module)]
    done = subprocess.run(command, cwd=scratch, capture_output=True, text=True, check=True)
    file, *modules = done.stdout.split()
    assert file.startswith(str(scratch)), "it ran from the tree, which proves nothing"
    ours = {f"{name.replace('.', '/')}.py" for name in modules if name.startswith("components.")}
    programs = {name for name in copied if not name.endswith("__init__.py")}
    assert programs <= ours, "copied for nothing"
    homes = packages_distributions()
    used = {home for name in modules for home in homes.get(name.split(".")[0], [])} - {"isoserve"}
    (pinned,) = re.findall(r"'\^\((.*)\)=='", text)
    assert {name.replace("_", "-") for name in used} == set(pinned.split("|")), "see the grep"
