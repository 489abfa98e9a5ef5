"""The comments that two changes of the examples get: what a reader of pull requests sees."""

from __future__ import annotations

import shutil
import subprocess
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import chdir
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final
from unittest.mock import patch

from policies.facts import Facts
from policies.resources import Resource
from policies.rule import Fault, each
from stacks.review import reviewed
from stacks.reviewing.comment import comment
from tests.golden.texts import HERE
from tests.stacks.preview_files import BUCKET, NAMESPACE, digest, events, write

AT: Final = datetime(2026, 11, 22, tzinfo=UTC)
_ROOT: Final = HERE.parents[1]
_WAIVER: Final = """\
waivers:
  - rule: no-ranker
    resource: Deployment search/sentiment
    owner: search-leads
    reason: the old ranker goes with the next release
    expires: 2026-12-31
"""


@each("P99", "no-ranker", "Deployment")
def no_ranker(resource: Resource, facts: Facts) -> Iterator[Fault]:
    """A rule of the golden comments' own: the real ones come and go."""
    if resource.metadata["name"] in ("ranker", "sentiment"):
        yield Fault(resource, "ranks", "let another do it", "image")


def _edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text, f"{path.name} no longer holds {old!r}: mend the golden change"
    path.write_text(text.replace(old, new))


def _approval(root: Path) -> None:
    """Everything a person should see: a rename, a new audience, more replicas, other nodes."""
    specs = root / "model_specs"
    (specs / "search/ranker.yaml").rename(specs / "search/ranking.yaml")
    _edit(specs / "chat/assistant.yaml", '"16384"', '"32768"')
    _edit(specs / "chat/helper.yaml", "max: 3", "max: 4")
    _edit(specs / "vision/tagger.yaml", "step: 0", "step: 1")
    sentiment = specs / "search/sentiment.yaml"
    sentiment.write_text(sentiment.read_text() + "access: permissive\nscaling: {max: 4}\n")
    _edit(root / "regions/us-east-1.yaml", "[g6.2xlarge]", "[g6.4xlarge]")


def _blocked(root: Path) -> None:
    """Another bucket, and words that would like to be markup."""
    _edit(root / "regions/us-east-1.yaml", "bucket: example-models-us-east-1", "bucket: another")
    embedder = root / "model_specs/search/embedder.yaml"
    embedder.write_text(embedder.read_text() + "args: ['--default-prompt=@all | <b>x</b>']\n")


def _previews(folder: Path) -> list[Path]:
    same = ("same", NAMESPACE, "search", False)
    files: dict[str, Any] = {
        "us-east-1": digest(("replace", BUCKET, "models", True)),
        "eu-central-1": events(same, stack="eu-central-1"),
        "seoul-dc1": digest(errors=("could not reach the cluster",)),
    }
    return [write(folder / f"{region}.json", found) for region, found in files.items()]


def _git(root: Path, *words: str) -> None:
    author = ("-c", "user.name=a", "-c", "user.email=a@example.com")
    subprocess.run(["git", *author, *words], cwd=root, check=True, capture_output=True)


def _tree(root: Path, waivers: str) -> None:
    """The examples, committed with these exceptions."""
    others = shutil.ignore_patterns("*.py", "*.json", "__pycache__", "sandbox", "sandbox-*")
    for name in ("model_specs", "regions"):
        shutil.copytree(_ROOT / name, root / name, ignore=others)
    (root / "policies").mkdir()
    (root / "policies/waivers.yaml").write_text(waivers)
    (root / "Pulumi.yaml").touch()
    for words in (("init", "-q"), ("add", "."), ("commit", "-qm", "base")):
        _git(root, *words)


def _comment(change: Callable[[Path], None], rules: tuple[Any, ...], previewed: bool) -> str:
    with TemporaryDirectory(prefix="isoserve-golden-") as folder:
        root = Path(folder) / "project"
        root.mkdir()
        _tree(root, _WAIVER if rules else "waivers: []\n")
        change(root)
        previews = _previews(Path(folder)) if previewed else []
        args = Namespace(base="HEAD", specs=None, regions=None, region=[], preview=previews)
        with chdir(root), patch("stacks.policy.RULES", rules):
            return comment(reviewed(args, AT))


def reviews() -> dict[str, str]:
    """The text of each golden comment, by its path below this folder."""
    return {
        "review/approval.md": _comment(_approval, (), False),
        "review/blocked.md": _comment(_blocked, (no_ranker,), True),
    }
