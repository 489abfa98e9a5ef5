"""A region in which the doctor finds nothing, as data that a test breaks one thing of."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from components.kube import Object
from components.kube_client import ApiError
from model_specs.load import parse
from model_specs.source import Source, read
from regions.addons import ADDONS
from regions.profile import RegionProfile
from stacks.doctor.checks import examine
from stacks.doctor.findings import Finding, Unseen
from stacks.images.errors import ImageError
from tests.examples import ROOT

REGION: Final = "sandbox-aws"
"""Of this region placeholders are not told, and those of the catalogue are in every other one."""
DOMAIN: Final = "use1.models.acme.dev"
NOW: Final = datetime(2026, 12, 1, tzinfo=UTC)
OWNER: Final = "gateway.envoyproxy.io/owning-gateway"
GATEWAYS: Final = "/apis/gateway.networking.k8s.io/v1/namespaces/isoserve-gateway/gateways"
OURS: Final = "labelSelector=app.kubernetes.io%2Fmanaged-by%3Disoserve"
OF_GATEWAY: Final = (
    "labelSelector=gateway.envoyproxy.io%2Fowning-gateway-namespace%3Disoserve-gateway"
)
QUERY: Final = (
    "/api/v1/namespaces/monitoring/services/http:prometheus:9090/proxy/api/v1/query?query="
)
HELD: Final = f"{QUERY}count%28isoserve_cache_held_bytes%29"
PROBED: Final = f"{QUERY}count%28probe_success%7Bproject%21%3D%22%22%2Cmodel%21%3D%22%22%7D%29"
TLS: Final = "/api/v1/namespaces/isoserve-gateway/secrets/isoserve-public-tls"
POLICIES: Final = "/apis/gateway.envoyproxy.io/v1alpha1/namespaces"
ENVOY: Final = "/api/v1/namespaces/envoy-gateway-system/configmaps/envoy-gateway-config"
CONTROLLER: Final = "/apis/apps/v1/namespaces/envoy-gateway-system/deployments/envoy-gateway"
DNS: Final = "/api/v1/namespaces/kube-system/pods?labelSelector=k8s-app%3Dkube-dns"
PROMETHEUSES: Final = "/apis/monitoring.coreos.com/v1/prometheuses"
JWKS: Final = "/openid/v1/jwks"
NODES: Final = "/api/v1/nodes"
SETS: Final = "/apis/apps/v1/daemonsets"
SPACES: Final = "/api/v1/namespaces"
PROJECTS: Final = "/api/v1/namespaces?labelSelector=isoserve.dev%2Fproject"


@dataclass
class World:
    """What the doctor sees: objects by path, addresses by host, faults by image or by path."""

    profile: RegionProfile
    objects: dict[str, Any]
    hosts: dict[str, set[str]]
    region: str = REGION
    images: dict[str, str] = field(default_factory=dict)
    faults: dict[str, ApiError] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)

    def get(self, path: str) -> Object | None:
        return self.get_as(path, "application/json")

    def get_as(self, path: str, form: str) -> Object | None:
        self.asked.append((path, form))
        for part, error in self.faults.items():
            if part in path:
                raise error
        found: Object | None = self.objects.get(path)
        return found

    def digest(self, image: str) -> str:
        if image in self.images:
            raise ImageError(f"{image}: {self.images[image]}")
        return f"sha256:{'0' * 64}"

    def change(self, **over: Any) -> None:
        """Other values of the profile's own fields."""
        self.profile = self.profile.model_copy(update=over)

    def items(self, path: str) -> list[Object]:
        found: list[Object] = self.objects[path]["items"]
        return found

    def examined(self) -> tuple[list[Finding], list[Unseen]]:
        return examine(
            self,
            self.profile,
            self.region,
            ask_image=self.digest,
            resolve=lambda host: frozenset(self.hosts.get(host, ())),
            now=NOW,
        )


Break = Callable[[World], object]


def a_list(*items: Object) -> Object:
    return {"items": list(items)}


def made(space: str, name: str, /, **parts: Any) -> Object:
    labels, notes = parts.pop("labels", {}), parts.pop("annotations", {})
    metadata = {"namespace": space, "name": name, "labels": labels, "annotations": notes}
    return {"metadata": metadata, **parts}


def told(kind: str, status: str = "True") -> Object:
    return {"conditions": [{"type": kind, "status": status}]}


@cache
def good_profile() -> RegionProfile:
    """us-east-1 with values of nobody's documentation."""
    text = json.dumps(
        read(ROOT / "regions" / "us-east-1.yaml", "us-east-1.yaml").values, default=str
    )
    for example, own in (
        ("example.com", "acme.dev"),
        ("example-", "acme-"),
        ("111122223333", "314159265358"),
        ("EXAMPLE0USE1", "0A" * 16),
    ):
        text = text.replace(example, own)
    values = json.loads(text)
    values["cluster"]["kubeconfig"] = f".isoserve/{REGION}/kubeconfig"
    values["account"]["subnet_ids"] = [f"subnet-0{digit}abcdef012345678" for digit in "123"]
    values["registry"]["replicate_to"] = []
    key = {"kty": "RSA", "kid": "k1", "alg": "RS256", "n": "n" * 342, "e": "AQAB"}
    values["cluster"]["jwks"] = [key]
    values["capabilities"] = ["cluster_scope", "custom_metrics"]
    values["prometheus_url"] = "http://prometheus.monitoring.svc:9090"
    values["prometheus_labels"] = {"release": "kps"}
    values["pull_secret"] = "pull"
    values["tls_ca"] = "company-ca"
    values["tls_issuer"] = ""
    row = values["machines"]["gpu.l4.1"]
    rows = {name: values["machines"][name] for name in ("cpu.4", "gpu.l4.1")}
    inf2 = {"instance_types": ["inf2.8xlarge"], "on_demand": {"min": 0, "max": 4}}
    rows["neuron.inferentia2.1"] = {**row, **inf2}
    for name in ("cpu.4", "gpu.l4.1"):
        rows[name]["on_demand"] = {"min": 2, "max": 20}
    return parse(Source("regions/good.yaml", {**values, "machines": rows}), RegionProfile)


def a_node(name: str, machine: str, gpus: dict[str, str]) -> Object:
    """A Ready node of a pool, with the labels and taints that its node group gives it."""
    labels = {"isoserve.dev/machine-type": machine, "isoserve.dev/capacity": "on_demand"}
    labels |= {"nvidia.com/gpu.present": "true"} if gpus else {}
    taint = {"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}
    status = {
        **told("Ready"),
        "allocatable": {"cpu": "8", **gpus},
        "capacity": {"ephemeral-storage": "500Gi"},
    }
    return made("", name, labels=labels, status=status, spec={"taints": [taint] if gpus else []})


def a_certificate(*hosts: str, days: int = 60) -> str:
    """tls.crt of a Secret, for `hosts`; without any it has no subjectAltName."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    built = x509.CertificateBuilder().subject_name(name).issuer_name(name)
    built = built.public_key(key.public_key()).serial_number(7)
    built = built.not_valid_before(NOW - timedelta(days=90))
    built = built.not_valid_after(NOW + timedelta(days=days))
    if hosts:
        names = x509.SubjectAlternativeName([x509.DNSName(host) for host in hosts])
        built = built.add_extension(names, critical=False)
    pem = built.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    return base64.b64encode(pem).decode()


@cache
def _good_certificate() -> str:
    return a_certificate(f"*.{DOMAIN}")


def a_plugin(space: str, name: str, image: str, key: str, **pod: Any) -> Object:
    """A DaemonSet whose pods tolerate the taint of the GPUs' vendor."""
    spec = {
        "containers": [{"name": "plugin", "image": image}],
        "tolerations": [
            {"key": "CriticalAddonsOnly", "operator": "Exists"},
            {"key": key, "operator": "Exists", "effect": "NoSchedule"},
        ],
        **pod,
    }
    return made(space, name, spec={"template": {"spec": spec}})


def by_affinity(*rows: Object) -> Object:
    """A node affinity of one term for each row."""
    terms = [{"matchExpressions": [row]} for row in rows]
    required = {"nodeSelectorTerms": terms}
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}}


def _plugins() -> Object:
    """As the charts of NVIDIA (0.20) and AWS Neuron have them."""
    pci = {"key": "feature.node.kubernetes.io/pci-10de.present", "operator": "In"}
    present = {"key": "nvidia.com/gpu.present", "operator": "In", "values": ["true"]}
    inf2 = {"key": "node.kubernetes.io/instance-type", "operator": "In", "values": ["inf2.8xlarge"]}
    return a_list(
        a_plugin(
            "nvidia-device-plugin",
            "nvdp",
            "nvcr.io/nvidia/k8s-device-plugin:v0.20.0",
            "nvidia.com/gpu",
            affinity=by_affinity({**pci, "values": ["true"]}, present),
        ),
        a_plugin(
            "kube-system",
            "neuron-device-plugin-daemonset",
            "public.ecr.aws/neuron/neuron-device-plugin:2.12.5.0",
            "aws.amazon.com/neuron",
            affinity=by_affinity(inf2),
        ),
    )


def _apis() -> dict[str, Any]:
    """What the API server serves: built in, of the add-ons, and metrics."""
    found: dict[str, Any] = {
        "/version": {"major": "1", "minor": "36+"},
        "/apis/admissionregistration.k8s.io/v1": {
            "resources": [{"name": "validatingadmissionpolicies"}]
        },
        "/apis/custom.metrics.k8s.io": {},
        "/apis/metrics.k8s.io": {},
    }
    for row in ADDONS.values():
        for name, version in row.serves.items():
            plural, _, group = name.partition(".")
            served = found.setdefault(f"/apis/{group}/{version}", {"resources": []})
            served["resources"].append({"name": plural})
    return found


def _nodes() -> dict[str, Any]:
    nodes = [a_node(f"l4-{n}", "gpu.l4.1", {"nvidia.com/gpu": "1"}) for n in (1, 2)]
    nodes += [a_node(f"cpu-{n}", "cpu.4", {}) for n in (1, 2)]
    kubelet = {"evictionHard": {"imagefs.available": "15%", "nodefs.available": "10%"}}
    names = [node["metadata"]["name"] for node in nodes]
    return {
        NODES: a_list(*nodes),
        SETS: _plugins(),
        **{f"{NODES}/{name}/proxy/configz": {"kubeletconfig": deepcopy(kubelet)} for name in names},
    }


def _monitoring() -> dict[str, Any]:
    by_release = {"matchLabels": {"release": "kps"}}
    spec = {
        "podMonitorSelector": by_release,
        "podMonitorNamespaceSelector": {},
        "ruleSelector": deepcopy(by_release),
        "ruleNamespaceSelector": {},
    }
    series = {"status": "success", "data": {"result": [{"value": [0, "1"]}]}}
    prober = made("search", "prober", labels={"isoserve.dev/role": "prober"})
    agents = f"/apis/apps/v1/namespaces/isoserve-cache/daemonsets?{OURS}"
    return {
        PROMETHEUSES: a_list(made("monitoring", "kps", spec=spec)),
        f"/apis/apps/v1/deployments?{OURS}": a_list(prober),
        agents: a_list(made("isoserve-cache", "cache-gpu-l4-1")),
        HELD: series,
        PROBED: deepcopy(series),
    }


def _gateway(name: str, scheme: str) -> dict[str, Any]:
    status = {**told("Programmed"), "addresses": [{"value": f"{name}.elb.amazonaws.com"}]}
    aws = "service.beta.kubernetes.io/aws-load-balancer"
    owner = {f"{OWNER}-name": name, f"{OWNER}-namespace": "isoserve-gateway"}
    notes = {f"{aws}-type": "external", f"{aws}-nlb-target-type": "ip", f"{aws}-scheme": scheme}
    home = "envoy-gateway-system"
    balancer = {"labels": owner, "annotations": notes, "spec": {"type": "LoadBalancer"}}
    return {
        f"{GATEWAYS}/{name}": made("isoserve-gateway", name, status=status),
        "pod": made(home, f"envoy-{name}-0", labels=owner),
        "service": made(home, f"envoy-{name}", **balancer),
    }


def _gateways() -> dict[str, Any]:
    rows = [_gateway("internal", "internal"), _gateway("public", "internet-facing")]
    pods = a_list(*(row.pop("pod") for row in rows))
    services = a_list(*(row.pop("service") for row in rows))
    classes = "/apis/gateway.networking.k8s.io/v1/gatewayclasses/envoy"
    config = "provider: {type: Kubernetes}\nrateLimit: {backend: {type: Redis}}\n"
    image = {"image": "docker.io/envoyproxy/gateway:v1.9.1"}
    controller = {"spec": {"template": {"spec": {"containers": [image]}}}}
    return {
        classes: made("", "envoy", status=told("Accepted")),
        **rows[0],
        **rows[1],
        f"/api/v1/pods?{OF_GATEWAY}": pods,
        f"/api/v1/services?{OF_GATEWAY}": services,
        ENVOY: {"data": {"envoy-gateway.yaml": config}},
        CONTROLLER: made(
            "envoy-gateway-system", "envoy-gateway", status=told("Available"), **controller
        ),
    }


def _spaces() -> dict[str, Any]:
    project = made("", "search", labels={"isoserve.dev/project": "search"})
    platform = [made("", name) for name in ("isoserve-cache", "isoserve-gateway", "monitoring")]
    found: dict[str, Any] = {SPACES: a_list(project, *platform), PROJECTS: a_list(project)}
    found |= {f"{SPACES}/{one['metadata']['name']}": one for one in (project, *platform)}
    for space in ("isoserve-cache", "search"):
        found[f"{SPACES}/{space}/secrets/pull"] = made(space, "pull")
        volumes = [{"configMap": {"name": "company-ca"}}]
        pulled = {
            "template": {"spec": {"imagePullSecrets": [{"name": "pull"}], "volumes": volumes}}
        }
        found[f"{SPACES}/{space}/configmaps/company-ca"] = {"data": {"ca.crt": "PEM"}}
        maker = a_list(made(space, "maker", spec=pulled))
        found[f"/apis/apps/v1/namespaces/{space}/deployments"] = maker
    found |= _keys_of_callers()
    secret = made("isoserve-gateway", "isoserve-public-tls", type="kubernetes.io/tls")
    found[TLS] = secret | {"data": {"tls.crt": _good_certificate(), "tls.key": "c2VjcmV0LWtleQ=="}}
    found[JWKS] = {"keys": [{"kid": "k1"}]}
    found[DNS] = a_list(made("kube-system", "coredns-1", status=told("Ready")))
    return found


def _keys_of_callers() -> dict[str, Any]:
    named = {"apiKeyAuth": {"credentialRefs": [{"kind": "Secret", "name": "api-key--shop"}]}}
    policies = a_list(
        made("search", "sentiment", spec={"jwt": {}}), made("search", "sentiment--keys", spec=named)
    )
    return {
        f"{POLICIES}/search/securitypolicies": policies,
        f"{SPACES}/search/secrets/api-key--shop": made("search", "api-key--shop"),
    }


def _workloads() -> dict[str, Any]:
    """What the add-ons of good_profile run, all of it well."""
    found = {}
    ready = {"desiredNumberScheduled": 2, "numberReady": 2, "replicas": 1, "readyReplicas": 1}
    for name, standing in good_profile().addons.items():
        row = ADDONS[name]
        for kind, _, own in (one.partition("/") for one in row.workloads):
            if standing == "install":
                path = f"/apis/apps/v1/namespaces/{row.namespace}/{kind.lower()}s/{own}"
                found[path] = made(row.namespace, own, status={**told("Available"), **ready})
    return found


def good() -> World:
    """A region that serves."""
    inside, outside = {"10.0.0.7", "10.0.1.7"}, {"52.1.2.3", "52.1.2.4"}
    return World(
        profile=good_profile(),
        objects=deepcopy(
            {
                **_apis(),
                **_nodes(),
                **_monitoring(),
                **_workloads(),
                **_gateways(),
                **_spaces(),
            }
        ),
        hosts={
            "internal.elb.amazonaws.com": inside,
            "public.elb.amazonaws.com": outside,
            f"doctor.internal.{DOMAIN}": inside,
            f"doctor.{DOMAIN}": outside,
        },
    )


def seen(world: World) -> tuple[list[str], dict[str, str]]:
    """The findings, and by check the last reason why something was not looked at."""
    findings, unseen = world.examined()
    return [one.what for one in findings], {one.check: one.why for one in unseen}


def change(**over: Any) -> Break:
    return lambda world: world.change(**over)
