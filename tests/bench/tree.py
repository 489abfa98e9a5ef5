"""Makes a tree of any size out of the real examples: N models over ten projects, R regions."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Final

import yaml

_ROOT: Final = Path(__file__).resolve().parents[2]
SHAPES: Final = (
    "search/sentiment", "search/embedder", "search/ranker", "chat/assistant", "chat/helper",
    "vision/tagger", "search/nightly-index",
)  # fmt: skip
PROJECTS: Final = 10
_PROFILES: Final = ("us-east-1", "eu-central-1", "sandbox-onprem")
_ADDRESS = re.compile(r"[a-z-]+/([a-z-]+:v\d+)@sha256:[0-9a-f]{64}")
_PROJECT: Final = """\
members: {admins: [leads], developers: [ml]}
gpu_quota: {gpu.l4.1: 10000, gpu.l40s.4: 10000}
cpu_quota: 100000
memory_quota_gib: 1000000
"""


def _model(shape: str, project: str, name: str) -> tuple[str, set[str]]:
    """A spec of the example's shape with weights of its own, and its addresses."""
    found: set[str] = set()

    def own(match: re.Match[str]) -> str:
        digest = hashlib.sha256(f"{project}/{name}/{match[0]}".encode()).hexdigest()
        address = f"{project}/{match[1]}@sha256:{digest}"
        found.add(address)
        return address

    text = (_ROOT / "model_specs" / f"{shape}.yaml").read_text()
    text = _ADDRESS.sub(own, text)
    text = text.replace("share_with: [search]\n", "").replace("output: index", f"output: {name}")
    return text, found


def _profile(name: str, index: int) -> str:
    """A real profile under another name, with pools so large that every model fits."""
    text = (_ROOT / "regions" / f"{name}.yaml").read_text()
    text = text.replace("example.com", f"r{index}.example.com")
    values = yaml.safe_load(text)
    values["image_hosts"].append("registry.example.com")  # the runtime catalogue's
    values["cluster"] |= {"name": f"r{index}", "context": f"r{index}"}
    values["registry"] |= {"bucket": f"models-r{index}", "replicate_to": []}
    for machine, offer in values["machines"].items():
        offer["cache_disk_gib"] = 50_000
        if offer["node_names"]:
            names = [f"r{index}-{machine}-{number}" for number in range(100)]
            offer |= {"node_names": names, "replicas_per_node": 64}
            offer["on_demand"]["max"] = len(names)
        else:  # an instance type holds no more than it does
            offer["on_demand"]["max"] = offer["spot"]["max"] = 10_000
        offer["price_usd_per_hour"]["as_of"] = str(offer["price_usd_per_hour"]["as_of"])
    return yaml.safe_dump(values)


def write_tree(root: Path, models: int, regions: int) -> None:
    """Write `root/model_specs` and `root/regions`."""
    for index in range(PROJECTS):
        folder = root / "model_specs" / f"project-{index}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "project.yaml").write_text(_PROJECT)
        facts: list[str] = []
        for number in range(index, models, PROJECTS):
            shape = SHAPES[number % len(SHAPES)]
            name = f"{shape.split('/')[1]}-{number}"
            text, addresses = _model(shape, folder.name, name)
            (folder / f"{name}.yaml").write_text(text)
            facts += [f"  {address}: {{bytes: 4307550208, files: 6}}" for address in addresses]
        if facts:
            (folder / "models.lock.yaml").write_text("models:\n" + "\n".join(facts) + "\n")
    (root / "regions").mkdir(exist_ok=True)
    for index in range(regions):
        profile = _profile(_PROFILES[index % len(_PROFILES)], index)
        (root / "regions" / f"region-{index}.yaml").write_text(profile)
