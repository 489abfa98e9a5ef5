"""The user's programs come first, same sources aren't built twice, and errors have a cure."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from regions.sandbox import builds, clusters, control_plane, crds, lifecycle, toolchain
from regions.sandbox.errors import SandboxError
from regions.sandbox.kube import read_kubeconfig


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("BIN", "PLUGINS", "BUILD", "LOG"):
        folder = tmp_path / name.lower()
        folder.mkdir()
        monkeypatch.setattr(toolchain, name, folder)
    monkeypatch.setenv("PATH", str(tmp_path / "user"))
    (tmp_path / "user").mkdir()
    return tmp_path


def a_program(path: Path, says: str = "") -> None:
    path.write_text(f"#!/bin/sh\necho '{says}'\n")
    path.chmod(0o755)


def test_a_recent_pulumi_of_the_user_is_used(folders: Path) -> None:
    a_program(folders / "user" / "pulumi", "v3.210.1")
    a_program(folders / "user" / "pulumi-language-python")
    a_program(folders / "user" / "pulumi-resource-kubernetes")
    found = toolchain.prepare(lambda _: None, own_clusters=True)
    assert found.pulumi == folders / "user" / "pulumi"


@pytest.mark.parametrize(("version", "host"), [("v3.199.9", True), ("v3.210.0", False)])
def test_an_old_or_half_pulumi_is_not_used(folders: Path, version: str, host: bool) -> None:
    a_program(folders / "user" / "pulumi", version)
    if host:
        a_program(folders / "user" / "pulumi-language-python")
    assert toolchain.find_user_pulumi() is None


def test_what_the_sandbox_built_is_not_taken_for_the_users(
    folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_program(folders / "bin" / "pulumi", "v3.200.0")
    a_program(folders / "bin" / "pulumi-language-python")
    monkeypatch.setenv("PATH", str(folders / "bin"))
    assert toolchain.find_user_pulumi() is None


def test_without_go_the_error_names_what_is_missing_and_both_ways_out(folders: Path) -> None:
    with pytest.raises(SandboxError, match=r"lacks pulumi, kwok, .*Go 1\.26.*--kubeconfig"):
        toolchain.prepare(lambda _: None, own_clusters=False)


def test_the_judges_are_built_for_their_own_tests_only(folders: Path) -> None:
    with pytest.raises(SandboxError) as refused:
        toolchain.prepare(lambda _: None, own_clusters=False)
    assert "judges" not in str(refused.value), "`make up` waits for nothing that only tests need"
    assert not toolchain.has_judges()
    with pytest.raises(SandboxError, match=r"lacks judges, kube-control-plane, kwok, .*Go 1\.26"):
        toolchain.prepare_judges(lambda _: None)


def test_promtool_is_the_users_else_the_one_that_is_built_with_prometheus(folders: Path) -> None:
    build = builds.PROMETHEUS
    for name in build.makes:
        a_program(folders / "bin" / name)
    assert toolchain.find_promtool() is None, "it is of other sources"
    with pytest.raises(SandboxError, match=r"lacks prometheus, .*Go 1\.26.*`promtool` on PATH"):
        toolchain.prepare_promtool(lambda _: None)
    (folders / "bin" / "prometheus.stamp").write_text(toolchain.stamp_of(build))
    assert toolchain.find_promtool() == folders / "bin" / "promtool"
    a_program(folders / "user" / "promtool")
    assert toolchain.find_promtool() == folders / "user" / "promtool"


def test_a_build_of_other_sources_is_not_current(folders: Path) -> None:
    build = builds.KWOK
    a_program(folders / "bin" / "kwok")
    assert not toolchain.is_current(build), "without a stamp nobody knows its sources"
    (folders / "bin" / "kwok.stamp").write_text(toolchain.stamp_of(build))
    assert toolchain.is_current(build)
    (folders / "bin" / "kwok.stamp").write_text("0")
    assert not toolchain.is_current(build)


def test_the_aws_plugin_finds_its_tree_by_its_own_place(folders: Path) -> None:
    toolchain._write_aws_plugin()
    script = folders / "plugins" / "pulumi-resource-aws"
    assert script.stat().st_mode & 0o111
    assert str(folders) not in script.read_text(), "a copied tree would run another tree's code"
    assert subprocess.run(["/bin/sh", "-n", script], check=False).returncode == 0


def test_descriptions_go_but_a_field_of_that_name_stays() -> None:
    schema = {
        "description": "prose",
        "properties": {"description": {"type": "string", "description": "prose"}},
    }
    version = {"name": "v1", "schema": {"openAPIV3Schema": schema}}
    document = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "x", "creationTimestamp": None},
        "spec": {"versions": [version]},
    }
    slimmed = crds.slim(document)
    assert slimmed["spec"]["versions"][0]["schema"]["openAPIV3Schema"] == {
        "properties": {"description": {"type": "string"}}
    }
    assert slimmed["metadata"] == {"name": "x"}


def test_onprem_has_no_keda() -> None:
    assert crds.KEDA in crds.bundles_of("sandbox-aws")
    assert crds.KEDA not in crds.bundles_of("sandbox-onprem")


def test_the_api_server_starts_after_its_store_and_ends_before_it() -> None:
    assert control_plane.PARTS[:2] == ("etcd", "kube-apiserver")


KUBECONFIG = """
apiVersion: v1
kind: Config
current-context: b
clusters: [{name: c, cluster: {server: "https://127.0.0.1:1", certificate-authority: ca.crt}}]
users: [{name: u, user: {token: t}}]
contexts:
  - {name: a, context: {cluster: missing, user: u}}
  - {name: b, context: {cluster: c, user: u, namespace: n}}
"""


def test_an_existing_kubeconfig_is_cut_down_to_one_context(tmp_path: Path) -> None:
    path = tmp_path / "kubeconfig"
    path.write_text(KUBECONFIG)
    made = clusters.minified(read_kubeconfig(path), path, None, "sandbox-aws")
    assert made["current-context"] == "sandbox-aws"
    assert made["contexts"][0]["context"] == {
        "cluster": "sandbox-aws",
        "user": "sandbox-aws",
        "namespace": "n",
    }
    assert made["clusters"][0]["cluster"]["certificate-authority"] == str(tmp_path / "ca.crt")


@pytest.mark.parametrize(("context", "said"), [("z", "no context named 'z'"), ("a", "'missing'")])
def test_a_wrong_context_is_named(tmp_path: Path, context: str, said: str) -> None:
    path = tmp_path / "kubeconfig"
    path.write_text(KUBECONFIG)
    with pytest.raises(SandboxError, match=said):
        clusters.minified(read_kubeconfig(path), path, context, "sandbox-aws")


@pytest.mark.parametrize("option", ["", "sandbox-aws", "sandbox-aws=", "mars=path"])
def test_a_kubeconfig_option_of_another_shape_says_the_right_one(option: str) -> None:
    with pytest.raises(SandboxError, match="REGION=PATH"):
        clusters.parse(option)


@pytest.mark.parametrize("content", [None, "", "[]", "a: [", "kind: Config"])
def test_what_is_no_kubeconfig_is_an_error_with_its_path(
    tmp_path: Path, content: str | None
) -> None:
    path = tmp_path / "kubeconfig"
    if content is not None:
        path.write_text(content)
    with pytest.raises(SandboxError, match=str(path)):
        read_kubeconfig(path)


def test_a_second_run_is_refused_with_the_first_ones_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lifecycle, "HOME", tmp_path)
    monkeypatch.setattr(lifecycle, "LOCK_FILE", tmp_path / "lock")
    second = lifecycle.alone()
    with lifecycle.alone(), pytest.raises(SandboxError, match=r"process \d+"):
        second.__enter__()
