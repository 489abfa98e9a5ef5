"""A pod that may do more to its node than `restricted` allows is refused, whatever says so."""

from __future__ import annotations

from typing import Any, Final

import pytest

from policies.pod_security import RULES
from tests.policies.cases import (
    GONE,
    Case,
    check,
    check_unknown,
    failing,
    respecified,
    setting,
    with_path,
)
from tests.policies.estate import changed, facts, named, said

RESTRICTED, NAMESPACE, ACCOUNT, STATED = RULES
SERVER: Final = "Deployment search/embedder"
AGENT: Final = "DaemonSet isoserve-cache/cache-gpu-l4-1"
POD: Final = "spec template spec"
OF_POD: Final = f"{POD} securityContext"
MAIN: Final = f"{POD} containers 0"
OF_MAIN: Final = f"{MAIN} securityContext"
TOKEN: Final = {"projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}}
ENFORCE: Final = "metadata labels pod-security.kubernetes.io/enforce"
VLLM: Final = "Deployment search/sentiment"
JOB: Final = "CronJob search/nightly-index"
OF_JOB: Final = "spec jobTemplate spec template spec"


def unnamed(label: str, name: str) -> list[Any]:
    """The environment of a server without one variable."""
    (main,) = named(label).values["spec"]["template"]["spec"]["containers"]
    return [one for one in main["env"] if one["name"] != name]


OF_SERVER: Final = (
    (f"{POD} hostNetwork", True, "shares the node's network", 1),
    (f"{POD} hostPID", True, "sees the node's processes", 1),
    (f"{POD} hostIPC", True, "shares the node's memory", 1),
    (f"{POD} automountServiceAccountToken", GONE, "a token for the API server", 1),
    (f"{POD} automountServiceAccountToken", True, "a token for the API server", 1),
    (f"{POD} serviceAccountName", GONE, "no ServiceAccount of its own", 1),
    (f"{POD} serviceAccountName", "default", "no ServiceAccount of its own", 1),
    (f"{OF_POD} sysctls", [{"name": "kernel.msgmax", "value": "1"}], "kernel parameters", 1),
    (f"{OF_POD} fsGroup", GONE, "no group for its volumes", 1),
    (f"{OF_POD} fsGroup", 10000, "no group for its volumes", 1),
    (f"{OF_POD} runAsNonRoot", GONE, "may run as root in model", 2),
    (f"{OF_POD} runAsUser", GONE, "user below 10001 in model-server", 2),
    (f"{OF_POD} runAsGroup", 10000, "group below 10001 in model-server", 2),
    (f"{OF_POD} seccompProfile", GONE, "system calls that RuntimeDefault forbids", 2),
    (f"{OF_POD} windowsOptions", {"hostProcess": True}, "a process of a Windows host", 2),
    (f"{OF_MAIN} runAsNonRoot", False, "may run as root in model-server", 1),
    (f"{OF_MAIN} runAsUser", 0, "user below 10001 in model-server", 1),
    (f"{OF_MAIN} runAsUser", 10000, "user below 10001 in model-server", 1),
    (f"{OF_MAIN} seccompProfile", {"type": "Unconfined"}, "system calls", 1),
    (f"{OF_MAIN} allowPrivilegeEscalation", GONE, "may gain privileges", 1),
    (f"{OF_MAIN} allowPrivilegeEscalation", True, "may gain privileges", 1),
    (f"{OF_MAIN} privileged", True, "is privileged", 1),
    (f"{OF_MAIN} capabilities", GONE, "keeps capabilities", 1),
    (f"{OF_MAIN} capabilities drop", ["NET_RAW"], "keeps capabilities", 1),
    (f"{OF_MAIN} capabilities add", ["NET_BIND_SERVICE"], "adds capabilities", 1),
    (f"{OF_MAIN} readOnlyRootFilesystem", GONE, "writes to its image's files", 1),
    (f"{OF_MAIN} procMount", "Unmasked", "sees all of /proc", 1),
    (f"{OF_MAIN} seLinuxOptions", {"type": "spc_t"}, "an SELinux label of its own", 1),
    (f"{OF_MAIN} appArmorProfile", {"type": "Unconfined"}, "leaves AppArmor's default", 1),
    (OF_MAIN, GONE, "may gain privileges in model-server", 3),
    (f"{MAIN} ports 0 hostPort", 8000, "opens a port of the node", 1),
    (f"{MAIN} livenessProbe httpGet host", "10.0.0.1", "probes or hooks to another host", 1),
    (f"{MAIN} lifecycle postStart", {"tcpSocket": {"host": "10.0.0.1"}}, "to another host", 1),
    (f"{POD} initContainers 0 securityContext privileged", True, "is privileged in model", 1),
    (f"{POD} volumes 1", {"name": "tmp", "hostPath": {"path": "/"}}, "tmp of hostPath /", 1),
    (f"{POD} volumes 1", {"name": "tmp", "nfs": {"server": "x"}}, "volume tmp of nfs", 1),
    (f"{POD} volumes 1", {"name": "tmp"}, "volume tmp of no kind", 1),
    (f"{POD} volumes 1", {"name": "tmp", **TOKEN}, "API server in volume tmp", 1),
    (
        "spec template metadata annotations container.apparmor.security.beta.kubernetes.io/agent",
        "unconfined",
        "leaves AppArmor's default",
        1,
    ),
    ("spec template", GONE, "no container that could be judged", 1),
)  # fmt: skip
OF_AGENT: Final = (
    (f"{POD} hostNetwork", True, "shares the node's network", 1),
    (f"{POD} automountServiceAccountToken", GONE, "a token for the API server", 1),
    (f"{OF_MAIN} privileged", True, "is privileged", 1),
    (f"{OF_MAIN} allowPrivilegeEscalation", True, "may gain privileges", 1),
    (f"{OF_MAIN} capabilities add", ["SYS_ADMIN"], "adds capabilities", 1),
    (f"{OF_POD} seccompProfile", GONE, "system calls", 1),
    (f"{POD} volumes 1 hostPath path", "/var/lib/kubelet", "hostPath /var/lib/kubelet", 1),
    (f"{POD} volumes 1 hostPath path", "/", "hostPath /", 1),
)
CASES: Final = (
    *(
        Case(rule=RESTRICTED, of=of, path=path, value=value, says=says, times=times)
        for of, rows in ((SERVER, OF_SERVER), (AGENT, OF_AGENT))
        for path, value, says, times in rows
    ),
    Case(
        rule=RESTRICTED,
        of="CronJob search/nightly-index",
        path="spec jobTemplate spec template spec hostPID",
        value=True,
        says="sees the node's processes",
    ),
    Case(rule=NAMESPACE, of="Namespace search", path=ENFORCE, says="enforces nothing"),
    Case(
        rule=NAMESPACE,
        of="Namespace search",
        path=ENFORCE,
        value="privileged",
        says="enforces privileged",
    ),
    Case(rule=NAMESPACE, of="Namespace isoserve-cache", path=ENFORCE, says="enforces nothing"),
    Case(rule=NAMESPACE, of="Namespace search", says="is not made, yet has pods"),
    Case(
        rule=ACCOUNT,
        of="ServiceAccount search/embedder",
        path="automountServiceAccountToken",
        says="gives its token to every pod",
    ),
    Case(
        rule=ACCOUNT,
        of=SERVER,
        path=f"{POD} serviceAccountName",
        value="ranker",
        says="runs as ServiceAccount ranker of search/ranker",
    ),
    Case(
        rule=ACCOUNT,
        of="ServiceAccount search/embedder",
        on=SERVER,
        says="runs as ServiceAccount embedder, which is not made",
    ),
    *(
        Case(rule=STATED, of=of, path=path, value=value, says=says)
        for of, path, value, says in (
            (VLLM, f"{MAIN} command", GONE, "runs the entrypoint of its image in model-server"),
            (VLLM, f"{MAIN} workingDir", GONE, "works in the directory of its image, not in /tmp"),
            (VLLM, f"{MAIN} workingDir", "/", "works in /, not in /tmp"),
            (VLLM, f"{MAIN} env", unnamed(VLLM, "USER"), "has no USER=isoserve in model-server"),
            (SERVER, f"{MAIN} env", unnamed(SERVER, "LOGNAME"), "has no LOGNAME=isoserve"),
            ("Deployment vision/tagger-candidate", f"{MAIN} command", GONE, "runs the entrypoint"),
            (JOB, f"{OF_JOB} containers 0 command", GONE, "runs the entrypoint of its image, the"),
            (JOB, f"{OF_JOB} containers 0 command", ["bash"], "runs ['bash'], the spec says ["),
        )
    ),
)
FAILING: Final = failing(CASES)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_one_field_makes_the_difference(case: Case) -> None:
    check(case)


@pytest.mark.parametrize("case", with_path(CASES), ids=str)
def test_a_field_that_is_not_known_yet_is_no_good_field(case: Case) -> None:
    check_unknown(case)


def test_an_image_of_a_teams_own_keeps_its_entrypoint_and_directory() -> None:
    own = respecified("search/sentiment", image=f"registry.example.com/own@sha256:{'a' * 64}")
    bare = changed(named(VLLM), setting(f"{MAIN} command", GONE))
    bare = changed(bare, setting(f"{MAIN} workingDir", GONE))
    assert said(STATED, bare, wished=own) == []
    nameless = changed(bare, setting(f"{MAIN} env", unnamed(VLLM, "USER")))
    assert len(said(STATED, nameless, wished=own)) == 1, "its user is one of ours all the same"


def test_what_the_cache_agent_may_do_nobody_else_may() -> None:
    tenant = changed(named(AGENT), setting("metadata namespace", "search"))
    found = " ".join(finding.place.message for finding in said(RESTRICTED, tenant))
    for what in ("may run as root", "user below 10001", "hostPath /var/lib"):
        assert what in found, "the exemption is the namespace's, not the agent's"


def test_a_region_that_gives_no_namespaces_is_not_asked_to_make_any() -> None:
    assert "cluster_scope" not in facts("seoul-dc1").profile.capabilities
    assert said(NAMESPACE, region="seoul-dc1") == []
