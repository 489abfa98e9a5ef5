"""Groups, hosts of images, sizes of a lock file and texts for programs have one strict form."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest
import yaml

from tests.model_specs.catalogue import HERE, build, check

GOOD: Final = (HERE / "base/model_specs/team/good.yaml").read_text()
ZEROS: Final = "sha256:" + "0" * 64
MARKS: Final = tuple("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
GROUPS: Final = {
    **dict.fromkeys(
        ("system:masters", "System:masters", "kubeadm:cluster-admins", "eks:x", "aws:x", "IAM:x",
         "amazon:x"), "E314"),
    **dict.fromkeys(
        ("*", "a*", " a", "a ", "a  b", "a\nb", "a\tb", "-a", "a:", "a;b", "a'b", "{a}"), "E311"),
    **dict.fromkeys(
        ("a\N{ZERO WIDTH SPACE}", "\N{CYRILLIC SMALL LETTER A}cme", "a\u202e", "Köln",
         "a\N{NO-BREAK SPACE}b"), "E313"),
}  # fmt: skip
LEGAL_GROUPS: Final = (
    "team-leads", "oidc:team", "team@acme.dev", "acme/team", "Team Leads", "CN=ml,OU=a,DC=acme",
    "/acme/ml", "R&D (ML)", "0f8fad5b-d9cb-469f-a165-70867728950e", "systems:a", "a", "_ops",
)  # fmt: skip
HOSTS: Final = {
    **dict.fromkeys(
        ("127.0.0.1:5000", "127.8.8.8", "169.254.169.254", "0.0.0.0", "localhost", "localhost:5000",
         "registry.localhost", "0x7f000001", "2130706433", "127.1", "r.acme.dev:0",
         "r.acme.dev:65536"), "E325"),
    **dict.fromkeys(("docker.io:latest", "r..acme.dev", "-r.acme.dev", "[::1]:5000"), "E324"),
}  # fmt: skip
LEGAL_HOSTS: Final = ("registry.example.com", "10.0.0.5:5000", "r.acme.dev:443", "registry-1.acme")
MODELS: Final = (
    "m" * 2000, "m" * 64, "m-", "m--x-", "-m", "M", "m_x", "1m",
)  # fmt: skip


@pytest.fixture
def root(tmp_path: Path) -> Path:
    build("43-renamed", tmp_path / "tree")
    return tmp_path / "tree"


def written(root: Path, name: str, text: str) -> list[tuple[str, str, str]]:
    """File, place and code of every error of the tree with one more file."""
    (root / "model_specs/team" / name).write_text(text)
    return [(e.file.rsplit("/")[-1], e.path, e.code) for e in check(root).errors]


@pytest.mark.parametrize("group", GROUPS)
def test_a_group_that_is_not_the_identity_providers_is_refused(root: Path, group: str) -> None:
    members = yaml.safe_dump({"members": {"admins": [group]}})
    assert written(root, "project.yaml", members) == [
        ("project.yaml", "members.admins[0]", GROUPS[group])
    ]


def test_the_groups_of_identity_providers_pass(root: Path) -> None:
    project = yaml.safe_load((root / "model_specs/team/project.yaml").read_text())
    project["members"]["viewers"] = list(LEGAL_GROUPS)
    assert written(root, "project.yaml", yaml.safe_dump(project)) == []


def hosted(host: str) -> str:
    return GOOD.replace("image: vllm", f'image: "{host}/server@{ZEROS}"')


@pytest.mark.parametrize("host", HOSTS)
def test_a_host_that_is_no_registry_of_others_is_refused(root: Path, host: str) -> None:
    assert written(root, "x.yaml", hosted(host)) == [("x.yaml", "image", HOSTS[host])]


@pytest.mark.parametrize("host", LEGAL_HOSTS)
def test_a_registry_by_name_or_address_passes(root: Path, host: str) -> None:
    profile = root / "regions/here.yaml"
    listed = f'image_hosts: [registry.example.com, "{host}"]'
    if host != "registry.example.com":
        text = profile.read_text()
        profile.write_text(text.replace("image_hosts: [registry.example.com]", listed))
    assert written(root, "x.yaml", hosted(host)) == []


@pytest.mark.parametrize("model", MODELS)
def test_a_model_has_a_name_that_the_registry_takes(root: Path, model: str) -> None:
    text = GOOD.replace("team/m:", f"team/{model}:")
    assert written(root, "x.yaml", text) == [("x.yaml", "model", "E321")]


@pytest.mark.parametrize(
    ("second", "codes"),
    [
        ("{bytes: 5, files: 9}", ["E353"]),
        ("{bytes: 3448766464, files: 8}", ["E353"]),
        ("{bytes: 3448766464, files: 9}", []),
    ],
)
def test_a_digest_has_one_size_in_a_lock_file(root: Path, second: str, codes: list[str]) -> None:
    first = f"models:\n  team/m:v1@{ZEROS}: {{bytes: 3448766464, files: 9}}\n"
    found = written(root, "models.lock.yaml", f"{first}  team/m:v2@{ZEROS}: {second}\n")
    assert [code for *_, code in found] == codes, "a tag more is another name of the same content"


@pytest.mark.parametrize("mark", MARKS, ids=ascii)
@pytest.mark.parametrize(
    ("field", "path", "code"),
    [
        ('env: {{A: "x{}y"}}\n', "env.A", "E342"),
        ('args: ["--served={}y"]\n', "args[0]", "E343"),
        ('batch: {{command: [run, "x{}"], schedule: "0 3 * * *"}}\n', "batch.command[1]", "E343"),
    ],
)
def test_a_mark_of_direction_is_told_to_no_program(
    root: Path, mark: str, field: str, path: str, code: str
) -> None:
    assert ("x.yaml", path, code) in written(root, "x.yaml", GOOD + field.format(mark))


def test_texts_of_all_languages_pass(root: Path) -> None:
    said = 'env: {A: "שלום", B: "مرحبا", C: "Grüße", D: "👩‍🔬"}\n'
    assert written(root, "x.yaml", GOOD + said) == [], "letters have their direction themselves"
