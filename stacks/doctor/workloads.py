"""What the stack REGION.addons installs runs: definitions alone scale nothing and route nothing."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

from components.kube import Object
from components.kube_client import ApiError
from regions.addons import ADDONS, RELEASE_PENDING, Addon
from stacks.doctor.findings import Answers, Finding, Site, Unseen, condition, inside

_LISTS: Final = {
    "DaemonSet": "daemonsets",
    "Deployment": "deployments",
    "StatefulSet": "statefulsets",
}


def workloads(site: Site) -> Answers:
    """Every workload of an add-on that we install is available. Of one that somebody else provides
    nobody knows the names. No chart's release waits for a run that has been killed."""
    for name, row in ADDONS.items():
        if site.profile.addons.get(name) != "install":
            continue
        if row.hooks:
            try:
                yield from _interrupted(site, name, row)
            except ApiError as error:
                yield Unseen(check="workloads", why=str(error))
        for workload in row.workloads:
            kind, _, own = workload.partition("/")
            path = f"/apis/apps/v1/namespaces/{row.namespace}/{_LISTS[kind]}/{own}"
            made = site.api.get(path)
            lacks = "is not there" if made is None else _lacks(kind, made)
            if lacks:
                what = f"{kind} {row.namespace}/{own} of {name} {lacks}"
                look = f"kubectl -n {row.namespace} describe {kind.lower()} {own}"
                mend = site.bring(name) if made is None else look
                yield Finding(check="workloads", what=what, mend=mend)


def _interrupted(site: Site, name: str, row: Addon) -> Answers:
    """Helm neither installs nor upgrades a release whose record says that another run does."""
    query = quote(f"owner=helm,name={name},{RELEASE_PENDING}")
    path = f"/api/v1/namespaces/{row.namespace}/secrets?labelSelector={query}"
    for record in site.records(path):
        own, state = (
            inside(record, "metadata", "name"),
            inside(record, "metadata", "labels", "status"),
        )
        place = f"{row.namespace}/{own}"
        what = f"the Helm release {name} is {state} ({place}): a run was killed, or works still"
        gone = f"kubectl -n {row.namespace} delete secret {own}"
        mend = f"when none works: {gone}; {site.bring(name)}"
        yield Finding(check="workloads", what=what, mend=mend)


def _lacks(kind: str, made: Object) -> str:
    """What is amiss with a workload; empty where nothing is."""
    if kind == "Deployment":
        available = condition(made, "Available")
        why = available.get("message") or "the controller has not looked at it"
        return "" if available.get("status") == "True" else f"is not available: {why}"
    wanted = inside(made, "status", "desiredNumberScheduled" if kind == "DaemonSet" else "replicas")
    ready = inside(made, "status", "numberReady" if kind == "DaemonSet" else "readyReplicas")
    return "" if (ready or 0) >= (wanted or 0) else f"has {ready or 0} of {wanted} pods ready"
