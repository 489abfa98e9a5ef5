"""What a rule looks at: one thing that would be made, as plain values."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeVar

from model_specs.names import LABEL_MODEL, LABEL_PROJECT

STACK: Final = "pulumi:pulumi:Stack"
"""What the engine makes of the program itself. A StackReference is another thing: it reads."""
GROUPS: Final = "isoserve:index:"
"""How the types of groups begin, which make nothing by themselves."""
_KUBERNETES: Final = "kubernetes:"
_PATCH: Final = "Patch"


ValueT = TypeVar("ValueT")


class cached(Generic[ValueT]):  # it is used as `property` is
    """A property that is found once: functools.cached_property without its lock, as Python has it
    since 3.12. For the few fields of many resources the lock takes longer than they do."""

    def __init__(self, find: Callable[[Any], ValueT]) -> None:
        self._find = find
        self.__doc__ = find.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, owner: Any, kind: type) -> ValueT:
        found: ValueT = self._find(owner)
        owner.__dict__[self._name] = found
        return found


class NotKnown(Exception):
    """A rule needs a value that exists only after something else is made."""


class Unknown:
    """Stands for a value that is not known yet: it is there, and any other use of it raises.

    A rule that cannot see a value must not pass it, so that no judgement rests on a guess.
    """

    def __init__(self, path: str) -> None:
        self._path = path

    def _raise(self, *args: Any) -> Any:
        path = object.__getattribute__(self, "_path")
        raise NotKnown(f"{path} is not known before something else is made")

    def __bool__(self) -> bool:
        return True

    __class__ = property(_raise)  # isinstance() must not say no either
    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = _raise
    __contains__ = __getitem__ = __iter__ = __len__ = __str__ = __format__ = __hash__ = _raise
    __getattr__ = _raise


@dataclass(frozen=True, eq=False)
class Resource:
    """A Kubernetes object or an AWS resource.

    `type` is Pulumi's token (`kubernetes:apps/v1:Deployment`, `aws:s3/bucket:Bucket`). `values`
    is the object itself, or the AWS inputs in the provider's camelCase. `protected`: Pulumi
    refuses to delete it. `provider`: logical name of its provider, empty where nobody chose one.
    `options`: the engine's other options that were seen, None where one is not set
    (policies.legal.options). `kept`: paths whose values are of an earlier `up`, which leaves them
    alone now (policies.pack).
    """

    type: str
    name: str
    values: Mapping[str, Any]
    protected: bool
    provider: str
    options: Mapping[str, Any] = field(default_factory=dict)
    kept: frozenset[str] = frozenset()

    @cached
    def is_object(self) -> bool:
        """Whether it is a Kubernetes object."""
        return self.type.startswith(_KUBERNETES)

    @cached
    def kind(self) -> str:
        """`Deployment` for a Kubernetes object, the whole token for anything else."""
        if not self.is_object:
            return self.type
        return self.type.rsplit(":", 1)[1].removesuffix(_PATCH)

    @cached
    def metadata(self) -> Mapping[str, Any]:
        """Metadata of a Kubernetes object; empty for anything else."""
        return (self.values.get("metadata") or {}) if self.is_object else {}

    @cached
    def labels(self) -> Mapping[str, str]:
        """Labels of a Kubernetes object; empty for anything else."""
        return self.metadata.get("labels") or {}

    @cached
    def namespace(self) -> str:
        """Namespace of a Kubernetes object; empty where it has none."""
        return str(self.metadata.get("namespace") or "")

    @cached
    def spec(self) -> Mapping[str, Any]:
        """`spec` of a Kubernetes object; empty where it has none."""
        return self.values.get("spec") or {}

    @cached
    def template(self) -> Mapping[str, Any]:
        """Metadata and spec of the pods that a workload makes; of a Pod, itself."""
        if self.kind == "Pod":
            return self.values
        spec = self.spec
        if self.kind == "CronJob":
            spec = (spec.get("jobTemplate") or {}).get("spec") or {}
        return spec.get("template") or {}

    @cached
    def pod(self) -> Mapping[str, Any]:
        """The pod's spec; empty where a workload has none."""
        return self.template.get("spec") or {}

    @cached
    def containers(self) -> Sequence[Mapping[str, Any]]:
        """All containers of the pod, those that start and those that debug it too."""
        groups = ("initContainers", "containers", "ephemeralContainers")
        return [one for group in groups for one in self.pod.get(group) or ()]

    @cached
    def project(self) -> str:
        """The project it says it is of, or empty."""
        return str(self.labels.get(LABEL_PROJECT, ""))

    @cached
    def model(self) -> str:
        """Id of the model it says it is of (`search/embedder`), or empty."""
        name = self.labels.get(LABEL_MODEL, "")
        return f"{self.project}/{name}" if name else ""

    def __str__(self) -> str:
        """`Deployment search/embedder`, `aws:s3/bucket:Bucket models`."""
        if not self.is_object:
            return f"{self.kind} {self.name}"
        name = self.metadata.get("name", self.name)
        return f"{self.kind} {self.namespace}/{name}" if self.namespace else f"{self.kind} {name}"


def registered(made: Mapping[str, Any]) -> str:
    """Pulumi's token for what an object says it is."""
    version = str(made.get("apiVersion"))
    group = version if "/" in version else f"core/{version}"
    return f"{_KUBERNETES}{group}:{made.get('kind')}"


def of_object(
    made: Mapping[str, Any], provider: str, ignored: Sequence[str] | None = None
) -> Resource:
    """A rendered Kubernetes object as the engine would send it to `provider`, leaving alone what
    others set of it at the paths `ignored`; None where that is not known."""
    return Resource(
        type=registered(made),
        name=made["metadata"]["name"],
        values=made,
        protected=False,
        provider=provider,
        options={} if ignored is None else {"ignoreChanges": list(ignored) or None},
    )


def absent(kind: str, namespace: str, name: str, labels: Mapping[str, str]) -> Resource:
    """Stands for an object that should be there, so that a finding can name and place it."""
    metadata = {"labels": labels, "name": name, "namespace": namespace}
    return of_object({"apiVersion": "v1", "kind": kind, "metadata": metadata}, "")
