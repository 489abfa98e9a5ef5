"""The networks that a profile may name as places to go to: those of servers, and no wider."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Final

from model_specs.calls import METADATA_NAMES
from model_specs.errors import refuse, shown
from model_specs.pinned import A_NUMBER

Network = IPv4Network | IPv6Network
MOST_NETWORKS: Final = 256
"""S3 has some 50 in its largest region (AWS' ip-ranges.json, as repositories hold copies of it)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Space:
    """A block of addresses where servers may be: `widest` is the shortest prefix within it."""

    widest: int
    why: str


_OF_A_VPC: Final = Space(
    widest=16,
    why="the widest of a VPC (EC2 API, CreateVpc: the largest has a /16 netmask)",
)
_OF_EXAMPLES: Final = Space(widest=24, why="the blocks that examples are written with (RFC 5737)")
SPACES: Final[dict[str, Space]] = {
    "10.0.0.0/8": _OF_A_VPC,
    "172.16.0.0/12": _OF_A_VPC,
    "192.168.0.0/16": _OF_A_VPC,
    "192.0.2.0/24": _OF_EXAMPLES,
    "198.51.100.0/24": _OF_EXAMPLES,
    "203.0.113.0/24": _OF_EXAMPLES,
    "0.0.0.0/0": Space(
        widest=15,
        why="the widest of S3, 52.216.0.0/15 (copies of AWS' ip-ranges.json)",
    ),
    "fc00::/7": Space(widest=48, why="that of a site (RFC 4193, section 3.1)"),
    "2000::/3": Space(
        widest=39,
        why="the widest of S3, 2600:1fa0:4000::/39 (copies of AWS' ip-ranges.json)",
    ),
}
"""By block, narrower ones first; nobody is at those of examples. What is in none is no server's."""

SPECIAL: Final[dict[str, str]] = {
    "0.0.0.0/8": "this network",
    "100.64.0.0/10": "shared address space, where clouds and clusters have their own",
    "127.0.0.0/8": "loopback",
    "192.0.0.0/24": "IETF protocol assignments",
    "192.31.196.0/24": "AS112",
    "192.52.193.0/24": "AMT",
    "192.88.99.0/24": "6to4 relays",
    "192.175.48.0/24": "AS112",
    "198.18.0.0/15": "benchmarking",
    "224.0.0.0/4": "multicast",
    "240.0.0.0/4": "reserved",
    "::/128": "unspecified",
    "::1/128": "loopback",
    "::ffff:0:0/96": "IPv4 in other words",
    "64:ff9b::/96": "IPv4 in other words",
    "64:ff9b:1::/48": "IPv4 in other words",
    "100::/64": "discard-only",
    "100:0:0:1::/64": "dummy",
    "2001::/23": "IETF protocol assignments",
    "2002::/16": "IPv4 in other words",
    "2620:4f:8000::/48": "AS112",
    "5f00::/16": "segment routing",
    "ff00::/8": "multicast",
}
"""What IANA keeps for special purposes, but for private blocks and those of examples.

Sources: the registries of RFC 6890 (iana-ipv4-special-registry, iana-ipv6-special-registry), whose
pages were not at hand: their rows as resolvers and request filters in public repositories repeat
them; multicast: RFC 5771 and RFC 4291."""

METADATA: Final[dict[str, str]] = {
    "169.254.0.0/16": "most clouds",
    "fe80::/10": "some clouds",
    "100.100.100.200/32": "Alibaba Cloud",
    "168.63.129.16/32": "Azure",
    "192.0.0.192/32": "Oracle Cloud",
    "fd00:42::42/128": "Scaleway",
    "fd00:100::100:200/128": "Alibaba Cloud",
    "fd00:a9fe:a9fe::1/128": "Akamai's cloud",
    "fd00:c1::a9fe:a9fe/128": "Oracle Cloud",
    "fd00:ec2::/32": "AWS",
    "fd20:ce::254/128": "Google Cloud",
}
"""Where clouds answer their nodes, credentials among it: the link-local addresses and their own.

Sources, as public repositories and stored pages quote them, read in November 2026:
169.254.0.0/16, fd00:ec2::/32: docs.aws.amazon.com/AWSEC2, instancedata-data-retrieval (the whole
blocks: DNS, time and EKS' pod identities are there too); Azure, Google, Oracle, Akamai and others
answer at 169.254.169.254 as well. fe80::/10: what is link-local in IPv6 (RFC 4291), as the block
before it is in IPv4. 100.100.100.200: alibabacloud.com/help/en/ecs, view-instance-metadata, and
canonical/cloud-init, doc/rtd/reference/datasources/aliyun. fd00:100::100:200 and
fd00:a9fe:a9fe::1: lists against forged requests in public repositories.
168.63.129.16: learn.microsoft.com/azure, what-is-ip-address-168-63-129-16. 192.0.0.192: the same
lists, as Oracle's Compute Classic. fd00:42::42: canonical/cloud-init, datasources/scaleway.
fd00:c1::a9fe:a9fe: oracle/oci-python-sdk, src/oci/auth/signers. fd20:ce::254:
docs.cloud.google.com/compute, metadata (IPv6)."""


def _table(rows: Iterable[str]) -> tuple[tuple[Network, str], ...]:
    return tuple((ip_network(row), row) for row in rows)


_SPACES: Final = _table(SPACES)
_SPECIAL: Final = _table(SPECIAL)
_METADATA: Final = _table(METADATA)


def _within(network: Network, block: Network) -> bool:
    return network.version == block.version and network.subnet_of(block)  # type: ignore[arg-type]


def _near(network: Network, rows: Iterable[tuple[Network, str]]) -> Iterator[str]:
    """The rows that share addresses with a network."""
    return (
        row for block, row in rows if block.version == network.version and block.overlaps(network)
    )


def _fault(network: Network) -> str:
    """Why nobody may get out to a network; empty where it is a server's."""
    for row in _near(network, _METADATA):
        return f"it holds {row}, where nodes of {METADATA[row]} get their credentials"
    for row in _near(network, _SPECIAL):
        return f"it holds addresses of {row}, {SPECIAL[row]}"
    home = next((SPACES[row] for block, row in _SPACES if _within(network, block)), None)
    if home is None:
        return "no server has such addresses, neither on the internet nor in private"
    if network.prefixlen < home.widest:
        return f"it is wider than /{home.widest}, {home.why}"
    inner = [row for block, row in _SPACES if _within(block, network) and block != network]
    return f"it reaches into {inner[0]} as well" if inner else ""


_LOOPBACK_NAMES: Final = ("localhost", "ip6-localhost", "ip6-loopback")
"""Debian's /etc/hosts has these for a machine's own loopback."""
_OF_NO_SERVER: Final = tuple(
    (block, row) for block, row in _SPECIAL if SPECIAL[row] != SPECIAL["100.64.0.0/10"]
)


def fault_of_host(host: str) -> str:
    """Why no server of a profile is at a host, a name or an address; empty where one may be.

    Shared address space is left: networks of one's own are there, as are those of some VPNs.
    """
    name = host.lower().rstrip(".")
    last = name.rpartition(".")[2]
    if name in METADATA_NAMES:
        return f"it is where nodes of {METADATA_NAMES[name]} get their credentials"
    if last in _LOOPBACK_NAMES:
        return "it is whoever asks"
    try:
        network = ip_network(name)
    except ValueError:
        return "it is an address in other words" if A_NUMBER.fullmatch(last) else ""
    for row in _near(network, _METADATA):
        return f"it is of {row}, where nodes of {METADATA[row]} get their credentials"
    for row in _near(network, _OF_NO_SERVER):
        return f"it is of {row}, {SPECIAL[row]}"
    return ""


def read_network(text: str) -> Network:
    """The network that `text` is, written as network policies write it.

    Raises PydanticCustomError where it is none, or says it in another way.
    """
    try:
        network = ip_network(text)
    except ValueError as error:
        fault = f"no network, got {shown(text)}: {error}; write e.g. 10.0.8.0/24"
        raise refuse("E301", fault) from None
    if str(network) != text or "%" in text:
        form = f"{str(network.network_address).partition('%')[0]}/{network.prefixlen}"
        raise refuse("E301", f"a network in its one form, got {shown(text)}; write {form}")
    return network


def check_any_network(text: str) -> str:
    """`text` itself, a network of any use. Raises PydanticCustomError where it is none."""
    return str(read_network(text))


def check_network(text: str, whose: str) -> str:
    """`text` itself, a network of `whose` servers. Raises PydanticCustomError where it is not."""
    fault = _fault(read_network(text))
    if fault:
        raise refuse(
            "E301", f"networks are of {whose} alone, got {shown(text)}: {fault}; name that host's"
        )
    return text
