"""The real custom resource definitions, from Go modules at the versions of regions.addons."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import yaml

from regions.addons import ADDONS, Standing
from regions.sandbox.errors import SandboxError
from regions.sandbox.kube import Cluster, Object
from regions.sandbox.layout import BUILD, write_atomically
from regions.sandbox.plans import profile_of

ESTABLISHED_TIMEOUT_SECONDS: Final = 180  # two control planes at once on a busy machine are slow
_PATH: Final = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_RECORD: Final = "/api/v1/namespaces/kube-system/configmaps/isoserve-sandbox-crds"


@dataclass(frozen=True, slots=True)
class Bundle:
    """A project's definitions: the add-on that they belong to, the module at its version, and the
    folder inside."""

    addon: str
    module: str
    folder: str
    group: str


KEDA: Final = Bundle(
    "keda",
    f"github.com/kedacore/keda/v2@v{ADDONS['keda'].version}",
    "config/crd/bases",
    "keda.sh",
)
GATEWAY_API: Final = Bundle(
    "gateway-api",
    f"sigs.k8s.io/gateway-api@v{ADDONS['gateway-api'].version}",
    "config/crd/standard",
    "gateway.networking.k8s.io",
)
ENVOY_GATEWAY: Final = Bundle(
    "gateway-api",
    f"github.com/envoyproxy/gateway@v{ADDONS['envoy-gateway'].version}",
    "charts/gateway-helm/charts/crds/crds/generated",
    "gateway.envoyproxy.io",
)
PROMETHEUS_OPERATOR: Final = Bundle(
    "kube-prometheus-stack",
    "github.com/prometheus-operator/prometheus-operator"
    f"@v{ADDONS['kube-prometheus-stack'].version}",
    "example/prometheus-operator-crd",
    "monitoring.coreos.com",
)
CERT_MANAGER: Final = Bundle(
    "cert-manager",
    f"github.com/cert-manager/cert-manager@v{ADDONS['cert-manager'].version}",
    "deploy/crds",
    "cert-manager.io",
)

BUNDLES: Final = (CERT_MANAGER, KEDA, GATEWAY_API, ENVOY_GATEWAY, PROMETHEUS_OPERATOR)
_PRESENT: Final[tuple[Standing, ...]] = ("install", "provided")


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """YAML in which a bare `=` is a string: an operator in one definition's enum."""


_Loader.add_constructor("tag:yaml.org,2002:value", lambda loader, node: node.value)


def prefetch() -> str:
    """Download and slim every bundle, so that the regions needn't do it at the same time."""
    return f"{sum(len(definitions(bundle)) for bundle in BUNDLES)} definitions"


def bundles_of(region: str, standings: Collection[Standing] = _PRESENT) -> list[Bundle]:
    """The bundles of the add-ons that stand so in the region's profile."""
    addons = profile_of(region).addons
    return [bundle for bundle in BUNDLES if addons.get(bundle.addon) in standings]


def install(cluster: Cluster, standings: Collection[Standing] = _PRESENT) -> str:
    """Apply the bundles of the add-ons that stand so, and wait until the API serves them; a note of
    what was done.

    Raises SandboxError when a module can't be had or a definition isn't served in time.
    """
    bundles = bundles_of(cluster.region, standings)
    wanted = {bundle.group: bundle.module for bundle in bundles}
    record = cluster.get(_RECORD)
    if record and record.get("data") == wanted:
        return "present"
    documents = [document for bundle in bundles for document in definitions(bundle)]
    with ThreadPoolExecutor(4) as pool:
        list(
            pool.map(
                lambda one: cluster.apply(f"{_PATH}/{one['metadata']['name']}", one), documents
            )
        )
    _wait_until_established(cluster, {str(one["metadata"]["name"]) for one in documents})
    cluster.apply(_RECORD, _record(wanted))
    return f"{len(documents)} applied"


def require_present(cluster: Cluster) -> None:
    """Raise SandboxError naming the API groups of the region's bundles that a cluster lacks."""
    body = cluster.get("/apis")
    served = {group["name"] for group in (body or {}).get("groups", [])}
    wanted = bundles_of(cluster.region)
    missing = [bundle for bundle in wanted if bundle.group not in served]
    if missing:
        names = ", ".join(f"{bundle.group} ({bundle.module})" for bundle in missing)
        raise SandboxError(
            f"region {cluster.region}: the cluster lacks the custom resource definitions of "
            f"{names}. Install them there, or put `go` on PATH and this command does"
        )


def definitions(bundle: Bundle) -> list[Object]:
    """The bundle's definitions as plain objects, slimmed for the API server."""
    return [one for one in objects(bundle) if _is_definition(one)]


def objects(bundle: Bundle) -> list[Object]:
    """All objects of the bundle's folder, its definitions slimmed; cached on disk."""
    name = f"{bundle.module}/{bundle.folder}".replace("/", "_")
    cache = BUILD / "crds" / f"{name}.json"
    if not cache.exists():
        read = _read(module_folder(bundle) / bundle.folder)
        documents = [slim(one) if _is_definition(one) else one for one in read]
        if not documents:
            raise SandboxError(f"{bundle.module} holds no objects in {bundle.folder}")
        write_atomically(cache, json.dumps(documents))
    loaded: list[Object] = json.loads(cache.read_text())
    return loaded


def module_folder(bundle: Bundle) -> Path:
    """Where the pinned module lies on this disk; downloads it when needed."""
    BUILD.mkdir(parents=True, exist_ok=True)
    if shutil.which("go") is None:
        raise SandboxError(f"{bundle.module} is fetched by `go`, and there is no `go` on PATH")
    done = subprocess.run(
        ["go", "mod", "download", "-json", bundle.module],
        # Outside every module: the download has its own version, not one of ours.
        cwd=BUILD,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SandboxError(
            f"{bundle.module} can't be downloaded: {(done.stderr or done.stdout).strip()[-400:]}"
        )
    return Path(json.loads(done.stdout)["Dir"])


def slim(document: Object) -> Object:
    """The definition without prose: descriptions are most of its bytes and validate nothing."""
    spec = dict(document["spec"])
    spec["versions"] = [
        version | {"schema": {"openAPIV3Schema": _without_prose(_schema(version))}}
        for version in spec["versions"]
    ]
    metadata = {
        key: document["metadata"][key]
        for key in ("name", "annotations", "labels")
        if key in document["metadata"]
    }
    kept = {"apiVersion": document["apiVersion"], "kind": document["kind"]}
    return {**kept, "metadata": metadata, "spec": spec}


def _is_definition(document: Object) -> bool:
    return bool(document.get("kind") == "CustomResourceDefinition")


def _schema(version: Object) -> Object:
    schema: Object = version["schema"]["openAPIV3Schema"]
    return schema


def _without_prose(node: object, *, names: bool = False) -> object:
    # Under `properties` the keys are field names, and a field may well be called description.
    if isinstance(node, dict):
        return {
            key: _without_prose(value, names=not names and key == "properties")
            for key, value in node.items()
            if names or key != "description" or not isinstance(value, str)
        }
    if isinstance(node, list):
        return [_without_prose(value) for value in node]
    return node


def _read(folder: Path) -> Iterator[Object]:
    for path in sorted(folder.glob("*.yaml")):
        for document in yaml.load_all(path.read_text(), Loader=_Loader):
            if isinstance(document, dict):
                yield document


def _wait_until_established(cluster: Cluster, names: set[str]) -> None:
    deadline = time.monotonic() + ESTABLISHED_TIMEOUT_SECONDS
    while waiting := names - set(_established(cluster)):
        if time.monotonic() > deadline:
            raise SandboxError(
                f"region {cluster.region}: not served after {ESTABLISHED_TIMEOUT_SECONDS} s: "
                f"{', '.join(sorted(waiting))}"
            )
        time.sleep(0.1)


def _established(cluster: Cluster) -> Iterator[str]:
    for one in (cluster.get(_PATH) or {}).get("items", []):
        conditions = one.get("status", {}).get("conditions") or []
        if any(c["type"] == "Established" and c["status"] == "True" for c in conditions):
            yield one["metadata"]["name"]


def _record(data: dict[str, str]) -> Object:
    metadata = {"name": "isoserve-sandbox-crds", "namespace": "kube-system"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}
