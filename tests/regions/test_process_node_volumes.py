"""A pod's volumes as folders, and what a container mounts of them. The API server is simulated."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from regions.sandbox.process_node.container import Container, Mount, User, start
from regions.sandbox.process_node.volumes import VolumeError, mounts_of
from tests.pod_volumes import (
    CAN_GIVE_AWAY,
    CLAIM,
    CONFIG,
    GROUP,
    SECRET,
    SHARED,
    Node,
    contents,
    mode_of,
    open_node,
    pod_with,
)


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    with open_node(tmp_path) as made:
        yield made


# -- folders -----------------------------------------------------------------------------------


@pytest.mark.parametrize("source", [{}, {"medium": "Memory", "sizeLimit": "1Gi"}])
def test_an_empty_dir_is_everybodys(node: Node, source: dict[str, Any]) -> None:
    folder = node.one({"emptyDir": source})
    assert mode_of(folder) == 0o777
    assert list(folder.iterdir()) == []


def test_an_empty_dir_of_a_group_hands_it_on_to_what_is_made_in_it(node: Node) -> None:
    folder = node.one({"emptyDir": {}}, **SHARED)
    assert mode_of(folder) == 0o2777
    (folder / "new").mkdir()
    if CAN_GIVE_AWAY:
        assert folder.stat().st_gid == (folder / "new").stat().st_gid == GROUP


def test_what_a_pod_wrote_outlives_a_restart_of_the_agent(node: Node) -> None:
    (node.one({"emptyDir": {}}) / "file").write_text("kept")
    assert contents(node.one({"emptyDir": {}})) == {"file": "kept"}


def test_a_host_path_is_on_the_nodes_own_disk(node: Node) -> None:
    path = "/var/lib/isoserve"
    made = node.one({"hostPath": {"path": path, "type": "DirectoryOrCreate"}})
    assert made.resolve() == (node.disk / "var/lib/isoserve").resolve()
    assert made.is_dir()
    again = node.one({"hostPath": {"path": path, "type": "Directory"}})
    assert again.resolve() == made.resolve()


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ({"hostPath": {"path": "/none", "type": "Directory"}}, "/none is not a directory"),
        ({"hostPath": {"path": "/", "type": "Socket"}}, "not 'Socket'"),
        ({"hostPath": {"path": "/"}}, "not ''"),
        ({"hostPath": {"path": "/../../etc", "type": "Directory"}}, "leads out of the node's disk"),
        ({"nfs": {"server": "a", "path": "/"}}, "process nodes know no nfs"),
        ({"projected": {"sources": [{"clusterTrustBundle": {}}]}}, "know no projected"),
        (CONFIG, 'configmap "settings" not found'),
        (SECRET, 'secret "keys" not found'),
        (CLAIM, 'persistentvolumeclaim "models" not found'),
    ],
)  # fmt: skip
def test_what_cannot_be_mounted_is_said_by_the_volumes_name(
    node: Node, source: dict[str, Any], says: str
) -> None:
    with pytest.raises(VolumeError, match=r'MountVolume\.SetUp failed for volume "v"') as caught:
        node.one(source)
    assert says in str(caught.value)
    assert caught.value.reason == "FailedMount"


def test_a_link_that_a_pod_left_on_the_disk_leads_nowhere_else(node: Node) -> None:
    (node.disk / "var").symlink_to("/etc")
    with pytest.raises(VolumeError, match="leads out of the node's disk"):
        node.one({"hostPath": {"path": "/var/ssl", "type": "Directory"}})


# -- claims ------------------------------------------------------------------------------------


def test_a_local_volume_must_be_there_first_as_on_a_kubelet(node: Node) -> None:
    node.claim("Bound", {"local": {"path": "/var/lib/isoserve/search"}})
    with pytest.raises(VolumeError, match=r"/var/lib/isoserve/search.* does not exist"):
        node.one(CLAIM)
    assert list(node.disk.iterdir()) == [], "making it is the cache agent's work"
    (node.disk / "var/lib/isoserve/search").mkdir(parents=True)
    assert node.one(CLAIM).resolve() == (node.disk / "var/lib/isoserve/search").resolve()


@pytest.mark.parametrize(
    ("phase", "volume", "says"),
    [
        ("Pending", {"local": {"path": "/"}}, "is not bound"),
        ("Bound", {"csi": {"driver": "ebs"}}, "know local volumes only"),
    ],
)
def test_a_claim_that_cannot_be_used_is_refused(
    node: Node, phase: str, volume: dict[str, Any], says: str
) -> None:
    node.claim(phase, volume)
    with pytest.raises(VolumeError, match=says):
        node.one(CLAIM)


@pytest.mark.parametrize(
    ("of_claim", "of_mount", "want"),
    [
        (False, False, False),
        (True, False, True),
        (False, True, True),
    ],
)
def test_a_claim_is_read_only_if_it_or_its_mount_says_so(
    node: Node, of_claim: bool, of_mount: bool, want: bool
) -> None:
    node.claim("Bound", {"local": {"path": "/models"}})
    (node.disk / "models").mkdir()
    source = {"persistentVolumeClaim": {"claimName": "models", "readOnly": of_claim}}
    volumes = node.prepare(pod_with({"name": "v", **source}))
    row = {"name": "v", "mountPath": "/m", "readOnly": of_mount}
    (made,) = mounts_of({"volumeMounts": [row]}, volumes)
    assert made == Mount(source=(node.disk / "models").resolve(), target="/m", read_only=want)


# -- mounts ------------------------------------------------------------------------------------


def mounted(volumes: dict[str, Path], **row: Any) -> Mount:
    (made,) = mounts_of({"volumeMounts": [{"name": "v", "mountPath": "/m", **row}]}, volumes)
    return made


def test_what_the_api_server_knows_is_mounted_read_only(node: Node) -> None:
    node.config(a="1")
    volumes = node.prepare(pod_with({"name": "v", **CONFIG}))
    assert mounted(volumes).read_only
    assert mounted(volumes, subPath="a").source.read_text() == "1"


def test_a_missing_sub_path_is_made_as_open_as_its_volume(node: Node) -> None:
    volumes = node.prepare(pod_with({"name": "v", "emptyDir": {}}))
    made = mounted(volumes, subPath="a/b", readOnly=True)
    assert made.source == volumes["v"].resolve() / "a/b"
    assert {mode_of(made.source), mode_of(made.source.parent)} == {0o777}
    assert made.read_only


@pytest.mark.parametrize("sub_path", ["..", "a/../../x", "/../x", "link", "link/deeper"])
def test_a_sub_path_does_not_leave_its_volume(node: Node, tmp_path: Path, sub_path: str) -> None:
    volumes = node.prepare(pod_with({"name": "v", "emptyDir": {}}))
    (volumes["v"] / "link").symlink_to(tmp_path)
    with pytest.raises(VolumeError, match="leads out of the volume") as caught:
        mounted(volumes, subPath=sub_path)
    assert caught.value.reason == "CreateContainerConfigError"


def test_a_container_sees_a_sub_path_and_nothing_beside_it(node: Node, tmp_path: Path) -> None:
    node.claim("Bound", {"local": {"path": "/models"}})
    for name in ("mine", "theirs"):
        (node.disk / "models" / name).mkdir(parents=True)
        (node.disk / "models" / name / "file").write_text(f"{name}\n")
    volumes = node.prepare(pod_with({"name": "v", **CLAIM}))
    (tmp_path / "hosts").write_text("")
    container = Container(
        argv=("sh", "-c", "cat /m/file; echo /m/* /m/../models; cat /m/../theirs/file"),
        env={},
        mounts=(mounted(volumes, subPath="mine", readOnly=True),),
        hosts=tmp_path / "hosts",
        user=User(uid=10001, gid=10001, groups=(), capabilities=()),
        read_only_root=True,
        working_directory="",
        home=tmp_path / "run",
        log=tmp_path / "log",
    )
    running = start(container)
    while running.poll() is None:
        time.sleep(0.005)
    mine, names, refused = (tmp_path / "log").read_text().splitlines()
    assert (mine, names) == ("mine", "/m/file /m/../models")
    assert refused.endswith("No such file or directory")


def test_nothing_is_made_in_a_read_only_volume(node: Node) -> None:
    node.claim("Bound", {"local": {"path": "/models"}})
    (node.disk / "models/digest").mkdir(parents=True)
    source = {"persistentVolumeClaim": {"claimName": "models", "readOnly": True}}
    volumes = node.prepare(pod_with({"name": "v", **source}))
    assert mounted(volumes, subPath="digest").source == (node.disk / "models/digest").resolve()
    with pytest.raises(VolumeError, match="there is no 'other' in the read-only volume"):
        mounted(volumes, subPath="other")
    assert list((node.disk / "models").iterdir()) == [node.disk / "models/digest"]


def test_a_sub_path_with_variables_is_refused(node: Node) -> None:
    volumes = node.prepare(pod_with({"name": "v", "emptyDir": {}}))
    with pytest.raises(VolumeError, match="subPathExpr"):
        mounted(volumes, subPathExpr="$(NAME)")
