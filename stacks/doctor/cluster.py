"""The cluster itself: its version, the APIs that it serves, and its DNS."""

from __future__ import annotations

import re
from typing import Final

from regions.addons import ADDONS
from stacks.doctor.findings import Answers, Finding, Site, Unseen, condition, inside

_DIGITS: Final = re.compile(r"[0-9]+")
_GUARDS: Final = "validatingadmissionpolicies.admissionregistration.k8s.io"
"""What guards our namespaces where we have rights over the cluster, of Kubernetes itself."""
_LOADS, _CPU = "custom.metrics.k8s.io", "metrics.k8s.io"
"""API groups that HorizontalPodAutoscalers read, in any version: that of `custom_metrics`, and that
of CPU in regions without a better signal. Source: kubernetes.io, "Horizontal Pod Autoscaling",
support for metrics APIs."""
_DNS: Final = "/api/v1/namespaces/kube-system/pods?labelSelector=k8s-app%3Dkube-dns"
"""CoreDNS keeps kube-dns's label. Source: kubernetes.io, "Debugging DNS Resolution". The network
policies of models let DNS out to pods of kube-system alone (components/kube.py, resolver)."""


def version(site: Site) -> Answers:
    """The API server's minor version is the profile's `kubernetes_version`."""
    told = site.api.get("/version") or {}
    # Of "36+", as EKS writes it.
    parts = [_DIGITS.match(str(told.get(key, ""))) for key in ("major", "minor")]
    if not all(parts):
        yield Unseen(check="cluster", why="/version does not say major and minor")
        return
    got = ".".join(part[0] for part in parts if part)
    said = site.profile.kubernetes_version
    if got != said:
        what = f"the API server is of Kubernetes {got}, the profile says {said}"
        mend = f'write kubernetes_version: "{got}" in {site.file}'
        yield Finding(check="cluster", what=what, mend=mend)


def definitions(site: Site) -> Answers:
    """The API server serves what the region's add-ons bring, in the versions that are rendered, and
    what autoscalers read."""
    if "cluster_scope" in site.capabilities and not _serves(site, _GUARDS, "v1"):
        what = f"the API server does not serve {_GUARDS} v1"
        mend = "upgrade the cluster to Kubernetes 1.30 or later"
        yield Finding(check="definitions", what=what, mend=mend)
    for name, row in ADDONS.items():
        if site.profile.addons.get(name, "absent") == "absent":
            continue
        missing = [
            f"{one} {version}"
            for one, version in row.serves.items()
            if not _serves(site, one, version)
        ]
        if missing:
            what = f"the API server does not serve {', '.join(missing)}, which {name} brings"
            yield Finding(check="definitions", what=what, mend=site.bring(name))
    yield from _metrics(site)


def _serves(site: Site, definition: str, version: str) -> bool:
    """Whether a kind, as PLURAL.GROUP, is served in a version."""
    plural, _, group = definition.partition(".")
    found = site.api.get(f"/apis/{group}/{version}") or {}
    return any(one.get("name") == plural for one in found.get("resources") or ())


def _metrics(site: Site) -> Answers:
    """The API groups that autoscalers read."""
    if "custom_metrics" in site.capabilities:
        group = _LOADS
        mend = f"install an adapter for it, or take custom_metrics out of {site.file}"
    elif "keda" not in site.capabilities:
        group, mend = _CPU, site.bring("metrics-server")
    else:
        return
    if site.api.get(f"/apis/{group}") is None:
        what = f"the API server does not serve {group}, which HorizontalPodAutoscalers read"
        yield Finding(check="definitions", what=what, mend=mend)


def dns(site: Site) -> Answers:
    """A pod of the cluster's DNS in kube-system is Ready.

    Does not see whether pods ask it: a DNS cache of the nodes, such as NodeLocal DNSCache, has an
    address of its own.
    """
    pods = site.listed(_DNS) or []
    if not pods:
        what = "kube-system has no pod with the label k8s-app=kube-dns, to which models' DNS goes"
        mend = "let the cluster's DNS run in kube-system with this label: kubectl -n kube-system "
        yield Finding(check="dns", what=what, mend=f"{mend}get pods --show-labels")
    elif not any(condition(pod, "Ready").get("status") == "True" for pod in pods):
        names = ", ".join(sorted(str(inside(pod, "metadata", "name")) for pod in pods))
        what = f"no pod of the cluster's DNS in kube-system is Ready: {names}"
        mend = "kubectl -n kube-system describe pods -l k8s-app=kube-dns"
        yield Finding(check="dns", what=what, mend=mend)
