"""Guarded rules about what keeps a model serving when a node, a metric or a volume is not there."""

from __future__ import annotations

from typing import Final

from components.admission_row import ANY, OF_A_PROJECT, SPACES, Check, Row, kinds
from model_specs.names import LABEL_PROJECT

_BUDGET: Final = Row(
    rule="P11",
    name="pdb-sane",
    namespaces=SPACES,
    objects=ANY,
    kinds=(kinds("policy", "v1", "poddisruptionbudgets"),),
    judged="spec",
    variables={},
    checks=(
        Check(
            holds="has(object.spec.maxUnavailable) && type(object.spec.maxUnavailable) == int"
            " && object.spec.maxUnavailable > 0"
            " && object.spec.?unhealthyPodEvictionPolicy.orValue('') == 'AlwaysAllow'",
            fault="no node under this budget could be drained, nor upgraded",
            cure="maxUnavailable is 1, and a broken pod protects no node",
        ),
    ),
)

_FALLBACK: Final = Row(
    rule="P15",
    name="keda-fallback",
    namespaces=OF_A_PROJECT,
    objects=ANY,
    kinds=(kinds("keda.sh", "v1alpha1", "scaledobjects"),),
    judged="spec",
    variables={"least": "object.spec.?minReplicaCount.orValue(0)"},
    checks=(
        Check(
            holds="object.spec.?fallback.?behavior.orValue('') == 'currentReplicasIfHigher'"
            " && object.spec.fallback.failureThreshold > 0"
            " && object.spec.fallback.replicas >= (variables.least > 0 ? variables.least : 1)"
            " && object.spec.triggers.all(t, t.type == 'cron' || (t.type == 'prometheus'"
            " && t.metadata[?'ignoreNullValues'].orValue('') == 'false'))",
            fault="pods would be taken away when KEDA loses its metrics",
            cure="choose the least replicas by scaling.min",
        ),
    ),
)

_WINDOW: Final = Row(
    rule="P21",
    name="tenant-volumes",
    namespaces=ANY,
    objects=OF_A_PROJECT,
    kinds=(kinds("", "v1", "persistentvolumes"),),
    judged="spec",
    variables={"owner": f"object.metadata.?labels[?'{LABEL_PROJECT}'].orValue('')"},
    checks=(
        Check(
            holds="object.spec.?claimRef.?namespace.orValue('') == variables.owner"
            " && object.spec.?local.?path.orValue('').endsWith('/' + variables.owner)"
            " && object.spec.accessModes == ['ReadOnlyMany']",
            fault="the volume would show a project's models to another, or let it write them",
            cure="a project shares a model by share_with, never its files",
        ),
    ),
)

ROWS: Final[tuple[Row, ...]] = (_BUDGET, _FALLBACK, _WINDOW)
"""In the order of the catalogue."""
