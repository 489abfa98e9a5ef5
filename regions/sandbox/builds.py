"""What is built from Go modules, a row each: its module, its flags, its usual time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from regions.addons import ADDONS

KUBERNETES_PROVIDER: Final = "github.com/pulumi/pulumi-kubernetes/provider/v4"


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """One `go build`: what it makes of which module folder, and how long that takes."""

    name: str
    makes: tuple[str, ...]
    typical_minutes: int
    module: str = ""
    """The folder of the module; empty where it has the build's own name."""
    package: str = "tool"
    """`tool` is whatever the module's go.mod lists as tools."""
    version_flags: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    """What the one program of a build is called by, where it is several by its name."""
    built_as: Mapping[str, str] = field(default_factory=dict)
    """By a name of `makes`, what Go calls that program: the folder of its source."""
    tags: tuple[str, ...] = ()
    static: bool = False
    """Without the C library: a program that is an image's only file."""

    @property
    def folder(self) -> str:
        """The folder of the module in the toolchain."""
        return self.module or self.name

    @property
    def ldflags(self) -> str:
        """The linker's flags: no debug tables, and the version the program reports."""
        return " ".join(("-s -w", *(f"-X {flag}" for flag in self.version_flags)))


ENGINE: Final = Build(
    name="pulumi",
    version_flags=("github.com/pulumi/pulumi/sdk/v3/go/common/version.Version=v3.200.0",),
    makes=("pulumi", "pulumi-language-python"),
    typical_minutes=4,
)
KUBERNETES_PLUGIN: Final = Build(
    name="pulumi-resource-kubernetes",
    module="kubernetes-provider",
    package=".",
    version_flags=(f"{KUBERNETES_PROVIDER}/pkg/version.Version=4.25.0",),
    makes=("pulumi-resource-kubernetes",),
    typical_minutes=13,
)
CONTROL_PLANE: Final = Build(
    name="kube-control-plane",
    module="control-plane",
    package=".",
    version_flags=(
        "k8s.io/component-base/version.gitVersion=v1.36.1",
        "k8s.io/component-base/version.gitMajor=1",
        "k8s.io/component-base/version.gitMinor=36",
    ),
    makes=("kube-control-plane",),
    names=(
        "etcd",
        "kube-apiserver",
        "kube-controller-manager",
        "kube-proxy",
        "kube-scheduler",
        "kubelet",
    ),
    typical_minutes=9,
)
KWOK: Final = Build(
    name="kwok",
    module="control-plane",
    makes=("kwok",),
    typical_minutes=2,
)

JUDGES: Final = Build(
    name="judges",
    makes=("actionlint", "kube-score", "kubeconform"),
    typical_minutes=2,
)
BENCH: Final = Build(
    name="bench",
    makes=("versitygw",),
    typical_minutes=2,
)

CONTAINERD: Final = Build(
    name="containerd",
    makes=("containerd", "containerd-shim-runc-v2"),
    typical_minutes=3,
)
RUNC: Final = Build(
    name="runc",
    makes=("runc",),
    # Without it every pod whose seccomp profile is RuntimeDefault is refused.
    tags=("seccomp",),
    typical_minutes=1,
)
CNI: Final = Build(
    name="cni",
    makes=("bridge", "host-local", "loopback", "portmap"),
    typical_minutes=1,
)
KUBE_ROUTER: Final = Build(
    name="kube-router",
    makes=("kube-router",),
    typical_minutes=3,
)
COREDNS: Final = Build(
    name="coredns",
    makes=("coredns",),
    static=True,
    typical_minutes=2,
)
REGISTRY: Final = Build(
    name="registry",
    makes=("registry",),
    typical_minutes=1,
)
CRANE: Final = Build(
    name="crane",
    makes=("crane",),
    typical_minutes=1,
)
PAUSE: Final = Build(
    name="pause",
    package=".",
    makes=("pause",),
    static=True,
    typical_minutes=1,
)
ENVOY_GATEWAY: Final = Build(
    name="envoy-gateway",
    makes=("envoy-gateway",),
    # What its proxies are told to report as its version; its image has the same.
    version_flags=(
        "github.com/envoyproxy/gateway/internal/cmd/version.envoyGatewayVersion="
        f"v{ADDONS['envoy-gateway'].version}",
    ),
    static=True,
    typical_minutes=5,
)
RATE_LIMIT: Final = Build(
    name="ratelimit",
    makes=("ratelimit",),
    built_as={"ratelimit": "service_cmd"},
    static=True,
    typical_minutes=1,
)
KEDA: Final = Build(
    name="keda",
    version_flags=(f"github.com/kedacore/keda/v2/version.Version={ADDONS['keda'].version}",),
    # As its own images call them.
    makes=("keda", "keda-adapter", "keda-admission-webhooks"),
    built_as={
        "keda": "operator",
        "keda-adapter": "adapter",
        "keda-admission-webhooks": "webhooks",
    },
    static=True,
    typical_minutes=8,
)
PROMETHEUS: Final = Build(
    name="prometheus",
    makes=("prometheus", "prometheus-config-reloader", "prometheus-operator", "promtool"),
    built_as={"prometheus-operator": "operator"},
    # Of all ways to find targets only Kubernetes' is used.
    tags=("remove_all_sd", "enable_kubernetes_sd"),
    static=True,
    typical_minutes=3,
)
NODE: Final = (
    CONTAINERD,
    RUNC,
    CNI,
    KUBE_ROUTER,
    COREDNS,
    REGISTRY,
    CRANE,
    PAUSE,
    ENVOY_GATEWAY,
    RATE_LIMIT,
    KEDA,
    PROMETHEUS,
)
"""What real machines, and what runs there of the cluster's own, need beside Kubernetes itself."""
