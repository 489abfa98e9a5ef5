"""`isoserve model list`, `tag`, `share` and `pin`: no model's bytes come through this machine."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import Any

from components.model_registry import keys
from components.model_registry.catalogue import (
    labels,
    move_tag,
    pointed_to,
    read_manifest,
    resolved,
    version_named,
)
from components.model_registry.errors import NotFound, RegistryError
from components.model_registry.keys import Address, address
from components.model_registry.store import Store
from model_specs.lock import ModelFacts
from model_specs.moment import moment
from model_specs.names import DATA
from stacks.bars import bars
from stacks.models.answers import facts, judged, size_text, sizes
from stacks.models.lock_facts import facts_of
from stacks.models.registry import answering, registry, wanted
from stacks.outcome import OK, Outcome, table
from stacks.pin import pin


def _tag(args: Namespace) -> Outcome:
    store = registry(args).store
    where, manifest = wanted(args, store)
    before = move_tag(store, where, args.tag, where.digest)
    name = f"{where.project}/{where.model}:{args.tag}"
    was = f", before {before}" if before not in ("", where.digest) else ""
    data = facts(where, manifest) | {"tag": args.tag, "before": before}
    return Outcome(data=data, text=[f"{name} is {where.digest}{was}\n"], code=OK)


def _share(args: Namespace) -> Outcome:
    from components.model_registry.share import share  # late: alone in need of all of boto3

    keys.check_project(args.project)
    chosen = registry(args)
    where, manifest = wanted(args, chosen.store)
    version = version_named(chosen.store, where, where.digest)
    if not version:
        raise RegistryError(f"{where} has no version; push it under one")
    if args.project == where.project:
        raise RegistryError(f"{where} is of {args.project} already")
    target = replace(where, project=args.project, label=version)
    with bars({"copy": manifest.bytes}) as told:
        bad = share(chosen, where, target, told)
    return judged(target, manifest, f"copied {sizes(manifest)} to", bad)


def _rows(store: Store, project: str, model: str) -> Iterator[dict[str, Any]]:
    """The versions of a model with their tags."""
    tags: dict[str, list[str]] = {}
    for tag in labels(store, keys.tags(project, model)):
        tags.setdefault(pointed_to(store, keys.tag(project, model, tag)), []).append(tag)
    for version in labels(store, keys.versions(project, model)):
        digest = pointed_to(store, keys.version(project, model, version))
        where = Address(project=project, model=model, label=version, digest=digest)
        manifest = read_manifest(store, project, digest)
        yield facts(where, manifest) | {
            "project": project, "model": model, "version": version, "tags": tags.get(digest, []),
        }  # fmt: skip


def _list(args: Namespace) -> Outcome:
    store = registry(args).store
    project, _, model = (args.name or "").partition("/")
    for name in filter(None, (project, model)):
        keys.check_project(name)
    projects = [project] if project else [one for one in store.folders("") if one != DATA]
    found = [
        row
        for owner in projects
        for name in ([model] if model else store.folders(keys.models(owner)))
        for row in _rows(store, owner, name)
    ]
    if args.name and not found:
        raise NotFound(f"{args.name} has no model in this registry; `isoserve model list` has all")
    head = ("MODEL", "SIZE", "FILES", "PARAMETERS", "TAGS", "DIGEST")
    rows = [
        (
            f"{row['project']}/{row['model']}:{row['version']}",
            size_text(row["bytes"]),
            str(row["files"]),
            f"{row['facts']['parameters']:,}" if "parameters" in row["facts"] else "-",
            ", ".join(row["tags"]) or "-",
            row["digest"],
        )
        for row in found
    ]
    return Outcome(data={"models": found}, text=table(head, rows), code=OK)


def _pin(args: Namespace) -> Outcome:
    def find_model(text: str) -> tuple[str, ModelFacts]:
        store = registry(args).store
        where = replace(address(text), digest="") if ":" in text.split("@")[0] else address(text)
        found = resolved(store, where)
        version = version_named(store, where, found.digest) or where.label
        pinned = replace(where, label=version, digest=found.digest)
        return str(pinned), facts_of(store, where.project, found.manifest)

    done = pin(args.spec, args.to, find_model, moment(""))
    text = "was pinned to" if done.before == done.address else "pinned to"
    said = f"{done.spec}: {text} {done.address}"
    said += f", wanted until {done.ttl}" if done.ttl else ""
    return Outcome(data=asdict(done), text=[f"{said}\n"], code=OK)


run = answering({"list": _list, "tag": _tag, "share": _share, "pin": _pin})
