"""The `isoserve` command: it reads specs and profiles and prints; it changes no region.

Only `isoserve model` and `isoserve image` write, and only where they are told: a model's files, a
version, a digest.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from model_specs.errors import SpecErrors
    from stacks.outcome import Outcome

Option = tuple[tuple[str, ...], Mapping[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One command; `module.run(args)` is imported when it runs, so that `--help` stays quick.

    A command with verbs has no module of its own.
    """

    name: str
    module: str
    help: str
    options: tuple[Option, ...]
    verbs: tuple[Command, ...] = ()
    """What the command does, each with options of its own; `args.verb` names the one."""
    transfers: bool = False
    """Whether it moves files of any size, so that its memory must be bounded as it runs."""


_TREE: Final[tuple[Option, ...]] = (
    (
        ("-r", "--region"),
        {"action": "append", "default": [], "metavar": "R", "help": "only this region; repeatable"},
    ),
    (("--specs",), {"type": Path, "metavar": "DIR", "help": "model specs (model_specs/)"}),
    (("--regions",), {"type": Path, "metavar": "DIR", "help": "region profiles (regions/)"}),
    (
        ("--at",),
        {
            "default": "",
            "metavar": "MOMENT",
            "help": "plan for this moment, which ttl is held against ($ISOSERVE_AT, else now)",
        },
    ),
)

_REGISTRY: Final[tuple[Option, ...]] = (
    (
        ("-r", "--region"),
        {"default": "", "metavar": "R", "help": "the region of the registry (the home region)"},
    ),
    (("--regions",), {"type": Path, "metavar": "DIR", "help": "region profiles (regions/)"}),
    (
        ("--endpoint",),
        {"default": "", "metavar": "URL", "help": "the store as this machine reaches it"},
    ),
)
_MODEL: Final[Option] = (("address",), {"metavar": "PROJECT/MODEL:VERSION"})
_DIRECTORY: Final[Option] = (("directory",), {"type": Path, "metavar": "DIR"})


def _verb(name: str, module: str, help_text: str, *options: Option) -> Command:
    words = (*options, *_REGISTRY)
    return Command(
        name=name,
        module=f"stacks.models.{module}",
        help=help_text,
        options=words,
        transfers=True,
    )


_VERBS: Final[tuple[Command, ...]] = (
    _verb(
        "push",
        "push",
        "send a directory as a new version",
        _DIRECTORY,
        _MODEL,
        (
            ("--tag",),
            {"default": "", "metavar": "TAG", "help": "a name that may move, to put here"},
        ),
        (
            ("--meta",),
            {"action": "append", "default": [], "metavar": "K=V", "help": "a fact; repeatable"},
        ),
    ),
    _verb(
        "pull", "pull", "bring a version into a directory, every byte checked", _MODEL, _DIRECTORY
    ),
    _verb(
        "list",
        "manage",
        "list versions with their tags and digests",
        (("name",), {"nargs": "?", "default": "", "metavar": "PROJECT[/MODEL]"}),
    ),
    _verb("tag", "manage", "let a tag stand for a version", _MODEL, (("tag",), {"metavar": "TAG"})),
    _verb("verify", "pull", "read every blob of a version and check it", _MODEL),
    _verb(
        "share",
        "manage",
        "copy a version into another project, inside the store",
        _MODEL,
        (("project",), {"metavar": "PROJECT"}),
    ),
    _verb(
        "pin",
        "manage",
        "write the digest of a spec's version into the spec",
        (("spec",), {"type": Path, "metavar": "SPEC"}),
        (("--to",), {"default": "", "metavar": "LABEL", "help": "this version or tag instead"}),
    ),
)

_PIN_IMAGES: Final = Command(
    name="pin",
    module="stacks.images.pin",
    help="write the digests of images into files, asked of their registries",
    options=(
        (
            ("files",),
            {
                "nargs": "*",
                "type": Path,
                "metavar": "FILE",
                "help": "profiles, specs or rows of runtimes (every one of the tree)",
            },
        ),
        (("--to",), {"default": "", "metavar": "TAG", "help": "this tag of every image instead"}),
        (
            ("--set",),
            {
                "action": "append",
                "default": [],
                "metavar": "FIELD=IMAGE",
                "help": "this image instead, e.g. agent_image=HOST/PATH:TAG; repeatable",
            },
        ),
        (
            ("--plain-http",),
            {"action": "store_true", "help": "the registries speak no TLS"},
        ),
        *_TREE[1:3],
    ),
    transfers=True,
)

COMMANDS: Final[tuple[Command, ...]] = (
    Command(
        name="check",
        module="stacks.check",
        help="say everything that is wrong with specs and profiles",
        options=_TREE,
    ),
    Command(
        name="plan",
        module="stacks.show_plan",
        help="show what each region would run",
        options=_TREE,
    ),
    Command(
        name="render",
        module="stacks.render",
        help="write the Kubernetes objects as YAML",
        options=(
            *_TREE,
            (
                ("-o", "--output"),
                {"type": Path, "metavar": "DIR", "help": "a file a region and model, not stdout"},
            ),
        ),
    ),
    Command(
        name="diff",
        module="stacks.diff",
        help="compare the objects with those of a git revision",
        options=(
            *_TREE,
            (("--base",), {"default": "HEAD", "metavar": "REV", "help": "git revision (HEAD)"}),
        ),
    ),
    Command(
        name="parity",
        module="stacks.parity",
        help="prove that all regions get the same objects",
        options=_TREE,
    ),
    Command(
        name="policy",
        module="stacks.policy",
        help="judge what every region would have by the rules of policies/",
        options=_TREE,
    ),
    Command(
        name="review",
        module="stacks.review",
        help="write the pull-request comment from two git revisions",
        options=(
            *_TREE,
            (("--base",), {"default": "HEAD", "metavar": "REV", "help": "git revision (HEAD)"}),
            (
                ("--preview",),
                {
                    "action": "append",
                    "default": [],
                    "type": Path,
                    "metavar": "EVENTS.json",
                    "help": "what the engine's preview of a region said; repeatable",
                },
            ),
            (
                ("--ask",),
                {
                    "type": Path,
                    "metavar": "FILE",
                    "help": "only ask the work tree's program, and write its answer here",
                },
            ),
            (
                ("--answer",),
                {
                    "type": Path,
                    "metavar": "FILE",
                    "help": "what --ask wrote; the work tree's program is not run",
                },
            ),
        ),
    ),
    Command(
        name="doctor",
        module="stacks.doctor.command",
        help="look at a region's cluster, and name what keeps models from serving there",
        options=(
            (("-r", "--region"), {"required": True, "metavar": "R", "help": "the region"}),
            (
                ("--regions",),
                {"type": Path, "metavar": "DIR", "help": "region profiles (regions/)"},
            ),
        ),
    ),
    Command(
        name="machines",
        module="stacks.show_machines",
        help="list machine types with their nodes and prices",
        options=(
            *_TREE,
            (("--fits",), {"metavar": "PROJECT/MODEL", "help": "say which ones hold this model"}),
        ),
    ),
    Command(
        name="explain",
        module="stacks.explain",
        help="explain a field such as scaling.max, an error code such as E302, or a rule",
        options=((("subject",), {"metavar": "FIELD|CODE|RULE"}),),
    ),
    Command(
        name="model",
        module="",
        help="push, pull, list, tag, verify, share and pin models of a registry",
        options=(),
        verbs=_VERBS,
    ),
    Command(
        name="image",
        module="",
        help="pin the images of profiles, specs and the catalogue",
        options=(),
        verbs=(_PIN_IMAGES,),
    ),
)


class _Parser(argparse.ArgumentParser):
    """A parser that takes no abbreviations: a later flag must not change what a script says."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(allow_abbrev=False, **settings)


def parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    top = _Parser(
        prog="isoserve",
        description="All but `doctor`, `model` and `image` works offline, and all but `model` and "
        "`image` changes nothing.",
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for row in COMMANDS:
        _add(commands, row)
    return top


def _add(commands: Any, row: Command) -> None:
    one = commands.add_parser(row.name, help=row.help, description=row.help)
    if row.verbs:
        verbs = one.add_subparsers(dest="verb", required=True, metavar="VERB")
        for verb in row.verbs:
            _add(verbs, verb)
        return
    one.set_defaults(module=row.module, transfers=row.transfers)
    for flags, settings in row.options:
        one.add_argument(*flags, **settings)
    one.add_argument("--json", action="store_true", help="print JSON for programs")


def _dump(data: Any) -> str:
    return json.dumps(data, indent=2, sort_keys=True, default=str) + "\n"


def _refused(errors: SpecErrors, as_json: bool) -> None:
    """Errors as data for programs, as messages for people."""
    from stacks.outcome import InputErrors, error_lines, error_rows

    if as_json:
        sys.stdout.write(_dump({"errors": error_rows(errors.errors)}))
    elif isinstance(errors, InputErrors):  # about the command line, so no place in a file
        sys.stderr.writelines(f"isoserve: {e.file}: {e.message}\n" for e in errors.errors)
    else:
        sys.stderr.writelines(error_lines(errors.errors))


@contextmanager
def _uncollected(wanted: bool, is_last: bool) -> Iterator[None]:
    """Python's cycle collector switched off, where that is wanted.

    Plans and objects are trees without cycles: the collector frees next to nothing (peak memory is
    the same) and looks at all of them over and over, 8 of 22 s of a review of 1000 models.
    What is the process's last work leaves its memory to the end of the process: one look at it all
    would still take 1 s of them.
    """
    before = gc.isenabled()
    if wanted:
        gc.disable()
    try:
        yield
    finally:
        if wanted and is_last:
            gc.freeze()
        if before:
            gc.enable()


def _run(args: argparse.Namespace) -> int:
    from model_specs.errors import SpecErrors
    from stacks.outcome import FINDINGS, USAGE, InputErrors

    try:  # the catalogue is read when its module is imported
        run: Callable[[argparse.Namespace], Outcome] = importlib.import_module(args.module).run
        outcome = run(args)
    except SpecErrors as errors:
        _refused(errors, args.json)
        return USAGE if isinstance(errors, InputErrors) else FINDINGS
    sys.stdout.writelines([_dump(outcome.data)] if args.json else outcome.text)
    return outcome.code


def _utf8(stream: Any) -> None:
    # YAML and JSON are UTF-8 whatever the locale says; a test's replacement has no such method.
    if hasattr(stream, "reconfigure"):
        stream.reconfigure(encoding="utf-8", errors="backslashreplace")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command. 0 is fine, 1 findings, 2 a usage or input error; there is no traceback.

    Without `argv` it is the command line of the process, which ends with it.
    """
    _utf8(sys.stdout)
    _utf8(sys.stderr)
    try:
        args = parser().parse_args(argv)
        with _uncollected(not args.transfers, is_last=argv is None):
            code = _run(args)
        sys.stdout.flush()
    except SystemExit as stop:  # argparse has printed its message
        return stop.code if isinstance(stop.code, int) else 2
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        return 130
    except BrokenPipeError:
        # The reader has what it wanted, e.g. `head`; Python must not flush into the pipe at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 141
    except OSError as error:
        sys.stderr.write(f"isoserve: {error.filename or 'output'}: {error.strerror or error}\n")
        return 2
    return code


if __name__ == "__main__":
    sys.exit(main())
