"""The legal batch jobs: by schedule, or a single run."""

from __future__ import annotations

import re
from typing import Any, Final

from model_specs.names import LABEL_ROLE
from policies.legal.asked import Plain, head, labels_of_model, model_of
from policies.legal.model_pods import MAIN, OF_MODEL, noted, spot_first
from policies.legal.shapes import ABSENT, Asked, Subject


def _of_job(subject: Subject) -> Plain:
    return {**labels_of_model(subject), LABEL_ROLE: "model-job"}


def _batch(field: str) -> Asked:
    def value(subject: Subject) -> Any:
        return getattr(model_of(subject).spec.batch, field)

    return Asked(value)


_RUN: Final[Plain] = {
    "activeDeadlineSeconds": _batch("deadline_seconds"),
    "backoffLimit": _batch("retries"),
    "completions": _batch("completions"),
    "parallelism": _batch("parallelism"),
    "template": {
        "metadata": {
            "annotations": Asked(noted),
            "labels": Asked(_of_job),
        },
        "spec": {
            **OF_MODEL,
            "affinity": Asked(lambda subject: spot_first(subject) or ABSENT),
            "containers": [MAIN],
            "restartPolicy": "Never",
        },
    },
}
SCHEDULED_JOB: Final[Plain] = {
    "apiVersion": "batch/v1",
    "kind": "CronJob",
    "metadata": head(_of_job),
    "spec": {
        "concurrencyPolicy": "Forbid",
        "failedJobsHistoryLimit": 3,
        "jobTemplate": {
            "metadata": {"labels": Asked(_of_job)},
            "spec": {**_RUN, "ttlSecondsAfterFinished": 7 * 86_400},
        },
        "schedule": _batch("schedule"),
        "startingDeadlineSeconds": 3600,
        "successfulJobsHistoryLimit": 1,
        "timeZone": _batch("timezone"),
    },
}


def _run_name(subject: Subject) -> str:
    """A single run's name: the model's, and eight digits of what its spec says."""
    name, own = str(subject.resource.metadata.get("name")), model_of(subject).name
    return name if re.fullmatch(f"{own}-[0-9a-f]{{8}}", name) else f"{own}-RUN"


SINGLE_JOB: Final[Plain] = {
    "apiVersion": "batch/v1",
    "kind": "Job",
    "metadata": head(_of_job, _run_name),
    "spec": _RUN,
}
