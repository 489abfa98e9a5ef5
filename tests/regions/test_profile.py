"""A region profile says everything once, and a contradiction is refused with its place."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from model_specs.errors import SpecError, SpecErrors
from model_specs.source import read
from regions.capabilities import CAPABILITIES
from regions.profile import RegionProfile, load_profile, load_profiles
from tests.examples import REGIONS, ROOT, profiles

Mutate = Callable[[dict[str, Any]], object]


def values_of(region: str) -> dict[str, Any]:
    """The profile's plain values, read as the product reads them."""
    found = read(ROOT / "regions" / f"{region}.yaml", region).values
    assert isinstance(found, dict)
    return copy.deepcopy(found)


def written(folder: Path, values: dict[str, Any], name: str = "here") -> Path:
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


def refusal(path: Path) -> SpecError:
    with pytest.raises(SpecErrors) as refused:
        load_profile(path)
    return refused.value.errors[0]


@pytest.mark.parametrize("region", REGIONS)
def test_a_profile_is_what_its_file_says(region: str, tmp_path: Path) -> None:
    again = load_profile(written(tmp_path, values_of(region)))
    assert again == profiles()[region]
    assert isinstance(again, RegionProfile)


@pytest.mark.parametrize(
    ("endpoint", "pod_port", "ports"),
    [
        ("", None, (443,)),
        ("https://s3.dc1.acme.dev", None, (443,)),
        ("http://s3.dc1.acme.dev", None, (80,)),
        ("https://s3.dc1.acme.dev:8443/", None, (8443,)),
        ("http://rook-ceph-rgw-store.rook-ceph.svc:80", 8080, (80, 8080)),
        ("http://minio.store:9000", 9001, (9000, 9001)),
        ("http://[fd00::1]:9000", None, (9000,)),
        ("http://10.0.0.5:7480/s3", None, (7480,)),
    ],
)
def test_the_registrys_ports_are_its_endpoints_own(
    endpoint: str, pod_port: int | None, ports: tuple[int, ...]
) -> None:
    registry = profiles()["seoul-dc1"].registry
    changed = registry.model_copy(update={"endpoint": endpoint, "pod_port": pod_port})
    assert changed.ports == ports


def test_nodes_have_the_clusters_own_security_group_where_the_profile_names_none() -> None:
    for region in ("us-east-1", "eu-central-1"):
        assert profiles()[region].account.node_security_group_ids == (), (
            "EKS adds the cluster's group only to a template without any"
        )


def test_the_examples_show_both_providers_and_a_guest() -> None:
    found = profiles().values()
    assert {profile.provider for profile in found} == {"aws", "on_prem"}
    assert any("cluster_scope" not in profile.capabilities for profile in found), (
        "a region with namespace rights only is what downgrades are for"
    )


def test_every_capability_says_what_it_means() -> None:
    for name, meaning in CAPABILITIES.items():
        assert meaning, f"{name} is claimed by people who must know what they claim"


@pytest.mark.parametrize("region", REGIONS)
def test_a_fifth_of_each_disk_stays_free_but_where_no_kubelet_evicts(region: str) -> None:
    free = profiles()[region].cluster.disk_free_percent
    assert free == (0 if region.startswith("sandbox-") else 20), (
        "kubelets evict below 15 %, and the sandbox's nodes share this machine's disk"
    )


BAD: list[tuple[str, str, Mutate, str, str, str]] = [
    ("unknown machine", "us-east-1",
     lambda v: v["machines"].update({"gpu.l4.2": v["machines"].pop("gpu.l4.1")}),
     "E331", "machines", "no such machine type"),
    ("unknown capability", "us-east-1", lambda v: v["capabilities"].append("kedda"),
     "E371", "capabilities[5]", "no such capability"),
    ("a capability that an add-on brings", "us-east-1",
     lambda v: v["capabilities"].append("keda"),
     "E371", "capabilities[5]", "write `addons: {keda: provided}` instead"),
    ("unknown add-on", "us-east-1", lambda v: v["addons"].update(kedda="install"),
     "E371", "addons.kedda", "did you mean keda?"),
    ("unknown standing of an add-on", "us-east-1", lambda v: v["addons"].update(keda="maybe"),
     "E204", "addons.keda", "install"),
    ("an add-on without what it needs", "sandbox-aws",
     lambda v: v["addons"].update({"gateway-api": "absent"}),
     "E371", "addons.envoy-gateway", "needs gateway-api, which is absent"),
    ("add-ons installed by a guest", "seoul-dc1", lambda v: v["addons"].update(keda="install"),
     "E371", "addons.keda", "without cluster_scope"),
    ("an add-on of another provider", "sandbox-onprem",
     lambda v: v["addons"].update(karpenter="install"),
     "E371", "addons.karpenter", "is of provider aws"),
    ("two that add nodes", "us-east-1", lambda v: v["addons"].update(karpenter="install"),
     "E371", "addons.karpenter", "let one be absent"),
    ("charts from a place that Helm cannot read", "us-east-1",
     lambda v: v.update(chart_mirror="ftp://charts.example.com"),
     "E301", "chart_mirror", "oci"),
    ("both kinds of nodes", "us-east-1",
     lambda v: v["machines"]["cpu.4"].update(node_names=["a"]),
     "E371", "machines.cpu.4", "either instance_types or node_names"),
    ("no nodes", "us-east-1", lambda v: v["machines"]["cpu.4"].update(instance_types=[]),
     "E371", "machines.cpu.4", "either instance_types or node_names"),
    ("min above max", "us-east-1",
     lambda v: v["machines"]["cpu.4"]["on_demand"].update(min=21),
     "E371", "machines.cpu.4", "node min is above max, got 21 over 20"),
    ("listed nodes and their number", "sandbox-onprem",
     lambda v: v["machines"]["cpu.4"]["on_demand"].update(max=3),
     "E371", "machines.cpu.4", " nodes are listed, which are all on-demand"),
    ("spot on own metal", "sandbox-onprem",
     lambda v: v["machines"]["cpu.4"]["spot"].update(max=1),
     "E371", "machines.cpu.4", "all on-demand"),
    ("instance types on own metal", "sandbox-onprem",
     lambda v: v["machines"].update({"cpu.8": values_of("us-east-1")["machines"]["cpu.4"]}),
     "E371", "machines.cpu.8", "does not fit provider on_prem"),
    ("one subnet", "us-east-1", lambda v: v["account"].update(subnet_ids=["subnet-a"]),
     "E371", "account.subnet_ids", "subnets in two zones"),
    ("a copy without a key", "us-east-1",
     lambda v: v["registry"]["replicate_to"][0].update(key_arn=""),
     "E371", "registry.replicate_to[0].key_arn", "only to a key"),
    ("an alias where S3 wants a key", "us-east-1",
     lambda v: v["registry"]["replicate_to"][0].update(
         key_arn="arn:aws:kms:eu-central-1:111122223333:alias/isoserve-models"),
     "E301", "registry.replicate_to[0].key_arn", "pattern"),
    ("an own store without keys", "seoul-dc1",
     lambda v: v["registry"].update(credentials_secret=""),
     "E371", "registry.credentials_secret", "no Secret with keys"),
    ("AWS's store from a cluster without its roles", "seoul-dc1",
     lambda v: v["registry"].update(endpoint="", credentials_secret=""),
     "E371", "registry.credentials_secret", "no Secret with keys"),
    ("keys where roles serve", "us-east-1",
     lambda v: v["registry"].update(credentials_secret="keys"),
     "E371", "registry.credentials_secret", "by their roles"),
    ("keys that are no Secret's name", "seoul-dc1",
     lambda v: v["registry"].update(credentials_secret="../keys"),
     "E301", "registry.credentials_secret", "pattern"),
    ("a tag instead of a digest", "us-east-1", lambda v: v.update(agent_image="agent:latest"),
     "E324", "agent_image", "an image is pinned"),
    ("a program of ours from a registry that is not listed", "us-east-1",
     lambda v: v.update(image_hosts=["mirror.example.com"]),
     "E371", "agent_image", "images come from mirror.example.com"),
    ("a registry by its URL", "us-east-1",
     lambda v: v.update(image_hosts=["https://registry.example.com"]),
     "E301", "image_hosts[0]", "pattern"),
    ("plain HTTP sign-in", "us-east-1",
     lambda v: v["sign_in"].update(jwks_uri="http://login.example.com"),
     "E301", "sign_in.jwks_uri", "no https URL"),
    ("a Service of the cluster without its pods' port", "seoul-dc1",
     lambda v: v["registry"].update(endpoint="http://rook-ceph-rgw-store.rook-ceph.svc:80"),
     "E371", "registry.pod_port", "the port of the pods behind a Service"),
    ("a pod of a headless Service without its port", "seoul-dc1",
     lambda v: v["registry"].update(endpoint="http://minio-0.minio.store.svc.cluster.local:9000"),
     "E371", "registry.pod_port", "the port of the pods behind a Service"),
    *(("networks that are none, or hold more than a store", "us-east-1",
       lambda v, cidr=cidr: v["registry"].update(addresses=[cidr]),
       "E301", "registry.addresses[0]", words)
      for cidr, words in (("s3.example.com", "no network"), ("10.0.8.1/24", "host bits"),
                          ("0.0.0.0/0", "169.254.0.0/16"), ("169.254.169.254/32", "credentials"),
                          ("::/0", "fe80::/10"), ("fd00:ec2::254/128", "credentials"))),
    ("a pods' port of AWS's own store", "us-east-1",
     lambda v: v["registry"].update(pod_port=9000),
     "E371", "registry.pod_port", "no Service of the cluster"),
    *(("a store that is no URL", "seoul-dc1",
       lambda v, endpoint=endpoint: v["registry"].update(endpoint=endpoint),
       "E301", "registry.endpoint", "no URL of a server")
      for endpoint in ("s3.dc1.acme.dev", "http://s3:99999", "http://s3:0", "http://s3:x",
                       "http://[bad", "ftp://s3", "http://", "http://u:p@s3", "http://s3?a=b",
                       "http://s3#a", "http://s 3", "http://[::1]x:80",
                       "http://a..b", "http://.", "http://-a-/", "http://s3_1")),
    ("a Prometheus that is no URL", "us-east-1",
     lambda v: v.update(prometheus_url="http://[bad"),
     "E301", "prometheus_url", "no URL of a server"),
    ("a copy in another partition", "us-east-1",
     lambda v: v["registry"]["replicate_to"][0].update(
         key_arn="arn:aws-cn:kms:cn-north-1:111122223333:key/1234abcd"),
     "E371", "registry.replicate_to[0].key_arn", "copies within a partition"),
    ("proxies nowhere", "us-east-1", lambda v: v.update(proxy_namespaces=[]),
     "E301", "proxy_namespaces", "at least 1"),
    ("a namespace of another form", "us-east-1", lambda v: v.update(proxy_namespaces=["Edge"]),
     "E301", "proxy_namespaces[0]", "pattern"),
    ("a taint without a key", "us-east-1",
     lambda v: v["machines"]["cpu.4"].update(taints=[{"value": "x"}]),
     "E203", "machines.cpu.4.taints[0].key", "missing"),
    ("nearly all of a disk free", "us-east-1",
     lambda v: v["cluster"].update(disk_free_percent=91),
     "E301", "cluster.disk_free_percent", "less than or equal to 90"),
    ("a negative share of a disk", "us-east-1",
     lambda v: v["cluster"].update(disk_free_percent=-1),
     "E301", "cluster.disk_free_percent", "greater than or equal to 0"),
    ("a volume that AWS does not make", "us-east-1",
     lambda v: (v["cluster"].update(disk_free_percent=90),
                v["machines"]["cpu.4"].update(cache_disk_gib=6_494)),
     "E371", "machines.cpu.4.cache_disk_gib", "65536 GiB at most, got 65540"),
    ("an issuer without cert-manager", "us-east-1",
     lambda v: (v["addons"].pop("cert-manager"), v.update(tls_issuer="ClusterIssuer/own")),
     "E371", "tls_issuer", "issues nothing without cert-manager"),
    ("an issuer of no Secret", "us-east-1",
     lambda v: v.update(tls_issuer="Issuer/own", tls_secret=""),
     "E371", "tls_issuer", "written into a Secret, got no tls_secret"),
    ("an issuer of another kind", "us-east-1",
     lambda v: v.update(tls_issuer="letsencrypt"),
     "E301", "tls_issuer", "ClusterIssuer"),
    ("no zones", "us-east-1", lambda v: v.update(zones=[]), "E301", "zones", "at least 1"),
    ("something unknown", "us-east-1", lambda v: v.update(capabilitys=[]),
     "E201", "capabilitys", "did you mean capabilities?"),
    ("something missing", "us-east-1", lambda v: v.pop("domain"), "E203", "domain", "missing"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("like", "mutate", "code", "path", "words"), [row[1:] for row in BAD], ids=[r[0] for r in BAD]
)
def test_a_contradiction_is_refused_with_its_place(
    tmp_path: Path, like: str, mutate: Mutate, code: str, path: str, words: str
) -> None:
    values = values_of(like)
    mutate(values)
    error = refusal(written(tmp_path, values))
    assert (error.code, error.file) == (code, f"{tmp_path.name}/here.yaml")
    assert error.path.startswith(path), f"{error}: the place is what a person looks for"
    assert words in error.message


@pytest.mark.parametrize(
    ("name", "code"),
    [("Here", "E311"), ("1st", "E311"), ("here-", "E311"), ("here_too", "E311"),
     ("a" * 21, "E312")],
)  # fmt: skip
def test_a_region_name_must_fit_into_an_iam_role(tmp_path: Path, name: str, code: str) -> None:
    error = refusal(written(tmp_path, values_of("us-east-1"), name))
    assert error.code == code, "it becomes part of isoserve.<region>.<project>, 64 at most"


def test_all_contradictions_of_a_profile_are_told_at_once(tmp_path: Path) -> None:
    values = values_of("us-east-1")
    values["zones"].append("eu-west-1a")
    values["account"]["subnet_ids"] = ["subnet-a"]
    values["gateway_class"] = ""
    with pytest.raises(SpecErrors) as refused:
        load_profile(written(tmp_path, values, "Here"))
    paths = [error.path for error in refused.value.errors]
    assert sorted(paths) == ["", "account.subnet_ids", "gateway_class", "zones[3]"], (
        "the file's own name is judged in the same run"
    )


def test_all_files_are_judged_at_once(tmp_path: Path) -> None:
    for name in ("one", "two"):
        values = values_of("us-east-1")
        values["provider"] = "cloud"
        written(tmp_path, values, name)
    with pytest.raises(SpecErrors) as refused:
        load_profiles(tmp_path)
    files = {error.file.split("/")[-1] for error in refused.value.errors}
    assert files == {"one.yaml", "two.yaml"}, "a person mends them in one go"


def test_only_the_wanted_regions_are_read(tmp_path: Path) -> None:
    written(tmp_path, values_of("us-east-1"), "good")
    (tmp_path / "broken.yaml").write_text("{")
    assert set(load_profiles(tmp_path, ("good",))) == {"good"}, (
        "a broken neighbour stops no other region"
    )


def test_an_unknown_region_is_named_with_the_nearest(tmp_path: Path) -> None:
    written(tmp_path, values_of("us-east-1"), "us-east-1")
    with pytest.raises(SpecErrors, match="did you mean us-east-1") as refused:
        load_profiles(tmp_path, ("us-east-2",))
    assert [error.code for error in refused.value.errors] == ["E333"]


def test_a_directory_without_profiles_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecErrors, match="no region profile here") as refused:
        load_profiles(tmp_path)
    assert [error.code for error in refused.value.errors] == ["E333"]
