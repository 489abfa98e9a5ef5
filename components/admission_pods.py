"""Guarded rules about pods and whatever holds one.

ReplicaSets are left to the rules on Deployments and Pods, of which they are made: to judge them
too would stop a controller from scaling an old one down.
"""

from __future__ import annotations

from typing import Final

from components.admission_row import ANY, OF_A_PROJECT, SPACES, Check, Row, kinds
from components.kube import Object
from components.model_cache.volumes import ROOT
from model_specs.names import CACHE_NAMESPACE, LABEL_MACHINE, MODEL_PATH

_WORKLOADS: Final = (
    kinds("", "v1", "pods", "pods/ephemeralcontainers"),
    kinds("apps", "v1", "daemonsets", "deployments", "statefulsets"),
    kinds("batch", "v1", "cronjobs", "jobs"),
)
_POD: Final = {
    # dyn: one expression for kinds of different shape, which the type checker would refuse.
    "pod": "object.kind == 'Pod' ? dyn(object).spec"
    " : object.kind == 'CronJob' ? dyn(object).spec.jobTemplate.spec.template.spec"
    " : dyn(object).spec.template.spec",
    "own": "variables.pod.containers + variables.pod.?initContainers.orValue([])",
    "all": "variables.own + variables.pod.?ephemeralContainers.orValue([])",
    # The cache agents fill a directory of their node, as its root.
    "agent": f"object.metadata.namespace == '{CACHE_NAMESPACE}'",
}


def _row(rule: str, name: str, namespaces: Object, *checks: Check) -> Row:
    return Row(
        rule=rule, name=name, namespaces=namespaces, objects=ANY, kinds=_WORKLOADS, judged="spec",
        variables=_POD, checks=checks,
    )  # fmt: skip


_IMAGE: Final = "^[a-z0-9][a-z0-9.:-]*(/[a-z0-9][a-z0-9._-]*)+@sha256:[0-9a-f]{64}$"

# What downloads a model writes its files, once and before all others start.
_DOWNLOADS: Final = (
    "c.name == 'model' && !has(c.command) && c.?args.orValue([]).size() > 0 && c.args[0] == 'pull'"
)
_MODELS: Final = MODEL_PATH.rpartition("/")[0]
_READS: Final = (
    "c.?volumeMounts.orValue([]).all(m, m.?readOnly.orValue(false)"
    " || !(m.name in variables.weights || m.mountPath == '/'"
    f" || m.mountPath.contains('{_MODELS}')))"
)
_VOLUMES: Final = (
    "['configMap', 'csi', 'downwardAPI', 'emptyDir', 'ephemeral', 'image', 'name',"
    " 'persistentVolumeClaim', 'projected', 'secret']"
)

ROWS: Final[tuple[Row, ...]] = (
    # Pod Security refuses such pods but lets their Deployment through, whose rollout would then
    # take the last good pod away. What it asks of a debugging container it asks of the pod itself.
    _row(
        "P01",
        "pss-restricted",
        SPACES,
        Check(
            holds="['hostIPC', 'hostNetwork', 'hostPID'].all(f, !variables.pod[?f].orValue(false))"
            f" && variables.pod.?volumes.orValue([]).all(v, v.all(k, k in {_VOLUMES}"
            f" || (variables.agent && k == 'hostPath' && v.hostPath.path == '{ROOT}')))"
            " && variables.own.all(c, c.?ports.orValue([]).all(p, !has(p.hostPort)))",
            fault="a pod reaches for its node",
            cure="leave out hostPath and the other host fields",
        ),
        Check(
            holds="variables.pod.?automountServiceAccountToken.orValue(true) == false",
            fault="a pod gets a token for the cluster's API",
            cure="automountServiceAccountToken stays false",
        ),
        Check(
            holds="(variables.agent || (variables.pod.?securityContext.?runAsNonRoot.orValue(false)"
            " && variables.own.all(c, c.?securityContext.?runAsNonRoot.orValue(true)"
            " && c.?securityContext.?runAsUser.orValue(1) != 0)))"
            " && variables.pod.?securityContext.?seccompProfile.?type.orValue('') != ''"
            " && variables.own.all(c, has(c.securityContext)"
            " && c.securityContext.?seccompProfile.?type.orValue('') != 'Unconfined'"
            " && !c.securityContext.?privileged.orValue(false)"
            " && !c.securityContext.?allowPrivilegeEscalation.orValue(true)"
            " && c.securityContext.?readOnlyRootFilesystem.orValue(false)"
            " && 'ALL' in c.securityContext.?capabilities.?drop.orValue([])"
            " && !has(c.securityContext.capabilities.add))",
            fault="a container may do more than Pod Security's `restricted`",
            cure="no root, no privileges, no capabilities, a read-only root file system",
        ),
    ),
    _row(
        "P02",
        "image-digest",
        SPACES,
        Check(
            holds=f"variables.all.all(c, c.?image.orValue('').matches('{_IMAGE}'))",
            fault="an image is not pinned by its digest",
            cure="write it as registry/name@sha256:<64 hex digits>",
        ),
    ),
    # A debugging container may come from anywhere, pinned: an incident needs its tools.
    _row(
        "P02",
        "image-host",
        SPACES,
        Check(
            holds="variables.own.all(c,"
            " variables.hosts.exists(h, c.?image.orValue('').startsWith(h + '/')))",
            fault="an image comes from a registry that the region's profile does not list",
            cure="mirror it to one of its image_hosts",
        ),
    ),
    Row(
        rule="P21",
        name="weights-read-only",
        namespaces=OF_A_PROJECT,
        objects=ANY,
        kinds=_WORKLOADS,
        judged="spec",
        variables={
            "pod": _POD["pod"],
            "weights": "variables.pod.?volumes.orValue([]).filter(v,"
            " has(v.persistentVolumeClaim) || v.name == 'models' || (v.name != 'tmp'"
            f" && variables.pod.?initContainers.orValue([]).exists(c, {_DOWNLOADS}"
            " && c.?volumeMounts.orValue([]).exists(m, m.name == v.name)))).map(v, v.name)",
            "others": "variables.pod.containers + variables.pod.?ephemeralContainers.orValue([])",
        },
        checks=(
            Check(
                holds="variables.pod.?volumes.orValue([]).all(v, !has(v.persistentVolumeClaim)"
                " || v.persistentVolumeClaim.?readOnly.orValue(false))",
                fault="a pod would write what other pods serve",
                cure="a node's copy of a model is mounted to be read",
            ),
            Check(
                holds=f"variables.others.all(c, {_READS})"
                f" && variables.pod.?initContainers.orValue([]).all(c, ({_DOWNLOADS}) || {_READS})",
                fault="a container would change the model's files",
                cure="only the download writes them, and /tmp is for all else",
            ),
        ),
    ),
    # That a GPU's request equals its limit, the API server asks by itself.
    _row(
        "P17",
        "gpu-shape",
        SPACES,
        Check(
            holds="variables.pod.?tolerations.orValue([]).all(t, t.?key.orValue('') != '')",
            fault="a pod tolerates every taint and may stand on any node",
            cure="name the taint's key",
        ),
        Check(
            # GPUs of any vendor: what no device plugin advertises has no domain in its name.
            holds="!variables.own.exists(c, c.?resources.?limits.orValue({}).exists(r,"
            " r.contains('/')))"
            f" || variables.pod.?nodeSelector[?'{LABEL_MACHINE}'].hasValue()",
            fault="a pod with GPUs may stand on nodes of any machine type",
            cure="choose the nodes by machine_type",
        ),
    ),
    _row(
        "P22",
        "no-secret-literal",
        SPACES,
        Check(
            holds="variables.all.all(c,"
            " c.?env.orValue([]).all(e, !has(e.valueFrom) || !has(e.valueFrom.secretKeyRef))"
            " && c.?envFrom.orValue([]).all(e, !has(e.secretRef)))",
            fault="a secret is handed over in the environment, where every child process reads it",
            cure="name it under `secrets`, which mounts it as a file",
        ),
    ),
)
"""In the order of the catalogue."""
