"""KEDA in the sandbox: its manifests are read as kustomize does, and stand where they shall."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from components.kube import Object
from regions.addons import ADDONS
from regions.sandbox import builds, toolchain
from regions.sandbox.layout import TOOLCHAIN
from regions.sandbox.node import keda

PUSHED = {name: f"ghcr.io/kedacore/{name}@sha256:{name}" for name in keda.PROGRAMS}
"""The images, as the registry may have them."""


def deployment(name: str, image: str) -> Object:
    """A Deployment as KEDA's manifests have them, as far as it matters here."""
    container: Object = {
        "name": name,
        "image": f"ghcr.io/kedacore/{image}:main",
        "args": ["--leader-elect", "--enable-cert-rotation=true"],
        "imagePullPolicy": "Always",
        "livenessProbe": {"httpGet": {"path": "/healthz", "port": 8081}},
        "readinessProbe": {"httpGet": {"path": "/readyz", "port": 8081}, "initialDelaySeconds": 20},
        "resources": {"requests": {"cpu": "100m"}, "limits": {"cpu": "1"}},
    }
    pod = {"containers": [container], "nodeSelector": {"kubernetes.io/os": "linux"}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "keda"},
        "spec": {"template": {"metadata": {"labels": {"app": name}}, "spec": pod}},
    }


NAMED = {
    "keda-admission": ("keda-admission-webhooks", "keda-admission-webhooks"),
    "keda-metrics-apiserver": ("keda-metrics-apiserver", "keda-operator-metrics-apiserver"),
    "keda-operator": ("keda", "keda-operator"),
}
"""By its name in KEDA's manifests, each Deployment's image, and what its chart calls it."""


@pytest.mark.parametrize("name", NAMED)
def test_a_part_stands_on_the_one_machine_and_takes_no_processor_from_anybody(name: str) -> None:
    image, _ = NAMED[name]
    before = deployment(name, image)
    made = keda.placed(before, PUSHED, "system-01")
    pod = made["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["nodeSelector"] == {"kubernetes.io/hostname": "system-01"}
    assert pod["tolerations"] == [{"operator": "Exists"}], "of every taint"
    assert "cpu" not in str(container["resources"]), "a limit alone would be asked for too"
    assert container["image"] == PUSHED[image], "by the digest of what was built here"
    assert container["args"] == ["--enable-cert-rotation=true"], "one pod waits for no election"
    probes = {container[kind]["httpGet"]["path"] for kind in ("livenessProbe", "readinessProbe")}
    assert probes == {"/healthz", "/readyz"}, "as KEDA asks itself"
    assert made["spec"]["template"]["metadata"] == before["spec"]["template"]["metadata"]


def test_the_parts_are_named_as_the_table_of_add_ons_has_them() -> None:
    made = [keda.placed(deployment(name, of), PUSHED, "x") for name, (of, _) in NAMED.items()]
    names = {f"Deployment/{one['metadata']['name']}" for one in made}
    assert names == {f"Deployment/{name}" for _, name in NAMED.values()}
    assert names == set(ADDONS["keda"].workloads)


def test_what_is_no_deployment_stays_as_it_is() -> None:
    made = {"kind": "Service", "metadata": {"name": "keda-metrics-apiserver"}}
    assert keda.placed(made, PUSHED, "x") == made, "the operator knows Services by these names"


def write(path: Path, *documents: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("---\n" + yaml.safe_dump_all(documents))


def test_a_kustomization_of_kustomizations_is_read_with_its_labels(tmp_path: Path) -> None:
    service = {"kind": "Service", "metadata": {"name": "a", "labels": {"own": "1", "of": "a"}}}
    role = {"kind": "ClusterRole", "metadata": {"name": "b"}}
    below = ["../crd", "../manager", "../rbac"]
    write(
        tmp_path / "default" / "kustomization.yaml",
        {"transformers": ["config/labels.yaml"], "resources": below},
    )
    labels = {"of": "keda", "app.kubernetes.io/version": "main"}
    write(tmp_path / "default" / "config" / "labels.yaml", {"labels": labels})
    write(tmp_path / "manager" / "kustomization.yaml", {"resources": ["one.yaml"]})
    write(tmp_path / "manager" / "one.yaml", service, None)
    pairs = {"pairs": {"app.kubernetes.io/name": "operator"}, "includeSelectors": True}
    write(tmp_path / "rbac" / "kustomization.yaml", {"labels": [pairs], "resources": ["two.yaml"]})
    write(tmp_path / "rbac" / "two.yaml", role)
    every = {"of": "keda", "app.kubernetes.io/version": ADDONS["keda"].version}
    assert [
        (one["kind"], one["metadata"]["labels"]) for one in keda._read(tmp_path / "default")
    ] == [
        ("Service", {"own": "1", **every}),
        ("ClusterRole", {"app.kubernetes.io/name": "operator", **every}),
    ], "definitions come by themselves, and the version is ours"


def test_its_programs_are_built_from_the_version_whose_manifests_are_read() -> None:
    text = (TOOLCHAIN / builds.KEDA.folder / "go.mod").read_text()
    assert f"github.com/kedacore/keda/v2 v{ADDONS['keda'].version} " in text
    tools = {line.rpartition("/")[2] for line in text.splitlines() if line.startswith("tool ")}
    assert tools == set(builds.KEDA.built_as.values())
    assert set(builds.KEDA.built_as) == set(builds.KEDA.makes) == set(keda.PROGRAMS.values())


def test_a_program_that_go_names_too_widely_gets_a_name_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def built(arguments: list[str], folder: Path, *, static: bool = False) -> str:
        target = Path(arguments[arguments.index("-o") + 1])
        for name in builds.KEDA.built_as.values():
            (target / name).write_text(name)
        return ""

    monkeypatch.setattr(toolchain, "BIN", tmp_path)
    monkeypatch.setattr(toolchain, "_go", built)
    toolchain._build(builds.KEDA, lambda _: None)
    made = {one.name: one.read_text() for one in tmp_path.iterdir() if one.suffix != ".stamp"}
    assert made == dict(builds.KEDA.built_as)
    assert toolchain.is_current(builds.KEDA)
