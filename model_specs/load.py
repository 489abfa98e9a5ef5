"""Turns a tree of YAML files into typed specs, or into every error in it at once."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Final, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import PydanticCustomError

from model_specs.addresses import MODEL_ADDRESS
from model_specs.catalogue_files import FOLDER, KINDS
from model_specs.errors import SpecError, SpecErrors, nearest, shown
from model_specs.lock import ModelFacts, ModelLock
from model_specs.names import check_name
from model_specs.per_region import named, source_here
from model_specs.project import ProjectSpec
from model_specs.schema import ModelSpec, is_expired
from model_specs.secrets import secrets_in, secrets_in_comments
from model_specs.source import Source, Where, looks_like_yaml, read
from model_specs.wording import translate

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

    @property
    def served_names(self) -> tuple[str, ...]:
        """By which names its server is asked for it, where it is told any."""
        return self.spec.served_names or (self.name,)

    def here(self, region: str) -> Model:
        """The model as it is in a region; itself where nothing differs."""
        for where, name, differs in named(self.spec.regions):
            if name == region and differs is not None:
                source = source_here(self.source, where, differs)
                return replace(self, spec=self.spec.here(region), source=source)
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """One tenant as its owners wrote it."""

    name: str
    spec: ProjectSpec
    source: Source


@dataclass(frozen=True, slots=True, kw_only=True)
class Specs:
    """A whole tree: models in order of `id`, projects by name, registry facts by address.

    `expired` are the models that are planned nowhere, since their `ttl` has passed.
    """

    models: tuple[Model, ...]
    expired: tuple[Model, ...]
    projects: dict[str, Project]
    facts: dict[str, ModelFacts]

    def here(self, region: str) -> Specs:
        """The tree as it is in a region; itself where no model differs."""
        if not any(region in model.spec.differs for model in (*self.models, *self.expired)):
            return self
        return replace(
            self,
            models=tuple(model.here(region) for model in self.models),
            expired=tuple(model.here(region) for model in self.expired),
        )

    def wanted_at(self, at: datetime) -> Specs:
        """The tree with every model on the side where it belongs at the moment `at`."""
        both = sorted((*self.models, *self.expired), key=lambda model: model.id)
        return replace(
            self,
            models=tuple(model for model in both if not is_expired(model.spec, at)),
            expired=tuple(model for model in both if is_expired(model.spec, at)),
        )


def _secrets(source: Source) -> Iterator[SpecError]:
    """An error for every secret in a file's values, and in comments, which people read too."""
    cure = "keep the new one in a Secret of the project and mount that by `secrets`"
    lines = set()
    for where, cut in secrets_in(source.values if isinstance(source.values, dict) else {}):
        error = source.error(where, "E341", f"a secret in plain text, got {cut}; revoke it, {cure}")
        lines.add(error.line)
        yield error
    for line, column, cut in secrets_in_comments(source.text):
        if line not in lines:
            yield SpecError(
                file=source.file, line=line, column=column, path="", code="E341",
                message=f"a secret in a comment, got {cut}; revoke it, {cure}",
            )  # fmt: skip


def parse(source: Source, part: type[PartT]) -> PartT:
    """`source` as a `part`. Raises SpecErrors with all that is wrong in it."""
    errors = list(_secrets(source))
    try:
        made = part.model_validate_json(json.dumps(source.values))
    except ValidationError as error:
        errors += translate(source, error, part)
    if errors:
        raise source.refusal(errors)
    return made


def parse_named(source: Source, part: type[PartT], misnamed: Iterable[SpecError]) -> PartT:
    """As `parse`, with what is wrong in the file's own name told in the same run."""
    errors = list(misnamed)
    try:
        made = parse(source, part)
    except SpecErrors as refused:
        errors += refused.errors
    if errors:
        raise SpecErrors(errors)
    return made


def _misnamed(kind: str, name: str, source: Source) -> Iterator[SpecError]:
    try:
        check_name(name)
    except PydanticCustomError as error:
        yield source.error((), error.type, f"{kind} {error.message()}")


def _load_model(path: Path, name: str, project: str, known: Model | None) -> Model:
    source = read(path, name, known.source if known else None)
    if known is not None and source is known.source:
        return known
    spec = parse_named(source, ModelSpec, _misnamed("file", path.stem, source))
    addresses: dict[Where, str] = {("model",): spec.model}
    candidate = spec.rollout.candidate
    if candidate is not None and candidate.model is not None:
        addresses[("rollout", "candidate", "model")] = candidate.model
    foreign = _foreign(source, project, addresses)
    if foreign:
        raise SpecErrors(foreign)
    return Model(project=project, name=path.stem, spec=spec, source=source)


def _load_project_file(path: Path, name: str) -> Project:
    source = read(path, name)
    folder = path.parent.name
    spec = parse_named(source, ProjectSpec, _misnamed("folder", folder, source))
    return Project(name=folder, spec=spec, source=source)


def _load_lock(path: Path, name: str) -> dict[str, ModelFacts]:
    source = read(path, name)
    facts = parse(source, ModelLock).models
    # Facts are known by address in the whole tree: nobody states another project's.
    errors = _foreign(source, path.parent.name, {("models", address): address for address in facts})
    if errors:
        raise source.refusal(errors)
    return facts


def _foreign(source: Source, project: str, addresses: dict[Where, str]) -> list[SpecError]:
    """An error for every address that is another project's."""
    return [
        source.error(
            where,
            "E322",
            f"the model belongs to another project, got {_project_of(address)}; "
            f"copy it into {project} in the registry",
        )
        for where, address in addresses.items()
        if _project_of(address) != project
    ]


def _project_of(address: str) -> str:
    match = MODEL_ADDRESS.fullmatch(address)
    return match["project"] if match else ""


def unread(folder: Path, label: str, cure: str) -> Iterator[SpecError]:
    """An error for every YAML file below the folders of `folder`, where nobody looks.

    Packages of Python, and folders that begin with `_` or `.`, are somebody else's; so is what lies
    below a link. A folder that cannot be listed is told by whoever reads it.
    """
    try:
        folders = sorted(path for path in folder.iterdir() if path.is_dir())
    except OSError:
        return
    for inner in folders:
        if inner.name.startswith(("_", ".")) or (inner / "__init__.py").exists():
            continue
        found = [] if inner.is_symlink() else inner.rglob("*")
        for path in sorted(filter(looks_like_yaml, found)):
            name = f"{label}/{path.relative_to(folder).as_posix()}"
            yield Source(name).error((), "E111", f"nobody reads a file here, got it; {cure}")


def _files(folder: Path, label: str, errors: list[SpecError]) -> list[Path]:
    """The YAML files of a folder; one that cannot be listed must not look empty, as in `glob`."""
    try:
        return sorted(path for path in folder.iterdir() if looks_like_yaml(path))
    except OSError as error:
        message = f"cannot be listed: {error.strerror}; check its rights"
        errors.append(Source(label).error((), "E100", message))
        return []


def _load_project(
    folder: Path, label: str, known: Mapping[str, Model], errors: list[SpecError]
) -> tuple[Project | None, list[Model], dict[str, ModelFacts]]:
    """Everything in one project's folder; what is wrong is added to `errors`."""
    models: list[Model] = []
    facts: dict[str, ModelFacts] = {}
    project: Project | None = None
    for path in _files(folder, label, errors):
        name = f"{label}/{path.name}"
        if path.suffix != ".yaml":
            message = f"specs end in .yaml, got {shown(path.name)}; rename it"
            errors.append(Source(name).error((), "E315", message))
            continue
        try:
            if path.name == PROJECT_FILE:
                project = _load_project_file(path, name)
            elif path.name == LOCK_FILE:
                facts = _load_lock(path, name)
            else:
                models.append(_load_model(path, name, folder.name, known.get(name)))
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
                yield source.error(where, "E353", f"no such project, got {shown(other)}; {hint}")


def _of_no_project(directory: Path) -> Iterator[SpecError]:
    """YAML files that stand beside the projects' folders."""
    for path in filter(looks_like_yaml, directory.iterdir()):
        if path.is_file():
            message = "nobody reads a file here, got it; move it to the folder of its project"
            yield Source(f"{directory.name}/{path.name}").error((), "E111", message)


def _of_no_kind(catalogue: Path) -> Iterator[SpecError]:
    """YAML files in the catalogue's folder that are no rows of it."""
    for path in sorted(filter(looks_like_yaml, catalogue.rglob("*"))):
        name = path.relative_to(catalogue)
        if len(name.parts) != 2 or name.parts[0] not in KINDS:
            message = f"nobody reads a file here, got it; move it to {FOLDER}/ {' or '.join(KINDS)}"
            label = f"{catalogue.parent.name}/{FOLDER}/{name.as_posix()}"
            yield Source(label).error((), "E111", message)


def load(directory: Path, known: Iterable[Model] = ()) -> Specs:
    """The specs under `directory` (`<project>/<model>.yaml`, `<project>/project.yaml`).

    A model of another tree that is `known` is taken over where its file has the same name and
    text. Raises SpecErrors with every error of every file.
    """
    errors: list[SpecError] = []
    by_file = {model.source.file: model for model in known}
    models: list[Model] = []
    projects: dict[str, Project] = {}
    facts: dict[str, ModelFacts] = {}
    if not directory.is_dir():
        message = "no such directory; give the one that holds <project>/<model>.yaml"
        raise SpecErrors([Source(str(directory)).error((), "E100", message)])
    errors += _of_no_project(directory)
    for folder in sorted(path for path in directory.iterdir() if path.is_dir()):
        if folder.name.startswith(("_", ".")):
            continue
        if folder.name == FOLDER:
            errors += _of_no_kind(folder)
            continue
        label = f"{directory.name}/{folder.name}"
        errors += unread(folder, label, f"move it to {label}")
        project, found, stated = _load_project(folder, label, by_file, errors)
        models += found
        facts |= stated
        if project is not None:
            projects[project.name] = project
    specs = Specs(models=tuple(models), expired=(), projects=projects, facts=facts)
    if not errors:
        errors += _strangers(specs)
    if errors:
        raise SpecErrors(errors)
    return specs
