"""What cannot change in place is what the pinned provider and the API server say, and no more."""

from __future__ import annotations

import re
import subprocess
from functools import cache
from pathlib import Path
from typing import Final

import pytest

from stacks.reviewing.fixed_fields import (
    PROVIDER,
    REFUSED,
    REPLACED,
    is_refused,
    is_replaced,
)
from tests.examples import REGIONS, ROOT, objects_of

MODULE: Final = "github.com/pulumi/pulumi-kubernetes/provider/v4"
BUILT: Final = ROOT / "regions/sandbox/toolchain/kubernetes-provider/go.mod"
"""Names the commit of the pinned version, from which the sandbox builds the provider."""
OF_OTHERS: Final = ("Pod", "PodDisruptionBudget")
"""Pods are made by controllers, and of PodDisruptionBudgets only policy/v1beta1 is in the list."""


@cache
def source() -> str:
    """The provider's own list, where Go's modules are on this machine."""
    try:
        where = subprocess.run(
            ["go", "env", "GOMODCACHE"], capture_output=True, text=True, check=True, timeout=30
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""
    found = re.search(rf"{MODULE} (v\S+)", BUILT.read_text())
    assert found is not None, "the sandbox builds the provider"
    path = Path(where, f"{MODULE}@{found[1]}", "pkg/provider/diff.go")
    return path.read_text() if path.is_file() else ""


def fields_of(kind: str, text: str) -> set[str]:
    """The fields in the provider's list for a kind, without those inside a listed one."""
    block = re.search(rf'"{kind}":\s+(\w+)[,}}]', text)
    if block and block[1] not in ("properties", "append"):
        body = re.search(rf"^var {block[1]} = .*?^[)}}]$", text, re.DOTALL | re.MULTILINE)
        assert body is not None
        found = body[0]
    else:
        body = re.search(rf'"{kind}":\s+(?:append\(|properties\{{).*?\}},?\n', text, re.DOTALL)
        assert body is not None, f"{kind} is not in the provider's list"
        found = re.split(r"\}", body[0])[0]
    return {name.lstrip(".") for name in re.findall(r'"(\.[\w.]+)"', found)}


def test_the_list_is_that_of_the_pinned_provider() -> None:
    text = source()
    if not text:
        pytest.skip("no toolchain of the sandbox on this machine")
    for kind, known in REPLACED.items():
        if kind != "Secret":  # by a branch of its own: type, data and stringData
            assert set(known) == fields_of(kind, text), kind
    listed = set(re.findall(r'^\t\t\t?\t?"([A-Z]\w+)":', text, re.MULTILINE))
    inline = set(re.findall(r'"([A-Z]\w+)":\s+\w+', text))
    assert (listed | inline) - {*OF_OTHERS} == set(REPLACED), "no kind is left out"
    assert all(field in text for field in ('".type"', '".stringData"', '".data"'))


def test_the_version_that_was_read_is_the_one_that_runs() -> None:
    pinned = (ROOT / "requirements.txt").read_text()
    assert f"\npulumi-kubernetes=={PROVIDER}" in f"\n{pinned}", "read the new list, then pin"


@pytest.mark.parametrize(
    ("kind", "path", "replaced", "refused"),
    [
        ("Deployment", "spec.selector.matchLabels.a", True, False),
        ("Deployment", "spec.selectors", False, False),
        ("Deployment", "spec.template.spec.containers[0].image", False, False),
        ("PersistentVolumeClaim", "spec.resources.requests.storage", False, True),
        ("PersistentVolumeClaim", "spec.volumeName", True, False),
        ("PersistentVolume", "spec.local.path", True, False),
        ("PersistentVolume", "spec.nodeAffinity.required", False, True),
        ("PersistentVolume", "spec.capacity.storage", False, False),
        ("PriorityClass", "value", False, True),
        ("PriorityClass", "description", False, False),
        ("Service", "spec.clusterIP", True, False),
        ("Service", "spec.clusterIPs[0]", False, True),
        ("ConfigMap", "data.a", False, False),
        ("Secret", "data.a", True, False),
        ("StorageClass", "reclaimPolicy", False, True),
        ("NodeGroup", "spec.instance_types[1]", True, False),
        ("CronJob", "spec.jobTemplate.spec.template.spec", False, False),
        ("Job", "spec.template.spec", True, False),
        ("RoleBinding", "roleRef.name", True, False),
        ("Gateway", "apiVersion", True, False),
    ],
)
def test_a_field_is_replaced_refused_or_changed(
    kind: str, path: str, replaced: bool, refused: bool
) -> None:
    assert (is_replaced(kind, path), is_refused(kind, path)) == (replaced, refused)


def test_no_field_is_in_both_lists() -> None:
    for kind, fields in REFUSED.items():
        assert not any(is_replaced(kind, field) for field in fields), kind


def test_what_is_rendered_has_its_fixed_fields_in_a_list() -> None:
    """The kinds that Kubernetes' validation fixes fields of, of those that are rendered."""
    fixed = {
        "ClusterRoleBinding", "DaemonSet", "Deployment", "Job", "PersistentVolume",
        "PersistentVolumeClaim", "PriorityClass", "ResourceQuota", "RoleBinding", "Secret",
        "Service", "StatefulSet", "StorageClass",
    }  # fmt: skip
    kinds = {made["kind"] for region in REGIONS for made in objects_of(region)}
    assert kinds & fixed <= {*REPLACED, *REFUSED}
