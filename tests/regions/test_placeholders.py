"""What is left of an example in a copied profile is found at its line; real values are not."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest

from model_specs import source as files
from model_specs.errors import SpecError
from model_specs.runtimes import RUNTIMES
from model_specs.source import Source
from regions.placeholders import (
    CODE,
    MOST_SINGLE,
    SANDBOX_KUBECONFIGS,
    each,
    grouped,
    placeholders,
)
from regions.profile import load_profile
from regions.sandbox.layout import HOME, REGIONS, kubeconfig_of
from tests.examples import ROOT

OWN_IMAGES: Final = {"vllm": "images.acme.dev/vllm@sha256:" + "0" * 64}
REAL: Final = (
    ("EXAMPLE0USE1", "9D4F2C81A07B35E6C0F1D2837465AB0E"),
    ("111122223333", "847261950382"),
    ("subnet-01a, subnet-01b, subnet-01c", "subnet-0f3a9c1e7b2d48560, subnet-9e107d9d"),
    ("group_ids: []", "group_ids: [sg-0c7e15a9d3b84f260]"),
    ("models.example.com", "models.acme.dev"),
    ("login.example.com", "login.acme.dev"),
    ("grafana.example.com", "grafana.acme.dev"),
    ("runbooks.example.com", "runbooks.acme.dev"),
    ("registry.example.com", "847261950382.dkr.ecr.us-east-1.amazonaws.com"),
    ("example-models", "acme-models"),
    ("1234abcd-12ab-34cd-56ef-1234567890ab", "7c0e41f2-95ab-4d13-8e6f-2b90d7a5c318"),
)
"""What stands in the example, and what a real region has instead."""
KEY: Final = "arn:aws:kms:eu-central-1:847261950382:key/"


def real_text() -> str:
    """A profile in which somebody has replaced everything."""
    text = (ROOT / "regions" / "us-east-1.yaml").read_text()
    for example, real in REAL:
        assert example in text, f"the example no longer has {example}: change the table"
        text = text.replace(example, real)
    return text


def read_profile(path: Path) -> Source:
    return files.read(path, f"regions/{path.name}")


def read(folder: Path, text: str, region: str) -> Source:
    path = folder / "regions" / f"{region}.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return read_profile(path)


def warnings(source: Source, region: str) -> list[SpecError]:
    return each(source, placeholders(source, region, OWN_IMAGES))


# -- a copy ----------------------------------------------------------------------------------


COPIED: Final = [
    ("cluster.oidc_issuer", "EXAMPLE0USE1"),
    ("cluster.jwks_uri", "EXAMPLE0USE1"),
    ("account.account_id", "111122223333"),
    ("account.subnet_ids[0]", "subnet-01a"),
    ("account.subnet_ids[1]", "subnet-01b"),
    ("account.subnet_ids[2]", "subnet-01c"),
    ("domain", "use1.models.example.com"),
    ("sign_in.issuer", "login.example.com"),
    ("sign_in.jwks_uri", "login.example.com"),
    ("grafana_url", "grafana.example.com"),
    ("runbook_url", "runbooks.example.com"),
    ("image_hosts[0]", "registry.example.com"),
    ("agent_image", "registry.example.com"),
    ("prober_image", "registry.example.com"),
    ("registry.bucket", "example-models-ap-south-1"),
    ("registry.replicate_to[0].bucket", "example-models-eu-central-1"),
    ("registry.replicate_to[0].key_arn", "111122223333"),
    ("registry.replicate_to[0].key_arn", "1234abcd-12ab-34cd-56ef-1234567890ab"),
]


def test_a_copy_with_other_names_is_told_every_placeholder_at_its_line(tmp_path: Path) -> None:
    text = (ROOT / "regions" / "us-east-1.yaml").read_text().replace("us-east-1", "ap-south-1")
    source = read(tmp_path, text, "ap-south-1")
    assert load_profile(tmp_path / "regions" / "ap-south-1.yaml"), "its form is right"
    found = warnings(source, "ap-south-1")
    assert [row.path for row in found] == [path for path, _ in COPIED]
    lines = text.splitlines()
    for row, (path, part) in zip(found, COPIED, strict=True):
        assert (row.file, row.code) == ("regions/ap-south-1.yaml", CODE)
        name = re.sub(r"\[\d+\]$", "", path).split(".")[-1]
        line = lines[row.line - 1]
        assert part in line, f"{path}: line {row.line} is that of the value"
        assert f"got '{part}'; " in row.message, f"{path}: the part that is an example's is named"
        assert "write" in row.message.partition("; ")[2], f"{path}: it says what to do"
        at = line[row.column - 1 :]
        assert at.startswith((part, name)), f"{path}: column {row.column} is that of the field"


def test_a_real_profile_has_none(tmp_path: Path) -> None:
    source = read(tmp_path, real_text(), "us-east-1")
    assert load_profile(tmp_path / "regions" / "us-east-1.yaml"), "it is a valid one"
    assert warnings(source, "us-east-1") == []


# -- each kind alone -------------------------------------------------------------------------


PLACEHOLDERS: Final = [
    ("847261950382", "123456789012", "account.account_id"),
    ("847261950382", "444455556666", "account.account_id"),
    ("847261950382", "000000000000", "account.account_id"),
    ("context: us-east-1", "context: arn:aws:eks:us-east-1:111122223333:cluster/a", "context"),
    ("subnet-9e107d9d", "subnet-12345", "account.subnet_ids[1]"),
    ("subnet-9e107d9d", "subnet-0f3a9c1e7b2d4856g", "account.subnet_ids[1]"),
    ("subnet-9e107d9d", "sg-9e107d9d", "account.subnet_ids[1]"),
    ("sg-0c7e15a9d3b84f260", "sg-main", "account.node_security_group_ids[0]"),
    ("id/9D4F2C81A07B35E6C0F1D2837465AB0E\n", "id/9d4f\n", "cluster.oidc_issuer"),
    (
        "id/9D4F2C81A07B35E6C0F1D2837465AB0E/keys",
        "id/EXAMPLED539D4633E53DE1B71EXAMPLE/keys",
        "cluster.jwks_uri",
    ),
    (f"{KEY}7c0e41f2-95ab-4d13-8e6f-2b90d7a5c318", f"{KEY}models", "key_arn"),
    (
        f"{KEY}7c0e41f2-95ab-4d13-8e6f-2b90d7a5c318",
        f"{KEY}mrk-1234abcd12ab34cd56ef1234567890ab",
        "key_arn",
    ),
    ("use1.models.acme.dev", "models.acme.example", "domain"),
    ("use1.models.acme.dev", "Models.Acme.TEST", "domain"),
    ("https://grafana.acme.dev", "https://user@grafana.example.net:3000/d", "grafana_url"),
    ("https://grafana.acme.dev", "https://example.org", "grafana_url"),
    ("https://runbooks.acme.dev/isoserve", "https://wiki.acme.invalid./x", "runbook_url"),
    (
        "http://kube-prometheus-stack-prometheus.monitoring.svc:9090",
        "http://prometheus.test:9090",
        "prometheus_url",
    ),
    (
        "847261950382.dkr.ecr.us-east-1.amazonaws.com/isoserve/prober",
        "images.example/prober",
        "prober_image",
    ),
    (
        "847261950382.dkr.ecr.us-east-1.amazonaws.com/isoserve/prober",
        "111122223333.dkr.ecr.us-east-1.amazonaws.com/isoserve/prober",
        "prober_image",
    ),
    ("acme-models-us-east-1", "example-bucket", "registry.bucket"),
    ("~/.kube/config", ".isoserve/us-east-1/kubeconfig", "cluster.kubeconfig"),
    ("~/.kube/config", ".isoserve/sandbox-aws/kubeconfig", "cluster.kubeconfig"),
    ('config_file: ""', "config_file: .isoserve/aws/config", "account.config_file"),
]


@pytest.mark.parametrize(("real", "example", "path"), PLACEHOLDERS)
def test_one_placeholder_in_a_real_profile_is_found_alone(
    real: str, example: str, path: str, tmp_path: Path
) -> None:
    text = real_text()
    assert real in text, "the profile no longer has it: change the table"
    changed = text.replace(real, example, 1)
    source = read(tmp_path, changed, "us-east-1")
    (found,) = warnings(source, "us-east-1")
    assert found.path.endswith(path)
    assert example.strip() in changed.splitlines()[found.line - 1]


SOUND: Final = [
    ("context: us-east-1", "context: test"),
    ("name: ml-serving", "name: sg-prod"),
    ("https://grafana.acme.dev", "http://localhost:3000"),
    ("https://grafana.acme.dev", "https://grafana.myexample.com"),
    ("https://grafana.acme.dev", "https://example.com.acme.dev"),
    ("https://grafana.acme.dev", "https://grafana.testing"),
    ("~/.kube/config", "kubeconfig.example"),
    ("acme-models-us-east-1", "models-example"),
    ("7c0e41f2-95ab-4d13-8e6f-2b90d7a5c318", "mrk-7c0e41f295ab4d138e6f2b90d7a5c318"),
    ("subnet-0f3a9c1e7b2d48560", "subnet-0f3a9c1e"),
]


@pytest.mark.parametrize(("real", "other"), SOUND)
def test_what_only_looks_like_an_example_is_none(real: str, other: str, tmp_path: Path) -> None:
    text = real_text()
    assert real in text, "the profile no longer has it: change the table"
    assert warnings(read(tmp_path, text.replace(real, other), "us-east-1"), "us-east-1") == []


def test_own_metal_has_no_account_at_aws() -> None:
    source = read_profile(ROOT / "regions" / "seoul-dc1.yaml")
    paths = [row.path for row in warnings(source, "seoul-dc1")]
    assert "account.account_id" not in paths, "its store knows none, and the field must be filled"
    assert "registry.endpoint" in paths, "the store's host is as much an example as elsewhere"


# -- the catalogue ---------------------------------------------------------------------------


def test_the_catalogue_is_told_once_a_region(tmp_path: Path) -> None:
    source = read(tmp_path, real_text(), "us-east-1")
    images = {name: runtime.image for name, runtime in RUNTIMES.items()}
    (found,) = each(source, placeholders(source, "us-east-1", images))
    assert (found.path, found.code) == ("", CODE), "it is about no field of the profile"
    for said in ("registry.example.com", *RUNTIMES, "model_specs/catalogue/runtimes/"):
        assert said in found.message


# -- the sandbox -----------------------------------------------------------------------------


def test_the_sandbox_has_none_as_its_values_reach_this_machine_only() -> None:
    for region in REGIONS:
        source = read_profile(ROOT / "regions" / f"{region}.yaml")
        assert warnings(source, region) == [], f"{region} is complete as it is"


@pytest.mark.parametrize("region", REGIONS)
def test_a_profile_of_the_sandbox_is_an_example_once_it_is_copied_or_leads_elsewhere(
    region: str, tmp_path: Path
) -> None:
    text = (ROOT / "regions" / f"{region}.yaml").read_text()
    plain = warnings(read(tmp_path, text, "busan"), "busan")
    renamed = warnings(read(tmp_path, text.replace(region, "busan"), "busan"), "busan")
    real = text.replace(f".isoserve/{region}/kubeconfig", "~/.kube/config")
    moved = warnings(read(tmp_path, real, region), region)
    for found in (plain, renamed, moved):
        paths = {row.path for row in found}
        assert {"domain", "agent_image", "account.config_file"} <= paths
    kubeconfig = "cluster.kubeconfig"
    assert {kubeconfig} <= {row.path for row in plain} & {row.path for row in renamed}
    assert kubeconfig not in {row.path for row in moved}, "that one is real"


def test_the_sandboxs_files_are_where_they_are_looked_for() -> None:
    made = {kubeconfig_of(region).relative_to(HOME.parent).as_posix() for region in REGIONS}
    assert made == set(SANDBOX_KUBECONFIGS)


# -- few lines -------------------------------------------------------------------------------


def test_more_than_a_few_of_a_kind_share_a_line_that_names_them(tmp_path: Path) -> None:
    few = real_text().replace("login.acme.dev", "login.example.com")
    more = few.replace("grafana.acme.dev", "grafana.example.com")
    many = more.replace("runbooks.acme.dev", "runbooks.example.com")
    lines = []
    for text in (few, more, many):
        source = read(tmp_path, text, "us-east-1")
        lines.append(grouped(source, placeholders(source, "us-east-1", OWN_IMAGES)))
    assert [len(found) for found in lines] == [2, MOST_SINGLE, 1]
    (found,) = lines[2]
    assert found.path == "sign_in.issuer, sign_in.jwks_uri, grafana_url, runbook_url"
    assert "got 'login.example.com' and 3 more; write " in found.message
    assert found.line == 1 + many.splitlines().index("  issuer: https://login.example.com")
