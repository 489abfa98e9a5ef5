"""Rules about what a pod may do to its node: Pod Security `restricted`, in every namespace but one.

The tables follow https://kubernetes.io/docs/concepts/security/pod-security-standards/ and are
stricter where no workload of ours needs what the standard still allows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from model_specs.names import CACHE_NAMESPACE
from policies.facts import Facts
from policies.models import image_of, is_candidate
from policies.pods import Block, containers, pod, template
from policies.resources import Resource, absent
from policies.rule import WORKLOADS, Estate, Fault, Rule, each, whole

Row = tuple[str, Callable[[Block], object]]
"""What a thing does wrongly, and whether it does."""

_CACHE_ROOT: Final = "/var/lib/isoserve"
_LEAST_ID: Final = 10_001  # below are the ids of a distribution's own users
_MEND: Final = "no field of a spec says so; mend what renders the pod"
_NO_ACCOUNT: Final = (None, "", "default")
_VOLUMES: Final = frozenset(
    ("configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "image", "persistentVolumeClaim",
     "projected", "secret")
)  # fmt: skip
_APPARMOR: Final = "container.apparmor.security.beta.kubernetes.io/"


def _id(name: str) -> Callable[[Block], object]:
    """Whether the pod's or container's `name` is left to the image, or is a system user's."""
    return lambda security: security.get(name) is None or security[name] < _LEAST_ID


def _capabilities(security: Block, verb: str) -> frozenset[str]:
    return frozenset((security.get("capabilities") or {}).get(verb) or ())


_OF_POD: Final[tuple[Row, ...]] = (
    ("shares the node's network", lambda pod: pod.get("hostNetwork")),
    ("sees the node's processes", lambda pod: pod.get("hostPID")),
    ("shares the node's memory segments", lambda pod: pod.get("hostIPC")),
    (
        "mounts a token for the API server",
        lambda pod: pod.get("automountServiceAccountToken") is not False,
    ),
    (
        "runs as no ServiceAccount of its own",
        lambda pod: pod.get("serviceAccountName") in _NO_ACCOUNT,
    ),
    ("sets kernel parameters", lambda pod: (pod.get("securityContext") or {}).get("sysctls")),
)
_OF_CONTAINER: Final[tuple[Row, ...]] = (
    ("may gain privileges", lambda its: its.get("allowPrivilegeEscalation") is not False),
    ("is privileged", lambda its: its.get("privileged")),
    ("keeps capabilities", lambda its: "ALL" not in _capabilities(its, "drop")),
    ("adds capabilities", lambda its: _capabilities(its, "add")),
    (
        "makes system calls that RuntimeDefault forbids",
        lambda its: (its.get("seccompProfile") or {}).get("type") != "RuntimeDefault",
    ),
    ("writes to its image's files", lambda its: its.get("readOnlyRootFilesystem") is not True),
    ("sees all of /proc", lambda its: its.get("procMount") not in (None, "Default")),
    ("has an SELinux label of its own", lambda its: its.get("seLinuxOptions")),
    (
        "leaves AppArmor's default",
        lambda its: (its.get("appArmorProfile") or {}).get("type") not in (None, "RuntimeDefault"),
    ),
    ("is a process of a Windows host", lambda its: its.get("windowsOptions")),
)
"""Of a container's security context, on top of its pod's."""
_OF_TENANT_POD: Final[tuple[Row, ...]] = (
    ("has no group for its volumes", lambda pod: _id("fsGroup")(pod.get("securityContext") or {})),
)
_OF_TENANT: Final[tuple[Row, ...]] = (
    ("may run as root", lambda its: its.get("runAsNonRoot") is not True),
    (f"runs as a user below {_LEAST_ID}", _id("runAsUser")),
    (f"runs as a group below {_LEAST_ID}", _id("runAsGroup")),
)


def _reaches_out(container: Block) -> Iterator[str]:
    """Ports and hooks through which a container touches its node or any host."""
    if any(port.get("hostPort") for port in container.get("ports") or ()):
        yield "opens a port of the node"
    hooks = [container.get(f"{kind}Probe") for kind in ("liveness", "readiness", "startup")]
    lifecycle = container.get("lifecycle") or {}
    for hook in (*hooks, lifecycle.get("postStart"), lifecycle.get("preStop")):
        for action in ("httpGet", "tcpSocket"):
            if ((hook or {}).get(action) or {}).get("host"):
                yield "sends its probes or hooks to another host"


def _volume(volume: Block, in_cache: bool) -> Iterator[str]:
    kinds = [kind for kind in volume if kind != "name"]
    path = str((volume.get("hostPath") or {}).get("path") or "")
    if in_cache and kinds == ["hostPath"] and path == _CACHE_ROOT:
        return
    if len(kinds) != 1 or kinds[0] not in _VOLUMES:
        kind = f"{kinds[0]} {path}".strip() if kinds else "no kind"
        yield f"mounts volume {volume.get('name')} of {kind}"
    for source in (volume.get("projected") or {}).get("sources") or ():
        token = source.get("serviceAccountToken")
        # The agent's may write Events; what else it may, the rules on rights say.
        if token is not None and not token.get("audience") and not in_cache:
            yield f"mounts a token for the API server in volume {volume.get('name')}"


def _wrong(resource: Resource) -> Iterator[str]:
    """Everything that the pod of a workload does and must not."""
    spec, in_cache = pod(resource), resource.namespace == CACHE_NAMESPACE
    notes = (template(resource).get("metadata") or {}).get("annotations") or {}
    if any(key.startswith(_APPARMOR) for key in notes):
        yield "leaves AppArmor's default"
    yield from (what for what, does in _OF_POD if does(spec))
    yield from (what for what, does in (() if in_cache else _OF_TENANT_POD) if does(spec))
    # The agent alone writes to a node's disk, as root, and owns up to nothing else.
    rows = (*_OF_CONTAINER, *(() if in_cache else _OF_TENANT))
    of_pod = spec.get("securityContext") or {}
    for container in containers(resource):
        security = {**of_pod, **(container.get("securityContext") or {})}
        done = [what for what, does in rows if does(security)]
        yield from (f"{what} in {container.get('name')}" for what in done)
        yield from (f"{what} in {container.get('name')}" for what in _reaches_out(container))
    for volume in spec.get("volumes") or ():
        yield from _volume(volume, in_cache)


@each("P01", "pss-restricted", *WORKLOADS)
def _restricted(resource: Resource, facts: Facts) -> Iterator[Fault]:
    """Every pod keeps to Pod Security `restricted` and more: a user above 10000, nothing of its
    node, no token, files of its image read-only. Only the cache agent may write, as root, to
    its one directory of a node."""
    if not containers(resource):
        yield Fault(resource, "holds no container that could be judged", _MEND, "")
        return
    yield from (Fault(resource, what, _MEND, "") for what in _wrong(resource))


_ENFORCE: Final = "pod-security.kubernetes.io/enforce"


@whole("P01", "pss-namespace")
def _namespaces(estate: Estate) -> Iterator[Fault]:
    """Every namespace has the API server enforce Pod Security `restricted`, so that no hand can
    undo it; only the cache agent's is exempt. Where a region gives us no right to namespaces, its
    owner must have labelled them."""
    spaces = estate.of("Namespace")
    for space in spaces:
        exempt = space.metadata.get("name") == CACHE_NAMESPACE
        level = str(space.labels.get(_ENFORCE, "nothing"))
        if level != "restricted" and not (exempt and level == "privileged"):
            yield Fault(space, f"enforces {level}", f"label it {_ENFORCE}: restricted", "")
    made = {space.metadata.get("name") for space in spaces}
    if "cluster_scope" in estate.facts.profile.capabilities:
        for name in sorted({one.namespace for one in estate.of(*WORKLOADS)} - made):
            fix = f"make it with the label {_ENFORCE}: restricted"
            yield Fault(absent("Namespace", "", name, {}), "is not made, yet has pods", fix, "")


@whole("P01", "own-account")
def _accounts(estate: Estate) -> Iterator[Fault]:
    """Every pod runs as a ServiceAccount that is its own model's or part's and gives no token: an
    account is what the registry's access is granted to."""
    accounts = {(a.namespace, a.metadata.get("name")): a for a in estate.of("ServiceAccount")}
    for account in accounts.values():
        if account.values.get("automountServiceAccountToken") is not False:
            yield Fault(account, "gives its token to every pod", _MEND, "")
    for work in estate.of(*WORKLOADS):
        name = pod(work).get("serviceAccountName")
        own = accounts.get((work.namespace, name))
        if own is None:
            yield Fault(work, f"runs as ServiceAccount {name}, which is not made", _MEND, "")
        elif (own.project, own.model) != (work.project, work.model):
            owner = own.model or own.project or "the platform"
            yield Fault(work, f"runs as ServiceAccount {name} of {owner}", _MEND, "")


_NAMES: Final = {"LOGNAME": "isoserve", "USER": "isoserve"}
"""What programs read first for their user's name: no image's passwd file has the uid."""
_SCRATCH: Final = "/tmp"
"""The one directory of its disk that a model's container may write to."""


def _is_own(image: str) -> bool:
    """Whether an image is a team's own: a runtime of the catalogue is a bare name."""
    return "@" in image


def _unstated(container: Block, image: str, batch: Sequence[str]) -> Iterator[str]:
    """What of its program a container leaves to its image, whose own user is another one."""
    command = list(container.get("command") or ())
    if batch and command != list(batch):
        yield f"runs {command or 'the entrypoint of its image'}, the spec says {list(batch)}"
    elif not (command or _is_own(image)):
        yield "runs the entrypoint of its image"
    if not _is_own(image) and container.get("workingDir") != _SCRATCH:
        where = container.get("workingDir") or "the directory of its image"
        yield f"works in {where}, not in {_SCRATCH}"
    env = {one.get("name"): one.get("value") for one in container.get("env") or ()}
    yield from (f"has no {name}={said}" for name, said in _NAMES.items() if env.get(name) != said)


@each("P01", "program-stated", *WORKLOADS)
def _program_stated(resource: Resource, facts: Facts) -> Iterator[Fault]:
    """A model's pod states the command of its runtime or job, a working directory that it may write
    to, and its user's name in USER and LOGNAME. A runtime's entrypoint and directory may be for
    root, and no passwd file has a name for our user, so its program would end at its start. An
    image of a team's own keeps its entrypoint and directory."""
    model = facts.models.get(resource.model)
    if model is None:
        return  # not of a model, or of none that there is (see `model-digest`)
    image, batch = image_of(model, is_candidate(resource)), model.spec.batch
    for container in (pod(resource).get("containers") or ())[:1]:
        for what in _unstated(container, image, batch.command if batch else ()):
            yield Fault(resource, f"{what} in {container.get('name')}", _MEND, "")


RULES: Final[tuple[Rule, ...]] = (_restricted, _namespaces, _accounts, _program_stated)
