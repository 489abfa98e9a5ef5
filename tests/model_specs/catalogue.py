"""The catalogue of bad inputs: 44 rows, each a tree with its faults and the report it must get.

A folder of `bad_inputs/` is laid over `base/`, which is without fault: its own *.yaml go into the
project `team`, its folders over those of the same name. What no repository can hold as a plain
file is made here. `expected.txt` has the report, one error a line, and is rewritten by

    python -m tests.model_specs.catalogue
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, NamedTuple

from model_specs.errors import SpecError
from stacks.cli import main

HERE: Final = Path(__file__).parent / "bad_inputs"
CASES: Final = tuple(sorted(path.name for path in HERE.iterdir() if path.name[0].isdigit()))
ROWS: Final = 44
PROFILE: Final = "regions/here.yaml"
_GOOD: Final = (HERE / "base/model_specs/team/good.yaml").read_text()
_FIELDS: Final = _GOOD.encode()


class Report(NamedTuple):
    """What `isoserve check` answered."""

    code: int
    errors: tuple[SpecError, ...]

    @property
    def lines(self) -> list[str]:
        return [str(error) for error in self.errors]


def _deep(root: Path) -> None:
    nested = "\n".join(f"{'  ' * depth}k:" for depth in range(1, 41))
    (root / "model_specs/team/blocks.yaml").write_text(f"{_GOOD}env:\n{nested}\n")
    (root / "model_specs/team/brackets.yaml").write_text("args: " + "[" * 100_000)


def _huge(root: Path) -> None:
    team = root / "model_specs/team"
    (team / "comment.yaml").write_text(f"{_GOOD}# {'x' * 300_000}\n")
    with (team / "sparse.yaml").open("wb") as file:
        file.truncate(1024**3)
    (team / "many-values.yaml").write_text(f"{_GOOD}args: [{'a, ' * 60_000}]\n")
    (team / "device.yaml").symlink_to("/dev/zero")
    (team / "folder.yaml").mkdir()
    os.mkfifo(team / "pipe.yaml")


def _encodings(root: Path) -> None:
    team = root / "model_specs/team"
    (team / "latin-1.yaml").write_bytes(_FIELDS + "env: {GREETING: grüß}\n".encode("latin-1"))
    (team / "utf-16.yaml").write_text(_GOOD, encoding="utf-16")
    (team / "nul.yaml").write_bytes(_FIELDS + b"env: {A: a\0b}\n")
    (team / "escape.yaml").write_bytes(_FIELDS + b"env: {A: \x1b[31m}\n")
    (team / "byte-order-mark.yaml").write_text(_GOOD, encoding="utf-8-sig")


def _names(root: Path) -> None:
    for name in ("rocket-\N{ROCKET}", "a" * 64):
        (root / f"model_specs/team/{name}.yaml").write_text(_GOOD)


def _long_region(root: Path) -> None:
    shutil.copy(root / PROFILE, root / f"regions/{'r' * 21}.yaml")


def _lookalikes(root: Path) -> None:
    cyrillic, right_to_left = "\N{CYRILLIC SMALL LETTER A}cme", "\N{RIGHT-TO-LEFT OVERRIDE}mca"
    for name in (cyrillic, right_to_left):
        (root / f"model_specs/team/{name}.yaml").write_text(_GOOD)


def _large_probes(root: Path) -> None:
    """Each file is below the limit of files; the project's ConfigMap is above that of objects."""
    picture = f"probe:\n  request: {{path: /v1/x, body: {{image: {'x' * 231_000}}}}}\n"
    for number in range(6):
        (root / f"model_specs/team/m{number}.yaml").write_text(
            f"{_GOOD}scaling: {{max: 1}}\n{picture}"
        )


def _secrets(root: Path) -> None:
    """Put together here, so that no scanner takes the repository for a leak."""
    words = "FAKEfake0123"
    key = "AKIA" + "FAKE" * 4
    hugging, hub, jwt = "hf_" + words * 3, "ghp_" + words * 3, ".".join(["eyJ" + words] * 2 + [""])
    pem = "-----BEGIN RSA PRIVATE" + " KEY-----\\nMIIB" + words
    random = "Z9" + "kQ3vT7xB1mL5nR8w" * 3
    (root / "model_specs/team/pasted.yaml").write_text(
        f"{_GOOD}env:\n  KEY: {key}\n  HUB: {hub}\n  PEM: \"{pem}\"\n  RANDOM: {random}\n"
        f"  DB_PASSWORD: correct-horse\n  URL: https://user:{words}@example.com\n"
        f"args: [--hf-token, {hugging}, --api-key={words}, --header=Bearer {jwt}]\n"
        f"probe:\n  request:\n    path: /v1/completions\n    body: {{auth: [{hub}]}}\n"
    )  # fmt: skip
    (root / "model_specs/team/echoed.yaml").write_text(
        f"{_GOOD}args: {key}\nbatch: {hub}\nmachine: {key}\n{hugging}: 1\n"
    )
    (root / "model_specs/team/commented.yaml").write_text(
        f"{_GOOD}  # was {hub}\n# {key}\nenv: {{A: 'x # {key}'}}  # {key}\n"
    )
    (root / "model_specs/team/no-secrets.yaml").write_text(
        f"{_GOOD}env:\n  DIGEST: sha256:{'0123456789abcdef' * 4}\n  OPENAI_API_KEY: EMPTY\n"
        f"  REVISION: {'0123456789abcdef0123' * 2}\n  EOS_TOKEN: </s>\n"
        f"  PASSWORD_FILE: /secrets/db/password\n  DB_PASSWORD: /secrets/db/password\n"
        f"  BASE: Qwen/Qwen2-72B-Instruct-GPTQ-Int4\n"
        f'args: [--default-chat-template-kwargs, \'{{"base": "Qwen/Qwen2-72B-GPTQ-Int4"}}\']\n'
        f"probe:\n  request:\n    path: /v1/completions\n"
        f"    body: {{image: 'data:image/png;base64,{random}', raw: {random}}}\n"
    )


def _files(root: Path) -> None:
    team = root / "model_specs/team"
    outside = root / "outside"
    outside.mkdir()
    (outside / "spec.yaml").write_text(_GOOD)
    (outside / "project.yaml").write_text("members: {}\n")
    (team / "linked.yaml").symlink_to(outside / "spec.yaml")
    (root / "model_specs/linked").symlink_to(outside)
    (team / "open.yaml").write_text(_GOOD)
    (team / "open.yaml").chmod(0o666)
    (team / "windows.yaml").write_bytes(_FIELDS.replace(b"\n", b"\r\n"))
    (team / "inside.yaml").symlink_to("good.yaml")
    (team / "loop.yaml").symlink_to("loop.yaml")


OTHER_REGION: Final = (
    ("domain: models.example.com", "domain: models.example.org"),
    ("  bucket: models-here", "  bucket: models-there"),
    ("  context: here", "  context: there"),
    ("  name: here", "  name: there"),
)
"""What a region needs of its own beside the base region."""


def beside(root: Path, *edits: tuple[str, str]) -> None:
    """A second region, `there`, like the base region but for what each has alone and `edits`."""
    text = (root / PROFILE).read_text()
    for old, new in (*OTHER_REGION, *edits):
        assert text.count(old) == 1, f"the base profile no longer has one {old!r}"
        text = text.replace(old, new)
    (root / "regions/there.yaml").write_text(text)


def _unread(root: Path) -> None:
    """What a person would take for a spec or a profile, where none is looked for."""
    for name in ("model_specs/team/deep/m.yaml", "model_specs/m.yaml", "model_specs/team/m.YAML"):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(_GOOD)
    (root / "regions/deep").mkdir()
    for name in ("regions/deep/there.yaml", "regions/there.yml", "regions/there.YAML"):
        shutil.copy(root / PROFILE, root / name)


def _rivals(root: Path) -> None:
    """Two regions that share all that a region has alone, and copy their registries in a circle."""
    _edit(
        (
            "replicate_to: []",
            "replicate_to: [{region: there, bucket: models, key_arn: "
            "'arn:aws:kms:eu-west-1:111122223333:key/a'}]",
        )
    )(root)
    text = (root / PROFILE).read_text()
    (root / "regions/there.yaml").write_text(text.replace("region: there", "region: here"))


def _edit(*edits: tuple[str, str]) -> Callable[[Path], None]:
    """Makes the base region's profile wrong."""

    def made(root: Path) -> None:
        text = (root / PROFILE).read_text()
        for old, new in edits:
            assert text.count(old) == 1, f"the base profile no longer has one {old!r}"
            text = text.replace(old, new)
        (root / PROFILE).write_text(text)

    return made


MADE: Final[dict[str, Callable[[Path], None]]] = {
    "07-deep": _deep,
    "08-huge-or-special": _huge,
    "09-not-utf8": _encodings,
    "21-names": _names,
    "22-long-names": _long_region,
    "23-homoglyphs": _lookalikes,
    "25-unread-files": _unread,
    "33-full-disk": _edit(("cache_disk_gib: 300", "cache_disk_gib: 2")),
    "34-secrets": _secrets,
    "44-large-probes": _large_probes,
    "37-no-sign-in": _edit(
        ("sign_in:\n", "sign_in: null\n"),
        ("  issuer: https://login.example.com\n", ""),
        ("  jwks_uri: https://login.example.com/keys\n", ""),
        ("  audience: isoserve\n", ""),
    ),
    "41-file-system": _files,
    "42-profile-fields": _edit(
        ('version: "1.36"', 'version: "1.22"'),
        ("[subnet-a, subnet-b]", "[subnet-a, subnet-a]"),
        ("capabilities: [cluster_scope, kms]", "capabilities: [kedda, kms, kms, keda]"),
        ("keda: provided", "kedda: provided"),
        ("min: 0, max: 8", "min: 9, max: 8"),
        ("{on_demand: 0.7, spot: null, as_of: 2026-11-01}", "{spot: null, as_of: 2999-01-01}"),
        ('"111122223333"', '"1111"'),
    ),
    "42-profiles-together": _rivals,
    "42-profile-domain": _edit(
        ("domain: models.example.com", "domain: a..example.com"),
        ("gateway_class: envoy", "gateway_class: Envoy"),
        ("tls_secret: public-tls", "tls_secret: public_tls"),
    ),
    "42-profile-together": _edit(
        ("[us-east-1a, us-east-1b]", "[us-east-1a, eu-west-1b]"),
        ("oidc_issuer: oidc.eks.us-east-1", "oidc_issuer: oidc.eks.eu-west-1"),
        ("[subnet-a, subnet-b]", "[subnet-a]"),
        ("gateway_class: envoy", 'gateway_class: ""'),
        ("replicate_to: []", "replicate_to: [{region: there, bucket: models-here, key_arn: ''}]"),
    ),
    "42-profile-shapes": _edit(
        ("[c7i.4xlarge]", "[c7i.4xlarge, c7i.xlarge]"), ("[g6.2xlarge]", "[g6.xlarge]")
    ),
    "42-profile-provider": _edit(
        ("provider: aws", "provider: on_prem"),
        ("instance_types: [c7i.4xlarge]\n    node_names: []",
         "instance_types: []\n    node_names: [n1, n2, n3, n4]"),
        ("instance_types: [g6.2xlarge]\n    node_names: []",
         "instance_types: []\n    node_names: [n1, n2, n3, n4, n5, n6, n7, n8]"),
    ),
}  # fmt: skip


def build(case: str, root: Path) -> None:
    """The tree of one case under `root`."""
    shutil.copytree(HERE / "base", root)
    for path in sorted((HERE / case).iterdir()):
        if path.is_dir():
            shutil.copytree(path, root / path.name, dirs_exist_ok=True)
        elif path.suffix in (".yaml", ".yml"):
            shutil.copy(path, root / "model_specs/team")
    if case in MADE:
        MADE[case](root)


def check(root: Path) -> Report:
    """The report of the real command on the tree under `root`."""
    said = io.StringIO()
    words = ["check", "--json", "--specs", root / "model_specs", "--regions", root / "regions"]
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        code = main([str(word) for word in words])
    return Report(code, tuple(SpecError(**row) for row in json.loads(said.getvalue())["errors"]))


def expected(case: str) -> list[str]:
    return (HERE / case / "expected.txt").read_text(encoding="utf-8").splitlines()


def _reports() -> Iterator[tuple[Path, list[str]]]:
    for case in sorted({*CASES, *MADE}):
        with TemporaryDirectory() as folder:
            root = Path(folder) / "tree"
            build(case, root)
            yield HERE / case / "expected.txt", check(root).lines


if __name__ == "__main__":
    for path, lines in _reports():
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    sys.exit()
