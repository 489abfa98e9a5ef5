"""A company's own row says all of a server's flags, settings and memory, without Python."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final, get_args

import pytest

from model_specs.arguments import shared_sizes
from model_specs.catalogue_files import rows
from model_specs.errors import SpecError, SpecErrors
from model_specs.row_kinds import FlagKind, VariableKind
from model_specs.runtime_row import RuntimeRow
from model_specs.runtimes import Runtime, misused_arguments, misused_variables, of_row
from tests.model_specs.test_catalogue_files import OURS, own

FACT: Final = "  source: our own program\n  date: 2026-11-29\n"
FLAGS: Final = f"""\
flags:
  takes: listed
  abbreviated: true
  reads_variables: true
  underscores: true
  json_parts: true
  digits: {{-L: --number}}
  listed:
    adapters: [--adapters]
    json_object: [--json-object]
    model_file: [--model-file]
    model_files: [--model-files]
    model_folder: [--model-folder]
    number: [--number]
    numbers: [--numbers]
    option: [--option]
    scratch_file: [--scratch-file]
    switch: [--switch]
    template: [--template]
    template_values: [--template-values]
    text: [--text]
    texts: [--texts]
    toggle: [--toggle]
    word: [--word]
  forms:
    - flags: [--format]
      one_of: [pt, safetensors]
    - flags: [--generation]
      one_of: [auto]
      or_model_file: true
    - {{flags: [--pool], pattern: '[0-9]+:[0-9]+', says: "DEVICE:NUMBER"}}
    - flags: [--draft, -d]
      json_keys: [method]
      path_keys: [model]
    - flags: [--handler]
      class_of: own
{FACT}"""
OWNED: Final = f"""\
owned:
  settings:
    - flags: [--address]
      variables: ["ADDRESS_*"]
      why: the platform listens
    - variables: ["OWN_*"]
      why: no variable of ours that a spec sets
      but:
        listed:
          json_object: [OWN_JSON_OBJECT]
          model_file: [OWN_MODEL_FILE]
          model_files: [OWN_MODEL_FILES]
          model_folder: [OWN_MODEL_FOLDER]
          number: [OWN_NUMBER]
          scratch_file: [OWN_SCRATCH_FILE]
          text: [OWN_TEXT]
          word: [OWN_WORD]
        forms:
          - variables: [OWN_FORMAT]
            one_of: [pt, safetensors]
          - variables: [OWN_GENERATION]
            one_of: [auto]
            or_model_file: true
          - {{variables: [OWN_POOL], pattern: '[0-9]+:[0-9]+', says: "DEVICE:NUMBER"}}
          - {{variables: [OWN_DRAFT], json_keys: [method], path_keys: [model]}}
          - {{variables: [OWN_HANDLER], class_of: own}}
{FACT}"""
MEMORY: Final = f"""\
kv_cache:
  memory:
    gpu_share: 0.8
    working_gib: 2
    batched_tokens: 2048
    batched_tokens_large: 4096
    large_gib: 70
    block_tokens: 32
    flags: {{--share: share, --length: context}}
    remade: [--overrides]
    windowless: [--whole]
    online_bytes: {{fp8: 1}}
    cache_bytes: {{fp8: 1, bfloat16: 2}}
{FACT}"""
PARALLEL: Final = f"""\
parallel:
  flags: {{--by-heads: tensor, --by-layers: pipeline}}
  experts: [--with-experts]
{FACT}"""
VALUES: Final = {
    "json_object": ('{"a": 1}', '{"a": "/etc/passwd"}'),
    "model_file": ("/models/current/a", "/etc/passwd"),
    "model_files": ('{"a": "/models/current/a"}', '{"a": "/etc/passwd"}'),
    "model_folder": ("2_Dense", "../2_Dense"),
    "number": ("8k", "many"),
    "scratch_file": ("/tmp/a", "/models/current/a"),
    "word": ("float16", "package.Class"),
    "format": ("pt", "dummy"),
    "generation": ("/models/current", "/etc"),
    "pool": ("0:12", "0:many"),
    "draft": ('{"method": "ngram", "model": "/models/current/draft"}', '{"model": "evil/x"}'),
    "handler": ("own_sklearn.Model", "evil.Model"),
}
"""By kind or form, a value that is taken and one that is not."""
WORDS: Final = {
    "adapters": (["a=/models/current/a", "b=/models/current/b"], ["a=/models/current/a", "b=/x"]),
    "numbers": (["1", "2"], ["1", "many"]),
    "option": (["float16"], ["package.Class"]),
    "switch": ([], ["true"]),
    "template": (["{{ messages }}"], ["/etc/passwd"]),
    "template_values": (['{"path": "/etc"}'], ["text"]),
    "text": (["any text"], []),
    "texts": (["any text", "more"], []),
    "toggle": ([], ["true"]),
} | {name: ([good], [bad]) for name, (good, bad) in VALUES.items()}
"""By kind or form, what follows a flag and is taken, and what is not."""


def with_facts(folder: Path, *facts: str) -> Runtime:
    """A runtime of a company's own: a row of ours with other facts."""
    text = (OURS / "runtimes/sglang.yaml").read_text()
    for fact in facts:
        name = fact.partition(":")[0]
        text, found = re.subn(rf"(?m)^{name}:\n(  .*\n)+", "", text)
        assert found <= 1, f"the row has {name} once at most"
    places = own(folder, "runtimes/own.yaml", text + "".join(facts))
    return of_row("own", rows("runtimes", RuntimeRow, places)["own"])


def test_every_kind_has_a_case() -> None:
    forms = {"draft", "format", "generation", "handler", "pool"}
    assert set(WORDS) == {*get_args(FlagKind), *forms}, "what a row may say of a flag"
    assert set(VALUES) | {"text"} == {*get_args(VariableKind), *forms}, "and of a variable"


@pytest.mark.parametrize("name", WORDS)
def test_a_flag_of_a_companys_row_takes_values_of_its_kind(tmp_path: Path, name: str) -> None:
    runtime = with_facts(tmp_path, FLAGS)
    flag = f"--{name.replace('_', '-')}"
    good, bad = WORDS[name]
    assert list(misused_arguments(runtime, [flag, *good])) == []
    refused = [f"{flag}={bad[0]}"] if name in ("switch", "toggle") else [flag, *bad]
    ((index, why),) = misused_arguments(runtime, refused)
    assert (index, flag in why, "write " in why) == (0, True, True), why


def test_a_companys_row_says_how_its_parser_reads(tmp_path: Path) -> None:
    runtime = with_facts(tmp_path, FLAGS)
    for word in ("--no-toggle", "--sw", "--model_folder=a", "-L3", "-L=3", "--json-object.a=1"):
        assert list(misused_arguments(runtime, [word])) == [], word
    for word in ("--no-switch", "-Lx", "--word.a=1", "--numb=1", "--draft.model=evil/x", "--zzz"):
        assert [index for index, _ in misused_arguments(runtime, [word])] == [0], word
    assert [name for name, _ in misused_variables(runtime, {"WORD": "a.B"})] == ["WORD"]
    plain = re.sub(r"(?m)^  (abbrev|reads|under|json|digits).*\n", "", FLAGS)
    runtime = with_facts(tmp_path / "plain", plain)
    for word in ("--sw", "--model_folder=a", "-L3", "--json-object.a=1"):
        assert [index for index, _ in misused_arguments(runtime, [word])] == [0], word
    assert list(misused_variables(runtime, {"WORD": "a.B"})) == [], "it reads no variables"


@pytest.mark.parametrize("name", VALUES)
def test_a_variable_of_a_companys_row_takes_values_of_its_kind(tmp_path: Path, name: str) -> None:
    runtime = with_facts(tmp_path, OWNED)
    variable = f"OWN_{name.upper()}"
    good, bad = VALUES[name]
    assert list(misused_variables(runtime, {variable: good, "OWN_TEXT": good})) == []
    assert [one for one, _ in misused_variables(runtime, {variable: bad})] == [variable]


def test_what_a_companys_row_keeps_to_itself_is_refused_with_its_reason(tmp_path: Path) -> None:
    runtime = with_facts(tmp_path, OWNED)
    ((_, why),) = misused_arguments(runtime, ["--address=0.0.0.0"])
    assert why.startswith("the platform listens, got '--address'")
    for name in ("ADDRESS_OF_MINE", "OWN_OTHER"):
        assert [one for one, _ in misused_variables(runtime, {name: "1"})] == [name]
    found = [one for one, _ in misused_variables(runtime, {"NCCL_NET_PLUGIN": "x"})]
    assert found == ["NCCL_NET_PLUGIN"], "families of libraries are of every row"


def test_a_companys_row_says_how_its_engine_divides_memory(tmp_path: Path) -> None:
    engine = with_facts(tmp_path, MEMORY).kv_cache
    assert engine
    assert (engine.gpu_share, engine.flags["--length"]) == (0.8, "context")
    assert with_facts(tmp_path, f"kv_cache:\n{FACT}").kv_cache is None, "nobody reckons it"


def test_a_companys_row_says_by_which_flags_a_model_is_shared(tmp_path: Path) -> None:
    runtime = with_facts(tmp_path, PARALLEL)
    args = ["--by-layers=2", "--by-heads", "2", "--tensor-parallel-size=8"]
    assert shared_sizes(args, runtime.sharing, 4) == {"pipeline": 2, "tensor": 2}, "no other's"
    assert runtime.parallel
    assert runtime.parallel.experts == ("--with-experts",)
    assert runtime.sources["parallel"], "where that was read"
    assert shared_sizes(args, with_facts(tmp_path).sharing, 4) == {"tensor": 4}, "its machine's"


def below(start: str, *lines: str) -> str:
    """A fact of a row: `start` with `lines` below it, as deep as its last line."""
    return "".join((start, ("\n" + " " * len(start.rpartition("\n")[2])).join(lines), "\n", FACT))


def form(*lines: str) -> str:
    text = below("flags:\n  takes: listed\n  forms:\n      ", *lines)
    return text.replace("      ", "    - ", 1)


def listed(*lines: str) -> str:
    return below("flags:\n  takes: listed\n  ", *lines)


def but(*lines: str) -> str:
    start = 'owned:\n  settings:\n    - variables: ["OWN_*"]\n      why: ours\n      but:\n        '
    return below(start, *lines)


BAD: Final = {
    "two forms": (form("flags: [--x]", "one_of: [a]", "class_of: b"),
     (4, "flags.forms[0]", "E301"), "class_of and one_of; write one"),
    "no form": (form("flags: [--x]"), (4, "flags.forms[0]", "E301"), "got none; write one"),
    "no flags": (form("one_of: [a]"), (4, "flags.forms[0].flags", "E203"), "write flags"),
    "an empty choice": (form("flags: [--x]", "one_of: []"),
     (5, "flags.forms[0].one_of", "E204"), "at least 1 item"),
    "a pattern that does not compile": (form("flags: [--x]", "pattern: '['", "says: a"),
     (5, "flags.forms[0].pattern", "E306"), "; mend it"),
    "a pattern that is too large": (form("flags: [--x]", "pattern: 'a{9999999999}'", "says: a"),
     (5, "flags.forms[0].pattern", "E306"), "; mend it"),
    "a pattern without words": (form("flags: [--x]", "pattern: a"),
     (4, "flags.forms[0]", "E301"), "got no words; write both"),
    "words without a pattern": (form("flags: [--x]", "one_of: [a]", "says: a"),
     (4, "flags.forms[0]", "E301"), "got words alone; write both"),
    "paths of no keys": (form("flags: [--x]", "class_of: a", "path_keys: [b]"),
     (4, "flags.forms[0]", "E301"), "goes with json_keys"),
    "a file of no choice": (form("flags: [--x]", "class_of: a", "or_model_file: true"),
     (4, "flags.forms[0]", "E301"), "goes with one_of"),
    "a class of no module": (form("flags: [--x]", "class_of: '.*'"),
     (5, "flags.forms[0].class_of", "E204"), "match pattern"),
    "a word of no form": (form("flags: [--x]", "patern: a"),
     (5, "flags.forms[0].patern", "E201"), "did you mean pattern?"),
    "a kind that nobody has": (listed("listed:", "  swich: [--x]"),
     (4, "flags.listed.swich.[key]", "E204"), "'switch'"),
    "a short toggle": (listed("listed:", "  toggle: [-x]"),
     (4, "flags.listed.toggle[0]", "E301"), "take a switch"),
    "a flag twice": (listed("listed:", "  word: [--x]", "  text: [--y, --x]"),
     (5, "flags.listed.text[1]", "E301"), "got '--x'; keep one"),
    "what a toggle has": (listed("listed:", "  toggle: [--x]", "  switch: [--no-x]"),
     (5, "flags.listed.switch[0]", "E301"), "got '--no-x'; keep one"),
    "digits of nothing": (listed("digits:", "  -L: --level"),
     (4, "flags.digits.-L", "E301"), "got '--level'; list it"),
    "digits of a long flag": (listed("digits: {--l: --x}", "listed: {number: [--x]}"),
     (3, "flags.digits.--l.[key]", "E204"), "match pattern"),
    "a table of ours": (f"kv_cache:\n  table: vllm\n{FACT}",
     (2, "kv_cache.table", "E201"), "use one of date, memory, source"),
    "a variable outside": (but("listed: {word: [OTHER]}"),
     (6, "owned.settings[0].but.listed.word[0]", "E301"), "write it there"),
    "a variable twice": (but("listed:", "  word: [OWN_A]", "  text: [OWN_A]"),
     (8, "owned.settings[0].but.listed.text[0]", "E301"), "keep one"),
    "a variable that is a switch": (but("listed: {switch: [OWN_A]}"),
     (6, "owned.settings[0].but.listed.switch.[key]", "E204"), "'word'"),
    "a variable with a bad form": (but(
        "forms:", "  - variables: [OWN_A]", "    pattern: ')'", "    says: a"),
     (8, "owned.settings[0].but.forms[0].pattern", "E306"), "; mend it"),
    "more than a GPU": (MEMORY.replace("0.8", "1.8"),
     (3, "kv_cache.memory.gpu_share", "E204"), "got 1.8; mend it"),
    "a flag that decides nothing known": (MEMORY.replace(": context", ": contxt"),
     (9, "kv_cache.memory.flags.--length", "E204"), "'context'"),
    "no types": (MEMORY.replace("{fp8: 1, bfloat16: 2}", "{}"),
     (13, "kv_cache.memory.cache_bytes", "E204"), "at least 1 item"),
}  # fmt: skip
"""By what is wrong: the row, where and by which code it is refused, and what its message says."""


def refusals(folder: Path, text: str) -> tuple[SpecError, ...]:
    with pytest.raises(SpecErrors) as caught:
        rows("runtimes", RuntimeRow, own(folder, "runtimes/vllm.yaml", text))
    return caught.value.errors


@pytest.mark.parametrize("name", BAD)
def test_a_wrong_row_is_refused_with_its_place_and_what_to_do(tmp_path: Path, name: str) -> None:
    text, expected, says = BAD[name]
    errors = refusals(tmp_path, text)
    assert [(one.line, one.path, one.code) for one in errors] == [expected], errors
    assert errors[0].file == "model_specs/catalogue/runtimes/vllm.yaml"
    assert says in errors[0].message, errors[0].message
    assert "; " in errors[0].message, "what is wrong; what to do"
