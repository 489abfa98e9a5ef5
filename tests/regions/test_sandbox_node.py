"""A region's real machines, as far as files go: addresses, certificates, who restarts what."""

from __future__ import annotations

import datetime
import ipaddress
import json
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from regions.sandbox.errors import SandboxError
from regions.sandbox.node import (
    certificates,
    disk,
    machine,
    network,
    packages,
    region,
)
from regions.sandbox.node.network import (
    API_SERVICE,
    DNS_SERVICE,
    INTERNAL_SERVICE,
    ISSUER_SERVICE,
    NUMBERS,
    PUBLIC_SERVICE,
    SERVICE_RANGE,
    Network,
)
from regions.sandbox.plans import plan_of

FIXED = (API_SERVICE, DNS_SERVICE, INTERNAL_SERVICE, ISSUER_SERVICE, PUBLIC_SERVICE)
SHIFT = 10000
"""Added to ports below 1024: envoyproxy/gateway@v1.9.1, internal/gatewayapi/helpers.go,
servicePortToContainerPort."""
DNS = {
    "domain": "example.com",
    "image": "x",
    "internal": INTERNAL_SERVICE,
    "issuer": ISSUER_SERVICE,
    "issuers": "login.example.org",
    "public": PUBLIC_SERVICE,
}
TESTS_OF_NETWORKS = ipaddress.ip_network("198.18.0.0/15")


def test_every_address_of_a_region_is_kept_for_tests_of_networks() -> None:
    for number in NUMBERS:
        network = Network(number)
        own = (network.host_address, network.api_address, network.router_address)
        for text in (*own, *map(network.machine_address, (1, 244))):
            assert ipaddress.ip_address(text) in TESTS_OF_NETWORKS, "RFC 2544: nobody's own network"


def test_two_regions_share_no_name_and_no_address_of_the_host() -> None:
    for what in ("name", "host_address", "api_address", "machine_range", "router_address"):
        assert len({getattr(Network(number), what) for number in NUMBERS}) == len(NUMBERS)


def test_the_names_of_links_fit_what_linux_allows() -> None:
    assert all(len(Network(number).name) <= 15 for number in NUMBERS), "IFNAMSIZ is 16 with its end"


def test_fixed_services_lie_in_the_range_of_services() -> None:
    services = ipaddress.ip_network(SERVICE_RANGE)
    assert {ipaddress.ip_address(one) in services for one in FIXED} == {True}


def test_a_certificate_says_who_it_is_for_and_is_signed_by_the_region(tmp_path: Path) -> None:
    signer = certificates.authority(tmp_path)
    pair = certificates.issue(
        signer, "kubelet-1", "system:node:a", "system:nodes", ("198.19.1.11", "a")
    )
    made = x509.load_pem_x509_certificate(pair.certificate.read_bytes())
    root = x509.load_pem_x509_certificate(signer.certificate.read_bytes())
    key = root.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    made.verify_directly_issued_by(root)
    strict = (x509.KeyUsage, x509.SubjectKeyIdentifier, x509.AuthorityKeyIdentifier)
    for kind in strict:
        assert made.extensions.get_extension_for_class(kind), "strict clients look for it"
    assert made.subject.rfc4514_string() == "O=system:nodes,CN=system:node:a", "Node authorization"
    places = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert places.get_values_for_type(x509.DNSName) == ["a"]
    assert [str(one) for one in places.get_values_for_type(x509.IPAddress)] == ["198.19.1.11"]
    assert pair.key.stat().st_mode & 0o077 == 0, "a key is its owner's alone"


def test_a_second_start_keeps_the_certificates_of_the_first(tmp_path: Path) -> None:
    first = certificates.authority(tmp_path).certificate.read_bytes()
    assert certificates.authority(tmp_path).certificate.read_bytes() == first, "who trusts it stays"


def test_a_region_at_another_address_gets_another_certificate(tmp_path: Path) -> None:
    signer = certificates.authority(tmp_path)

    def issued(address: str) -> bytes:
        pair = certificates.issue(signer, "apiserver", "kube-apiserver", "", (address,))
        return pair.certificate.read_bytes()

    first = issued("198.18.1.2")
    assert issued("198.18.1.2") == first, "clients keep their connections"
    assert issued("198.18.2.2") != first, "the number of a region is chosen anew after `down`"


def test_a_certificate_that_ends_soon_is_renewed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    signer = certificates.authority(tmp_path)

    def issued() -> bytes:
        pair = certificates.issue(signer, "apiserver", "kube-apiserver", "", ("198.18.1.2",))
        return pair.certificate.read_bytes()

    monkeypatch.setattr(certificates, "_LIFE", datetime.timedelta(days=29))
    soon = issued()
    monkeypatch.undo()
    assert issued() != soon, "a month before nothing works any more"


def test_those_who_may_speak_for_others_are_of_an_authority_of_their_own(tmp_path: Path) -> None:
    flags = dict(flag.split("=", 1) for flag in region._aggregation_flags(tmp_path))
    root = certificates.authority(tmp_path)
    behind = Path(flags["--requestheader-client-ca-file"])
    assert behind.read_bytes() != root.certificate.read_bytes(), "or kubelets would be asked twice"
    client = x509.load_pem_x509_certificate(Path(flags["--proxy-client-cert-file"]).read_bytes())
    client.verify_directly_issued_by(x509.load_pem_x509_certificate(behind.read_bytes()))
    assert client.subject.rfc4514_string() == f"CN={flags['--requestheader-allowed-names']}"


def test_a_number_is_taken_by_one_region_and_given_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(network, "_CLAIMS", tmp_path / "claims")
    monkeypatch.setattr(network, "NUMBERS", range(1, 3))
    monkeypatch.setattr(network, "_NAMESPACES", tmp_path / "namespaces")
    first, second, third = (tmp_path / name for name in ("a", "b", "c"))
    taken = {network.claim(first).number, network.claim(second).number}
    assert taken == {1, 2}, "each has one of its own"
    assert network.claimed(first) != network.claimed(second)
    with pytest.raises(SandboxError, match="all 2 regions of this host are taken"):
        network.claim(third)
    assert network.claimed(third) is None
    given_back = network.claimed(first)
    assert given_back is not None
    network.release(given_back)
    assert network.claim(third) == given_back


@pytest.mark.parametrize("make", [network.make_region, lambda one: network.make_machine(one, 1)])
def test_a_kill_between_any_two_steps_leaves_a_namespace_that_is_made_anew(
    monkeypatch: pytest.MonkeyPatch, make: Callable[[Network], None]
) -> None:
    done: list[tuple[str, ...]] = []

    def recorded(*words: str) -> subprocess.CompletedProcess[str]:
        done.append(words)
        return subprocess.CompletedProcess(words, 0, "", "")

    monkeypatch.setattr(network, "_try", recorded)
    make(Network(7))
    marks = [words for words in done if words[-4:] == ("link", "set", "lo", "up")]
    assert marks == done[-1:], "what is asked of a whole one is done last, and once"


def test_the_constants_of_the_dns_are_those_of_the_machines() -> None:
    made = region.documents("dns.yaml", **DNS)
    (service, deployment, corefile) = (
        next(one for one in made if one["kind"] == kind)
        for kind in ("Service", "Deployment", "ConfigMap")
    )
    pod = deployment["spec"]["template"]["spec"]
    assert service["spec"]["clusterIP"] == DNS_SERVICE
    assert pod["nodeSelector"] == {machine.LABEL: "true"}
    assert f"kubernetes {machine.CLUSTER_DOMAIN} " in corefile["data"]["Corefile"]


def test_each_gateway_has_an_address_that_leads_to_its_own_proxies() -> None:
    addresses = {"internal": INTERNAL_SERVICE, "public": PUBLIC_SERVICE}
    outside = {name: Network(7).gateway_address(name) for name in addresses}
    values = {**addresses, **{f"{name}_outside": one for name, one in outside.items()}}
    made = region.documents("gateway.yaml", **values)
    assert len(made) == len(plan_of("sandbox-onprem").gateways)
    for plan in plan_of("sandbox-onprem").gateways:
        (service,) = (one for one in made if one["metadata"]["name"].endswith(plan.name))
        assert service["metadata"]["namespace"] in plan.proxy_namespaces, "where its proxies are"
        owner = {"name": plan.name, "namespace": plan.namespace}
        marks = {f"gateway.envoyproxy.io/owning-gateway-{key}": said for key, said in owner.items()}
        assert service["spec"]["selector"] == marks, "the labels that its proxies have"
        assert service["spec"]["clusterIP"] == addresses[plan.name]
        assert service["spec"]["externalIPs"] == [outside[plan.name]]
        ports = {port["port"] for port in service["spec"]["ports"]}
        assert ports == ({443, 80} if plan.tls_secret else {80}), "with TLS its redirect too"
        for port in service["spec"]["ports"]:
            assert port["targetPort"] == port["port"] + SHIFT, "where a proxy listens without root"


def test_machines_have_one_way_to_images(tmp_path: Path) -> None:
    told = tomllib.loads(machine._mirror(Network(7)))
    assert told["server"] == "http://198.18.7.2:5000", "where else nothing is found"
    assert set(told["host"]) == {told["server"]}, "no other is asked"


def test_a_host_that_lacks_programs_is_told_all_packages_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name, path="": None if name in "nft ip" else name)
    monkeypatch.setattr(packages, "FILES", {})
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(SandboxError, match=r"need root: .*`apt-get install iproute2 nftables`"):
        packages.require()


def test_what_ends_is_started_again_and_keeps_its_log(tmp_path: Path) -> None:
    init = Path(machine.__file__).with_name("init.py")
    rows = [
        {
            "name": "short",
            "command": ["/bin/sh", "-c", "echo came"],
            "log": str(tmp_path / "short.log"),
        }
    ]
    program = (
        f"import runpy, json; init = runpy.run_path({str(init)!r}); "
        f"init['_keep_alive'](json.loads({json.dumps(rows)!r}))"
    )
    with subprocess.Popen([sys.executable, "-c", program]) as process:
        try:
            deadline = time.monotonic() + 20
            log = tmp_path / "short.log"
            while not (log.exists() and log.read_text().count("came") >= 2):
                assert time.monotonic() < deadline, "it ended, and came back a second later"
                time.sleep(0.05)
        finally:
            process.kill()


def test_a_disk_keeps_what_is_on_it_until_its_size_is_another(tmp_path: Path) -> None:
    image = tmp_path / "disk-1.ext4"
    disk.make(image, 1)
    inode = image.stat().st_ino
    assert image.stat().st_blocks * 512 < 1 << 26, "the host gives what is written, no more"
    disk.make(image, 1)
    assert image.stat().st_ino == inode
    disk.make(image, 2)
    assert (image.stat().st_ino, image.stat().st_size) != (inode, 1 << 30)
    assert disk.devices_of(image) == []
    assert [one.name for one in tmp_path.iterdir()] == ["disk-1.ext4"]


def test_a_kubelet_evicts_for_the_space_of_its_own_disk_alone() -> None:
    def thresholds(disk_gib: int) -> set[str]:
        one = machine.Machine(region="here", index=1, name="machine-1", disk_gib=disk_gib)
        return set(machine._eviction(one)["evictionHard"])

    assert thresholds(0) == {"memory.available"}, "the host's disk is full of other things"
    own = {"nodefs.available", "nodefs.inodesFree", "imagefs.available"}
    assert thresholds(10) == {"memory.available", *own}
