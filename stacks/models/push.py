"""`isoserve model push`: a directory becomes a version."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterable
from dataclasses import replace

from components.model_registry.catalogue import check_tag, move_tag
from components.model_registry.errors import RegistryError
from components.model_registry.keys import Address, address
from components.model_registry.local_files import find
from components.model_registry.push import PARTS_AT_ONCE, Push, Pushed
from components.model_registry.store import Store
from components.model_registry.threads import threads
from components.model_registry.uploads import Uploads
from stacks.bars import bars
from stacks.models.answers import facts, size_text, sizes
from stacks.models.registry import answering, registry
from stacks.outcome import OK, Outcome


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
    text = f"{done} {where}\n{sizes(pushed.manifest)}, {sent}{tagged}\n"
    more = {"sent_bytes": pushed.sent_bytes, "new": pushed.new, "tag": tag}
    return Outcome(data=facts(where, pushed.manifest) | more, text=[text], code=OK)


run = answering({"push": _push})
