"""One thing broken in a region each, and what the doctor says of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from tests.stacks.doctor_site import (
    CONTROLLER,
    DNS,
    DOMAIN,
    ENVOY,
    GATEWAYS,
    HELD,
    JWKS,
    NODES,
    OF_GATEWAY,
    OURS,
    PROBED,
    PROMETHEUSES,
    SETS,
    TLS,
    Break,
    World,
    a_certificate,
    by_affinity,
    change,
    made,
    told,
)

CLASS = "/apis/gateway.networking.k8s.io/v1/gatewayclasses/envoy"
MACHINE = "isoserve.dev/machine-type"
SCHEME = "service.beta.kubernetes.io/aws-load-balancer-scheme"


class Case(NamedTuple):
    """One thing broken: what is found names `what`, and what mends it names `mend`."""

    check: str
    what: str
    mend: str
    spoil: Break


def without(path: str) -> Break:
    return lambda world: world.objects.pop(path)


def with_data(path: str, *keys: str, value: Any) -> Break:
    """Another value at a path inside an object; a key of digits is an index."""

    def spoil(world: World) -> None:
        at = world.objects[path]
        for key in keys[:-1]:
            at = at[int(key)] if key.isdigit() else at[key]
        at[keys[-1]] = value

    return spoil


def of_cluster(**fields: Any) -> Break:
    return lambda world: world.change(cluster=world.profile.cluster.model_copy(update=fields))


def on_metal(*names: str) -> Break:
    """The GPU pool as listed nodes."""

    def spoil(world: World) -> None:
        like = world.profile.machines["gpu.l4.1"]
        offer = like.model_copy(update={"instance_types": (), "node_names": names})
        machines = {**world.profile.machines, "gpu.l4.1": offer}
        world.change(machines=machines, provider="on_prem")

    return spoil


def plugin(index: int, **pod: Any) -> Break:
    def spoil(world: World) -> None:
        world.items(SETS)[index]["spec"]["template"]["spec"] |= pod

    return spoil


def prometheus(**spec: Any) -> Break:
    return lambda world: world.items(PROMETHEUSES)[0]["spec"].update(spec)


def balancer(index: int, key: str, value: str | None) -> Break:
    """Another value of an annotation of a load balancer's Service; none takes it away."""

    def spoil(world: World) -> None:
        notes = world.items(f"/api/v1/services?{OF_GATEWAY}")[index]["metadata"]["annotations"]
        notes |= {} if value is None else {key: value}
        if value is None:
            notes.pop(key)

    return spoil


def hosts(**addresses: set[str]) -> Break:
    """Other addresses of the hosts below a gateway's wildcard, and of its load balancer."""

    def spoil(world: World) -> None:
        for name, found in addresses.items():
            sub = "internal." if name.startswith("internal") else ""
            is_record = name.endswith("_record")
            host = f"doctor.{sub}{DOMAIN}" if is_record else f"{name}.elb.amazonaws.com"
            world.hosts[host] = found

    return spoil


def image(why: str) -> Break:
    return lambda world: world.images.update({world.profile.agent_image: why})


def certificate(*names: str, days: int = 60) -> Break:
    return with_data(TLS, "data", "tls.crt", value=a_certificate(*names, days=days))


def config(text: str) -> Break:
    return with_data(ENVOY, "data", "envoy-gateway.yaml", value=text)


def controller(tag: str) -> Break:
    image = {"image": f"docker.io/envoyproxy/gateway:{tag}"}
    return with_data(CONTROLLER, "spec", "template", "spec", "containers", value=[image])


def kubelet(name: str, **thresholds: str) -> Break:
    signals = {key.replace("_", "."): value for key, value in thresholds.items()}
    path = f"{NODES}/{name}/proxy/configz"
    return with_data(path, "kubeletconfig", "evictionHard", value=signals)


def no_node_of_cpu(world: World) -> None:
    """None of a pool that a workload of ours asks for."""
    del world.items(NODES)[2:]
    pod = {"nodeSelector": {MACHINE: "cpu.4"}}
    model = made("search", "sentiment", spec={"template": {"spec": pod}})
    world.items(f"/apis/apps/v1/deployments?{OURS}").append(model)


def no_node_by_affinity(world: World) -> None:
    """The same of a workload that may stand on either capacity."""
    del world.items(NODES)[2:]
    rows = [{"key": "zone", "operator": "In", "values": ["a"]}]
    rows += [{"key": MACHINE, "operator": "In", "values": ["cpu.4"]}]
    pod = {"affinity": by_affinity(*rows)}
    model = made("search", "sentiment", spec={"template": {"spec": pod}})
    world.items(f"/apis/apps/v1/deployments?{OURS}").append(model)


def fixed(world: World, *found: str) -> None:
    """A public gateway at addresses of its own, and what its name resolves to."""
    values = [{"value": value} for value in ("52.1.2.3", "52.1.2.4")]
    world.objects[f"{GATEWAYS}/public"]["status"]["addresses"] = values
    world.hosts[f"doctor.{DOMAIN}"] = set(found)


def both(*spoils: Callable[[World], object]) -> Break:
    return lambda world: [spoil(world) for spoil in spoils]


NO_LABELS = {"matchLabels": {"release": "other"}}
ONLY_HERE = {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}
OLD_TYPES = {"key": "node.kubernetes.io/instance-type", "operator": "In", "values": ["inf1.xlarge"]}
BESIDE = "{provider: {kubernetes: {deploy: {type: GatewayNamespace}}}, rateLimit: {a: 1}}"
CRITICAL = [{"key": "CriticalAddonsOnly", "operator": "Exists"}]
OTHER_VALUE = [
    {"key": "nvidia.com/gpu", "operator": "Equal", "value": "no", "effect": "NoSchedule"}
]
OTHER_EFFECT = [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoExecute"}]

KEDA = "/apis/apps/v1/namespaces/keda/deployments/keda-operator"
RELEASES = (
    "/api/v1/namespaces/envoy-gateway-system/secrets?labelSelector=owner%3Dhelm%2Cname%3D"
    "envoy-gateway%2Cstatus%20in%20%28pending-install%2Cpending-upgrade%2Cpending-rollback%29"
)
PLUGINS = "/apis/apps/v1/namespaces/nvidia-device-plugin/daemonsets/nvidia-device-plugin"

CASES = {
    "no operator of KEDA": Case(
        "workloads", "keda/keda-operator of keda is not there", "sandbox-aws.addons", without(KEDA)
    ),
    "an operator that does not run": Case(
        "workloads",
        "is not available: no pod",
        "kubectl -n keda describe deployment keda-operator",
        with_data(KEDA, "status", value={
            "conditions": [{"type": "Available", "status": "False", "message": "no pod"}]
        }),
    ),
    "an operator that nobody has looked at": Case(
        "workloads", "the controller has not", "describe", with_data(KEDA, "status", value={})
    ),
    "device plugins that do not run": Case(
        "workloads", "has 1 of 2 pods ready", "describe daemonset nvidia-device-plugin",
        with_data(PLUGINS, "status", "numberReady", value=1),
    ),
    "a chart's release that a killed run has left": Case(
        "workloads",
        "the Helm release envoy-gateway is pending-install",
        "kubectl -n envoy-gateway-system delete secret sh.helm.release.v1.envoy-gateway.v1",
        lambda world: world.objects.update({RELEASES: {"items": [{"metadata": {
            "name": "sh.helm.release.v1.envoy-gateway.v1", "labels": {"status": "pending-install"}
        }}]}}),
    ),
    "another minor version": Case(
        "cluster", "1.35", '"1.35"', with_data("/version", "minor", value="35")
    ),
    "no ScaledObjects": Case(
        "definitions", "scaledobjects.keda.sh", "sandbox-aws.addons",
        without("/apis/keda.sh/v1alpha1"),
    ),
    "another version of the policies": Case(
        "definitions",
        "securitypolicies.gateway.envoyproxy.io v1alpha1",
        "pulumi up",
        with_data("/apis/gateway.envoyproxy.io/v1alpha1", "resources", value=[
            {"name": "backendtrafficpolicies"}
        ]),
    ),
    "no admission policies": Case(
        "definitions", "validatingadmissionpolicies", "1.30",
        without("/apis/admissionregistration.k8s.io/v1"),
    ),
    "no adapter of metrics": Case(
        "definitions", "custom.metrics.k8s.io", "custom_metrics",
        without("/apis/custom.metrics.k8s.io"),
    ),
    "no metrics of CPU where these are all": Case(
        "definitions", "metrics.k8s.io", "metrics-server",
        both(
            without("/apis/metrics.k8s.io"),
            lambda world: world.change(
                capabilities=("cluster_scope",), addons={**world.profile.addons, "keda": "absent"}
            ),
        ),
    ),
    "a plugin that tolerates no GPU taint": Case(
        "device-plugins", "nvidia.com/gpu=present:NoSchedule", "{key: nvidia.com/gpu",
        plugin(0, tolerations=CRITICAL),
    ),
    "a plugin that tolerates another value": Case(
        "device-plugins", "gpu.l4.1", "operator: Exists", plugin(0, tolerations=OTHER_VALUE)
    ),
    "a plugin that tolerates another effect": Case(
        "device-plugins", "nvdp", "effect: NoSchedule", plugin(0, tolerations=OTHER_EFFECT)
    ),
    "a plugin that looks for another label": Case(
        "device-plugins", "nodeSelector", "nvidia.com/gpu.present=true",
        plugin(0, nodeSelector={"accelerator": "nvidia"}),
    ),
    "a plugin that does not know the instance type": Case(
        "device-plugins", "inf2.8xlarge", "neuron.inferentia2.1",
        plugin(1, affinity=by_affinity(OLD_TYPES)),
    ),
    "no plugin for a pool without nodes": Case(
        "device-plugins", "aws.amazon.com/neuron", "neuron-helm-chart",
        lambda world: world.items(SETS).pop(),
    ),
    "a node without its GPU": Case(
        "allocatable", "l4-1 of gpu.l4.1: 0 nvidia.com/gpu", "spec.nodeName=l4-1",
        lambda world: world.items(NODES)[0]["status"]["allocatable"].pop("nvidia.com/gpu"),
    ),
    "fewer nodes than the minimum": Case(
        "allocatable", "1 on-demand nodes of gpu.l4.1", "machines.gpu.l4.1.on_demand.min",
        lambda world: world.items(NODES)[0]["status"].update(told("Ready", "False")),
    ),
    "a pool of ours without any node": Case(
        "allocatable", "0 on-demand nodes of cpu.4", "list-nodegroups", no_node_of_cpu
    ),
    "a pool of ours without any node, by affinity": Case(
        "allocatable", "0 on-demand nodes of cpu.4", "list-nodegroups", no_node_by_affinity
    ),
    "a listed node that is not there": Case(
        "allocatable", "l4-3", "kubectl describe node l4-3", on_metal("l4-1", "l4-2", "l4-3")
    ),
    "a listed node without the label that others put there": Case(
        "allocatable", "node l4-2 of gpu.l4.1 lacks", "kubectl label node l4-2 isoserve.dev/",
        both(
            on_metal("l4-1", "l4-2"),
            change(capabilities=("custom_metrics",)),
            lambda world: world.items(NODES)[1]["metadata"]["labels"].pop(MACHINE),
        ),
    ),
    "a kubelet that evicts early after a while": Case(
        "eviction", "evictionSoft nodefs.available<30%", "or lower evictionSoft",
        with_data(
            f"{NODES}/cpu-1/proxy/configz", "kubeletconfig", "evictionSoft",
            value={"nodefs.available": "30%"},
        ),
    ),
    "a kubelet that evicts early": Case(
        "eviction", "nodefs.available<25%", "disk_free_percent: 30",
        kubelet("l4-1", nodefs_available="25%"),
    ),
    "a kubelet that evicts early by a quantity": Case(
        "eviction", "40 % of its disk", "sandbox-aws.yaml",
        kubelet("l4-2", imagefs_available="200Gi"),
    ),
    "monitors that are not selected": Case(
        "prometheus", "podMonitorSelector", "prometheus_labels: {release: other}",
        prometheus(podMonitorSelector=NO_LABELS),
    ),
    "rules that nothing selects": Case(
        "prometheus", "ruleSelector", "kubectl -n monitoring patch prometheus kps",
        prometheus(ruleSelector=None),
    ),
    "monitors of its own namespace alone": Case(
        "prometheus", "isoserve-cache, isoserve-gateway, search", "podMonitorNamespaceSelector",
        prometheus(podMonitorNamespaceSelector=None),
    ),
    "rules of its own namespace alone, by a label": Case(
        "prometheus", "ruleNamespaceSelector", "ruleNamespaceSelector",
        prometheus(ruleNamespaceSelector=ONLY_HERE),
    ),
    "Prometheus elsewhere": Case(
        "prometheus", "observability/kps", "prometheus_namespace: observability",
        lambda world: world.items(PROMETHEUSES)[0]["metadata"].update(namespace="observability"),
    ),
    "no series of probers": Case(
        "series", "probe_success", "podmonitors", with_data(PROBED, "data", "result", value=[])
    ),
    "no series of cache agents": Case(
        "series", "isoserve_cache_held_bytes", "isoserve-cache",
        with_data(HELD, "data", "result", value=[]),
    ),
    "no such GatewayClass": Case("gateways", "GatewayClass envoy", "gateway_class", without(CLASS)),
    "a GatewayClass of nobody": Case(
        "gateways", "not Accepted", "describe gatewayclass envoy",
        with_data(CLASS, "status", value=told("Accepted", "Unknown")),
    ),
    "a gateway that is not programmed": Case(
        "gateways", "isoserve-gateway/public is not Programmed", "describe gateway public",
        lambda world: world.objects[f"{GATEWAYS}/public"]["status"].update(
            told("Programmed", "False")
        ),
    ),
    "an internal gateway on the internet": Case(
        "gateways", "public address 52.9.9.9", "gateways.internal.annotations",
        hosts(internal={"52.9.9.9"}, internal_record={"52.9.9.9"}),
    ),
    "proxies where nobody lets them in": Case(
        "gateways", "stand in envoy-gateway-system", "proxy_namespaces: [envoy-gateway-system]",
        both(
            change(proxy_namespaces=("isoserve-gateway",)),
            config(BESIDE),
        ),
    ),
    "a load balancer on the wrong side": Case(
        "gateways", f"annotation {SCHEME}", f"{SCHEME}: internal",
        balancer(0, SCHEME, "internet-facing"),
    ),
    "a load balancer on any side": Case(
        "gateways", "may stand on either side", f"{SCHEME}: internet-facing",
        balancer(1, SCHEME, None),
    ),
    "no rate limit": Case("envoy-gateway", "rateLimit", "Redis", config("provider: {}")),
    "proxies in the gateways' namespace": Case(
        "envoy-gateway", "GatewayNamespace", "proxy_namespaces: [isoserve-gateway]",
        config(BESIDE),
    ),
    "an old controller": Case(
        "envoy-gateway", "v1.6.0", "pulumi up --stack sandbox-aws.addons", controller("v1.6.0")
    ),
    "a name that leads elsewhere": Case(
        "names", "52.7.7.7", f"*.{DOMAIN}", hosts(public_record={"52.7.7.7"})
    ),
    "a public name that leads nowhere": Case(
        "names", "resolves to nothing", "public.elb.amazonaws.com", hosts(public_record=set())
    ),
    "an internal name that leads to the public gateway": Case(
        "names", f"doctor.internal.{DOMAIN}", f"*.internal.{DOMAIN}",
        hosts(internal_record={"52.1.2.3"}),
    ),
    "a fixed address beside another one": Case(
        "names", "52.1.2.3, 52.7.7.7", "(A or AAAA) with 52.1.2.3, 52.1.2.4",
        lambda world: fixed(world, "52.1.2.3", "52.7.7.7"),
    ),
    "a fixed address that no name has": Case(
        "names", "resolves to nothing", "A or AAAA", lambda world: fixed(world)
    ),
    "no certificate": Case("secrets", "isoserve-public-tls", "create secret tls", without(TLS)),
    "no certificate of an issuer's": Case(
        "secrets", "isoserve-public-tls",
        "kubectl -n isoserve-gateway describe certificate isoserve-public-tls",
        both(without(TLS), lambda world: world.change(tls_issuer="ClusterIssuer/letsencrypt")),
    ),
    "a certificate of another type": Case(
        "secrets", "Opaque", "delete secret isoserve-public-tls",
        with_data(TLS, "type", value="Opaque"),
    ),
    "a certificate that ends soon": Case(
        "secrets", "expires at 2026-12-14", "isoserve-public-tls",
        certificate(f"*.{DOMAIN}", days=13),
    ),
    "a certificate that has ended": Case(
        "secrets", "expired at 2026-11-30", "renew", certificate(f"*.{DOMAIN}", days=-1)
    ),
    "a certificate of another domain": Case(
        "secrets", "*.acme.dev", "renew", certificate("*.acme.dev")
    ),
    "a certificate of no domain": Case("secrets", "subjectAltName", "renew", certificate()),
    "a certificate that is none": Case(
        "secrets", "no certificate", "renew", with_data(TLS, "data", "tls.crt", value="eHl6")
    ),
    "keys that only the cluster itself shows": Case(
        "keys", "read no keys at https://kubernetes.default.svc", "kubectl get --raw",
        of_cluster(jwks=(), jwks_uri="https://kubernetes.default.svc/openid/v1/jwks"),
    ),
    "a key that came since": Case(
        "keys", "signs by k2, which", "kubectl get --raw",
        with_data(JWKS, "keys", value=[{"kid": "k1"}, {"kid": "k2"}]),
    ),
    "no authorities for a prober": Case(
        "secrets", "search/company-ca", "create configmap company-ca --from-file=ca.crt",
        without("/api/v1/namespaces/search/configmaps/company-ca"),
    ),
    "authorities under another key": Case(
        "secrets", "no ca.crt", "create configmap company-ca",
        with_data(
            "/api/v1/namespaces/search/configmaps/company-ca", "data", value={"tls.crt": "PEM"}
        ),
    ),
    "no pull secret in a project": Case(
        "secrets", "search/pull", "kubectl -n search create secret docker-registry pull",
        without("/api/v1/namespaces/search/secrets/pull"),
    ),
    "no key of a listed caller": Case(
        "secrets", "search/api-key--shop (callers.keys of search/sentiment)",
        "kubectl -n search create secret generic api-key--shop --from-literal=shop=$(openssl rand",
        without("/api/v1/namespaces/search/secrets/api-key--shop"),
    ),
    "an image that no registry has": Case(
        "images", "agent_image", "isoserve image pin --set agent_image=",
        image("registry.acme.dev has no such image; mend its name or tag, or push it"),
    ),
    "images of an example": Case(
        "placeholders", "runtimes of the catalogue", "model_specs/catalogue/runtimes/",
        of_cluster(kubeconfig="~/.kube/config"),
    ),
    "no DNS where models ask it": Case("dns", "k8s-app=kube-dns", "kube-system", without(DNS)),
    "no DNS that is Ready": Case(
        "dns", "coredns-1", "describe pods",
        lambda world: world.items(DNS)[0].update(status=told("Ready", "False")),
    ),
}  # fmt: skip
