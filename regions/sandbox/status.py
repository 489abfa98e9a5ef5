"""What the regions serve at this moment: the stacks' outputs beside the live Deployments."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from rich.table import Table

from regions.sandbox import engine, probes
from regions.sandbox.console import OUT
from regions.sandbox.errors import SandboxError
from regions.sandbox.kube import Cluster, Object, connect
from regions.sandbox.layout import REGIONS, kubeconfig_of
from regions.sandbox.toolchain import Toolchain

_DEPLOYMENTS: Final = "/apis/apps/v1/deployments"
# Enough of a digest to tell two versions apart; `--json` has the whole.
_DIGEST: Final = re.compile(r"(@sha256:[0-9a-f]{12})[0-9a-f]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelStatus:
    """One model in one region."""

    region: str
    project: str
    model: str
    endpoint: str
    ready_replicas: int
    desired_replicas: int
    pool: str
    registry: str
    dashboard: str
    probe: str
    """`passes` or `fails`; `simulated` where no pod runs; `-` before the first answer."""

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for `--json`."""
        return asdict(self)


def read(toolchain: Toolchain, regions: Iterable[str] = REGIONS) -> list[ModelStatus]:
    """Every model of the regions that are up.

    Raises SandboxError when a region's state or API server can't be read.
    """
    return [row for region in regions for row in _of_region(toolchain, region)]


def _of_region(toolchain: Toolchain, region: str) -> Iterator[ModelStatus]:
    models = engine.outputs(toolchain, region).get("models") or []
    if not models:
        return
    cluster = connect(region, kubeconfig_of(region))
    live = deployments(cluster)
    heard = Heard(probes.served(cluster), probes.results(cluster))
    for model in models:
        yield model_status(region, model, live, heard)


def deployments(cluster: Cluster) -> dict[tuple[str, str], Object]:
    """The region's Deployments by namespace and name."""
    items = (cluster.get(_DEPLOYMENTS) or {}).get("items", [])
    return {(one["metadata"]["namespace"], one["metadata"]["name"]): one for one in items}


@dataclass(frozen=True, slots=True)
class Heard:
    """Which models of a region run for real, and what their last probes came to."""

    served: Collection[probes.Model]
    results: Mapping[probes.Model, bool]

    def word(self, model: probes.Model) -> str:
        """`ModelStatus.probe`."""
        if model not in self.served:
            return "simulated"
        return {True: "passes", False: "fails", None: "-"}[self.results.get(model)]


def model_status(
    region: str, model: Object, live: dict[tuple[str, str], Object], heard: Heard
) -> ModelStatus:
    """One entry of the stack output `models` with the replicas of all its Deployments."""
    try:
        keys = [(one["namespace"], one["name"]) for one in model.get("deployments") or ()]
        found = [live[key] for key in keys if key in live]
        return ModelStatus(
            region=region,
            project=model["project"],
            model=model["model"],
            endpoint=model.get("endpoint") or "-",
            ready_replicas=sum(one.get("status", {}).get("readyReplicas", 0) for one in found),
            desired_replicas=sum(one["spec"].get("replicas", 1) for one in found),
            pool=model.get("pool") or "-",
            registry=model.get("registry") or "-",
            dashboard=model.get("dashboard") or "-",
            probe=heard.word((model["project"], model["model"])),
        )
    except (KeyError, TypeError, AttributeError) as reason:
        raise SandboxError(
            f"region {region}: the stack output `models` has an entry of another shape: {model}"
        ) from reason


def show(rows: list[ModelStatus]) -> None:
    """Print the models as a table; a note when there are none."""
    if not rows:
        OUT.print("no models are served here; `python -m regions.sandbox up` brings them")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    titles = ("region", "model", "ready", "probe", "pool", "endpoint", "registry", "dashboard")
    for title in titles:
        table.add_column(title, overflow="fold", no_wrap=title in ("region", "ready", "probe"))
    for row in rows:
        ready = f"{row.ready_replicas}/{row.desired_replicas}"
        name = f"{row.project}/{row.model}"
        registry = _DIGEST.sub(r"\1", row.registry)
        cells = (row.region, name, ready, row.probe, row.pool, row.endpoint, registry)
        table.add_row(*cells, row.dashboard)
    OUT.print(table)
