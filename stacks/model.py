"""Models in a region's registry: push, pull, list, tag, verify, share, and pin one in a spec.

The one command that writes: models and tags into a bucket, files on this machine, and the digest
into a spec.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final

from components.model_registry import keys
from components.model_registry.catalogue import (
    Resolved,
    check_tag,
    labels,
    move_tag,
    pointed_to,
    read_manifest,
    resolved,
    version_named,
)
from components.model_registry.checked import Bad, verify
from components.model_registry.errors import NotFound, RegistryError
from components.model_registry.keys import Address, address
from components.model_registry.local_files import find
from components.model_registry.manifest import Manifest
from components.model_registry.pull import Pull
from components.model_registry.push import PARTS_AT_ONCE, Push, Pushed
from components.model_registry.sessions import Account, Registry, connect
from components.model_registry.store import Store
from components.model_registry.threads import threads
from components.model_registry.uploads import Uploads
from regions.profile import RegionProfile, load_profiles
from stacks.bars import bars
from stacks.outcome import FINDINGS, OK, Outcome, count, refusal, table
from stacks.pin import pin
from stacks.places import check_regions, project_root

CODE: Final = "E391"


# -- which registry --------------------------------------------------------------------------


def home(profiles: dict[str, RegionProfile]) -> str:
    """The region whose registry the others are copied from."""
    homes = [name for name, profile in profiles.items() if profile.registry.replicate_to]
    if len(profiles) == 1 or len(homes) == 1:
        return [*homes, *profiles][0]
    which = "several regions" if homes else "no region"
    names = ", ".join(homes or profiles)
    message = f"{which} copy their registry to others, so name the one you mean: {names}"
    raise refusal("--region", CODE, message)


def registry(args: Namespace) -> Registry:
    """The registry of the chosen region."""
    root = project_root()
    folder = args.regions or root / "regions"
    if not folder.is_dir():
        raise refusal(str(folder), "E100", "no such directory; give the one of <region>.yaml")
    wanted = (args.region,) if args.region else ()
    check_regions(list(wanted), folder)
    profiles = load_profiles(folder, wanted)
    profile = profiles[args.region or home(profiles)]
    account = profile.account
    return connect(
        profile.registry.bucket,
        args.endpoint or profile.registry.endpoint,
        Account(
            region=account.region,
            profile=account.profile,
            config_file=_located(root, account.config_file),
            credentials_file=_located(root, account.credentials_file),
        ),
    )


def _located(root: Path, path: str) -> str:
    return str(root / Path(path).expanduser()) if path else ""


# -- telling ---------------------------------------------------------------------------------


def size_text(size: int) -> str:
    """A number of bytes for people."""
    number = float(size)
    for unit in ("B", "kB", "MB", "GB"):
        if number < 1000:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:.1f} TB"


def _facts(address: Address, manifest: Manifest) -> dict[str, Any]:
    return {
        "address": str(address),
        "digest": address.digest,
        "bytes": manifest.bytes,
        "files": len(manifest.files),
        "metadata": dict(manifest.metadata),
        "facts": dict(manifest.facts),
    }


def _sizes(manifest: Manifest) -> str:
    return f"{count(len(manifest.files), 'file')}, {size_text(manifest.bytes)}"


def _judged(where: Address, manifest: Manifest, done: str, bad: Sequence[Bad]) -> Outcome:
    """The answer of a command that reads blobs: what was done, or which files are bad."""
    lines: list[str] = [f"{one.path}: {one.why}\n" for one in bad]
    cure = f"remove their blobs, {where.project}/blobs/sha256/<sha256>, and push the files again"
    text = f"{count(len(bad), 'bad file')} in {where}; {cure}\n" if bad else f"{done} {where}\n"
    data = _facts(where, manifest) | {"bad": [asdict(one) for one in bad]}
    return Outcome(data=data, text=[*lines, text], code=FINDINGS if bad else OK)


# -- verbs -----------------------------------------------------------------------------------


def _metadata(words: Iterable[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not key or not equals or key in found:
            raise RegistryError(f"--meta is key=value, each key once; got {ascii(word)[:80]}")
        found[key] = value
    return found


def _named(text: str) -> Address:
    """An address with a version or tag."""
    found = address(text)
    if not found.label:
        raise RegistryError(f"{text} names no version; write {found.project}/{found.model}:v1")
    return found


def _push(args: Namespace) -> Outcome:
    where = _named(args.address)
    if where.digest:
        raise RegistryError(f"the digest comes of the files; leave it out of {where}")
    metadata = _metadata(args.meta)
    files = list(find(args.directory))
    if not files:
        raise RegistryError(f"{args.directory} has no files; give the one that holds the model")
    chosen = registry(args)
    if args.tag:
        _check_tag_of(chosen.store, where, args.tag)
    total = sum(source.stat().st_size for _, source in files)
    with threads(PARTS_AT_ONCE) as senders, bars({"digest": total, "send": total}) as told:
        uploads = Uploads(chosen.client, chosen.bucket, senders)
        pushed = Push(chosen.store, uploads, where, told).run(files, metadata)
    if args.tag:
        move_tag(chosen.store, where, args.tag, pushed.digest)
    return _of_push(replace(where, digest=pushed.digest), pushed, args.tag)


def _check_tag_of(store: Store, where: Address, tag: str) -> None:
    if tag == where.label:
        raise RegistryError(f"{tag} is the version; a tag needs a name of its own")
    check_tag(store, where, tag)


def _of_push(where: Address, pushed: Pushed, tag: str) -> Outcome:
    done = "pushed" if pushed.new else "was there already:"
    sent = f"{size_text(pushed.sent_bytes)} sent"
    tagged = f", tagged {tag}" if tag else ""
    text = f"{done} {where}\n{_sizes(pushed.manifest)}, {sent}{tagged}\n"
    more = {"sent_bytes": pushed.sent_bytes, "new": pushed.new, "tag": tag}
    return Outcome(data=_facts(where, pushed.manifest) | more, text=[text], code=OK)


def _found(args: Namespace, store: Store) -> tuple[Address, Manifest]:
    """The model that the command names, with its digest."""
    where = address(args.address)
    found: Resolved = resolved(store, where)
    return replace(where, digest=found.digest), found.manifest


def _pull(args: Namespace) -> Outcome:
    store = registry(args).store
    where, manifest = _found(args, store)
    with bars({"fetch": manifest.bytes}) as told:
        bad = Pull(store, where.project, args.directory, told).run(manifest)
    return _judged(where, manifest, f"pulled {_sizes(manifest)} of", bad)


def _verify(args: Namespace) -> Outcome:
    store = registry(args).store
    where, manifest = _found(args, store)
    with bars({"fetch": manifest.bytes}) as told:
        bad = verify(store, where.project, manifest, told)
    return _judged(where, manifest, f"verified {_sizes(manifest)} of", bad)


def _tag(args: Namespace) -> Outcome:
    store = registry(args).store
    where, manifest = _found(args, store)
    before = move_tag(store, where, args.tag, where.digest)
    name = f"{where.project}/{where.model}:{args.tag}"
    was = f", before {before}" if before not in ("", where.digest) else ""
    data = _facts(where, manifest) | {"tag": args.tag, "before": before}
    return Outcome(data=data, text=[f"{name} is {where.digest}{was}\n"], code=OK)


def _share(args: Namespace) -> Outcome:
    from components.model_registry.share import share  # late: alone in need of all of boto3

    keys.check_project(args.project)
    chosen = registry(args)
    where, manifest = _found(args, chosen.store)
    version = version_named(chosen.store, where, where.digest)
    if not version:
        raise RegistryError(f"{where} has no version; push it under one")
    if args.project == where.project:
        raise RegistryError(f"{where} is of {args.project} already")
    target = replace(where, project=args.project, label=version)
    with bars({"copy": manifest.bytes}) as told:
        bad = share(chosen, where, target, told)
    return _judged(target, manifest, f"copied {_sizes(manifest)} to", bad)


def _rows(store: Store, project: str, model: str) -> Iterator[dict[str, Any]]:
    """The versions of a model with their tags."""
    tags: dict[str, list[str]] = {}
    for tag in labels(store, keys.tags(project, model)):
        tags.setdefault(pointed_to(store, keys.tag(project, model, tag)), []).append(tag)
    for version in labels(store, keys.versions(project, model)):
        digest = pointed_to(store, keys.version(project, model, version))
        where = Address(project=project, model=model, label=version, digest=digest)
        manifest = read_manifest(store, project, digest)
        yield _facts(where, manifest) | {
            "project": project, "model": model, "version": version, "tags": tags.get(digest, []),
        }  # fmt: skip


def _list(args: Namespace) -> Outcome:
    store = registry(args).store
    project, _, model = (args.name or "").partition("/")
    for name in filter(None, (project, model)):
        keys.check_project(name)
    projects = [project] if project else store.folders("")
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
    def find_model(text: str) -> tuple[str, Manifest]:
        store = registry(args).store
        where = replace(address(text), digest="") if ":" in text.split("@")[0] else address(text)
        found = resolved(store, where)
        version = version_named(store, where, found.digest) or where.label
        return str(replace(where, label=version, digest=found.digest)), found.manifest

    done = pin(args.spec, args.to, find_model)
    text = "was pinned to" if done.before == done.address else "pinned to"
    return Outcome(data=asdict(done), text=[f"{done.spec}: {text} {done.address}\n"], code=OK)


_VERBS: Final[dict[str, Callable[[Namespace], Outcome]]] = {
    "push": _push,
    "pull": _pull,
    "list": _list,
    "tag": _tag,
    "verify": _verify,
    "share": _share,
    "pin": _pin,
}


def run(args: Namespace) -> Outcome:
    """Do what the verb says."""
    try:
        return _VERBS[args.verb](args)
    except RegistryError as error:
        raise refusal(f"model {args.verb}", CODE, str(error)) from None
