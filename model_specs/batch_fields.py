"""Which fields a spec with `batch` may write, and what to write instead of every other."""

from __future__ import annotations

from typing import Final

BATCH_FIELDS: Final = frozenset(
    {"batch", "cache", "calls", "capacity", "env", "image", "machine_type", "model", "rates",
     "regions", "secrets", "shared_memory_gib", "tmp_gib", "ttl"}
)  # fmt: skip
"""All that a spec with `batch` may write; every other field is of a server."""
NOT_OF_BATCH: Final[dict[str, str]] = {
    "access": "nobody calls a job; remove it",
    "args": "a job's arguments follow its program; write them in batch.command",
    "batching": "nobody calls a job; remove it",
    "callers": "nobody calls a job; remove it",
    "cors_origins": "nobody calls a job; remove it",
    "drain_seconds": "nobody calls a job; remove it",
    "probe": "nobody calls a job; remove it, batch.deadline_seconds bounds a run",
    "requests_per_minute": "nobody calls a job; remove it",
    "rollout": "the next run takes the new version; write it in model or image",
    "runtime": "a job runs batch.command; remove it",
    "scaling": "its pods are counted there; write batch.parallelism and batch.completions",
    "served_names": "nobody calls a job; remove it",
    "server": "nobody calls a job; write its program in batch.command",
    "share_with": "nobody calls a job; remove it",
    "slo": "a job answers no requests; remove it, batch.deadline_seconds bounds a run",
    "stream_idle_seconds": "nobody calls a job; remove it",
    "timeout_seconds": "nobody calls a job; remove it, batch.deadline_seconds bounds a run",
}
"""By field that does not apply: why, and what to write instead."""
