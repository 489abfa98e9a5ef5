"""The legal pods of a model, and the tracks of its server."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any, Final

from model_specs.names import (
    DATA,
    LABEL_CAPACITY,
    LABEL_MACHINE,
    LABEL_ROLE,
    LABEL_TRACK,
)
from model_specs.runtimes import Launch
from policies.legal.asked import (
    KEYS,
    KEYS_MOUNT,
    RESTRICTED,
    USER_OF_POD,
    Plain,
    address_of,
    bounds,
    bytes_of,
    digest_of,
    download_gib,
    floor,
    head,
    labels_of_model,
    model_of,
    pull_secrets,
    registry_env,
    runtime_of,
    slug,
    toleration,
    tolerations,
)
from policies.legal.shapes import ABSENT, Asked, Subject
from policies.models import image_of, is_candidate, rates
from policies.pods import pod
from policies.tracks import falls_back, node_affinity, pool_of
from regions.machines import MACHINES

_SHARED_MEMORY_GIB: Final = 8
_LOGS_GIB: Final = 4
_DATA_KEYS: Final = "/var/run/isoserve/data"


def _literal(text: str) -> str:
    """Kubernetes reads `$$` as one dollar."""
    return text.replace("$", "$$")


def _image(subject: Subject) -> str:
    image = image_of(model_of(subject), is_candidate(subject.resource))
    return runtime_of(subject).image or image


def _command(subject: Subject) -> Any:
    batch = model_of(subject).spec.batch
    words = batch.command if batch else runtime_of(subject).command
    return [_literal(word) for word in words] or ABSENT


def _words(subject: Subject) -> list[str]:
    """The runtime's own arguments, and the spec's."""
    model, runtime = model_of(subject), runtime_of(subject)
    candidate = model.spec.rollout.candidate if is_candidate(subject.resource) else None
    own = model.spec.args if candidate is None or candidate.args is None else candidate.args
    launch = Launch(
        served_names=model.spec.served_names or (model.name,),
        gpus=MACHINES[model.spec.machine_type].gpus,
        port=runtime.port,
        shutdown_seconds=runtime.shutdown_seconds,
    )
    return [*runtime.args(launch), *own]


def _args(subject: Subject) -> Any:
    if model_of(subject).spec.batch:
        return ABSENT
    return [_literal(word) for word in _words(subject)] or ABSENT


def _own_env(subject: Subject) -> Mapping[str, str]:
    spec = model_of(subject).spec
    candidate = spec.rollout.candidate if is_candidate(subject.resource) else None
    return spec.env if candidate is None or candidate.env is None else candidate.env


def _has_data(subject: Subject) -> bool:
    model = model_of(subject)
    return subject.facts.job_with_data(model.project, model.name) is not None


def _data_env(subject: Subject) -> Mapping[str, str]:
    """How a job finds what it reads and writes."""
    model, profile = model_of(subject), subject.facts.profile
    batch = model.spec.batch
    if batch is None or not _has_data(subject):
        return {}
    data = f"s3://{profile.registry.bucket}/{DATA}/{model.project}"
    keys = "" if subject.facts.jobs_have_roles else f"{_DATA_KEYS}/credentials"
    told = {
        "AWS_DEFAULT_REGION": profile.account.region,
        "AWS_ENDPOINT_URL_S3": profile.registry.endpoint,
        "AWS_REGION": profile.account.region,
        "AWS_SHARED_CREDENTIALS_FILE": keys,
        "ISOSERVE_INPUT": f"{data}/{batch.input}/" if batch.input else "",
        "ISOSERVE_OUTPUT": f"{data}/{batch.output}/" if batch.output else "",
    }
    return {name: value for name, value in told.items() if value}


def _secrets(subject: Subject) -> list[tuple[str, str]]:
    """The Secrets that the pod mounts, with where; a job's keys where no role gives any."""
    model = model_of(subject)
    own = [(secret.name, secret.mount) for secret in model.spec.secrets]
    keyless = not _has_data(subject) or subject.facts.jobs_have_roles
    return own if keyless else [*own, (f"{model.name}--data", _DATA_KEYS)]


def _env(subject: Subject) -> list[Plain]:
    model = model_of(subject)
    values = {
        **runtime_of(subject).env,
        **_own_env(subject),
        "HF_HUB_OFFLINE": "1",
        "HOME": "/tmp",
        "ISOSERVE_MODEL": model.name,
        "ISOSERVE_MODEL_DIR": "/models/current",
        "ISOSERVE_PROJECT": model.project,
        "LOGNAME": "isoserve",
        "USER": "isoserve",
        **_data_env(subject),
    }
    return [{"name": name, "value": _literal(values[name])} for name in sorted(values)]


def _cached(subject: Subject) -> bool:
    """Whether the node keeps the model; whether it may is for `model-digest` to say."""
    first = (pod(subject.resource).get("initContainers") or [{}])[0]
    return list(first.get("args") or ())[:1] == ["wait"]


def _ephemeral_gib(subject: Subject) -> int:
    written = _LOGS_GIB + model_of(subject).spec.tmp_gib
    return written + (0 if _cached(subject) else download_gib(subject))


def _size(subject: Subject) -> Plain:
    machine = MACHINES[model_of(subject).spec.machine_type]
    gpus: Plain = {machine.kind.resource: str(machine.gpus)} if machine.gpus else {}
    return {
        "cpu": str(machine.cpu),
        "ephemeral-storage": f"{_ephemeral_gib(subject)}Gi",
        "memory": f"{machine.memory_gib}Gi",
        **gpus,
    }


def _keys(subject: Subject) -> str:
    """The Secret with the registry's keys; empty where a role or the node's cache serves."""
    return "" if _cached(subject) else subject.facts.profile.registry.credentials_secret


def _mounts(subject: Subject) -> list[Plain]:
    own = {
        "mountPath": "/models/current",
        "name": "models",
        "readOnly": True,
        "subPath": digest_of(subject),
    }
    return [
        own,
        {"mountPath": "/tmp", "name": "tmp"},
        {"mountPath": "/dev/shm", "name": "shared-memory"},
        *(
            {"mountPath": mount, "name": f"secret-{name}", "readOnly": True}
            for name, mount in _secrets(subject)
        ),
    ]


def _volumes(subject: Subject) -> list[Plain]:
    spec = model_of(subject).spec
    machine = MACHINES[spec.machine_type]
    claim = {"claimName": f"models-{slug(machine.name)}", "readOnly": True}
    room = {"sizeLimit": f"{_ephemeral_gib(subject)}Gi"}
    shared = spec.shared_memory_gib or min(_SHARED_MEMORY_GIB, machine.memory_gib // 2)
    named = [(f"secret-{name}", name) for name, _ in _secrets(subject)]
    named += [(KEYS, _keys(subject))] if _keys(subject) else []
    return [
        {
            "name": "models",
            **({"persistentVolumeClaim": claim} if _cached(subject) else {"emptyDir": room}),
        },
        {"emptyDir": {"sizeLimit": f"{spec.tmp_gib}Gi"}, "name": "tmp"},
        {"emptyDir": {"medium": "Memory", "sizeLimit": f"{shared}Gi"}, "name": "shared-memory"},
        *({"name": volume, "secret": {"secretName": secret}} for volume, secret in named),
    ]


def _fetching(subject: Subject) -> list[Plain]:
    """The one init container: it waits for the node's copy, or downloads its own."""
    verbs = {True: ["wait", "--digest", digest_of(subject)],
             False: ["pull", "--address", address_of(subject)]}  # fmt: skip
    cached, size = _cached(subject), {"cpu": "1", "ephemeral-storage": "64Mi", "memory": "512Mi"}
    return [
        {
            "name": "model",
            "image": subject.facts.profile.agent_image,
            "imagePullPolicy": "Always",
            "args": [*verbs[cached], "--root", "/models/project"],
            "env": registry_env(subject, bool(_keys(subject))),
            "resources": {"limits": size, "requests": size},
            "securityContext": RESTRICTED,
            "volumeMounts": [
                {"mountPath": "/models/project", "name": "models"}
                | ({"readOnly": True} if cached else {}),
                {"mountPath": "/tmp", "name": "tmp"},
                *([KEYS_MOUNT] if _keys(subject) else []),
            ],
        }
    ]


def _priority(subject: Subject) -> Any:
    if "cluster_scope" not in subject.facts.profile.capabilities:
        return ABSENT
    return f"isoserve-{model_of(subject).spec.capacity.priority}"


def _capacity(subject: Subject) -> str:
    """The kind of nodes; whether spot nodes may be chosen is for `spot-base` to say."""
    return pool_of(subject.resource)[1]


def _selected(subject: Subject) -> Plain:
    """The nodes. Pods that fall back name no capacity (`gpu-shape` holds that they may)."""
    machine = {LABEL_MACHINE: model_of(subject).spec.machine_type}
    if falls_back(subject.resource):
        return machine
    return {LABEL_CAPACITY: "spot" if _capacity(subject) == "spot" else "on_demand", **machine}


def spot_first(subject: Subject) -> Plain:
    """The affinity of pods that fall back to on-demand nodes; empty for all others."""
    nodes = {"nodeAffinity": node_affinity(subject.resource)}
    return nodes if falls_back(subject.resource) else {}


def _tolerated(subject: Subject) -> Any:
    machine = MACHINES[model_of(subject).spec.machine_type]
    own = tolerations(machine, subject.facts.profile.machines[machine.name])
    spot = [toleration(LABEL_CAPACITY, "spot")] if _capacity(subject) == "spot" else []
    return [*own, *spot] or ABSENT


MAIN: Final[Plain] = {
    "args": Asked(_args),
    "command": Asked(_command),
    "workingDir": Asked(lambda subject: runtime_of(subject).working_dir or ABSENT),
    "name": "model-server",
    "image": Asked(_image),
    "imagePullPolicy": "Always",
    "env": Asked(_env),
    "resources": {"limits": Asked(_size), "requests": Asked(_size)},
    "securityContext": RESTRICTED,
    "volumeMounts": Asked(_mounts),
}
"""The model's own container, without what only a server has."""


def _user(subject: Subject) -> Plain:
    """Whom its runtime's row names, or the spec of an image of a team's own."""
    runtime = runtime_of(subject)
    ids = {"runAsUser": runtime.user, "runAsGroup": runtime.group, "fsGroup": runtime.group}
    return USER_OF_POD | ids


def _runtime_class(subject: Subject) -> Any:
    return MACHINES[model_of(subject).spec.machine_type].runtime_class or ABSENT


OF_MODEL: Final[Plain] = {
    "priorityClassName": Asked(_priority),
    "automountServiceAccountToken": False,
    "enableServiceLinks": False,
    "imagePullSecrets": Asked(pull_secrets),
    "initContainers": Asked(_fetching),
    "nodeSelector": Asked(_selected),
    "runtimeClassName": Asked(_runtime_class),
    "securityContext": Asked(_user),
    "serviceAccountName": Asked(lambda subject: model_of(subject).name),
    "tolerations": Asked(_tolerated),
    "volumes": Asked(_volumes),
}
"""What the pods of a server and of a job have in common."""


def version_of(subject: Subject) -> str:
    """What decides the answers of a version's pods, as a digest: what they run, and the model."""
    runtime = runtime_of(subject)
    own = {
        "image": _image(subject),
        "command": runtime.command,
        "args": _words(subject),
        "user": runtime.user,
        "group": runtime.group,
        "working_dir": runtime.working_dir,
        "env": {**runtime.env, **_own_env(subject)},
    }
    told = json.dumps([own, digest_of(subject)], sort_keys=True)
    return hashlib.sha256(told.encode()).hexdigest()[:16]


def _mib(subject: Subject) -> float:
    return bytes_of(subject) / 1024**2


def budget_seconds(subject: Subject) -> int:
    """How long a server may take to start: twice the load from disk and the engine's own start."""
    load = _mib(subject) / rates(model_of(subject))[0]
    return max(300, math.ceil(2.0 * (load + runtime_of(subject).engine_start_seconds)))


def _grace_seconds(subject: Subject) -> int:
    """How long a pod may take to go: until nobody sends to it, and until its server has ended."""
    return 20 + runtime_of(subject).shutdown_seconds


def progress_seconds(subject: Subject) -> int:
    """How long a rollout may take for one pod: the end of the one before it, its start, its files
    and its image, and a fifth."""
    fetch = _mib(subject) / rates(model_of(subject))[1]
    image = runtime_of(subject).image_gib * 1024 / 60
    parts = budget_seconds(subject) + fetch + image + _grace_seconds(subject)
    return math.ceil(1.2 * parts)


def _probe(path: Any, failures: Any, period: int, timeout: int) -> Plain:
    return {
        "httpGet": {"path": path, "port": "http"},
        "failureThreshold": failures,
        "periodSeconds": period,
        "timeoutSeconds": timeout,
    }


_READY: Final = Asked(lambda subject: runtime_of(subject).ready_path)


def _ports(subject: Subject) -> list[Plain]:
    runtime = runtime_of(subject)
    named = {runtime.metrics_port: "metrics", runtime.port: "http"}
    return [{"containerPort": port, "name": name} for port, name in named.items()]


_SERVER: Final[Plain] = {
    **MAIN,
    "livenessProbe": _probe(Asked(lambda subject: runtime_of(subject).live_path), 10, 10, 5),
    "readinessProbe": _probe(_READY, 2, 5, 2),
    "startupProbe": _probe(_READY, Asked(lambda s: math.ceil(budget_seconds(s) / 10)), 10, 5),
    "lifecycle": {"preStop": {"sleep": {"seconds": 15}}},
    "ports": Asked(_ports),
}


def _of_server(subject: Subject) -> Plain:
    return {**labels_of_model(subject), LABEL_ROLE: "model-server"}


def _track(subject: Subject) -> str:
    """The track that the pods' nodes and the labels agree on."""
    if is_candidate(subject.resource):
        return "candidate"
    return "spot" if _capacity(subject) == "spot" else "stable"


def _of_track(subject: Subject) -> Plain:
    return {**_of_server(subject), LABEL_TRACK: _track(subject)}


def _of_pod_labels(subject: Subject) -> Plain:
    version = "candidate" if is_candidate(subject.resource) else "stable"
    return {**_of_track(subject), "isoserve.dev/version": version}


def _track_name(subject: Subject) -> str:
    track = _track(subject)
    name = model_of(subject).name
    return name if track == "stable" else f"{name}-{track}"


def _apart(subject: Subject) -> Plain:
    term = {
        "labelSelector": {"matchLabels": _of_server(subject)},
        "topologyKey": "kubernetes.io/hostname",
    }
    wish = {"podAffinityTerm": term, "weight": 100}
    apart = {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [wish]}}
    return {**spot_first(subject), **apart}


def _spread(subject: Subject) -> Any:
    if len(subject.facts.profile.zones) < 2:
        return ABSENT
    return [
        {
            "labelSelector": {"matchLabels": _of_track(subject)},
            "matchLabelKeys": ["pod-template-hash"],
            "maxSkew": 1,
            "topologyKey": "topology.kubernetes.io/zone",
            "whenUnsatisfiable": "ScheduleAnyway",
        }
    ]


def noted(subject: Subject) -> Plain:
    """The pod's annotations: its model, and the containers that get no role."""
    uses = {"model": not _cached(subject), "model-server": _has_data(subject)}
    idle = ",".join(name for name, used in uses.items() if not used)
    roleless: Plain = {"eks.amazonaws.com/skip-containers": idle} if idle else {}
    return {"isoserve.dev/model-digest": digest_of(subject), **roleless}


def _scraped(subject: Subject) -> Plain:
    runtime = runtime_of(subject)
    return {
        **noted(subject),
        "prometheus.io/path": runtime.metrics_path,
        "prometheus.io/port": str(runtime.metrics_port),
        "prometheus.io/scrape": "true",
    }


def _replicas(subject: Subject) -> int:
    """What a track begins with: its least, the widest window's where nothing opens windows, or
    one where it may sleep (`scaler-bounds` holds it to its autoscaler)."""
    legal = [max(bounds(subject).least, 1), floor(subject)]
    legal += [1] if model_of(subject).spec.scaling.scale_to_zero else []
    got = subject.resource.spec.get("replicas")
    return got if got in legal else legal[0]


def _steps(subject: Subject) -> Plain:
    """One pod more, or, where the pool has no room for it (`rollout-feasible`), one less."""
    strategy = subject.resource.spec.get("strategy") or {}
    surge = 0 if (strategy.get("rollingUpdate") or {}).get("maxSurge") == 0 else 1
    return {"maxSurge": surge, "maxUnavailable": 1 - surge}


MODEL_SERVER: Final[Plain] = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": head(_of_track, _track_name),
    "spec": {
        "replicas": Asked(_replicas),
        "progressDeadlineSeconds": Asked(progress_seconds),
        "revisionHistoryLimit": 3,
        "selector": {"matchLabels": Asked(_of_track)},
        "strategy": {
            "rollingUpdate": Asked(_steps),
            "type": "RollingUpdate",
        },
        "template": {
            "metadata": {"annotations": Asked(_scraped), "labels": Asked(_of_pod_labels)},
            "spec": {
                **OF_MODEL,
                "containers": [_SERVER],
                "affinity": Asked(_apart),
                "topologySpreadConstraints": Asked(_spread),
                "terminationGracePeriodSeconds": Asked(_grace_seconds),
            },
        },
    },
}
