"""Every command that a page, a message or a docstring names can be run as it is named there."""

from __future__ import annotations

import argparse
import ast
import importlib.util
import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

import pytest

import regions.sandbox.__main__
from stacks.cli import parser
from tests.tracked import ROOT, tracked

PACKAGES: Final = ("components", "model_specs", "policies", "regions", "stacks")
COMMENTED: Final = (".sh", ".toml", ".yaml", ".yml")
VERBS_OF_PROSE: Final = frozenset({"does", "from", "has", "is", "made", "makes", "needs"})
"""What follows `isoserve` where it is the subject of a sentence; no command has such a name."""
NOT_COMMANDS: Final = frozenset({"isoserve sandbox"})
"""Texts that are a name as a whole: the sandbox's nodes say that this is their system."""

PULUMI: Final[dict[str, frozenset[str]]] = {
    "destroy": frozenset({"-s", "--stack", "--yes"}),
    "login": frozenset(),
    "preview": frozenset(
        {"-s", "--stack", "--diff", "--expect-no-changes", "--json", "--non-interactive",
         "--policy-pack", "--refresh"}
    ),
    "stack": frozenset({"-s", "--stack", "--secrets-provider"}),
    "state": frozenset({"-s", "--stack"}),
    "up": frozenset(
        {"-s", "--stack", "--json", "--non-interactive", "--policy-pack", "--refresh",
         "--plan", "--skip-preview", "--yes", "--continue-on-error"}
    ),
}  # fmt: skip
"""Of the engine's command line what we name, as `pulumi VERB --help` of v3.200 lists it."""

OF_SERVERS: Final = (
    "model_specs/arguments.py",
    "model_specs/runtimes.py",
    "policies/pods.py",
    "tests/golden/",
)
"""Where flags between backticks are those of model servers, or what a person wrote."""
_SPAN: Final = re.compile(r"(`+)(.+?)\1", re.DOTALL)
_FENCE: Final = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
_PARAGRAPH: Final = re.compile(r"(?:(?!\n\s*\n).)+", re.DOTALL)
_COMMENT: Final = re.compile(r"(?:^|\s)#(.*)$")
_ISOSERVE: Final = re.compile(r"(?:(?<=bin/)|(?<![\w./-]))isoserve\s+(?=[\w<\[{-])")
_MODULE: Final = re.compile(r"(?:python[\d.]*|\$\(RUN\)|\$\(PYTHON\))\s+-m\s+([\w.]+)")
OF_VLLM: Final = frozenset(
    {"--dtype", "--gpu-memory-utilization", "--kv-cache-dtype", "--max-model-len",
     "--pipeline-parallel-size", "--quantization", "--tensor-parallel-size"}
)  # fmt: skip
"""Of a model server's command line what we name (vllm/engine/arg_utils.py)."""
_PULUMI: Final = re.compile(r"(?<![\w./-])pulumi\s+([a-z]+(?:\|[a-z]+)*)(?=\s|$)([^\n;&`]*)")
_LONE: Final = re.compile(r"(--[a-z][a-z-]*)(?:[ =].*)?")
_FLAG: Final = re.compile(r"(?<![^\s\[])--?[a-z][a-z-]*")
_MAKE: Final = re.compile(r"(?:^|[;&|(]|run:)\s*make\s+([^\s;&|)]+)", re.MULTILINE)
_END: Final = re.compile(r"[;&`\n]|\s\|\s")


class Text(NamedTuple):
    """Something a person reads, and whether it is what a shell reads or sentences about it."""

    place: str
    words: str
    is_code: bool


# -- what is read ----------------------------------------------------------------------------


def of_lines(name: str, lines: Iterable[tuple[int, str]]) -> Iterator[Text]:
    """Lines of a program or of data: code, and what its comment says."""
    for number, line in lines:
        comment = _COMMENT.search(line)
        yield Text(f"{name}:{number}", line[: comment.start()] if comment else line, True)
        if comment:
            yield Text(f"{name}:{number}", comment[1], False)


def of_markdown(name: str, text: str) -> Iterator[Text]:
    """Fenced lines as code, paragraphs as sentences."""
    for fence in _FENCE.finditer(text):
        first = text.count("\n", 0, fence.start()) + 2
        yield from of_lines(name, enumerate(fence[0].splitlines()[1:-1], first))
    unfenced = _FENCE.sub(lambda fence: "\n" * fence[0].count("\n"), text)
    yield from of_prose(name, unfenced, 1)


def of_prose(name: str, text: str, first: int) -> Iterator[Text]:
    """The paragraphs of a text that begins at line `first`."""
    for found in _PARAGRAPH.finditer(text):
        blank = len(found[0]) - len(found[0].lstrip())
        line = first + text.count("\n", 0, found.start() + blank)
        yield Text(f"{name}:{line}", found[0], False)


def of_python(name: str, text: str) -> Iterator[Text]:
    """Every string, docstrings too; a value that an f-string takes reads as `X`."""
    tree = ast.parse(text)
    inner: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            inner.update(node.values)
            parts = [str(v.value) if isinstance(v, ast.Constant) else "X" for v in node.values]
            yield from of_prose(name, "".join(parts), node.lineno)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in inner:
            yield from of_prose(name, node.value, node.lineno)


def texts_of(path: Path) -> Iterator[Text]:
    """What a file says; of tests only the pages that they keep, such as golden reviews."""
    if path.parts[0] == "tests" and path.suffix != ".md":
        return
    name, in_package = path.as_posix(), path.parts[0] in PACKAGES
    if path.suffix == ".md":
        yield from of_markdown(name, (ROOT / path).read_text(encoding="utf-8"))
    elif path.suffix == ".json":
        yield from of_prose(name, (ROOT / path).read_text(encoding="utf-8"), 1)
    elif path.suffix == ".py" and in_package:
        yield from of_python(name, (ROOT / path).read_text(encoding="utf-8"))
    elif path.suffix in COMMENTED or path.name in ("Dockerfile", "Makefile", "run"):
        lines = (ROOT / path).read_text(encoding="utf-8").splitlines()
        yield from of_lines(name, enumerate(lines, 1))


# -- what is there ---------------------------------------------------------------------------


@cache
def targets() -> frozenset[str]:
    return frozenset(re.findall(r"^([a-z][\w-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def verbs_of(command: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """The commands below a command."""
    for action in command._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    return {}


@cache
def runs(module: str) -> bool:
    """Whether `python -m module` finds something to run."""
    try:
        found = importlib.util.find_spec(module)
        if found is not None and found.submodule_search_locations is not None:
            found = importlib.util.find_spec(f"{module}.__main__")
    except ModuleNotFoundError:
        return False
    if found is None or found.origin is None:
        return False
    ours = module.split(".")[0] in (*PACKAGES, "tests")
    is_main = "__main__" in found.origin or "__main__" in Path(found.origin).read_text()
    return is_main or not ours


@cache
def sandbox() -> argparse.ArgumentParser:
    """`python -m regions.sandbox`, which `make up` runs with ARGS."""
    return regions.sandbox.__main__._parser()


@cache
def options() -> frozenset[str]:
    """Every flag of every command of ours, and those of others that we name."""
    found = {flag for flags in PULUMI.values() for flag in flags} | OF_VLLM
    rest = [parser(), sandbox()]
    while rest:
        command = rest.pop()
        found.update(command._option_string_actions)
        rest += verbs_of(command).values()
    return frozenset(found)


# -- what is named ---------------------------------------------------------------------------


def is_open(name: str) -> bool:
    """Whether a word stands for any name, as in `isoserve COMMAND`."""
    return name.isupper() or name.startswith(("<", "{", "$"))


def unknown(command: argparse.ArgumentParser, words: list[str], so_far: str) -> Iterator[str]:
    """What of `words` the command does not take; `a|b` are two commands at once."""
    below = verbs_of(command)
    if below and words and is_open(words[0]):
        return
    if below and words and not words[0].startswith("-"):
        names = words[0].split("|")
        yield from (f"{so_far} {name}" for name in names if name not in below)
        known = [below[name] for name in names if name in below]
        wrong = [list(unknown(one, words[1:], f"{so_far} {words[0]}")) for one in known]
        yield from min(wrong, key=len, default=[])
        return
    for word in words:
        option = re.match(r"--?[a-z][a-z-]*", word)
        if option and option[0] not in command._option_string_actions:
            yield f"{so_far} {option[0]}"


def words_after(text: str, is_marked: bool) -> list[str]:
    """The words of a command up to where it ends: in a sentence only the very next ones."""
    words: list[str] = []
    for word in re.sub(r"[\[\]\"']", "", text).split():
        bare = word.rstrip(".,:)")
        if not bare:
            break
        words.append(bare)
        if bare != word and not is_marked:
            break
    return words


def named_wrongly(text: str, is_marked: bool) -> Iterator[str]:
    """Commands of `text` that are not there."""
    for match in _ISOSERVE.finditer(text):
        words = words_after(_END.split(text[match.end() :], maxsplit=1)[0], is_marked)
        if words and words[0] not in VERBS_OF_PROSE:
            yield from unknown(parser(), words, "isoserve")
    for match in _MODULE.finditer(text):
        name = match[1].rstrip(".")
        if not is_open(name) and not runs(name):
            yield f"python -m {name}"
        elif name == "regions.sandbox" and is_marked:
            rest = _END.split(text[match.end() :], maxsplit=1)[0]
            yield from unknown(sandbox(), words_after(rest, is_marked), "python -m regions.sandbox")
    yield from (foreign(text) if is_marked else ())
    for target in _MAKE.findall(text) if is_marked else ():
        if not is_open(target) and "=" not in target and target not in targets():
            yield f"make {target}"


def foreign(text: str) -> Iterator[str]:
    """Commands of the engine, and flags alone, that are not there."""
    for match in _PULUMI.finditer(text):
        for verb in match[1].split("|"):
            if verb not in PULUMI:
                yield f"pulumi {verb}"
            flags = _FLAG.findall(match[2])
            yield from (
                f"pulumi {verb} {flag}" for flag in flags if flag not in PULUMI.get(verb, flags)
            )


def alone(span: str) -> Iterator[str]:
    """A flag between backticks without its command: of one of ours, or of pulumi."""
    lone = _LONE.fullmatch(span)
    if lone and lone[1] not in options():
        yield lone[1]


def faults(text: Text) -> list[str]:
    """Commands of a text that are not there; in sentences those between backticks count fully."""
    if text.words in NOT_COMMANDS:
        return []
    if text.is_code:
        return list(named_wrongly(text.words, True))
    spans = [re.sub(r"\s*\|\s*", "|", " ".join(s[2].split())) for s in _SPAN.finditer(text.words)]
    plain = " ".join(_SPAN.sub(" ; ", text.words).split())
    return [
        *(fault for span in spans for fault in named_wrongly(span, True)),
        *(
            fault
            for span in spans
            if not text.place.startswith(OF_SERVERS)
            for fault in alone(span)
        ),
        *named_wrongly(plain, False),
    ]


@pytest.mark.parametrize("path", [p for p in tracked() if any(texts_of(p))], ids=str)
def test_every_command_that_is_named_exists(path: Path) -> None:
    found = [f"{text.place}: {fault}" for text in texts_of(path) for fault in faults(text)]
    assert not found, f"{found}: nobody can run that; name a command that is there"


# -- the test itself -------------------------------------------------------------------------


INVENTED: Final = (
    ("bring it out in waves (isoserve tower up), or as a candidate", "isoserve tower"),
    ("run `isoserve tower up`", "isoserve tower"),
    ("`isoserve model push|destroy`", "isoserve model destroy"),
    ("`isoserve render | dif | parity`", "isoserve dif"),
    ("`isoserve check --frobnicate`", "isoserve check --frobnicate"),
    ("run isoserve check --frobnicate.", "isoserve check --frobnicate"),
    ("`isoserve review --base REV [--previews EVENTS.json]`", "isoserve review --previews"),
    ("`.isoserve/venv/bin/isoserve chek`", "isoserve chek"),
    ("`make moon`", "make moon"),
    ("`cd x && make moon ARGS=1`", "make moon"),
    ("run `python -m\nregions.moon up`", "python -m regions.moon"),
    ("`python -m stacks.outcome` runs nothing", "python -m stacks.outcome"),
    ("`python -m regions.sandbox up --moon`", "python -m regions.sandbox up --moon"),
    ("`python -m regions.sandbox moon`", "python -m regions.sandbox moon"),
    ("give `--moon REGION`", "--moon"),
    ("run `pulumi launch`", "pulumi launch"),
    ("run `pulumi up --moon -s REGION`", "pulumi up --moon"),
    ("run `pulumi preview|up --expect-no-changes`", "pulumi up --expect-no-changes"),
)
SOUND: Final = (
    "isoserve made it, `isoserve model push|pull`, `isoserve render | diff | parity`",
    "`isoserve review --base REV [--preview EVENTS.json]`, `isoserve COMMAND --json`",
    '`make up ARGS="--kubeconfig sandbox-aws=PATH"`, and machines make moons',
    "`python -m regions.sandbox up|down` and python -m pytest.",
    "`--policy-pack policies`, `--kubeconfig REGION=PATH` or `--json`",
    "`pulumi preview --refresh --expect-no-changes`, and plain `pulumi` always suffices",
)


@pytest.mark.parametrize(("words", "fault"), INVENTED)
def test_an_invented_command_is_found(words: str, fault: str) -> None:
    assert faults(Text("", words, False)) == [fault]


@pytest.mark.parametrize("words", SOUND)
def test_a_command_that_is_there_is_no_fault(words: str) -> None:
    assert faults(Text("", words, False)) == []


def test_each_kind_of_file_is_read() -> None:
    page = "Text.\n\n```sh\nisoserve moon  # or `make moon`\n```\n\n`isoserve sun`\n"
    program = 'def f(x):\n    """`make moon`"""\n    return f"isoserve {x} and `isoserve sun`"\n'
    script = "set -e\nisoserve moon | jq .\nmake sun\n"
    found = [
        (text.place, fault)
        for texts in (
            of_markdown("a.md", page),
            of_python("a.py", program),
            of_lines("a.sh", enumerate(script.splitlines(), 1)),
        )
        for text in texts
        for fault in faults(text)
    ]
    assert sorted(found) == [
        ("a.md:4", "isoserve moon"),
        ("a.md:4", "make moon"),
        ("a.md:7", "isoserve sun"),
        ("a.py:2", "make moon"),
        ("a.py:3", "isoserve sun"),
        ("a.sh:2", "isoserve moon"),
        ("a.sh:3", "make sun"),
    ]


def test_commands_are_found_where_they_are_known_to_stand() -> None:
    read = {text.place.partition(":")[0] for path in tracked() for text in texts_of(path)}
    assert {
        "README.md",
        "Makefile",
        ".github/scripts/review.sh",
        "model_specs/codes.md",
        "model_specs/schema.json",
        "policies/rules.md",
        "stacks/reviewing/risks.py",
        "tests/golden/review/approval.md",
    } <= read
