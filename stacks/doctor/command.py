"""`isoserve doctor`: looks at a region's cluster, and says what would keep models from serving.

It reads only: GET requests to the API server, manifests of images, and names by the resolver of
this machine.
"""

from __future__ import annotations

import socket
from argparse import Namespace
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from components.kube import Object
from components.kube_client import ApiError, Forbidden, KubeClient
from model_specs.catalogue_files import project_root
from regions.profile import RegionProfile, load_profile
from stacks.doctor.checks import CHECKS, examine
from stacks.doctor.findings import Api, Finding, Unseen
from stacks.images.reference import reference
from stacks.images.registry import Registries
from stacks.outcome import FINDINGS, OK, Outcome, count, refusal
from stacks.places import check_regions


@dataclass(frozen=True, slots=True, kw_only=True)
class _Unreachable:
    """An API server that gives no answer: what asks it is not looked at."""

    error: ApiError

    def get(self, path: str) -> Object | None:
        raise self.error

    def get_as(self, path: str, form: str) -> Object | None:
        raise self.error


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

    It is asked once beforehand, since each check would wait again for one that is away.
    """
    path = str(root / Path(profile.cluster.kubeconfig).expanduser())
    try:
        client = KubeClient(path, profile.cluster.context)
        client.get("/version")
    except Forbidden:
        return client
    except ApiError as error:
        return _Unreachable(error=error)
    return client


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
