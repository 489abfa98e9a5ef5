"""Which values of a region profile are still an example's, and what to write instead.

The shipped profiles are examples to copy. What stands in them passes every check of form, so a
value that was not replaced fails only at the first `pulumi up`, or serves under a host that nobody
can reach. These are warnings: the values are well formed, and a profile under work may keep them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from model_specs.errors import SpecError, dotted, shown
from model_specs.source import Source, Where

CODE: Final = "W402"
MOST_SINGLE: Final = 3
"""More placeholders of one kind in one profile share a line."""
SANDBOX_FILES: Final = ".isoserve/"
"""Where `make up` keeps the files of the regions that it makes on this machine."""
SANDBOX_KUBECONFIGS: Final = (
    ".isoserve/sandbox-aws/kubeconfig",
    ".isoserve/sandbox-onprem/kubeconfig",
)
"""The kubeconfigs of those regions."""

_ACCOUNTS: Final = frozenset(
    {"012345678901", "111122223333", "123456789012", "210987654321", "444455556666",
     "777788889999", *(digit * 12 for digit in "0123456789")}
)  # fmt: skip
"""The account ids in AWS's documentation and those that tools invent where there is no account."""
_ACCOUNT: Final = re.compile(r"(?<![0-9A-Za-z])[0-9]{12}(?![0-9A-Za-z])")
_NETWORK_IDS: Final = {"subnet_ids": "subnet", "node_security_group_ids": "sg"}
# The long form is of 2018 and later; older resources keep 8 digits
# (docs.aws.amazon.com/AWSEC2/latest/UserGuide/resource-ids.html).
_NETWORK_ID: Final = "-([0-9a-f]{8}|[0-9a-f]{17})"
_EKS_ISSUER: Final = re.compile(r"oidc[.-]eks\.[a-z0-9-]+\.[a-z.]+/id/([^/]*)")
_EKS_ISSUER_ID: Final = re.compile(r"[0-9A-F]{32}")
_KEY: Final = re.compile(r"arn:aws[a-z-]*:kms:[^:]*:[^:]*:key/(.*)")
_KEY_ID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|mrk-[0-9a-f]{32}")
_KEY_EXAMPLES: Final = (
    "1234abcd-12ab-34cd-56ef-1234567890ab",
    "0987dcba-09fe-87dc-65ba-ab0987654321",
    "mrk-1234abcd12ab34cd56ef1234567890ab",
)
"""The key ids in AWS's documentation."""
_RESERVED: Final = (
    ".example.com", ".example.net", ".example.org", ".example", ".invalid", ".test",
)  # fmt: skip
"""Domains that nobody can own (RFC 2606, RFC 6761); `localhost` is a place that exists."""
_HOST: Final = re.compile(r"(?:[a-z][a-z0-9+.-]*://)?(?:[^/@]*@)?([a-z0-9][a-z0-9.-]*)", re.I)
_FILES: Final = ("kubeconfig", "config_file", "credentials_file")
"""Fields that name a file of the machine that runs the engine, never a host."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    """One string of a profile, where it stands, and the profile's provider."""

    where: Where
    value: str
    provider: str

    @property
    def field(self) -> str:
        """The name of the field, also of an item of its list."""
        return next((part for part in reversed(self.where) if isinstance(part, str)), "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of placeholder: what is wrong with it, what to write instead, how it is recognised.

    `find` returns the part of the value that is an example's, or None.
    """

    what: str
    instead: str
    find: Callable[[Leaf], str | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Placeholder:
    """A value of a profile that is an example's; `got` is the part of it that says so."""

    kind: Kind
    where: Where
    got: str


def reserved_host(value: str) -> str | None:
    """The host that `value` is or begins with, if its domain is reserved for examples."""
    found = _HOST.match(value)
    host = found[1].lower().rstrip(".") if found else ""
    # A word without a dot is a name of something else, e.g. a cluster called `test`.
    is_reserved = "." in host and f".{host}".endswith(_RESERVED)
    return host if is_reserved else None


def _account(leaf: Leaf) -> str | None:
    # An S3-compatible store has no account, and the field must be filled all the same.
    ids = _ACCOUNT.findall(leaf.value) if leaf.provider == "aws" else ()
    return next((one for one in ids if one in _ACCOUNTS), None)


def _network_id(leaf: Leaf) -> str | None:
    prefix = _NETWORK_IDS.get(leaf.field) if leaf.provider == "aws" else None
    is_wrong = prefix is not None and not re.fullmatch(prefix + _NETWORK_ID, leaf.value)
    return leaf.value if is_wrong else None


def _eks_issuer(leaf: Leaf) -> str | None:
    found = _EKS_ISSUER.search(leaf.value)
    return found[1] if found and not _EKS_ISSUER_ID.fullmatch(found[1]) else None


def _key(leaf: Leaf) -> str | None:
    found = _KEY.fullmatch(leaf.value)
    is_real = found and _KEY_ID.fullmatch(found[1]) and found[1] not in _KEY_EXAMPLES
    return found[1] if found and not is_real else None


def _image(leaf: Leaf) -> str | None:
    return reserved_host(leaf.value) if "@sha256:" in leaf.value else None


def _host(leaf: Leaf) -> str | None:
    is_other = leaf.field in _FILES or "@sha256:" in leaf.value
    return None if is_other else reserved_host(leaf.value)


def _bucket(leaf: Leaf) -> str | None:
    is_example = leaf.field == "bucket" and leaf.value.startswith("example-")
    return leaf.value if is_example else None


def _sandbox_file(leaf: Leaf) -> str | None:
    is_sandbox = leaf.field in _FILES and leaf.value.startswith(SANDBOX_FILES)
    return leaf.value if is_sandbox else None


KINDS: Final[tuple[Kind, ...]] = (
    Kind(
        what="an account id of AWS's documentation",
        instead="write the one that `aws sts get-caller-identity` prints",
        find=_account,
    ),
    Kind(
        what="the id of a subnet or security group ends in 8 or 17 hex digits",
        instead="write those that `aws eks describe-cluster` prints",
        find=_network_id,
    ),
    Kind(
        what="the id of an EKS OIDC issuer is 32 upper-case hex digits",
        instead="write the issuer that `aws eks describe-cluster` prints",
        find=_eks_issuer,
    ),
    Kind(
        what="the id of a KMS key is a UUID, and not one of AWS's documentation",
        instead="write the output registry_key_arn of that region's stack",
        find=_key,
    ),
    Kind(
        what="an image of a registry under a domain reserved for examples",
        instead="push the image to your registry and write its address and digest",
        find=_image,
    ),
    Kind(
        what="a host under a domain reserved for examples",
        instead="write your own",
        find=_host,
    ),
    Kind(
        what="a bucket of an example",
        instead="write your own",
        find=_bucket,
    ),
    Kind(
        what="a file of the sandbox on this machine",
        instead="write the file that reaches this region",
        find=_sandbox_file,
    ),
)
"""Every kind there is; a value may be of several."""

CATALOGUE: Final = Kind(
    what="runtimes of the catalogue have images of a registry under a domain reserved for examples",
    instead="push them to your registry and write its digests in model_specs/catalogue/runtimes/",
    find=_image,
)
"""Of the code and not of the profile, and told once a region, since each one pulls them."""


def _leaves(value: Any, where: Where, provider: str) -> Iterator[Leaf]:
    if isinstance(value, str):
        yield Leaf(where=where, value=value, provider=provider)
    elif isinstance(value, dict):
        for key, below in value.items():
            yield from _leaves(below, (*where, key), provider)
    elif isinstance(value, list):
        for index, below in enumerate(value):
            yield from _leaves(below, (*where, index), provider)


def _is_of_sandbox(values: Mapping[str, Any], region: str) -> bool:
    """Whether the region's cluster is the one that `make up` makes for it.

    It reaches nothing but this machine, where the examples' accounts and hosts are the right ones.
    A copy of its profile names another region's cluster until somebody writes a real one.
    """
    cluster = values.get("cluster")
    kubeconfig = cluster.get("kubeconfig") if isinstance(cluster, dict) else None
    own = f"{SANDBOX_FILES}{region}/kubeconfig"
    return kubeconfig == own and own in SANDBOX_KUBECONFIGS


def placeholders(source: Source, region: str, images: Mapping[str, str]) -> list[Placeholder]:
    """What in the profile of `region` is an example's; `images` are the catalogue's, by runtime."""
    values = source.values
    if not isinstance(values, dict) or _is_of_sandbox(values, region):
        return []
    provider = values.get("provider")
    leaves = _leaves(values, (), provider if isinstance(provider, str) else "")
    found = [
        Placeholder(kind=kind, where=leaf.where, got=shown(part))
        for leaf in leaves
        for kind in KINDS
        if (part := kind.find(leaf)) is not None
    ]
    hosts = {name: host for name, image in images.items() if (host := reserved_host(image))}
    if hosts:
        got = f"{shown(min(hosts.values()))} for {', '.join(sorted(hosts))}"
        found.append(Placeholder(kind=CATALOGUE, where=(), got=got))
    return found


def each(source: Source, found: Iterable[Placeholder]) -> list[SpecError]:
    """A warning for every placeholder, at its place."""
    return sorted(_warning(source, [one]) for one in found)


def grouped(source: Source, found: Iterable[Placeholder]) -> list[SpecError]:
    """The same for people: one that names all paths where there are more than a few of a kind."""
    kinds: dict[str, list[Placeholder]] = {}
    for one in found:
        kinds.setdefault(one.kind.what, []).append(one)
    lines: list[SpecError] = []
    for alike in kinds.values():
        alone = len(alike) <= MOST_SINGLE
        lines += each(source, alike) if alone else [_warning(source, alike)]
    return sorted(lines)


def _warning(source: Source, alike: Sequence[Placeholder]) -> SpecError:
    """One warning about placeholders of one kind, at the place of the first."""
    first, more = alike[0], len(alike) - 1
    got = f"{first.got} and {more} more" if more else first.got
    said = source.error(first.where, CODE, f"{first.kind.what}, got {got}; {first.kind.instead}")
    return replace(said, path=", ".join(dotted(one.where) for one in alike))
