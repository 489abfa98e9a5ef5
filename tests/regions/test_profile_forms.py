"""Every text of a profile has a strict form: what no program reads as written is refused."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from model_specs.errors import SpecErrors
from regions.profile import load_profile
from tests.regions.test_profile import refusal, values_of, written

Field = tuple[str | int, ...]
OVERRIDE: Final = "\N{RIGHT-TO-LEFT OVERRIDE}"
UNSEEN: Final = "\N{ZERO WIDTH SPACE}"
PINNED: Final = "/agent@sha256:" + "0" * 64
REFUSED: Final[Mapping[Field, tuple[str, tuple[Any, ...]]]] = {
    ("registry", "endpoint"): ("E301", ("file:///etc/passwd", "http://s3\n", 'http://s3/"x')),
    ("registry", "bucket"): (
        "E371", ("xn--abc", "sthree-a", "amzn-s3-demo-a", "a-s3alias", "a--ol-s3", "a--x-s3")),
    ("cluster", "oidc_issuer"): (
        "E301", ("https://oidc.eks.us-east-1.amazonaws.com/id/E", "a b", "", "-a.b", "a.b?c")),
    ("cluster", "jwks_uri"): (
        "E301", ("https://", "https://a b/c", "http://a.dev/keys", "https://u:p@a.dev/keys")),
    ("cluster", "name"): ("E301", ("", "../x", "a b", "a" * 101)),
    ("cluster", "context"): ("E301", ("", "a b")),
    ("cluster", "kubeconfig"): ("E301", ("", f"a{OVERRIDE}")),
    ("account", "region"): ("E301", ("", "us east", "us-east-")),
    ("account", "profile"): ("E301", ("a\nb",)),
    ("account", "subnet_ids", 0): ("E301", ("*", "a", "subnet-")),
    ("account", "node_security_group_ids"): ("E301", (["*"], ["a"], ["sg-a b"])),
    ("zones", 0): ("E301", ("us-east-1 a", "")),
    ("sign_in", "issuer"): (
        "E301", ("https://", "http://login.example.com", "*", "https://*", "https://*.acme.dev",
                 "https://login.acme.dev/*", "https://login.acme.dev?tenant=1", " ",
                 "https://login.acme.dev/#a", "https://login.acme.dev ", "https://localhost",
                 "https://127.0.0.1", "https://127.1", "https://0x7f000001", "https://2130706433")),
    ("sign_in", "jwks_uri"): (
        "E301", ("https://x y", "https://u:p@x.dev/k", "*", "https://*", "https://*/keys", "",
                 "https://169.254.169.254/keys", "https://metadata.google.internal/keys",
                 "https://[fd00:ec2::254]/keys", "https://[::ffff:169.254.169.254]/keys",
                 "https://0.0.0.0/keys", "https://keys.acme.dev/*", "https://[fe80::1]/keys")),
    ("sign_in", "audience"): (
        "E301", ("", f"a{OVERRIDE}", "*", "isoserve*", "**", "iso serve", " isoserve", "isoserve ",
                 "iso\nserve", "\t", "a,b", "[a]", "a" * 257, ".*", "é",
                 "kubernetes", "https://kubernetes.default.svc.cluster.local", "sts.amazonaws.com",
                 "sts.amazonaws.com.cn", "pods.eks.amazonaws.com")),
    ("domain",): ("E301", ("-a.b.com", "a.b-.com", "A.com", "a..com", ("a" * 60 + ".") * 3 + "co")),
    ("gateway_class",): ("E301", ("a b",)),
    ("prometheus_url",): (
        "E301", tuple(f"http://p.m.svc:9090/{end}" for end in ('"x', "'x", "{{x}}", "\\", "`x"))),
    ("grafana_url",): ("E301", ("https://", "https://a b", 'https://a.dev/"x', "javascript:x")),
    ("runbook_url",): ("E301", ("https:// ", "https://a.dev/#'x")),
    ("title",): ("E301", ("", f"a{OVERRIDE}b", f"a{UNSEEN}b", "a\nb", "a" * 201)),
    ("machines", "cpu.4", "instance_types", 0): ("E301", ("c7i 4xlarge", "../x", "")),
    ("machines", "cpu.4", "price_usd_per_hour", "as_of"): ("E371", ("1990-01-01",)),
    ("image_hosts", 0): ("E301", (
        "r..example.com", "-r.example.com", "r.example.com-", "r.-a.com", "R.example.com",
        "[::1]:5000", "r.example.com:", "r.example.com:a", "u@r.example.com", "a/b", "é.com")),
    ("addon_objects",): ("E301", tuple(
        [{"kind": "ConfigMap", "name": name, "source": source}]
        for name, source in (
            ("*", "x"), ("a-*", "x"), ("A", "x"), ("", "x"), ("a", ""), ("a", " "),
            ("a", f"x{OVERRIDE}"), ("a", "x\n"),
        ))),
    ("agent_image",): (
        "E325", tuple(host + PINNED for host in (
            "127.0.0.1:5000", "169.254.169.254", "localhost:5000", "0.0.0.0", "r.example.com:0"))),
}  # fmt: skip
NO_REGISTRY: Final[Mapping[str, str]] = {
    "169.254.169.254": "where nodes of most clouds",
    "169.254.170.2:80": "where nodes of most clouds",
    "100.100.100.200": "Alibaba Cloud",
    "168.63.129.16:32526": "Azure",
    "192.0.0.192": "Oracle Cloud",
    "metadata": "Google Cloud",
    "metadata.google.internal": "Google Cloud",
    "metadata.google.internal:80": "Google Cloud",
    "metadata.platformequinix.com": "Equinix Metal",
    "metadata.tencentyun.com": "Tencent Cloud",
    "instance-data.ec2.internal": "AWS",
    "127.8.8.8:5000": "loopback",
    "0.0.0.0": "this network",
    "ip6-localhost": "whoever asks",
    "registry.localhost": "whoever asks",
    "224.0.0.1": "multicast",
    "255.255.255.255": "reserved",
    "198.18.0.1": "benchmarking",
    "2852039166": "an address in other words",
    "0xa9fea9fe": "an address in other words",
    "169.254.43518": "an address in other words",
    "r.example.com:0": "ports are 1 to 65535",
    "r.example.com:65536": "ports are 1 to 65535",
}
LEGAL: Final[Mapping[Field, tuple[Any, ...]]] = {
    ("title",): ("Rechenzentrum Köln (東京)",),
    ("cluster", "name"): ("prod.dc1", "ml_serving", "1"),
    ("cluster", "context"): ("arn:aws:eks:us-east-1:111122223333:cluster/ml", "admin@prod"),
    ("cluster", "kubeconfig"): ("/home/My User/kube config",),
    ("cluster", "oidc_issuer"): ("kubernetes.default.svc.cluster.local", "k8s.dc1.acme.dev:6443/"),
    ("cluster", "jwks_uri"): ("https://10.0.0.1:6443/openid/v1/jwks", "https://[fd00::1]/keys"),
    ("sign_in", "issuer"): (
        "https://login.acme.dev/", "https://login.acme.dev/tenant-1/v2.0", "https://10.8.0.1:8443",
        "https://100.64.0.1"),
    ("sign_in", "audience"): (
        "isoserve", "https://api.acme.dev/", "api://0f0b-1/.default", "urn:acme:models",
        "12-a.apps.googleusercontent.com", "models@acme.dev"),
    ("sign_in", "jwks_uri"): ("https://login.acme.dev/discovery/v2.0/keys?appid=1-2",),
    ("grafana_url",): ("http://grafana.acme.dev/g/?orgId=1", "https://acme.dev/grafana/"),
    ("runbook_url",): ("https://wiki.acme.dev/x/~ops/Run%20books?view=a#top",),
    ("registry", "bucket"): ("a--b", "acme-models-use1"),
    ("addon_objects",): (
        [{"kind": "ConfigMap", "name": "ca.crt", "source": "trust-manager: certificates"},
         {"kind": "Secret", "name": "ca.crt", "source": "the platform team"}],),
    ("image_hosts",): (
        ["registry.example.com", "10.0.0.5:5000", "100.64.0.1", "r.acme.dev:443", "r-1.acme"],),
    ("zones",): (["us-east-1a", "us-east-1-bos-1a"],),
    ("account", "profile"): ("Admin User@acme",),
    ("account", "node_security_group_ids"): (["sg-0123456789abcdef0"],),
}  # fmt: skip
NO_SERVER: Final = (
    "169.254.169.254", "169.254.170.23", "100.100.100.200", "168.63.129.16", "192.0.0.192",
    "[fd00:ec2::254]", "[fd20:ce::254]", "[fd00:c1::a9fe:a9fe]", "[::ffff:169.254.169.254]",
    "metadata.google.internal", "metadata.goog.", "instance-data", "instance-data.ec2.internal",
    "metadata.tencentyun.com", "ip6-localhost", "localhost", "minio.localhost", "127.0.0.1",
    "127.1", "0xa9fea9fe", "2852039166", "0.0.0.0", "224.0.0.1", "[::1]", "[::]", "[fe80::1]",
)  # fmt: skip
"""Where clouds answer their nodes, and what is no server's or an address in other words."""
URLS: Final[tuple[Field, ...]] = (
    ("cluster", "jwks_uri"), ("sign_in", "issuer"), ("sign_in", "jwks_uri"), ("prometheus_url",),
    ("grafana_url",), ("registry", "endpoint"),
)  # fmt: skip
OF_NO_FORM: Final[tuple[Any, ...]] = (None, [], ["isoserve"], {}, 1)
NO_ADDON: Final = ("NetworkPolicy", "RoleBinding", "Pod", "HTTPRoute", "EndpointSlice")
"""Kinds that grant, run or open a way."""
NO_TEXT: Final[list[tuple[Field, str, Any]]] = [
    (("sign_in", field), "E204", got)
    for field in ("audience", "issuer", "jwks_uri")
    for got in OF_NO_FORM
]
ROWS: Final[list[tuple[Field, str, Any]]] = [
    *((where, code, one) for where, (code, several) in REFUSED.items() for one in several),
    *((where, "E301", f"https://{host}") for where in URLS for host in NO_SERVER),
    *((("cluster", "oidc_issuer"), "E301", host.strip("[]")) for host in NO_SERVER),
    *NO_TEXT,
]
KEPT: Final = [(where, value) for where, values in LEGAL.items() for value in values]


def with_value(folder: Path, where: Field, value: Any) -> Path:
    values = values_of("us-east-1")
    inner: Any = values
    for step in where[:-1]:
        inner = inner[step]
    inner[where[-1]] = value
    return written(folder, values)


@pytest.mark.parametrize(("where", "code", "got"), ROWS)
def test_a_value_of_another_form_is_refused_at_its_place(
    tmp_path: Path, where: Field, code: str, got: Any
) -> None:
    error = refusal(with_value(tmp_path, where, got))
    assert error.code == code, str(error)
    assert error.path.startswith("".join(
        f"[{step}]" if isinstance(step, int) else f".{step}" for step in where
    )[1:])  # fmt: skip


@pytest.mark.parametrize(("where", "value"), KEPT)
def test_an_unusual_value_that_programs_read_as_written_passes(
    tmp_path: Path, where: Field, value: Any
) -> None:
    path = with_value(tmp_path, where, value)
    assert load_profile(path).title, yaml.safe_dump(value)


@pytest.mark.parametrize("name", ["a b", "../x", "N1", "-a", "a..b", "a_b"])
def test_a_node_has_a_name_that_kubernetes_gives(tmp_path: Path, name: str) -> None:
    values = values_of("seoul-dc1")
    machine = next(key for key, offer in values["machines"].items() if offer["node_names"])
    values["machines"][machine]["node_names"][0] = name
    error = refusal(written(tmp_path, values))
    assert (error.code, error.path) == ("E301", f"machines.{machine}.node_names[0]")


def test_a_region_is_not_called_what_names_all(tmp_path: Path) -> None:
    with pytest.raises(SpecErrors) as refused:
        load_profile(written(tmp_path, values_of("us-east-1"), "all"))
    assert [error.code for error in refused.value.errors] == ["E314"], "`regions: all` is all"


@pytest.mark.parametrize("field", ["issuer", "audience"])
@pytest.mark.parametrize("end", ["", "/"])
def test_service_accounts_of_the_cluster_do_not_sign_in_as_people(
    tmp_path: Path, field: str, end: str
) -> None:
    issuer = values_of("us-east-1")["cluster"]["oidc_issuer"]
    error = refusal(with_value(tmp_path, ("sign_in", field), f"https://{issuer}{end}"))
    assert (error.code, error.path) == ("E371", f"sign_in.{field}")
    assert "signs for every pod" in error.message


@pytest.mark.parametrize("host", NO_REGISTRY)
def test_images_come_from_where_a_registry_can_be(host: str, tmp_path: Path) -> None:
    listed = [*values_of("us-east-1")["image_hosts"], host]
    error = refusal(with_value(tmp_path, ("image_hosts",), listed))
    assert (error.code, error.path) == ("E371", f"image_hosts[{len(listed) - 1}]")
    assert NO_REGISTRY[host] in error.message


@pytest.mark.parametrize("kind", NO_ADDON)
def test_no_add_on_excuses_what_grants_runs_or_opens_a_way(kind: str, tmp_path: Path) -> None:
    row = {"kind": kind, "name": "a", "source": "x"}
    error = refusal(with_value(tmp_path, ("addon_objects",), [row]))
    assert error.path == "addon_objects[0].kind"
    assert kind in error.message
