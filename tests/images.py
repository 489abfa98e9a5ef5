"""What a program's image must hold: all that the program imports, and no more."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Final

from stacks.images.build import IMAGES
from stacks.images.context import make_context

# Without what a virtual environment brings to every interpreter.
_MODULES: Final = """
import sys
before = set(sys.modules)
import {module} as program
print(program.__file__, *set(sys.modules) - before)
"""


def check_image(name: str, scratch: Path) -> None:
    """The files and the packages of the image `name` are just those of its program."""
    (image,) = (one for one in IMAGES if one.name == name)
    make_context(scratch, image.module, image.packages)
    command = [sys.executable, "-c", _MODULES.format(module=image.module)]
    done = subprocess.run(
        command, cwd=scratch, env={"PATH": ""}, capture_output=True, text=True, check=True
    )
    file, *modules = done.stdout.split()
    assert file.startswith(str(scratch)), "it ran from the tree, which proves nothing"
    ours = {f"{name.replace('.', '/')}.py" for name in modules if name.startswith("components.")}
    given = {path.relative_to(scratch).as_posix() for path in scratch.rglob("*.py")}
    programs = {path for path in given if path.startswith("components/")}
    assert {path for path in programs if not path.endswith("__init__.py")} <= ours, "for nothing"
    homes = packages_distributions()
    used = {home for name in modules for home in homes.get(name.split(".")[0], [])} - {"isoserve"}
    assert {name.replace("_", "-") for name in used} == set(image.packages), "see IMAGES"
