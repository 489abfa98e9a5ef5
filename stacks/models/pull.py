"""`isoserve model pull` and `verify`: all bytes of a version come here and are checked."""

from __future__ import annotations

from argparse import Namespace

from components.model_registry.checked import verify
from components.model_registry.pull import Pull
from stacks.bars import bars
from stacks.models.answers import judged, sizes
from stacks.models.registry import answering, registry, wanted
from stacks.outcome import Outcome


def _pull(args: Namespace) -> Outcome:
    store = registry(args).store
    where, manifest = wanted(args, store)
    with bars({"fetch": manifest.bytes}) as told:
        bad = Pull(store, where.project, args.directory, told).run(manifest)
    return judged(where, manifest, f"pulled {sizes(manifest)} of", bad)


def _verify(args: Namespace) -> Outcome:
    store = registry(args).store
    where, manifest = wanted(args, store)
    with bars({"fetch": manifest.bytes}) as told:
        bad = verify(store, where.project, manifest, told)
    return judged(where, manifest, f"verified {sizes(manifest)} of", bad)


run = answering({"pull": _pull, "verify": _verify})
