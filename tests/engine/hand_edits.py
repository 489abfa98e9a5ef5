"""What a person might do to a live object by `kubectl edit`, and which rule must refuse it."""

from __future__ import annotations

import base64
import copy
from dataclasses import dataclass
from typing import Any, Final

from components.kube import ADDRESSES_V4, Object
from tests.examples import Identity

GONE: Final = object()
UNPINNED: Final = "registry.example.com/library/busybox:1.37"
STRANGERS: Final = f"example.net/own/tool@sha256:{'a' * 64}"
SECRET: Final = {"secretKeyRef": {"key": "token", "name": "hub"}}
RBAC: Final = "rbac.authorization.k8s.io"


@dataclass(frozen=True)
class Edit:
    """One edit: the object, JSON pointers with their new values, and who refuses it.

    `rule` is the guard's; `judge` the rule of policies/ that sees the same in what is rendered,
    empty where what is wrong can only be made by hand. An object that is given another name is
    one that somebody creates.
    """

    rule: str
    of: Identity
    changes: tuple[tuple[str, Any], ...]
    judge: str

    def __str__(self) -> str:
        what = " ".join(pointer for pointer, _ in self.changes)
        return f"{self.rule}: {self.of.kind} {what}"

    @property
    def creates(self) -> bool:
        """Whether it makes another object."""
        return any(pointer == "/metadata/name" for pointer, _ in self.changes)

    def patch(self) -> list[Object]:
        """The edit as a JSON patch."""
        return [
            {"op": "remove", "path": pointer}
            if value is GONE
            else {"op": "add", "path": pointer, "value": value}
            for pointer, value in self.changes
        ]

    def done_to(self, made: Object) -> Object:
        """A copy of the object after the edit."""
        changed = copy.deepcopy(made)
        for pointer, value in self.changes:
            *steps, last = (s.replace("~1", "/") for s in pointer.split("/")[1:])
            place: Any = changed
            for step in steps:
                place = place[int(step)] if isinstance(place, list) else place[step]
            if value is GONE:
                del place[int(last) if isinstance(place, list) else last]
            elif isinstance(place, list):
                place.insert(len(place) if last == "-" else int(last), value)
            else:
                place[last] = value
        return changed


def _edits(
    rule: str, kind: str, namespace: str, name: str, *rows: dict[str, Any], judge: str | None = None
) -> tuple[Edit, ...]:
    of = Identity(kind, namespace, name)
    by = rule if judge is None else judge
    return tuple(Edit(rule, of, tuple(row.items()), by) for row in rows)


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _named(namespace: str) -> Object:
    return {"matchLabels": {"kubernetes.io/metadata.name": namespace}}


_POD: Final = "/spec/template/spec"
_MAIN: Final = f"{_POD}/containers/0"
_SECURITY: Final = f"{_MAIN}/securityContext"
_NIGHTLY: Final = "/spec/jobTemplate/spec/template/spec"
_SENTIMENT: Final = ("Deployment", "search", "sentiment")
_AGENT: Final = ("DaemonSet", "isoserve-cache", "cache-gpu-l4-1")
_LABELS: Final = "/metadata/labels"
_LEVEL: Final = f"{_LABELS}/pod-security.kubernetes.io~1enforce"
_PEERS: Final = "/spec/ingress/0/from"
_CALLEES: Final = "/spec/egress/0/to"
_EVERYWHERE: Final = {"ipBlock": {"cidr": "0.0.0.0/0"}}
_OUTSIDE: Final = ADDRESSES_V4
_OF_ANOTHER_CLOUD: Final = {"ipBlock": {"cidr": "0.0.0.0/0", "except": ["169.254.0.0/16"]}}
_TO_REGISTRY: Final = {"ports": [{"port": 443, "protocol": "TCP"}]}
_NAME: Final = "app.kubernetes.io/name"
_FROM: Final = {"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "namespace": "vision"}
_ANYBODY: Final = {"action": "Allow", "principal": {"clientCIDRs": ["0.0.0.0/0"]}}
_CALLERS: Final[Object] = {
    "group": "gateway.networking.k8s.io",
    "kind": "HTTPRoute",
    "name": "assistant",
    "sectionName": "callers",
}
_KEY_AUTH: Final[Object] = {
    "credentialRefs": [{"group": "", "kind": "Secret", "name": "api-key--shop"}],
    "extractFrom": [{"headers": ["Authorization"]}],
    "forwardClientIDHeader": "x-isoserve-client",
    "sanitize": True,
}
_CALLER: Final = "x-isoserve-caller"
_IN_ADDRESS: Final = [{"params": ["key"]}]
_OTHERS: Final = {"name": "api-key--shop", "namespace": "search"}
_VAULT: Final = {"name": "vault"}
_BY_KEY: Final[Object] = {
    "apiKeyAuth": _KEY_AUTH,
    "authorization": {
        "defaultAction": "Deny",
        "rules": [
            {
                "action": "Allow",
                "principal": {"headers": [{"name": "x-isoserve-client", "values": ["shop"]}]},
            }
        ],
    },
    "targetRefs": [_CALLERS],
}
_AWAY: Final = {"externalName": "example.com", "type": "ExternalName"}

_AGENTS: Final = {
    "kind": "ServiceAccount",
    "name": "cache-agent",
    "namespace": "isoserve-cache",
}

_PINNED: Final = "registry.example.com/own/tool@sha256:" + "a" * 64
_CLAIM: Final = {"claimName": "models-gpu-l4-1"}
_SIDECAR: Final = {
    "image": _PINNED,
    "name": "writer",
    "securityContext": {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    },
    "volumeMounts": [{"mountPath": "/data", "name": "models"}],
}
_BY_HAND: Final = {
    "automountServiceAccountToken": False,
    "containers": [_SIDECAR],
    "securityContext": {
        "runAsNonRoot": True,
        "runAsUser": 1000,
        "seccompProfile": {"type": "RuntimeDefault"},
    },
    "volumes": [{"name": "models", "persistentVolumeClaim": {**_CLAIM, "readOnly": True}}],
}

_DOWNLOADS: Final = {
    **_BY_HAND,
    "containers": [{**_SIDECAR, "volumeMounts": [{"mountPath": "/data", "name": "brought"}]}],
    "initContainers": [
        {
            **_SIDECAR,
            "args": ["pull", "--root", "/data"],
            "name": "model",
            "volumeMounts": [{"mountPath": "/data", "name": "brought"}],
        }
    ],
    "volumes": [{"emptyDir": {}, "name": "brought"}],
}

_PODS: Final = (
    *_edits(
        "pss-restricted",
        *_SENTIMENT,
        {f"{_POD}/hostNetwork": True},
        {f"{_POD}/volumes/-": {"hostPath": {"path": "/"}, "name": "node"}},
        {f"{_MAIN}/ports/0/hostPort": 8000},
        {f"{_POD}/automountServiceAccountToken": True},
        {f"{_POD}/securityContext": GONE},
        {f"{_SECURITY}/allowPrivilegeEscalation": True},
        {f"{_SECURITY}/privileged": True, f"{_SECURITY}/allowPrivilegeEscalation": True},
        {f"{_SECURITY}/readOnlyRootFilesystem": False},
        {f"{_SECURITY}/runAsUser": 0},
        {f"{_SECURITY}/capabilities/add": ["NET_ADMIN"]},
        {f"{_SECURITY}/capabilities": GONE},
        {f"{_SECURITY}/seccompProfile": {"type": "Unconfined"}},
    ),
    *_edits("pss-restricted", "CronJob", "search", "nightly-index", {f"{_NIGHTLY}/hostPID": True}),
    *_edits(
        "pss-restricted",
        *_AGENT,
        {f"{_POD}/hostNetwork": True},
        {f"{_POD}/volumes/-": {"hostPath": {"path": "/"}, "name": "node"}},
        {f"{_POD}/volumes/1/hostPath/path": "/var/lib"},
        {f"{_POD}/automountServiceAccountToken": True},
        {f"{_SECURITY}/privileged": True, f"{_SECURITY}/allowPrivilegeEscalation": True},
        {f"{_SECURITY}/capabilities/add": ["SYS_ADMIN"]},
    ),
    *_edits(
        "image-digest",
        *_SENTIMENT,
        {f"{_MAIN}/image": UNPINNED},
        {f"{_POD}/initContainers/0/image": UNPINNED},
    ),
    *_edits(
        "image-host",
        *_SENTIMENT,
        {f"{_MAIN}/image": STRANGERS},
        {f"{_POD}/initContainers/0/image": STRANGERS},
        {f"{_MAIN}/image": f"registry.example.com.{STRANGERS}"},
    ),
    *_edits("image-host", *_AGENT, {f"{_MAIN}/image": STRANGERS}),
    *_edits(
        "image-digest",
        "CronJob",
        "search",
        "nightly-index",
        {f"{_NIGHTLY}/containers/0/image": UNPINNED},
    ),
    *_edits(
        "image-digest",
        *_AGENT,
        {f"{_MAIN}/image": UNPINNED},
    ),
    *_edits(
        "weights-read-only",
        *_SENTIMENT,
        {f"{_MAIN}/volumeMounts/0/readOnly": False},
        {f"{_MAIN}/volumeMounts/0/readOnly": GONE},
        {f"{_MAIN}/volumeMounts/-": {"mountPath": "/tmp/all", "name": "models"}},
        {f"{_MAIN}/volumeMounts/-": {"mountPath": "/tmp/../models", "name": "tmp"}},
        {f"{_POD}/volumes/0/persistentVolumeClaim/readOnly": False},
        {f"{_POD}/volumes/-": {"name": "mine", "persistentVolumeClaim": _CLAIM}},
        {f"{_POD}/initContainers/0/volumeMounts/0/readOnly": False},
        {f"{_POD}/initContainers/-": _SIDECAR},
        {f"{_POD}/containers/-": _SIDECAR},
        {"/metadata/name": "mine", "/apiVersion": "v1", "/kind": "Pod", "/spec": _BY_HAND},
        {"/metadata/name": "mine", "/apiVersion": "v1", "/kind": "Pod", "/spec": _DOWNLOADS},
    ),
    *_edits(
        "weights-read-only",
        "CronJob",
        "search",
        "nightly-index",
        {f"{_NIGHTLY}/containers/0/volumeMounts/0/readOnly": False},
    ),
    *_edits(
        "gpu-shape",
        *_SENTIMENT,
        {f"{_POD}/tolerations/-": {"operator": "Exists"}},
        {f"{_POD}/nodeSelector": GONE},
    ),
    *_edits("gpu-shape", *_AGENT, {f"{_POD}/tolerations/-": {"operator": "Exists"}}),
    *_edits(
        "no-secret-literal",
        *_SENTIMENT,
        {f"{_MAIN}/env/-": {"name": "HUB_TOKEN", "valueFrom": SECRET}},
        {f"{_MAIN}/envFrom": [{"secretRef": {"name": "hub"}}]},
    ),
)
_WALLS: Final = (
    *_edits("pss-namespace", "Namespace", "", "search", {_LEVEL: "baseline"}, {_LEVEL: GONE}),
    *_edits(
        "pss-namespace",
        "Namespace",
        "",
        "search",
        {f"{_LEVEL}-version": "v1.0"},
        {f"{_LABELS}/isoserve.dev~1project": "vision"},
        {f"{_LABELS}/isoserve.dev~1project": GONE},
        {f"{_LABELS}/app.kubernetes.io~1managed-by": "somebody"},
        judge="",  # in what is rendered these are the same everywhere: nothing there could differ
    ),
    *_edits(
        "netpol-default-deny",
        "NetworkPolicy",
        "search",
        "default-deny",
        {"/spec/podSelector/matchLabels": {"isoserve.dev/model": "nobody"}},
        {"/spec/policyTypes": ["Ingress"]},
        {"/spec/ingress": [{}]},
    ),
    *_edits(
        "netpol-default-deny",
        "NetworkPolicy",
        "search",
        "sentiment--8000",
        {_PEERS: GONE},
        {f"{_PEERS}/-": {"namespaceSelector": {}}},
        {f"{_PEERS}/-": _EVERYWHERE},
        judge="private-no-ingress",
    ),
    *_edits(
        "egress-allow-list",
        "NetworkPolicy",
        "search",
        "embedder--8080",
        {"/spec/egress/-": {}},
        {"/spec/egress/-": {"to": [_EVERYWHERE]}},
        {"/spec/egress/0/ports/0/endPort": 65535},
        {"/spec/egress/-": {"ports": [{"port": 53}], "to": [{"namespaceSelector": {}}]}},
    ),
    *_edits(
        "egress-allow-list",
        "NetworkPolicy",
        "search",
        "nightly-index",
        {"/spec/egress/1/to": GONE},
        {"/spec/egress/1/ports/0/port": 22},
        {"/spec/egress/1/ports/0/endPort": 65535},
        {"/spec/egress/1/ports/0/protocol": "UDP"},
        {"/spec/egress/1/to/-": {"namespaceSelector": _named("monitoring")}},
        {"/spec/egress/1/to/-": {"ipBlock": {"cidr": "10.0.0.0/8"}}},
        {"/spec/egress/1/to/0/podSelector": GONE},
        {"/spec/egress/1/to/0/podSelector": {}},
        {"/spec/egress/1/to/0/podSelector/matchLabels": {_NAME: "admin"}},
        {"/spec/egress/1/to/0/namespaceSelector": GONE},
    ),
    *_edits(
        "egress-allow-list",
        "NetworkPolicy",
        "search",
        "default-deny",
        {"/spec/egress/0/ports/0/port": 8080},
        {"/spec/egress/-": {"ports": [{"port": 443, "protocol": "TCP"}]}},
    ),
    *_edits(
        "egress-allow-list",
        "NetworkPolicy",
        "search",
        "default-deny",
        {
            "/metadata/name": "mine",
            "/spec": {"egress": [_TO_REGISTRY], "podSelector": {}, "policyTypes": ["Egress"]},
        },
        {
            "/metadata/name": "mine",
            "/spec": {
                "egress": [_TO_REGISTRY],
                "podSelector": {"matchLabels": {"isoserve.dev/model": "embedder"}},
                "policyTypes": ["Egress"],
            },
        },
    ),
    *_edits(
        "egress-allow-list",
        "NetworkPolicy",
        "search",
        "nightly-index",
        {"/metadata/name": "nightly-index-more"},
        {"/metadata/name": "nightly-index--more"},
        {"/spec/podSelector/matchLabels/isoserve.dev~1model": "embedder"},
        judge="",
    ),
    *_edits(
        "egress-allow-list",
        "NetworkPolicy",
        "search",
        "default-callers",
        {"/spec/podSelector": {}},
        {"/spec/podSelector/matchExpressions/0/operator": "Exists"},
        {"/spec/podSelector/matchExpressions/0/key": "isoserve.dev/track"},
        {"/spec/egress/0/to": GONE},
        {f"{_CALLEES}/-": {"namespaceSelector": {}}},
        {f"{_CALLEES}/-": _EVERYWHERE},
        {f"{_CALLEES}/-": {"namespaceSelector": _named("kube-system")}},
        {f"{_CALLEES}/-": {"namespaceSelector": _named("isoserve-cache")}},
        {f"{_CALLEES}/-": {"namespaceSelector": _named("monitoring")}},
        {"/metadata/namespace": "isoserve-cache", "/metadata/name": "callers"},
    ),
    *_edits(
        "egress-allow-list",
        "NetworkPolicy",
        "isoserve-cache",
        "cache-agent",
        {"/spec/egress/-": {}},
        {"/spec/egress/3/to": GONE},
        {"/spec/egress/3/to/0/namespaceSelector": {}},
    ),
    *_edits(
        "egress-allow-list",
        "NetworkPolicy",
        "chat",
        "prober",
        {"/spec/egress/-": {"ports": [{"port": 80}], "to": [_EVERYWHERE]}},
        {"/spec/egress/-": {"ports": [{"port": 80}], "to": [{"ipBlock": {"cidr": "::/0"}}]}},
        {"/spec/egress/-": {}},
        {"/spec/egress/-": {"ports": [{"port": 80}], "to": [_OF_ANOTHER_CLOUD]}},
        {"/spec/egress/-": {"ports": [{"port": 22}], "to": [_OUTSIDE]}},
        {"/spec/egress/-": {"to": [_OUTSIDE]}},
        {"/spec/egress/1/to/-": {"namespaceSelector": _named("search")}},
        {"/spec/egress/1/to/-": {"namespaceSelector": {}}},
    ),
    *_edits(
        "rbac-least",
        "Role",
        "search",
        "project-viewer",
        {"/rules/0/verbs/-": "*"},
        {"/rules/0/resources/-": "*"},
        {"/rules/0/resources/-": "secrets"},
        {"/rules/0/resources/-": "pods/exec"},
        {"/rules/0/verbs/-": "update"},
    ),
    *_edits(
        "rbac-least",
        "Role",
        "search",
        "project-admin",
        {"/rules/-": {"apiGroups": [""], "resources": ["secrets"], "verbs": ["patch"]}},
        {"/rules/-": {"apiGroups": [""], "resources": ["secrets"], "verbs": ["delete"]}},
    ),
    *_edits(
        "rbac-bindings",
        "RoleBinding",
        "search",
        "project-viewer",
        {"/subjects/-": {"apiGroup": RBAC, "kind": "Group", "name": "system:authenticated"}},
        {"/subjects/-": {"kind": "ServiceAccount", "name": "ranker", "namespace": "search"}},
        {"/subjects/-": {"kind": "ServiceAccount", "name": "assistant", "namespace": "chat"}},
        {"/subjects/-": {"apiGroup": RBAC, "kind": "User", "name": "somebody"}},
        {
            "/metadata/name": "admins",
            "/roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": "view"},
        },
        {
            "/metadata/name": "project-guest",
            "/roleRef": {"apiGroup": RBAC, "kind": "Role", "name": "project-admin"},
        },
        {"/subjects/-": {"kind": "ServiceAccount", "name": "default", "namespace": "chat"}},
        {"/subjects/-": _AGENTS},
    ),
    *_edits(
        "rbac-least",
        "Role",
        "search",
        "cache-agent",
        {"/rules/0/resources/-": "configmaps"},
        {"/rules/0/verbs/-": "delete"},
    ),
    *_edits(
        "rbac-least",
        "Role",
        "isoserve-cache",
        "cache-agent",
        {"/rules/0/resources/-": "secrets"},
        {"/rules/0/verbs/-": "delete"},
        {"/metadata/name": "project-admin"},
    ),
    *_edits(
        "rbac-bindings",
        "RoleBinding",
        "isoserve-cache",
        "cache-agent",
        {"/subjects/-": {"kind": "ServiceAccount", "name": "default", "namespace": "chat"}},
        {"/subjects/-": {"apiGroup": RBAC, "kind": "Group", "name": "search-admins"}},
        {
            "/roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": "view"},
            "/metadata/name": "x",
        },
    ),
)
_BALANCER: Final = "/spec/infrastructure/annotations"
_ROUTES: Final = (
    *_edits(
        "known-gateways",
        "Gateway",
        "isoserve-gateway",
        "public",
        {"/spec/listeners/0/protocol": "HTTP", "/spec/listeners/0/tls": GONE},
        {"/spec/listeners/0/hostname": "*.example.com"},
        {"/spec/listeners/0/allowedRoutes/namespaces/from": "All"},
        {"/metadata/name": "mine"},
    ),
    *_edits(
        "known-gateways",
        "Gateway",
        "isoserve-gateway",
        "internal",
        {f"{_BALANCER}/service.beta.kubernetes.io~1aws-load-balancer-scheme": "internet-facing"},
        {f"{_BALANCER}/service.beta.kubernetes.io~1aws-load-balancer-scheme": GONE},
        {f"{_BALANCER}/service.beta.kubernetes.io~1aws-load-balancer-type": "nlb"},
        {f"{_BALANCER}/service.beta.kubernetes.io~1aws-load-balancer-type": GONE},
        {f"{_BALANCER}/networking.gke.io~1load-balancer-type": "External"},
        {"/spec/infrastructure": GONE},
        {
            "/spec/infrastructure/parametersRef": {
                "group": "gateway.envoyproxy.io",
                "kind": "EnvoyProxy",
                "name": "own",
            }
        },
    ),
    *_edits(
        "public-needs-auth",
        "SecurityPolicy",
        "chat",
        "assistant",
        {"/spec/jwt/optional": True},
        {"/spec/jwt": GONE, "/spec/authorization": GONE},
        {"/spec/authorization": GONE},
        {"/spec/authorization/defaultAction": "Allow"},
        {"/spec/authorization/rules/-": _ANYBODY},
        {"/spec/targetRefs/0/name": "nobody"},
    ),
    *(
        edit
        for judge, spec in (
            ("caller-keys", {**_BY_KEY, "apiKeyAuth": {**_KEY_AUTH, "sanitize": False}}),
            ("caller-keys", {**_BY_KEY, "apiKeyAuth": {**_KEY_AUTH, "extractFrom": _IN_ADDRESS}}),
            ("caller-keys", {**_BY_KEY, "apiKeyAuth": {**_KEY_AUTH, "credentialRefs": [_OTHERS]}}),
            ("caller-keys", {**_BY_KEY, "apiKeyAuth": {**_KEY_AUTH, "credentialRefs": [_VAULT]}}),
            ("caller-keys", {**_BY_KEY, "apiKeyAuth": {**_KEY_AUTH, "credentialRefs": []}}),
            (
                "caller-keys",
                {
                    **_BY_KEY,
                    "apiKeyAuth": {**_KEY_AUTH, "forwardClientIDHeader": "x-isoserve-caller"},
                },
            ),
            ("caller-keys", {**_BY_KEY, "authorization": {"defaultAction": "Allow"}}),
            (
                "caller-keys",
                {**_BY_KEY, "authorization": {"defaultAction": "Deny", "rules": [_ANYBODY]}},
            ),
            ("as-asked", {"targetRefs": [_CALLERS]}),
            ("as-asked", {**_BY_KEY, "targetRefs": [{**_CALLERS, "sectionName": "probe"}]}),
            ("as-asked", {**_BY_KEY, "targetRefs": [{**_CALLERS, "name": "helper"}]}),
        )
        for edit in _edits(
            "public-needs-auth",
            "SecurityPolicy",
            "chat",
            "assistant",
            {"/metadata/name": "assistant--keys", "/spec": spec},
            judge=judge,
        )
    ),
    *_edits(
        "caller-keys",
        "ConfigMap",
        "chat",
        "assistant-dashboard",
        *(
            {"/kind": "Secret", "/metadata/name": "api-key--shop", "/data": data}
            for data in (
                {},
                {"shop": ""},
                {"shop": _base64("short")},
                {"shop": _base64(f"{'k' * 64}\n")},
                {"shop": _base64("ü" * 64)},
                {"other": _base64("k" * 64)},
                {"shop": _base64("k" * 64), "other": _base64("o" * 64)},
            )
        ),
    ),
    *_edits(
        "public-needs-auth",
        "BackendTrafficPolicy",
        "chat",
        "assistant",
        {"/spec/rateLimit": GONE},
        {"/spec/targetRefs/0/name": "nobody"},
    ),
    *_edits(
        "no-side-door",
        "Service",
        "search",
        "sentiment",
        {"/spec/type": "NodePort"},
        {"/spec/externalIPs": ["203.0.113.7"]},
        judge="private-no-ingress",
    ),
    *_edits(
        "no-side-door",
        "Service",
        "search",
        "sentiment",
        {"/metadata/name": "away", "/spec": _AWAY},
        {"/spec/selector": GONE},
    ),
    *_edits(
        "no-side-door",
        "Service",
        "isoserve-cache",
        "cache-gpu-l4-1",
        {"/spec/externalIPs": ["203.0.113.7"]},
        {"/spec/clusterIP": GONE, "/spec/type": "NodePort", "/metadata/name": "more"},
        {"/metadata/name": "away", "/spec": _AWAY},
        judge="as-asked",
    ),
    *_edits(
        "no-side-door",
        "HTTPRoute",
        "vision",
        "tagger",
        {
            "/metadata/name": "side",
            "/kind": "GRPCRoute",
            "/spec": {"rules": [{"backendRefs": [{"name": "tagger", "port": 80}]}]},
        },
        judge="permissive-inside-only",
    ),
    *_edits(
        "no-side-door",
        "Service",
        "search",
        "sentiment",
        {
            "/metadata/name": "side",
            "/apiVersion": "networking.k8s.io/v1",
            "/kind": "Ingress",
            "/spec": {"defaultBackend": {"service": {"name": "sentiment", "port": {"number": 80}}}},
        },
        judge="private-no-ingress",
    ),
    *_edits(
        "route-own-name",
        "HTTPRoute",
        "chat",
        "helper",
        {"/spec/hostnames/-": "tagger--vision.internal.aws.sandbox.example.com"},
        {"/spec/hostnames": GONE},
        {"/spec/parentRefs/0/name": "public"},
    ),
    *_edits(
        "tenant-isolation",
        "HTTPRoute",
        "chat",
        "helper",
        {"/spec/rules/1/backendRefs/0/namespace": "search"},
        {
            "/metadata/name": "grant",
            "/apiVersion": "gateway.networking.k8s.io/v1beta1",
            "/kind": "ReferenceGrant",
            "/spec": {"from": [_FROM], "to": [{"group": "", "kind": "Service"}]},
        },
    ),
    *_edits(
        "tenant-isolation",
        "Service",
        "isoserve-cache",
        "cache-gpu-l4-1",
        {
            "/metadata/name": "grant",
            "/apiVersion": "gateway.networking.k8s.io/v1beta1",
            "/kind": "ReferenceGrant",
            "/spec": {"from": [_FROM], "to": [{"group": "", "kind": "Service"}]},
        },
    ),
)
_SERVING: Final = (
    *_edits(
        "pdb-sane",
        "PodDisruptionBudget",
        "search",
        "sentiment",
        {"/spec/maxUnavailable": 0},
        {"/spec/maxUnavailable": GONE, "/spec/minAvailable": 1},
        {"/spec/unhealthyPodEvictionPolicy": "IfHealthyBudget"},
    ),
    *_edits(
        "keda-fallback",
        "ScaledObject",
        "search",
        "sentiment",
        {"/spec/fallback": GONE},
        {"/spec/fallback/replicas": 0},
        {"/spec/triggers/0/metadata/ignoreNullValues": "true"},
    ),
    *_edits(
        "tenant-volumes",
        "PersistentVolume",
        "",
        "search-models-gpu-l4-1",
        {"/spec/accessModes": ["ReadWriteMany"]},
        {"/spec/claimRef/namespace": "vision"},
    ),
)

BAD: Final = (*_PODS, *_WALLS, *_ROUTES, *_SERVING)
"""Every one must be refused."""

HARMLESS: Final = (
    *_edits("", *_SENTIMENT, {"/metadata/annotations/example.com~1note": "seen"}),
    *_edits("", "Deployment", "search", "prober", {"/spec/replicas": 0}),
    *_edits("", *_SENTIMENT, {f"{_MAIN}/args/-": "--seed=7"}),
    *_edits("", "Namespace", "", "search", {f"{_LABELS}/example.com~1cost-centre": "4711"}),
    *_edits(
        "",
        *_SENTIMENT,
        {f"{_MAIN}/volumeMounts/-": {"mountPath": "/tmp/look", "name": "models", "readOnly": True}},
    ),
    *_edits("", "Service", "search", "sentiment", {"/spec/sessionAffinity": "ClientIP"}),
    *_edits("", "PodDisruptionBudget", "search", "sentiment", {"/spec/maxUnavailable": 2}),
    *_edits("", "ScaledObject", "search", "sentiment", {"/spec/maxReplicaCount": 1}),
    *_edits("", "NetworkPolicy", "search", "sentiment--8000", {f"{_PEERS}/0": GONE}),
    *_edits("", "NetworkPolicy", "search", "default-callers", {f"{_CALLEES}/0": GONE}),
    *_edits("", "HTTPRoute", "chat", "helper", {"/spec/rules/1/timeouts/request": "30s"}),
)
"""What an incident needs: none of these takes away what a rule promises."""

MADE: Final = (
    *_edits(
        "",
        "SecurityPolicy",
        "chat",
        "assistant",
        {"/metadata/name": "assistant--keys", "/spec": _BY_KEY},
    ),
    *_edits(
        "",
        "ConfigMap",
        "chat",
        "assistant-dashboard",
        *(
            {"/kind": "Secret", "/metadata/name": name, "/data": data}
            for name, data in (
                ("api-key--shop", {"shop": _base64("k" * 64)}),
                ("registry", {"other": ""}),
            )
        ),
    ),
)
"""What somebody may make by hand: the keys of callers are people's, and their policy is ours."""
