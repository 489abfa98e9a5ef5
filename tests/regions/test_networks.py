"""A network that a profile opens is one of servers: a closed world, with a reason for each edge."""

from __future__ import annotations

from ipaddress import ip_network

import pytest
from pydantic_core import PydanticCustomError

from regions.networks import METADATA, SPACES, SPECIAL, check_network, read_network

FAMILIES = {4: "0.0.0.0/0", 6: "::/0"}


def refusal(cidr: str) -> str:
    with pytest.raises(PydanticCustomError) as refused:
        check_network(cidr, "reachable.host")
    return refused.value.message()


@pytest.mark.parametrize(
    "cidr",
    [
        "10.0.8.0/24", "10.1.2.0/28", "172.31.0.7/32", "192.168.10.0/24", "10.20.0.0/16",
        "52.216.0.0/15", "16.15.176.0/20", "54.231.0.0/16", "3.5.0.0/19", "8.8.8.8/32",
        "2600:1fa0:4000::/39", "2600:1ff8:8000::/40", "2001:4860:4860::8888/128",
        "fd12:3456:789a::/48", "fd12:3456:789a:1::5/128",
        "192.0.2.0/24", "203.0.113.7/32", "2001:db8::/64",
    ],
)  # fmt: skip
def test_servers_of_the_internet_and_private_ones_are_named(cidr: str) -> None:
    assert check_network(cidr, "registry.endpoint") == cidr


@pytest.mark.parametrize("block", [*SPECIAL, *METADATA])
def test_no_special_address_is_anybodys_to_call(block: str) -> None:
    network = ip_network(block)
    within = f"{network[0]}/{network.max_prefixlen}"
    for cidr in {block, within, f"{network[-1]}/{network.max_prefixlen}"}:
        said = refusal(cidr)
        assert cidr in said, "the person sees what was got"
        assert "reachable.host" in said, "and in which field"
    assert (
        "credentials" in refusal(block)
        or SPECIAL[block] in refusal(block)
        or any(
            ip_network(other).version == network.version and ip_network(other).overlaps(network)
            for other in METADATA
        )
    ), "and whose it is"


@pytest.mark.parametrize("block", [*SPECIAL, *METADATA])
def test_a_network_around_a_special_address_is_refused_too(block: str) -> None:
    network = ip_network(block)
    for wider in range(network.prefixlen):
        assert refusal(str(network.supernet(new_prefix=wider))), "however wide"


@pytest.mark.parametrize(
    ("cidr", "words"),
    [
        ("0.0.0.0/0", "169.254.0.0/16"),
        ("0.0.0.0/1", "nodes of"),
        ("128.0.0.0/1", "credentials"),
        ("::/0", "fe80::/10"),
        ("2000::/3", "2001::/23"),
        ("10.0.0.0/8", "wider than /16"),
        ("10.0.0.0/15", "the widest of a VPC"),
        ("172.16.0.0/12", "wider than /16"),
        ("192.168.0.0/15", "reaches into 192.168.0.0/16"),
        ("8.0.0.0/14", "52.216.0.0/15"),
        ("2600:1fa0::/32", "wider than /39"),
        ("fd12:3456::/32", "that of a site"),
        ("fec0::/64", "no server has such addresses"),
        ("4000::/48", "no server has such addresses"),
        ("::a00:0/120", "no server has such addresses"),
        ("224.0.0.1/32", "multicast"),
        ("168.63.128.0/17", "Azure"),
        ("100.100.100.200/32", "Alibaba"),
    ],
)  # fmt: skip
def test_what_is_no_servers_or_wider_than_theirs_is_refused_with_a_reason(
    cidr: str, words: str
) -> None:
    assert words in refusal(cidr)


@pytest.mark.parametrize(
    "cidr",
    [
        "10.0.8.1/24", "10.0.8.0", "10.0.8.0/255.255.255.0", "010.0.8.0/24", "10.8/16",
        "0xa.0.0.0/24", "2001:DB8::/64", "2001:0db8::/64", "2001:db8::%eth0/64",
        "::ffff:10.0.8.0/120", "",
        " 10.0.8.0/24", "10.0.8.0/24\n", "10.0.8.0/-1", "10.0.8.0/33", "features.example.com",
    ],
)  # fmt: skip
def test_a_network_is_written_in_one_way(cidr: str) -> None:
    with pytest.raises(PydanticCustomError, match="network"):
        read_network(cidr)


def test_every_space_has_its_narrower_ones_before_it() -> None:
    seen = list(map(ip_network, SPACES))
    for index, block in enumerate(seen):
        for later in seen[index + 1 :]:
            inside = later.version == block.version and later.subnet_of(block)  # type: ignore[arg-type]
            assert not inside, f"{later} would be judged as {block}"
