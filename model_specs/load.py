"""Turns a tree of YAML files into typed specs, or into every error in it at once."""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from model_specs.errors import SpecError, SpecErrors, nearest
from model_specs.names import check_name
from model_specs.schema import MODEL_ADDRESS, ModelFacts, ModelLock, ModelSpec, ProjectSpec
from model_specs.source import Source, Where, read

PROJECT_FILE: Final = "project.yaml"
LOCK_FILE: Final = "models.lock.yaml"
PartT = TypeVar("PartT", bound=BaseModel)


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """One model as its team wrote it."""

    project: str
    name: str
    spec: ModelSpec
    source: Source

    @property
    def id(self) -> str:
        """`project/name`, unique in a tree."""
        return f"{self.project}/{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """One tenant as its owners wrote it."""

    name: str
    spec: ProjectSpec
    source: Source


@dataclass(frozen=True, slots=True, kw_only=True)
class Specs:
    """A whole tree: models in order of `id`, projects by name, registry facts by address."""

    models: tuple[Model, ...]
    projects: dict[str, Project]
    facts: dict[str, ModelFacts]


def _got(details: ErrorDetails) -> str:
    value = details["input"]
    return json.dumps(value, default=str)[:60] if value is not None else "nothing"


def _missing(details: ErrorDetails, part: type[BaseModel]) -> str:
    return "missing; every one of these must be written"


def _unknown(details: ErrorDetails, part: type[BaseModel]) -> str:
    known = _fields(part, details["loc"][:-1])
    word = str(details["loc"][-1])
    if not difflib.get_close_matches(word, known, n=1, cutoff=0.6):
        home = next((path for path in _all_fields(part) if path.split(".")[-1] == word), "")
        if home:
            return f"no such field here, got {word!r}; it belongs at {home}"
    return f"no such field, got {word!r}; {nearest(word, known)}"


def _typed(details: ErrorDetails, part: type[BaseModel]) -> str:
    return f"{_lower(details['msg'])}, got {_got(details)}; write it in that type"


def _bounded(details: ErrorDetails, part: type[BaseModel]) -> str:
    return f"{_lower(details['msg'])}, got {_got(details)}; stay within the bounds"


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:].replace("Input ", "")


_BOUNDS: Final = (
    "greater_than", "less_than", "too_short", "too_long", "string_pattern", "string_too",
    "finite_number",
)  # fmt: skip
_MESSAGES: Final[tuple[tuple[tuple[str, ...], str, Callable[..., str]], ...]] = (
    (("missing",), "E203", _missing),
    (("extra_forbidden",), "E201", _unknown),
    (_BOUNDS, "E301", _bounded),
    (("",), "E204", _typed),
)
"""Prefixes of pydantic's error types, our code for them and the sentence; first match wins."""


def _inner(annotation: Any) -> type[BaseModel] | None:
    """The part inside `Part`, `Part | None`, `tuple[Part, ...]` or an Annotated of these."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        found = _inner(argument)
        if found is not None:
            return found
    return None


def _fields(part: type[BaseModel], where: Iterable[str | int]) -> tuple[str, ...]:
    """The field names of the part that stands at `where` under `part`."""
    for step in where:
        field = part.model_fields.get(str(step))
        found = _inner(field.annotation) if field else None
        part = found or part
    return tuple(part.model_fields)


def _all_fields(part: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, field in part.model_fields.items():
        yield f"{prefix}{name}"
        inner = _inner(field.annotation)
        if inner is not None:
            yield from _all_fields(inner, f"{prefix}{name}.")


def _translate(source: Source, error: ValidationError, part: type[BaseModel]) -> list[SpecError]:
    """pydantic's findings in our form, at their places in the file."""
    found: list[SpecError] = []
    for details in error.errors(include_url=False):
        where: Where = details["loc"]
        kind = details["type"]
        if "why" in details.get("ctx", {}):
            found.append(source.error(where, kind, details["ctx"]["why"]))
            continue
        for prefixes, code, message in _MESSAGES:
            if kind.startswith(prefixes):
                found.append(source.error(where, code, message(details, part)))
                break
    return found


def parse(source: Source, part: type[PartT]) -> PartT:
    """`source` as a `part`. Raises SpecErrors with all that is wrong in it."""
    try:
        return part.model_validate_json(json.dumps(source.values))
    except ValidationError as error:
        raise SpecErrors(_translate(source, error, part)) from None


def _named(kind: str, name: str, source: Source) -> None:
    try:
        check_name(name)
    except PydanticCustomError as error:
        message = f"{kind} {error.message()}"
        raise SpecErrors([source.error((), error.type, message)]) from None


def _load_model(path: Path, name: str, project: str) -> Model:
    source = read(path, name)
    _named("file", path.stem, source)
    spec = parse(source, ModelSpec)
    model = Model(project=project, name=path.stem, spec=spec, source=source)
    candidate = spec.rollout.candidate
    addresses: dict[Where, str] = {("model",): spec.model}
    if candidate is not None and candidate.model is not None:
        addresses[("rollout", "candidate", "model")] = candidate.model
    foreign = [
        source.error(
            where,
            "E322",
            f"the model belongs to another project, got {address.split('/')[0]}; "
            f"copy it into {project} in the registry",
        )
        for where, address in addresses.items()
        if _project_of(address) != project
    ]
    if foreign:
        raise SpecErrors(foreign)
    return model


def _project_of(address: str) -> str:
    match = MODEL_ADDRESS.fullmatch(address)
    return match["project"] if match else ""


def _files(folder: Path, label: str, errors: list[SpecError]) -> list[Path]:
    """The YAML files of a folder; one that cannot be listed must not look empty, as in `glob`."""
    try:
        return sorted(path for path in folder.iterdir() if path.suffix in (".yaml", ".yml"))
    except OSError as error:
        message = f"cannot be listed: {error.strerror}; check its rights"
        errors.append(Source(label).error((), "E100", message))
        return []


def _load_project(
    folder: Path, label: str, errors: list[SpecError]
) -> tuple[Project | None, list[Model], dict[str, ModelFacts]]:
    """Everything in one project's folder; what is wrong is added to `errors`."""
    models: list[Model] = []
    facts: dict[str, ModelFacts] = {}
    project: Project | None = None
    for path in _files(folder, label, errors):
        name = f"{label}/{path.name}"
        if path.suffix == ".yml":
            message = f"specs end in .yaml, got {path.name}; rename it"
            errors.append(Source(name).error((), "E315", message))
            continue
        try:
            if path.name == PROJECT_FILE:
                source = read(path, name)
                _named("folder", folder.name, source)
                project = Project(name=folder.name, spec=parse(source, ProjectSpec), source=source)
            elif path.name == LOCK_FILE:
                facts = parse(read(path, name), ModelLock).models
            else:
                models.append(_load_model(path, name, folder.name))
        except SpecErrors as refused:
            errors.extend(refused.errors)
    if models and not (folder / PROJECT_FILE).exists():
        message = "missing; write the project's members and gpu_quota"
        errors.append(Source(f"{label}/{PROJECT_FILE}").error((), "E203", message))
    return project, models, facts


def _strangers(specs: Specs) -> Iterator[SpecError]:
    """Projects that somebody shares with and nobody has."""
    sharing: list[tuple[Source, str, tuple[str, ...]]] = [
        (model.source, model.project, model.spec.share_with) for model in specs.models
    ]
    sharing += [(p.source, p.name, p.spec.share_with) for p in specs.projects.values()]
    for source, owner, shared in sharing:
        for index, other in enumerate(shared):
            where = ("share_with", index)
            if other == owner:
                yield source.error(where, "E353", f"shares with itself, got {other}; remove it")
            elif other not in specs.projects:
                hint = nearest(other, specs.projects)
                yield source.error(where, "E353", f"no such project, got {other!r}; {hint}")


def load(directory: Path) -> Specs:
    """The specs under `directory` (`<project>/<model>.yaml`, `<project>/project.yaml`).

    Raises SpecErrors with every error of every file.
    """
    errors: list[SpecError] = []
    models: list[Model] = []
    projects: dict[str, Project] = {}
    facts: dict[str, ModelFacts] = {}
    if not directory.is_dir():
        message = "no such directory; give the one that holds <project>/<model>.yaml"
        raise SpecErrors([Source(str(directory)).error((), "E100", message)])
    for folder in sorted(path for path in directory.iterdir() if path.is_dir()):
        if folder.name.startswith(("_", ".")):
            continue
        label = f"{directory.name}/{folder.name}"
        project, found, known = _load_project(folder, label, errors)
        models += found
        facts |= known
        if project is not None:
            projects[project.name] = project
    specs = Specs(models=tuple(models), projects=projects, facts=facts)
    if not errors:
        errors += _strangers(specs)
    if errors:
        raise SpecErrors(errors)
    return specs
