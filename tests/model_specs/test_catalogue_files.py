"""Runtimes and machine types are files: a company adds rows and replaces facts without Python."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from model_specs.catalogue_files import rows
from model_specs.errors import SpecErrors
from model_specs.load import load
from model_specs.runtime_row import FACTS, RuntimeRow
from regions.machines import MachineRow
from stacks.reviewing.program import program_files
from tests.tracked import ROOT

OURS: Final = ROOT / "model_specs/catalogue"
PROJECTS: Final = ("chat", "search", "vision")
MIRROR: Final = f"registry.corp.example/mirror/vllm@sha256:{'d' * 64}"
MACHINE: Final = """\
cpu: 12
memory_gib: 96
rates: {load_mib_per_second: 300, fetch_mib_per_second: 200, source: measured in our own hall,
  date: 2026-11-29}
"""


def own(folder: Path, name: str, text: str) -> tuple[Path, ...]:
    """The places to read: ours, and a company's with one file."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return OURS, folder


def copy_projects(to: Path) -> None:
    for project in PROJECTS:
        shutil.copytree(ROOT / "model_specs" / project, to / project)


def refused(kind: type[RuntimeRow] | type[MachineRow], places: tuple[Path, ...]) -> list[str]:
    folder = "runtimes" if kind is RuntimeRow else "machine_types"
    with pytest.raises(SpecErrors) as caught:
        rows(folder, kind, places)
    return [f"{one.file}:{one.line} {one.path} {one.code}" for one in caught.value.errors]


def test_a_company_says_only_what_is_otherwise(tmp_path: Path) -> None:
    places = own(tmp_path, "runtimes/vllm.yaml", f"image: {MIRROR}\n")
    found = rows("runtimes", RuntimeRow, places)
    before = rows("runtimes", RuntimeRow, (OURS,))
    assert found["vllm"].image == MIRROR
    assert found["vllm"].args == before["vllm"].args, "what it does not state stays ours"
    assert found["triton"] == before["triton"], "other rows are none of its business"


def test_a_company_adds_a_row(tmp_path: Path) -> None:
    found = rows("machine_types", MachineRow, own(tmp_path, "machine_types/cpu.12.yaml", MACHINE))
    assert found["cpu.12"].cpu == 12
    assert "gpu.l4.1" in found, "beside ours"


def test_a_row_from_before_there_were_vendors_is_of_nvidia_and_amd64(tmp_path: Path) -> None:
    text = f"{MACHINE}gpu: {{name: NVIDIA-T4, count: 1, memory_gib: 16, source: our own hall,\n"
    text += "  date: 2026-11-29}\n"
    found = rows("machine_types", MachineRow, own(tmp_path, "machine_types/gpu.t4.1.yaml", text))
    row = found["gpu.t4.1"]
    assert row.gpu
    assert (row.gpu.kind, row.architecture) == ("nvidia", "amd64"), "as all were"
    ours = (OURS / "runtimes" / "vllm.yaml").read_text()
    before = re.sub(r"(?m)^architectures:\n(  .*\n)+", "", ours)
    assert before != ours, "the fact is new"
    made = rows("runtimes", RuntimeRow, own(tmp_path, "runtimes/own.yaml", before))
    assert made["own"].architectures is None, "of which nobody knows, nothing is refused"


@pytest.mark.parametrize(
    "line",
    [
        "labels: {isoserve.dev/machine-type: cpu.8}",
        "labels: {k8s.amazonaws.com/accelerator: nvidia-l4}",
        "tolerations: [{key: node.kubernetes.io/not-ready}]",
        "tolerations: [{key: node-role.kubernetes.io/control-plane}]",
    ],
)
def test_a_row_takes_no_label_or_taint_that_is_ours_or_kubernetes_own(
    tmp_path: Path, line: str
) -> None:
    told = refused(MachineRow, own(tmp_path, "machine_types/cpu.12.yaml", f"{MACHINE}{line}\n"))
    assert told, "such nodes would take other models' pods, or none"


def test_a_new_row_states_everything(tmp_path: Path) -> None:
    told = refused(RuntimeRow, own(tmp_path, "runtimes/own.yaml", f"image: {MIRROR}\n"))
    names = {line.split()[1] for line in told}
    assert set(FACTS) <= names, "each fact that is missing, in one run"


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("cpu.12.yml", MACHINE, " (file) E315"),
        ("CPU.yaml", MACHINE, " (file) E311"),
        ("cpu.12.yaml", f"{MACHINE}gpus: 1\n", " gpus E201"),
        ("cpu.12.yaml", MACHINE.replace("12", "lots"), " cpu E204"),
        ("cpu.12.yaml", MACHINE.replace("12", "0", 1), " cpu E204"),
        ("cpu.12.yaml", MACHINE.replace(",\n  date: 2026-11-29", ""), " rates.date E203"),
        ("cpu.12.yaml", MACHINE.replace("source: measured in our own hall,", ""),
         " rates.source E203"),
        ("cpu.12.yaml", "cpu: [", " (file) E102"),
        ("cpu.12.yaml", "", " (file) E101"),
    ],
)  # fmt: skip
def test_what_is_wrong_in_a_row_is_told_with_its_place(
    tmp_path: Path, name: str, text: str, expected: str
) -> None:
    told = refused(MachineRow, own(tmp_path, f"machine_types/{name}", text))
    where = f"model_specs/catalogue/machine_types/{name}:"
    assert [line.replace("  ", " (file) ") for line in told if line.startswith(where)], told
    assert any(line.replace("  ", " (file) ").endswith(expected) for line in told), told


@pytest.mark.parametrize(
    "word", ["{prot}", "{", "{port!r}x{", "{0}", "{port!r}", "{port:>300000}", "{port:{foo}}"]
)
def test_a_template_names_only_what_there_is(tmp_path: Path, word: str) -> None:
    text = f'args: {{words: ["--port={word}"], source: our own program, date: 2026-11-29}}\n'
    told = refused(RuntimeRow, own(tmp_path, "runtimes/vllm.yaml", text))
    assert told == ["model_specs/catalogue/runtimes/vllm.yaml:1 args.words[0] E301"]


@pytest.mark.parametrize(
    ("line", "field"),
    [
        ("image: registry.example.com/runtimes/vllm:latest", "image"),
        ("env: {variables: {HF_HOME: '{port}'}, writable: [], source: nowhere at all,"
         " date: 2026-11-29}",
         "env.variables.HF_HOME"),
        ("env: {variables: {'HF_*': x}, writable: [], source: nowhere at all,"
         " date: 2026-11-29}",
         "env.variables.HF_*.[key]"),
        ("working_dir: {path: '{served_name}', source: nowhere at all,"
         " date: 2026-11-29}",
         "working_dir.path"),
        ("batching: {by: variables, max_size: '', max_wait: B, wait_units_per_second: 1,"
         " source: nowhere at all, date: 2026-11-29}", "batching"),
    ],
)  # fmt: skip
def test_a_row_holds_only_what_every_model_can_be_started_by(
    tmp_path: Path, line: str, field: str
) -> None:
    told = refused(RuntimeRow, own(tmp_path, "runtimes/vllm.yaml", f"{line}\n"))
    assert [row for row in told if f"  {field}  " in row or f" {field} " in row], told


@pytest.mark.parametrize("name", ["README.md", ".DS_Store", ".vllm.yaml.swp", ".vllm.yaml"])
def test_what_is_no_row_beside_rows_stops_nobody(tmp_path: Path, name: str) -> None:
    found = rows("runtimes", RuntimeRow, own(tmp_path, f"runtimes/{name}", "no row\n"))
    assert "vllm" in found


def test_the_catalogue_among_the_projects_is_no_project(tmp_path: Path) -> None:
    copy_projects(tmp_path / "specs")
    own(tmp_path / "specs/catalogue", "machine_types/cpu.12.yaml", MACHINE)
    found = load(tmp_path / "specs")
    assert set(found.projects) == set(PROJECTS)


@pytest.mark.parametrize("name", ["vllm.yaml", "runtime/vllm.yaml", "runtimes/a/vllm.yaml"])
def test_a_row_where_nobody_looks_is_refused(tmp_path: Path, name: str) -> None:
    copy_projects(tmp_path / "specs")
    own(tmp_path / "specs/catalogue", name, MACHINE)
    with pytest.raises(SpecErrors) as caught:
        load(tmp_path / "specs")
    (error,) = caught.value.errors
    assert (error.file, error.code) == (f"specs/catalogue/{name}", "E111")


@pytest.mark.parametrize("name", ["runtimes/vllm.yaml", "machine_types/gpu.l4.1.yaml"])
def test_a_row_counts_as_program_and_so_needs_approval(name: str) -> None:
    ((path, what),) = program_files([f"model_specs/catalogue/{name}"])
    assert (path, what) == (
        f"model_specs/catalogue/{name}",
        "which images and machines models run on, and how",
    )


def command(cwd: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", "-m", "stacks.cli", *words],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def a_project(folder: Path) -> Path:
    """A company's own project: descriptors of its own and not a line of Python."""
    copy_projects(folder / "model_specs")
    (folder / "regions").mkdir()
    shutil.copy2(ROOT / "regions/us-east-1.yaml", folder / "regions")
    (folder / "Pulumi.yaml").write_text("name: serving\nruntime: python\n")
    return folder


def test_the_rows_of_a_companys_project_are_taken_by_every_command(tmp_path: Path) -> None:
    root = a_project(tmp_path)
    own(root / "model_specs/catalogue", "machine_types/cpu.12.yaml", MACHINE)
    done = command(root, "machines")
    assert "cpu.12 " in done.stdout, done.stderr


def test_a_wrong_row_is_told_like_a_wrong_spec(tmp_path: Path) -> None:
    root = a_project(tmp_path)
    own(root / "model_specs/catalogue", "machine_types/cpu.12.yaml", MACHINE + "x: 1\n")
    done = command(root, "check")
    assert done.returncode == 1
    assert "model_specs/catalogue/machine_types/cpu.12.yaml:5:1  x  E201" in done.stderr
    assert "Traceback" not in done.stderr


def test_rows_beside_specs_of_another_place_are_not_silently_left_out(tmp_path: Path) -> None:
    root = a_project(tmp_path)
    own(root / "model_specs/catalogue", "machine_types/cpu.12.yaml", MACHINE)
    done = command(ROOT, "check", "--specs", str(root / "model_specs"))
    assert done.returncode == 2
    assert "nobody reads a row of the catalogue here" in done.stderr


@pytest.mark.parametrize("make", [os.mkfifo, Path.mkdir, lambda path: path.symlink_to(path)])
def test_what_is_no_file_among_rows_holds_nobody_up(
    tmp_path: Path, make: Callable[[Path], object]
) -> None:
    root = a_project(tmp_path)
    row = root / "model_specs/catalogue/runtimes/vllm.yaml"
    row.parent.mkdir(parents=True, exist_ok=True)
    make(row)
    for done in (
        command(root, "check"),
        command(ROOT, "check", "--specs", str(root / "model_specs")),
    ):
        assert done.returncode in (1, 2), "it is refused"
        assert "vllm.yaml" in done.stderr, "by its place"
        assert "Traceback" not in done.stderr
