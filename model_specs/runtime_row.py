"""What a file of `catalogue/runtimes/` says: one serving image and its contract, fact by fact.

Each fact has beside it where and when it was read. Words of `args`, and paths, are templates: in
braces stands what the platform decides (model_specs.runtimes.Launch, and WHERE).
"""

from __future__ import annotations

from string import Formatter
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from model_specs.catalogue_files import Fact, Row, Text
from model_specs.errors import nearest, refuse, refuse_all, shown
from model_specs.gpu_kinds import GPU_KINDS, NO_GPU, Architecture
from model_specs.kv_cache import KvCache
from model_specs.names import MODEL_PATH, SCRATCH
from model_specs.pinned import PinnedImage
from model_specs.row_kinds import (
    Exact,
    Flag,
    FlagForm,
    FlagKind,
    VariableForm,
    VariableKind,
    kinds_of,
    named,
)
from model_specs.setting import covers

WHERE: Final = {"model_path": MODEL_PATH, "scratch": SCRATCH}
"""Places in every container, by the name that templates have for them."""
LAUNCH: Final = ("gpus", "metrics_port", "port", "served_name", "shutdown_seconds")
"""What the command line of a server may depend on besides."""
SERVED_NAMES: Final = "{served_names}"
"""A word of `args` that becomes several: a server that is told it takes more than one name."""


def _filled(text: str, known: tuple[str, ...]) -> str:
    """A template in which those names alone may stand, and as they are."""
    try:
        parsed = [*Formatter().parse(text)]
    except ValueError:
        why = f"a template has {{name}} in pairs of braces, got {shown(text)}"
        raise refuse("E301", f"{why}; write {{{{ for a brace") from None
    for _, name, form, conversion in parsed:
        if name is None:
            continue
        if name not in known:
            hint = nearest(name, known)
            raise refuse("E301", f"no such name in a template here, got {shown(name)}; {hint}")
        if form or conversion:
            why = f"a template takes a name as it is, got {shown(text)}"
            raise refuse("E301", f"{why}; write {{{name}}}")
    return text


def _check_template(text: str) -> str:
    if text == SERVED_NAMES:
        return text
    return _filled(text, (*WHERE, *LAUNCH))


def _check_place(text: str) -> str:
    return _filled(text, tuple(WHERE))


Template = Annotated[str, Field(max_length=1024), AfterValidator(_check_template)]
Place = Annotated[str, Field(max_length=1024), AfterValidator(_check_place)]
"""A template of what is known before the model is."""
Path = Annotated[str, Field(pattern=r"^/[!-~]*$", max_length=256)]
Port = Annotated[int, Field(ge=1, le=65_535)]
Variable = Annotated[str, Field(pattern=r"^[A-Z_][A-Z0-9_]*\*?$", max_length=128)]
Metric = Annotated[str, Field(pattern=r"^([a-zA-Z_:][a-zA-Z0-9_:]*)?$", max_length=128)]
Seconds = Annotated[int, Field(ge=1, le=3600)]
Id = Annotated[int, Field(ge=1, le=2**31 - 1)]


class Software(Fact):
    """Whose program it is, and which image and version the row was written for."""

    repository: Text
    """At GitHub, where the paths of all sources lie; a commit where no version is named."""
    image: Text
    """Upstream's image, which a company mirrors."""
    version: Text
    """Its tag."""
    oldest: Annotated[str, Field(max_length=1024)] = ""
    """The oldest that starts with every flag of `args`; empty where no older one was read."""


class Command(Fact):
    """What replaces the image's entrypoint."""

    words: tuple[Text, ...]


class Args(Fact):
    """What follows the command; a spec's own come after."""

    words: tuple[Template, ...]


class Aliases(Fact):
    """Other flags, short ones too, for what `args` sets."""

    flags: tuple[Flag, ...]


class Flags(Fact):
    """What a spec may give in `args`: all that is listed, and how the program's parser reads it."""

    takes: Literal["listed", "none"]
    """`none`: the program refuses to start with any."""
    listed: dict[FlagKind, tuple[Flag, ...]] = Field(default={})
    """Flags by the kind of their values."""
    forms: tuple[FlagForm, ...] = ()
    """Flags whose values have a form of their own."""
    abbreviated: bool = False
    """Whether the beginning of a flag stands for it where no other begins so (argparse,
    getopt_long)."""
    reads_variables: bool = False
    """Whether each flag may be given by a variable of its name in capitals (clap's `env`)."""
    underscores: bool = False
    """Whether `_` stands for `-` in a flag."""
    json_parts: bool = False
    """Whether the parts of a JSON value may be given one by one (`--flag.key value`)."""
    digits: dict[Annotated[str, Field(pattern=r"^-[A-Za-z]$")], Flag] = Field(default={})
    """Flags of one letter with digits behind them (`-O3`), and the listed flag they stand for."""

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        kinds = kinds_of(self.listed, self.forms)
        cure = "write `--` before its name, or take a switch"
        refuse_all(
            (("listed", "toggle", index), "E301", f"a toggle has --no-, got {shown(flag)}; {cure}")
            for index, flag in enumerate(self.listed.get("toggle", ()))
            if not flag.startswith("--")
        )
        refuse_all(
            (("digits", short), "E301", f"no flag that is listed, got {shown(flag)}; list it")
            for short, flag in self.digits.items()
            if flag not in kinds
        )
        return self


class But(Row):
    """Variables of a family that a spec sets all the same, to values of a kind."""

    listed: dict[VariableKind, tuple[Exact, ...]] = Field(default={})
    """Variables by the kind of their values."""
    forms: tuple[VariableForm, ...] = ()
    """Variables whose values have a form of their own."""

    @model_validator(mode="after")
    def _has_each_once(self) -> Self:
        kinds_of(self.listed, self.forms)
        return self


class Setting(Row):
    """One thing that a spec does not set, in every spelling."""

    flags: tuple[Flag, ...] = ()
    variables: tuple[Variable, ...] = ()
    """One that ends in `*` stands for all that begin so."""
    why: Text
    but: But | None = None
    """What of `variables` a spec sets."""

    @model_validator(mode="after")
    def _excepts_what_it_closes(self) -> Self:
        cure = "write it there, or leave it out here"
        refuse_all(
            (("but", *where), "E301", f"not one of `variables`, got {shown(name)}; {cure}")
            for where, name, _ in (named(self.but.listed, self.but.forms) if self.but else ())
            if not covers(self.variables, name)
        )
        return self


class Owned(Fact):
    """What else a spec does not set."""

    settings: tuple[Setting, ...] = ()


class Architectures(Fact):
    """The processors for which the image is built."""

    names: Annotated[tuple[Architecture, ...], Field(min_length=1)]


def _check_vendor(vendor: str) -> str:
    known = sorted({kind.vendor for kind in GPU_KINDS.values()} - {NO_GPU})
    if vendor not in known:
        raise refuse(
            "E301", f"no such vendor of GPUs, got {shown(vendor)}; {nearest(vendor, known)}"
        )
    return vendor


class Gpu(Fact):
    """What of a machine it needs."""

    needed: bool
    """Whether it cannot start on a machine without a GPU."""
    kinds: tuple[Annotated[str, AfterValidator(_check_vendor)], ...]
    """The vendors (model_specs.gpu_kinds) on whose GPUs this image computes."""


class Parallel(Fact):
    """The arguments by which a spec may share a model over the GPUs of its machine."""

    flags: Annotated[
        dict[Flag, Literal["data", "pipeline", "prefill", "tensor"]], Field(min_length=1)
    ]
    """What the value of a flag is the size of; the sizes multiply."""
    experts: tuple[Flag, ...] = ()
    """With one of these experts are not copied for each of `data`."""


class Cache(Fact):
    """How it divides GPU memory where it keeps keys and values of the tokens it has seen."""

    memory: KvCache | None = None
    """None where it keeps none, or where nobody can reckon what it takes."""


class User(Fact):
    """Who runs it; `source` says whom the image itself names."""

    uid: Id
    gid: Id
    images_own: Text
    """Whom the image names: what it keeps may be closed to others."""


class WorkingDir(Fact):
    """Where it is started; `source` says where the image itself would."""

    path: Place


class Env(Fact):
    """Variables that lead what it writes below the one place where it may."""

    variables: dict[Exact, Place]
    writable: tuple[Place, ...]
    """All places where it writes."""


class Health(Fact):
    """Where it serves, and answers whether it lives and is ready, by HTTP."""

    port: Port
    live_path: Path
    ready_path: Path


class Metrics(Fact):
    """Where Prometheus reads it, and the gauge of requests waiting."""

    port: Port
    path: Path
    waiting: Metric
    units_per_second: Annotated[int, Field(ge=0)] = 0
    """Of a counter of the time that requests waited; 0 for a gauge."""


class Running(Fact):
    """The gauge of requests being answered, or a counter of the time that they took."""

    metric: Metric
    """Empty where the gauge of those waiting counts these too."""
    units_per_second: Annotated[int, Field(ge=0)]
    """Of a counter's unit; 0 for a gauge."""


class Probe(Fact):
    """The GET that every model of this runtime answers with 200."""

    path: Path
    json_path: Annotated[str, Field(max_length=256)]
    """Where the answer names the served model; empty where it does not."""


class Protocols(Fact):
    """What it speaks; routes and probes take HTTP."""

    names: tuple[Literal["grpc", "http"], ...]
    grpc_port: Port | None = None


class Layout(Fact):
    """How the files of a model lie in its folder."""

    kind: Literal["bento", "gguf", "hugging_face", "mar_store", "mlserver", "triton_repository"]
    files: tuple[Text, ...]
    """Some that must be there."""


class Batching(Fact):
    """Who puts requests together, and by which settings."""

    by: Literal["code", "itself", "model_files", "variables"]
    """`itself`: continuously, and nobody sets a wait."""
    max_size: Annotated[str, Field(max_length=128)]
    """What sets the most requests of one batch; empty where nothing does."""
    max_wait: Annotated[str, Field(max_length=128)]
    """What sets how long the first of a batch waits; empty where nothing does."""
    wait_units_per_second: Annotated[int, Field(ge=0)] = 0
    """Of a variable's unit; 0 where no variable sets it."""

    @model_validator(mode="after")
    def _variables_have_names(self) -> Self:
        if self.by == "variables" and not (
            self.max_size and self.max_wait and self.wait_units_per_second
        ):
            why = "batching by variables has a max_size, a max_wait and its units, got one empty"
            raise refuse("E301", f"{why}; write all three")
        return self


class RuntimeRow(Row):
    """One serving image."""

    software: Software
    image: PinnedImage
    """The image that is pulled: a mirror of upstream's."""
    image_gib: Annotated[float, Field(gt=0, le=200)]
    """Its size unpacked, in GiB; start-up budgets count the pull."""
    engine_start_seconds: Seconds
    """From the process's start to the first byte of the model that is read; estimated."""
    shutdown_seconds: Seconds
    """What it is given after SIGTERM to end its requests."""
    command: Command
    args: Args
    aliases: Aliases
    flags: Flags
    owned: Owned
    architectures: Architectures | None = None
    """None where nobody has said: then the image is refused on no machine for it."""
    gpu: Gpu
    parallel: Parallel | None = None
    """None where it is started with the GPUs of its machine, and a spec says nothing of that."""
    kv_cache: Cache
    user: User
    working_dir: WorkingDir
    env: Env
    health: Health
    metrics: Metrics
    running: Running
    probe: Probe
    protocols: Protocols
    layout: Layout
    batching: Batching


FACTS: Final = tuple(
    name
    for name, field in RuntimeRow.model_fields.items()
    if isinstance(field.annotation, type) and issubclass(field.annotation, Fact)
)
"""The keys that every row has and that are facts of other people's software."""
OPTIONAL_FACTS: Final = ("architectures", "parallel")
"""Those that a row need not have."""
