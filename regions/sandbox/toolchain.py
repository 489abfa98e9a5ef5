"""The programs a sandbox needs: the user's own where there are any, else built from Go modules."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from regions.sandbox.builds import (
    BENCH,
    CONTROL_PLANE,
    ENGINE,
    JUDGES,
    KUBERNETES_PLUGIN,
    KUBERNETES_PROVIDER,
    KWOK,
    NODE,
    PROMETHEUS,
    Build,
)
from regions.sandbox.errors import SandboxError
from regions.sandbox.layout import BIN, BUILD, LOG, PLUGINS, TOOLCHAIN, write_atomically

OLDEST_PULUMI: Final = (3, 200, 0)
_PULUMI_SDK: Final = "github.com/pulumi/pulumi/sdk/v3"
_LANGUAGE_SCRIPTS: Final = (
    "python/cmd/pulumi-language-python-exec",
    "python/dist/pulumi-analyzer-policy-python",
    "python/dist/pulumi-resource-pulumi-python",
)

Say = Callable[[str], None]


_FOR_JUDGES: Final = (JUDGES, CONTROL_PLANE, KWOK)
_CURE: Final = (
    "Install Go 1.26 or newer and run this again, or install pulumi (3.200 or newer) with its "
    "`kubernetes` plugin and name existing clusters by `--kubeconfig REGION=PATH`."
)
_CURE_OF_TESTS: Final = "Install Go 1.26 or newer and run this again."


@dataclass(frozen=True, slots=True)
class Toolchain:
    """The programs found or built, and the folders that hold them, first wins."""

    pulumi: Path
    folders: tuple[Path, ...]

    @property
    def search_path(self) -> str:
        """PATH for the engine: the sandbox's AWS substitute first, then everything else."""
        # The engine's Python program must be run by the interpreter that runs this.
        folders = (PLUGINS, *self.folders, Path(sys.executable).parent)
        return os.pathsep.join((*map(str, folders), os.environ.get("PATH", os.defpath)))


def prepare(say: Say, *, own_clusters: bool) -> Toolchain:
    """Find or build everything; `own_clusters` leaves the control plane out.

    With the user's own clusters simulated nodes are a bonus: kwok is built where there is Go.

    Raises SandboxError when something must be built and there is no Go, or a build fails.
    """
    user_pulumi, user_plugin = _find_users()
    wanted = [
        *([] if user_pulumi else [ENGINE]),
        *([KWOK] if not own_clusters or has_go() else []),
        *([] if own_clusters else [CONTROL_PLANE]),
        *([] if user_plugin else [KUBERNETES_PLUGIN]),
    ]
    _make(wanted, _CURE, say)
    _complete(wanted)
    _write_aws_plugin()
    return _toolchain(user_pulumi, user_plugin)


def has_judges() -> bool:
    """Whether the tests' third-party judges are there: their programs, and a real API server."""
    linked = all((BIN / name).exists() for name in CONTROL_PLANE.names)
    return linked and all(map(is_current, _FOR_JUDGES))


def prepare_judges(say: Say) -> None:
    """Build what the tests' third-party judges lack; no other command needs these programs.

    Raises SandboxError when something must be built and there is no Go, or a build fails.
    """
    _make(_FOR_JUDGES, _CURE_OF_TESTS, say)
    _complete([CONTROL_PLANE])


def prepare_node(say: Say) -> None:
    """Build what a real node lacks: all of it is needed on the machine that the node is.

    Raises SandboxError when something must be built and there is no Go, or a build fails.
    """
    wanted = (CONTROL_PLANE, *NODE)
    _make(wanted, _CURE_OF_TESTS, say)
    _complete(list(wanted))


def find_promtool() -> Path | None:
    """The judge of Prometheus' rules: the user's, else the built one; None where neither is."""
    return _which("promtool") or (BIN / "promtool" if is_current(PROMETHEUS) else None)


def prepare_promtool(say: Say) -> Path:
    """The one that comes with the Prometheus of real nodes, built where it is missing.

    Raises SandboxError when it must be built and there is no Go, or the build fails.
    """
    _make((PROMETHEUS,), f"{_CURE_OF_TESTS[:-1]}, or put a `promtool` on PATH.", say)
    return BIN / "promtool"


def prepare_bench(say: Say) -> Path:
    """The store that `make bench` measures transfers with, built where it is missing.

    Raises SandboxError when it must be built and there is no Go, or the build fails.
    """
    _make((BENCH,), _CURE_OF_TESTS, say)
    return BIN / "versitygw"


def _make(builds: Iterable[Build], cure: str, say: Say) -> None:
    missing = [build for build in builds if not is_current(build)]
    if missing:
        _require_go(missing, cure)
    BIN.mkdir(parents=True, exist_ok=True)
    for build in missing:
        _build(build, say)


def locate() -> Toolchain:
    """What `prepare` would use, without building or writing anything.

    Raises SandboxError when there is no `pulumi` at all.
    """
    found = _toolchain(*_find_users())
    if not found.pulumi.exists():
        raise SandboxError("there is no `pulumi` yet; `python -m regions.sandbox up` makes one")
    return found


def _find_users() -> tuple[Path | None, Path | None]:
    pulumi = find_user_pulumi()
    return pulumi, find_user_plugin(pulumi)


def _toolchain(user_pulumi: Path | None, user_plugin: Path | None) -> Toolchain:
    folders = [path.parent for path in (user_pulumi, user_plugin) if path]
    return Toolchain(user_pulumi or BIN / "pulumi", tuple(dict.fromkeys((*folders, BIN))))


def _complete(wanted: list[Build]) -> None:
    if ENGINE in wanted:
        _copy_language_scripts()
    for build in wanted:
        for name in build.names:
            if not (BIN / name).is_symlink():
                (BIN / name).symlink_to(build.name)


def find_user_pulumi() -> Path | None:
    """The user's `pulumi` with its Python language host; None when absent or older than 3.200."""
    pulumi = _which("pulumi")
    if pulumi is None or _which("pulumi-language-python") is None:
        return None
    version = parse_version(_output([str(pulumi), "version"]))
    return pulumi if version >= OLDEST_PULUMI else None


def find_user_plugin(pulumi: Path | None) -> Path | None:
    """The user's `kubernetes` plugin: on PATH, or installed by the user's own `pulumi`."""
    on_path = _which("pulumi-resource-kubernetes")
    if on_path or pulumi is None:
        return on_path
    listed = _output([str(pulumi), "plugin", "ls", "--json"])
    try:
        plugins = [one for one in json.loads(listed) if one.get("name") == "kubernetes"]
    except ValueError:
        return None
    if not plugins:
        return None
    newest = max(plugins, key=lambda one: parse_version(str(one.get("version"))))
    home = Path(os.environ.get("PULUMI_HOME", Path.home() / ".pulumi"))
    folder = home / "plugins" / f"resource-kubernetes-v{newest['version']}"
    program = folder / "pulumi-resource-kubernetes"
    return program if program.exists() else None


def parse_version(text: str) -> tuple[int, ...]:
    """`v3.200.0-dev` as (3, 200, 0); (0,) when there is no version in the text."""
    match = re.search(r"(\d+)\.(\d+)\.(\d+)", text)
    return tuple(map(int, match.groups())) if match else (0,)


def _which(name: str) -> Path | None:
    # What the sandbox itself built isn't the user's, also when `env` has put it on PATH.
    ours = {BIN.resolve(), PLUGINS.resolve()}
    for folder in os.environ.get("PATH", os.defpath).split(os.pathsep):
        if folder and Path(folder).resolve() not in ours:
            found = shutil.which(name, path=folder)
            if found:
                return Path(found)
    return None


def _output(argv: list[str]) -> str:
    try:
        return subprocess.run(argv, capture_output=True, text=True, timeout=60).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""


def stamp_of(build: Build) -> str:
    """What the built programs depend on, as one hash."""
    folder = TOOLCHAIN / build.folder
    digest = hashlib.sha256(f"{build.ldflags} {build.tags} {build.static}".encode())
    for name in ("go.mod", "go.sum", "main.go"):
        if (folder / name).exists():
            digest.update((folder / name).read_bytes())
    return digest.hexdigest()


def is_current(build: Build) -> bool:
    """Whether the build's programs are there and were made from these very sources."""
    stamp = BIN / f"{build.name}.stamp"
    made = all((BIN / name).exists() for name in build.makes)
    return made and stamp.exists() and stamp.read_text().strip() == stamp_of(build)


def has_go() -> bool:
    """Whether programs can be built and modules be downloaded."""
    return shutil.which("go") is not None


def _require_go(missing: list[Build], cure: str) -> None:
    if not has_go():
        names = ", ".join(build.name for build in missing)
        raise SandboxError(
            f"the sandbox lacks {names}, and there is no `go` on PATH to build them. {cure}"
        )


def _build(build: Build, say: Say) -> None:
    started = time.monotonic()
    say(f"building {build.name} (about {build.typical_minutes} min)")
    source = _source_folder(build)
    # Inside bin/, so that the last step is a rename: a killed build leaves no half program.
    partial = BIN / f".partial-{build.name}"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    target = f"{partial}/{build.name}" if build.package == "." else f"{partial}/"
    flags = ["-trimpath", "-tags", ",".join(build.tags), "-ldflags", build.ldflags]
    _go(["build", *flags, "-o", target, build.package], source, static=build.static)
    for name in build.makes:
        (partial / build.built_as.get(name, name)).replace(BIN / name)
    shutil.rmtree(partial)
    write_atomically(BIN / f"{build.name}.stamp", stamp_of(build))
    say(f"built {build.name} in {time.monotonic() - started:.0f} s")


def _source_folder(build: Build) -> Path:
    source = TOOLCHAIN / build.folder
    if build is not KUBERNETES_PLUGIN:
        return source
    # The provider embeds two files of its own module; a copy keeps them out of the repository.
    copy = BUILD / build.folder
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(source, copy)
    for name in ("schema.json", "terraform-mapping.json"):
        origin = module_folder(source, KUBERNETES_PROVIDER) / "cmd/pulumi-resource-kubernetes"
        (copy / name).write_bytes((origin / name).read_bytes())
    return copy


def _copy_language_scripts() -> None:
    missing = [script for script in _LANGUAGE_SCRIPTS if not (BIN / Path(script).name).exists()]
    if not missing:
        return
    sdk = module_folder(TOOLCHAIN / "pulumi", _PULUMI_SDK)
    for script in missing:
        target = BIN / Path(script).name
        write_atomically(target, (sdk / script).read_text(), mode=0o755)


def module_folder(module: Path, path: str) -> Path:
    """Where the pinned version of a Go module lies on this disk; downloads it when needed."""
    _go(["mod", "download", path], module)
    return Path(_go(["list", "-m", "-f", "{{.Dir}}", path], module).strip())


def _go(arguments: list[str], folder: Path, *, static: bool = False) -> str:
    env = os.environ | {"GOFLAGS": "-mod=readonly -buildvcs=false", "GOWORK": "off"}
    if static:
        env["CGO_ENABLED"] = "0"
    done = subprocess.run(
        ["go", *arguments], cwd=folder, env=env, capture_output=True, text=True, check=False
    )
    if done.returncode:
        LOG.mkdir(parents=True, exist_ok=True)
        log = LOG / "toolchain.log"
        log.write_text(done.stderr)
        last = "\n".join(done.stderr.splitlines()[-8:])
        raise SandboxError(f"`go {arguments[0]}` failed in {folder}; all of it: {log}\n{last}")
    return done.stdout


def _write_aws_plugin() -> None:
    # A real `aws` plugin would talk to a real account: the substitute comes first on PATH.
    write_atomically(
        PLUGINS / "pulumi-resource-aws",
        "#!/bin/sh\n"
        'root=$(cd "$(dirname "$0")/../.." && pwd) || exit 1\n'
        f'PYTHONPATH="$root" exec "{sys.executable}" -m regions.sandbox.aws_provider "$@"\n',
        mode=0o755,
    )
