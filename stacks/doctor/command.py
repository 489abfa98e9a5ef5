"""`isoserve doctor`: looks at a region's cluster, and says what would keep models from serving.

It reads only: GET requests to the API server, manifests of images, and names by the resolver of
this machine.
"""

from __future__ import annotations

import socket
import time
from argparse import Namespace
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from components.kube import Object
from components.kube_client import ApiError, Forbidden, KubeClient, Unanswered
from model_specs.catalogue_files import project_root
from regions.profile import RegionProfile, load_profile
from stacks.doctor.checks import CHECKS, examine
from stacks.doctor.findings import Api, Finding, Unseen
from stacks.images.reference import reference
from stacks.images.registry import Registries
from stacks.outcome import FINDINGS, OK, Outcome, count, refusal
from stacks.places import check_regions

_LOOK_SECONDS: Final = 120.0
"""All looks at a cluster together; one of 50 nodes takes some 5."""


@dataclass(slots=True, kw_only=True)
class Patience:
    """An API server that is asked no more once it gave no answer, or when `until` has passed: each
    check would wait again. `until` is of the monotonic clock; `error` is why it is not asked.

    Several checks look at the same things, so answers are kept: all of them see one moment."""

    client: Api | None
    until: float
    error: ApiError | None = None
    answers: dict[tuple[str, str], Object | None] = field(default_factory=dict)

    def get(self, path: str) -> Object | None:
        """As of Api."""
        return self.get_as(path, "application/json")

    def get_as(self, path: str, form: str) -> Object | None:
        """As of Api."""
        asked = path, form
        if asked in self.answers:
            return self.answers[asked]
        if self.error is None and time.monotonic() > self.until:
            self.error = Unanswered(f"no time is left of {_LOOK_SECONDS:.0f} s", passes=True)
        if self.client is None or self.error is not None:
            raise self.error or Unanswered("no connection", passes=True)
        try:
            self.answers[asked] = self.client.get_as(path, form)
        except Unanswered as error:
            self.error = error
            raise
        return self.answers[asked]


def run(args: Namespace) -> Outcome:
    """Examine the region `args.region` by its profile in `args.regions`, or in the project's own.

    Exit code 1 where there is a finding, else 0. Raises SpecErrors where the region has no profile,
    or one with errors.
    """
    root = project_root()
    regions, region = args.regions or root / "regions", args.region
    if not regions.is_dir():
        raise refusal(str(regions), "E100", "no such directory; give the one of <region>.yaml")
    check_regions([region], regions)
    profile = load_profile(regions / f"{region}.yaml")
    with Registries() as registries:
        findings, unseen = examine(
            _api(root, profile),
            profile,
            region,
            ask_image=lambda image: registries.digest(reference(image)),
            resolve=resolve,
            now=datetime.now(UTC),
        )
    return answer(region, findings, unseen)


def _api(root: Path, profile: RegionProfile) -> Api:
    """The region's API server, whose kubeconfig is named from the project's root; `~` is home.

    Its version is asked first: what does not say one is no API server.
    """
    path = str(root / Path(profile.cluster.kubeconfig).expanduser())
    until = time.monotonic() + _LOOK_SECONDS
    try:
        client = KubeClient(path, profile.cluster.context)
        asked = Patience(client=client, until=until)
        asked.get("/version")
    except Forbidden:
        return asked
    except ApiError as error:
        return Patience(client=None, until=until, error=error)
    return asked


def resolve(host: str) -> frozenset[str]:
    """The addresses of a host as this machine sees them; none where it has none."""
    try:
        rows = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return frozenset()
    return frozenset(str(row[4][0]) for row in rows)


def answer(region: str, findings: Sequence[Finding], unseen: Sequence[Unseen]) -> Outcome:
    """Findings and what was not looked at, for programs and for people."""
    data = {
        "region": region,
        "findings": [asdict(one) for one in findings],
        "not_looked_at": [asdict(one) for one in unseen],
        "checks": list(CHECKS),
    }
    text = _text(region, findings, unseen)
    # A cluster that nobody could look at is not known to be well.
    reached = all(one.check != "cluster" for one in unseen)
    return Outcome(data=data, text=text, code=OK if reached and not findings else FINDINGS)


def _text(region: str, findings: Sequence[Finding], unseen: Sequence[Unseen]) -> Iterator[str]:
    for one in findings:
        yield f"{one.check}: {one.what}\n  mend: {one.mend}\n"
    for gap in unseen:
        yield f"{gap.check}: not looked at: {gap.why}\n"
    told = [count(len(CHECKS), "check"), count(len(findings), "finding")]
    told += [f"{len(unseen)} not looked at"] if unseen else []
    yield f"{region}: {', '.join(told)}\n"
