"""The legal configurations: what the prober of a project asks, what the nodes keep."""

from __future__ import annotations

import math
import re
from typing import Any, Final

from model_specs.load import Model
from model_specs.names import LABEL_MODEL, LABEL_PROJECT, LABEL_TRACK
from model_specs.schema import CANDIDATE_INTERVAL_SECONDS
from policies.legal.asked import Plain, bytes_of, machine_of, project_of, stable_runtime
from policies.legal.model_pods import version_of
from policies.legal.shapes import Document, Subject, document_in
from policies.resources import Resource

_TOKEN: Final = "/var/run/secrets/prober/token"


def as_track(subject: Subject, model: Model, track: str) -> Subject:
    """A subject that stands for one version of a model, whatever object asks."""
    labels = {LABEL_PROJECT: model.project, LABEL_MODEL: model.name, LABEL_TRACK: track}
    values = {"metadata": {"labels": labels, "name": model.name}}
    kind = "kubernetes:apps/v1:Deployment"
    return Subject(Resource(kind, model.name, values, False, ""), subject.facts)


def _url(model: Model, domain: str) -> str:
    label = f"{model.name}--{model.project}"
    return {
        "private": f"http://{model.name}.{model.project}.svc",
        "permissive": f"http://{label}.internal.{domain}",
        "public": f"https://{label}.{domain}",
    }[model.spec.access]


def _served(model: Model) -> str:
    """The name that a server says, as a regular expression."""
    return re.escape((*model.spec.served_names, model.name)[0]).replace(r"\-", "-")


def _row(subject: Subject, model: Model) -> Plain:
    """How a model is asked on the user's way: by its own request, or whether it is ready."""
    runtime, spec = stable_runtime(model), model.spec
    request, expect = spec.probe.request, spec.probe.expect
    names_model = bool(runtime.probe_json_path) and request is None
    path = request.path if request else runtime.probe_path
    return {
        "body": request.body if request else {},
        "id": model.id,
        "interval_seconds": spec.probe.interval_seconds,
        "json_path": runtime.probe_json_path if names_model else expect.json_path,
        "latency_seconds": expect.latency_seconds,
        "length": expect.length,
        "matches": f'"{_served(model)}"' if names_model else expect.matches,
        "method": "POST" if request else "GET",
        "model": model.name,
        "status": expect.status,
        "token_path": _TOKEN if spec.access == "public" else "",
        "track": "",
        "url": _url(model, subject.facts.profile.domain) + path,
        "version": "",
    }


def _rows(subject: Subject, model: Model) -> list[Plain]:
    """How a model is asked, and its candidate by itself."""
    probe, rows = model.spec.probe, [_row(subject, model)]
    if model.spec.rollout.candidate and probe.request:
        often = max(CANDIDATE_INTERVAL_SECONDS, math.ceil(probe.expect.latency_seconds))
        home = f"http://{model.name}-candidate.{model.project}.svc"
        own = {
            "id": f"{model.id} candidate",
            "interval_seconds": min(probe.interval_seconds, often),
            "token_path": "",
            "track": "candidate",
            "url": home + probe.request.path,
            "version": version_of(as_track(subject, model, "candidate")),
        }
        rows.append(rows[0] | own)
    return rows


def _probes(subject: Subject) -> Plain:
    """The models of the project that are asked here (`synthetic-probe` misses what is not)."""
    project = project_of(subject)
    text = (subject.resource.values.get("data") or {}).get("config.json")
    asked = _ids(document_in(text), "probes", "id")
    models = [one for one in subject.facts.specs.models if one.project == project]
    rows = [row for one in models if one.id in asked for row in _rows(subject, one)]
    return {"probes": rows, "project": project}


def _ids(document: Any, field: str, key: str) -> set[Any]:
    rows = document.get(field) if isinstance(document, dict) else ()
    return {row.get(key) for row in rows or () if isinstance(row, dict)}


PROBES: Final = Document(_probes)


def _is_pinned(subject: Subject, model: Model) -> bool:
    """Whether every node holds the model's versions, be its pods there or not."""
    return model.spec.is_in(subject.facts.region) and model.spec.cache == "always"


def _versions(subject: Subject) -> dict[str, Plain]:
    """Every version that specs pin for a machine type, by its address."""
    machine = machine_of(subject)[0].name
    found: dict[str, Plain] = {}
    for model in subject.facts.specs.models:
        candidate = model.spec.rollout.candidate
        pinned = {"stable": model.spec.model}
        if candidate and candidate.model:
            pinned["candidate"] = candidate.model
        for track, address in pinned.items() if model.spec.machine_type == machine else ():
            found[address] = {
                "address": address,
                "bytes": bytes_of(as_track(subject, model, track)),
                "digest": address.rpartition(":")[2],
                "pinned": _is_pinned(subject, model) or found.get(address, {}).get("pinned", False),
                "project": model.project,
            }
    return found


def _kept(subject: Subject) -> Plain:
    """What the nodes keep of what specs pin; a pod that waits for more is judged by itself."""
    text = (subject.resource.values.get("data") or {}).get("models.json")
    kept, offer = _ids(document_in(text), "models", "address"), machine_of(subject)[1]
    versions = _versions(subject)
    return {
        "disk_budget_gib": offer.cache_disk_gib,
        "disk_free_percent": subject.facts.profile.cluster.disk_free_percent,
        "models": [versions[address] for address in sorted(versions) if address in kept],
    }


KEPT: Final = Document(_kept)
