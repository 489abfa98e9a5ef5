"""The kinds of GPUs: how Kubernetes, vendors' tools and node autoscalers know them.

The rows are files of `catalogue/gpu_kinds/`, ours and a company's own
(model_specs.catalogue_files); a slice of a GPU that is advertised under a name of its own is a kind
as well. A machine type names its kind, and `none` is that of machines without GPUs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Final, Literal

from pydantic import Field

from model_specs.catalogue_files import Fact, Row, Text, read_folders, rows

NO_GPU: Final = "none"
"""The kind of machine types without GPUs."""
ARCHITECTURES: Final = ("amd64", "arm64")
Architecture = Literal["amd64", "arm64"]
"""As the kubelet writes it to `kubernetes.io/arch`."""
Key = Annotated[
    str, Field(pattern=r"^([a-z0-9.-]{1,253}/)?[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$")
]
"""Of a label or taint."""
Value = Annotated[str, Field(pattern=r"^([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?$")]
Metric = Annotated[str, Field(pattern=r"^[a-zA-Z_:][a-zA-Z0-9_:]*$", max_length=128)]
Labels = dict[Key, Value]


class Resource(Fact):
    """What the vendor's device plugin advertises and pods ask for."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9.-]{1,253}/[A-Za-z0-9._-]{1,63}$")]


class Taint(Fact):
    """What nodes with these GPUs carry (effect NoSchedule); pods tolerate it with any value."""

    key: Key
    value: Value
    is_put: bool
    """Whether we put it on nodes: only where the vendor's device plugin tolerates it by default."""


class NodeLabels(Fact):
    """What the vendor's tools look for on nodes."""

    of_nodes: Labels


class Aws(Fact):
    """What EKS and the cluster autoscaler of AWS know of it."""

    ami_types: dict[Architecture, Annotated[str, Field(pattern=r"^[A-Z0-9][A-Za-z0-9_]*$")]]
    """EKS's images with the vendor's driver, by the architecture of the machine."""
    is_awaited: bool
    """Whether the autoscaler takes a node with LABEL_ACCELERATOR for one whose GPUs are still to
    come. A node with the label and a resource that it does not know would never be ready."""
    is_counted: bool
    """Whether it knows without a tag how many a node of a group without nodes will have."""


class Metrics(Fact):
    """Gauges of the vendor's exporter, by the pods that hold the GPUs."""

    exporter: Text
    busy_percent: Metric
    used_mib: Metric


class GpuKindRow(Row):
    """What a file says."""

    vendor: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$", max_length=63)]
    """Whose: runtimes' images compute on the GPUs of the vendors that their rows name."""
    resource: Resource | None = None
    """None for `none` alone."""
    taint: Taint | None = None
    labels: NodeLabels | None = None
    aws: Aws | None = None
    """None where EKS has no image with the driver: the nodes are then listed."""
    metrics: Metrics | None = None
    """None where no panels are made of the vendor's exporter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuKind:
    """One row. `resource` is empty for `none` alone.

    `taint` has key and value of what pods tolerate and, where `is_tainted`, our nodes carry; the
    key is empty where there is none. `labels` are what the vendor's tools look for on nodes.
    `ami_types` are EKS's by architecture, `is_awaited` and `is_counted` what the cluster autoscaler
    knows there. `busy_metric` in percent and `used_metric` in MiB are empty without an exporter.
    """

    name: str
    vendor: str
    resource: str
    taint: tuple[str, str]
    is_tainted: bool
    labels: Mapping[str, str]
    ami_types: Mapping[str, str]
    is_awaited: bool
    is_counted: bool
    exporter: str
    busy_metric: str
    used_metric: str


def made(name: str, row: GpuKindRow) -> GpuKind:
    """A row as the rest of the program takes it."""
    return GpuKind(
        name=name,
        vendor=row.vendor,
        resource=row.resource.name if row.resource else "",
        taint=(row.taint.key, row.taint.value) if row.taint else ("", ""),
        is_tainted=bool(row.taint and row.taint.is_put),
        labels=row.labels.of_nodes if row.labels else {},
        ami_types={str(arch): ami for arch, ami in row.aws.ami_types.items()} if row.aws else {},
        is_awaited=bool(row.aws and row.aws.is_awaited),
        is_counted=bool(row.aws and row.aws.is_counted),
        exporter=row.metrics.exporter if row.metrics else "",
        busy_metric=row.metrics.busy_percent if row.metrics else "",
        used_metric=row.metrics.used_mib if row.metrics else "",
    )


GPU_KINDS: Final[dict[str, GpuKind]] = {
    name: made(name, row) for name, row in rows("gpu_kinds", GpuKindRow, read_folders()).items()
}
"""By name, in order of it."""
GPU_RESOURCES: Final = tuple(sorted({kind.resource for kind in GPU_KINDS.values()} - {""}))
"""All names under which GPUs are asked for."""
