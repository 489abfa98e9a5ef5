"""What a feature needs of a region, and the one thing that happens where that is absent."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from regions.plan import Downgrade, Gap

REFUSE: Final = "refuse"


@dataclass(frozen=True, slots=True, kw_only=True)
class Feature:
    """A feature, the capability it needs, and its outcome without: `REFUSE` or what is done."""

    name: str
    capability: str
    outcome: str


FEATURES: Final[dict[str, Feature]] = {
    row.name: row
    for row in (
        Feature(
            name="queue autoscaling",
            capability="keda",
            outcome="scales by a HorizontalPodAutoscaler",
        ),
        Feature(
            name="queue metric",
            capability="custom_metrics",
            outcome="scales on CPU, not on requests running and waiting",
        ),
        Feature(
            name="queue metric of GPUs",
            capability="custom_metrics",
            outcome="scales on CPU, which does not follow the load of a GPU: set scaling.min to "
            "what the peak needs",
        ),
        Feature(name="scale to zero", capability="keda", outcome="keeps one replica"),
        Feature(
            name="schedules",
            capability="keda",
            outcome="keeps the highest scheduled floor all day",
        ),
        Feature(name="route", capability="gateway_api", outcome=REFUSE),
        Feature(name="route policies", capability="envoy_gateway", outcome=REFUSE),
        Feature(
            name="alert rules",
            capability="prometheus_operator",
            outcome="rules are handed over in a ConfigMap, pods are found by their labels",
        ),
        Feature(
            name="model cache",
            capability="cluster_scope",
            outcome="each pod downloads the model",
        ),
        Feature(
            name="namespaces",
            capability="cluster_scope",
            outcome="the project's namespace must exist already",
        ),
        Feature(
            name="admission guard",
            capability="cluster_scope",
            outcome="a hand edit is undone by the next `up`, not refused",
        ),
        Feature(
            name="gateways",
            capability="cluster_scope",
            outcome="the gateways must stand in isoserve-gateway already",
        ),
        Feature(
            name="region dashboard",
            capability="cluster_scope",
            outcome="only the models have dashboards",
        ),
        Feature(
            name="node labels",
            capability="cluster_scope",
            outcome="the nodes must carry the pool's labels and taints already",
        ),
        Feature(
            name="priority classes",
            capability="cluster_scope",
            outcome="every pod has the cluster's own priority",
        ),
        Feature(name="registry key", capability="kms", outcome="the store encrypts with its key"),
        Feature(
            name="registry walls",
            capability="s3_access_control",
            outcome="the store itself must keep its buckets private",
        ),
        Feature(
            name="registry replication",
            capability="s3_replication",
            outcome="the registry is filled by `isoserve model push`, not by replication",
        ),
        Feature(name="spot nodes", capability="spot", outcome="runs on on-demand nodes"),
        Feature(
            name="role of a job",
            capability="iam_roles",
            outcome="its pods have keys from the Secret <model>--data of the project, which people "
            "make: keys that may read batch.input and write batch.output and no more",
        ),
        Feature(
            name="results of each region",
            capability="unreplicated_results",
            outcome="replication copies what it writes here over what it writes in other regions",
        ),
        Feature(
            name="spot fallback",
            capability="node_autoscaler",
            outcome="its spot pods wait for spot nodes: nothing is known to add others",
        ),
        Feature(
            name="answers of a candidate",
            capability="real_nodes",
            outcome="on simulated nodes nobody answers: its candidate gets users once it is ready",
        ),
    )
}
DERIVED: Final = frozenset({
    "iam_roles", "node_autoscaler", "real_nodes", "spot", "unreplicated_results",
})  # fmt: skip
"""What no profile claims as a capability: its provider, registry, cluster and offers say it."""


@dataclass(slots=True)
class Abilities:
    """A region's capabilities, and a record of what was asked for in vain."""

    region: str
    present: frozenset[str]
    downgrades: set[Downgrade] = field(default_factory=set)
    gaps: list[Gap] = field(default_factory=list)

    def allow(self, feature: str, model: str, path: str) -> bool:
        """Whether the region has what `feature` needs; if not, its outcome is recorded.

        `model` is the model's id or empty for the region; `path` is the spec field that asked.
        """
        return self.allow_if(FEATURES[feature].capability in self.present, feature, model, path)

    def allow_if(self, present: bool, feature: str, model: str, path: str) -> bool:
        """As `allow`, where the caller has looked for itself."""
        row = FEATURES[feature]
        if present:
            return True
        if row.outcome == REFUSE:
            reason = f"{feature} needs {row.capability}, which region {self.region} lacks"
            self.lack(model, path, "E333", f"{reason}; leave it out of regions")
        else:
            self.downgrades.add(
                Downgrade(
                    model=model,
                    feature=feature,
                    capability=row.capability,
                    outcome=row.outcome,
                )
            )
        return False

    def lack(self, model: str, path: str, code: str, reason: str) -> None:
        """Record that the region cannot serve `model`, and why."""
        self.gaps.append(Gap(model=model, path=path, code=code, reason=reason))

    def replaced(self) -> tuple[Downgrade, ...]:
        """What is done instead, in order, for the region and the models that it can serve."""
        refused = {gap.model for gap in self.gaps}
        return tuple(
            sorted(
                (row for row in self.downgrades if row.model not in refused),
                key=lambda row: (row.model, row.feature, row.capability),
            )
        )
