"""ModelJob: one model as a batch job, run once per change of its spec or on a schedule.

A single run is named by what its spec says, never by a value of the region, so it is the same
object in every region; what else changes in its template (an agent's image, a bucket) is left alone
until the spec changes (components/ownership.py), since a Job's template cannot change.
"""

from __future__ import annotations

from typing import Final

from components.kube import Object, head
from components.model_network import wall
from components.model_pod import container, notes, pod
from components.model_server import account
from model_specs.names import LABEL_ROLE
from regions.model_plan import JobPlan

_LATEST_START_SECONDS: Final = 3600
"""An hour late is better than never; and after 100 missed starts, which is more than an hour's
worth even of one a minute, the controller would give up for good."""


def _job_spec(plan: JobPlan) -> Object:
    work = plan.workload
    main = container(work, plan.container, plan.placement, plan.weights)
    template = {
        "metadata": {
            "annotations": notes(plan.weights, has_data=plan.data.is_any),
            "labels": {**work.labels, LABEL_ROLE: "model-job"},
        },
        "spec": {
            **pod(work, plan.container, plan.placement, plan.weights, main),
            "restartPolicy": "Never",
        },
    }
    return {
        "activeDeadlineSeconds": plan.deadline_seconds,
        "backoffLimit": plan.retries,
        "completions": plan.completions,
        "parallelism": plan.parallelism,
        "template": template,
        "ttlSecondsAfterFinished": 7 * 86_400,
    }


def run_name(plan: JobPlan) -> str:
    """The name of the CronJob, or of the Job: a Job cannot be changed, so a new one is a run."""
    return plan.workload.model if plan.schedule else f"{plan.workload.model}-{plan.run}"


def _run(plan: JobPlan) -> Object:
    """The CronJob, or the Job."""
    work, name, spec = plan.workload, run_name(plan), _job_spec(plan)
    labels = {**work.labels, LABEL_ROLE: "model-job"}
    if plan.schedule:
        return head("batch/v1", "CronJob", name, work.namespace, labels, {}) | {
            "spec": {
                "concurrencyPolicy": "Forbid",
                "failedJobsHistoryLimit": 3,
                "jobTemplate": {"metadata": {"labels": labels}, "spec": spec},
                "schedule": plan.schedule,
                "startingDeadlineSeconds": _LATEST_START_SECONDS,
                "successfulJobsHistoryLimit": 1,
                "timeZone": plan.timezone,
            }
        }
    del spec["ttlSecondsAfterFinished"]  # a finished run that vanishes would be run again by `up`
    return head("batch/v1", "Job", name, work.namespace, labels, {}) | {"spec": spec}


def objects(plan: JobPlan) -> list[Object]:
    """The run, its ServiceAccount, and a wall that lets nothing in."""
    return [account(plan.workload), _run(plan), wall(plan.workload, set(), ())]
