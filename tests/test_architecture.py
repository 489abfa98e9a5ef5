"""The shape of the house: who imports what, where defaults live, how large a file may grow."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import inspect
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

import pytest

from tests.tracked import ROOT, tracked

ROOMS: Final = ("components", "model_specs", "policies", "regions", "stacks", "tests")
OURS: Final = frozenset(ROOMS)
TOP_LEVEL: Final = frozenset(
    (*ROOMS, "CHANGELOG.md", "LICENSE", "Makefile", "Pulumi.yaml", "README.md", "pyproject.toml",
     "requirements.txt")
)  # fmt: skip
ENGINE_FILES: Final = ("aws.py", "engine.py", "resources.py", "rollout_gate.py")
"""The only components that know the engine; a noun that is a folder may have its own of these."""
ROOMS_SEEN: Final[dict[str, frozenset[str]]] = {
    "components": frozenset({"components", "model_specs", "regions"}),
    "model_specs": frozenset({"model_specs"}),
    "policies": frozenset({"model_specs", "policies", "regions"}),
    "regions": frozenset({"model_specs", "regions"}),
    "stacks": frozenset({"components", "model_specs", "policies", "regions", "stacks"}),
    "tests": OURS,
}
"""The rooms that a room may import from; one direction, and nobody from stacks or tests."""
MODULES_SEEN: Final[dict[tuple[str, str], tuple[str, ...]]] = {
    ("components", "regions"): (
        "regions.aws_partitions",
        "regions.exposure",
        "regions.model_plan",
        "regions.networks",
        "regions.plan",
    ),
    # The judge reads what people wrote, never what was decided of it.
    ("policies", "model_specs"): (
        "model_specs.errors",
        "model_specs.gpu_kinds",
        "model_specs.load",
        "model_specs.moment",
        "model_specs.names",
        "model_specs.runtimes",
        "model_specs.part",
        "model_specs.project",
        "model_specs.schema",
        "model_specs.source",
    ),
    ("policies", "regions"): (
        "regions.aws_partitions",
        "regions.exposure",
        "regions.jwks",
        "regions.machines",
        "regions.networks",
        "regions.offers",
        "regions.profile",
        "regions.sign_in",
    ),
}
"""Where a room sees only some files of another: components get a plan, policies get facts."""
LIBRARIES: Final[dict[str, frozenset[str]]] = {
    "model_specs": frozenset({"pydantic", "pydantic_core", "yaml"}),
    "regions": frozenset({"pydantic", "pydantic_core", "yaml"}),
}
"""The pure core needs no more than these."""
FILE_LINES, FUNCTION_LINES = 500, 40
PLANS: Final = ("regions/model_plan.py", "regions/plan.py")


def is_sandbox(path: Path) -> bool:
    """The sandbox is a place that runs, with clusters and stores of its own to drive."""
    return path.parts[:2] == ("regions", "sandbox")


SOURCES: Final = tuple(path for path in tracked() if path.suffix == ".py")
HOUSE: Final = tuple(p for p in SOURCES if p.parts[0] in OURS - {"tests"} and not is_sandbox(p))
TESTS: Final = tuple(p for p in SOURCES if p.parts[0] == "tests")
every_house_file = pytest.mark.parametrize("path", HOUSE, ids=str)
every_test_file = pytest.mark.parametrize("path", TESTS, ids=str)


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse((ROOT / path).read_text(encoding="utf-8"))


def imported(path: Path) -> Iterator[tuple[int, str]]:
    """Line and module of every import, those inside functions too."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}:{node.lineno}: no relative imports"
            base = node.module or ""
            deeper = [f"{base}.{alias.name}" for alias in node.names]
            for name in deeper:
                yield node.lineno, name if is_module(name) else base


def is_module(name: str) -> bool:
    """Whether a dotted name of ours is a file or folder, and not something in a file."""
    path = ROOT / Path(*name.split("."))
    return name.split(".")[0] in OURS and (path.with_suffix(".py").exists() or path.is_dir())


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


# -- imports ---------------------------------------------------------------------------------


def test_there_is_something_to_judge() -> None:
    rooms = {path.parts[0] for path in HOUSE}
    assert rooms >= {"components", "model_specs", "regions", "stacks"}
    assert any(name == "regions.plan" for _, name in imported(Path("components/parts.py")))


@every_house_file
def test_a_room_imports_only_from_the_rooms_before_it(path: Path) -> None:
    room = path.parts[0]
    for line, name in imported(path):
        other = name.split(".")[0]
        if other not in OURS:
            continue
        assert other in ROOMS_SEEN[room], f"{path}:{line} {room} imports {name}: against the stream"
        seen = MODULES_SEEN.get((room, other))
        assert seen is None or name in seen, f"{path}:{line} imports {name}; {room} sees {seen}"


@every_house_file
def test_only_the_thin_shell_knows_the_engine(path: Path) -> None:
    room = path.parts[0]
    for line, name in imported(path):
        if not name.split(".")[0].startswith("pulumi"):
            continue
        allowed = (
            room == "stacks"
            or (room == "components" and path.name in ENGINE_FILES)
            or (
                room == "policies"
                and path.name == "__main__.py"
                and name.startswith("pulumi_policy")
            )
        )
        assert allowed, f"{path}:{line} imports {name}: what is decided is decided before it starts"


@every_house_file
def test_the_pure_core_needs_few_libraries(path: Path) -> None:
    allowed = LIBRARIES.get(path.parts[0])
    for line, name in imported(path):
        top = name.split(".")[0]
        if allowed is None or top in OURS or top in sys.stdlib_module_names:
            continue
        assert top in allowed, f"{path}:{line} imports {name}: a plan must cost milliseconds"


@every_house_file
def test_only_stacks_hears_the_judge(path: Path) -> None:
    if path.parts[0] not in ("policies", "stacks"):
        judge = [line for line, name in imported(path) if name.split(".")[0] == "policies"]
        assert not judge, f"{path}:{judge}: who is judged does not know the law book"


PURE: Final = ("model_specs.load", "regions.resolve", "components.parts", "stacks.cli")
WATCH: Final = "import sys, {}; print(*(m for m in sys.modules if m.split('.')[0] in {!r}))"


@pytest.mark.parametrize("module", PURE)
def test_what_only_reads_and_prints_loads_no_engine(module: str) -> None:
    heavy = {"pulumi", "pulumi_aws", "pulumi_kubernetes", "pulumi_policy", "grpc", "kubernetes"}
    command = [sys.executable, "-c", WATCH.format(module, heavy)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [], f"{module} loads them: a second before the first word"


# -- defaults --------------------------------------------------------------------------------


def test_a_plan_has_no_field_that_nobody_set() -> None:
    modules = ("regions.model_plan", "regions.plan")
    plans = [
        found
        for module in modules
        for _, found in inspect.getmembers(
            importlib.import_module(module), dataclasses.is_dataclass
        )
        if isinstance(found, type) and found.__module__ == module
    ]
    assert len(plans) > 20, "these two are where all plans are"
    for plan in plans:
        for field in dataclasses.fields(plan):
            unset = field.default is field.default_factory is dataclasses.MISSING
            assert unset, f"{plan.__name__}.{field.name} has a default; only schema.py has those"
        assert plan.__dataclass_params__.frozen, f"{plan.__name__} could change after it is made"  # type: ignore[attr-defined]


def defaults(path: Path) -> Iterator[str]:
    for function in functions(path):
        given = function.args
        if given.defaults or any(given.kw_defaults):
            yield f"{path}:{function.lineno} {function.name}()"


def has_running_part(path: Path) -> bool:
    """Programs beside a noun (client, agent, prober) run elsewhere and have their own interface."""
    return len(path.parts) > 2 and any(
        name.split(".")[0] in ("argparse", "boto3", "http") for _, name in imported(path)
    )


RESOLVED: Final = tuple(
    path
    for path in HOUSE
    if (path.parts[0] == "components" and not has_running_part(path)) or str(path) in PLANS
)


@pytest.mark.parametrize("path", RESOLVED, ids=str)
def test_no_component_has_a_default_of_its_own(path: Path) -> None:
    found = list(defaults(path))
    assert not found, f"{found}: a default has one address, model_specs/schema.py"


# -- layout and size -------------------------------------------------------------------------


def test_the_top_level_is_what_it_is() -> None:
    found = {path.parts[0] for path in tracked() if not path.parts[0].startswith(".")}
    assert found <= TOP_LEVEL, f"{sorted(found - TOP_LEVEL)}: everything has a room already"
    assert {"Makefile", "Pulumi.yaml", "pyproject.toml", "requirements.txt"} <= found


@every_house_file
def test_no_file_beside_a_program_is_taken_for_the_standard_library(path: Path) -> None:
    # The engine starts these folders as programs: what lies in them is found before `selectors`.
    if path.parts[0] in ("policies", "stacks") and len(path.parts) == 2:
        assert path.stem not in sys.stdlib_module_names - {"__main__"}, f"{path}: rename it"


@every_house_file
def test_a_file_stays_small_enough_to_be_read(path: Path) -> None:
    lines = (ROOT / path).read_text(encoding="utf-8").count("\n")
    assert lines <= FILE_LINES, f"{path} has {lines} lines; is it one concept?"


@every_house_file
def test_a_function_fits_on_a_screen(path: Path) -> None:
    long = [
        f"{path}:{f.lineno} {f.name}() has {(f.end_lineno or 0) - f.lineno + 1} lines"
        for f in functions(path)
        if (f.end_lineno or 0) - f.lineno + 1 > FUNCTION_LINES
    ]
    assert not long, f"{long}; more than {FUNCTION_LINES} are two functions"


@every_house_file
def test_every_file_says_what_it_decides(path: Path) -> None:
    if (ROOT / path).read_text(encoding="utf-8").strip():
        assert ast.get_docstring(tree_of(path)), f"{path} has no first line for people"


# -- tests -----------------------------------------------------------------------------------


@every_test_file
def test_every_file_with_tests_is_collected(path: Path) -> None:
    named = [f.name for f in functions(path) if f.name.startswith("test_")]
    if path.name.startswith("test_"):
        assert named, f"{path} is collected and tests nothing"
    else:
        assert not named, f"{path}: {named} never run"


def judges(node: ast.AST) -> bool:
    """Whether a node can make its test fail for a reason it names."""
    if isinstance(node, ast.Assert):
        return True
    if not isinstance(node, ast.Call):
        return False
    called = node.func
    name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
    return name in ("fail", "raises") or name.startswith(("assert", "check"))


@every_test_file
def test_every_test_asserts(path: Path) -> None:
    idle = [
        f"{path}:{f.lineno} {f.name}"
        for f in functions(path)
        if f.name.startswith("test_") and not any(map(judges, ast.walk(f)))
    ]
    assert not idle, f"{idle}: a test that cannot fail proves nothing"


@every_test_file
def test_no_two_tests_of_a_file_have_one_name(path: Path) -> None:
    names = [f.name for f in functions(path) if f.name.startswith("test_")]
    twice = sorted({name for name in names if names.count(name) > 1})
    assert not twice, f"{path}: of {twice} only the last one runs"
