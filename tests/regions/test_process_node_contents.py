"""What a pod's files hold that the API server knows, and how they change. It is simulated."""

from __future__ import annotations

import base64
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from regions.sandbox.process_node.volumes import VolumeError
from tests.pod_volumes import (
    CAN_GIVE_AWAY,
    CONFIG,
    GROUP,
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


# -- what the API server knows -----------------------------------------------------------------


def test_a_config_map_is_one_file_a_key(node: Node) -> None:
    node.config(one="1", two="2")
    path = "/api/v1/namespaces/search/configmaps/settings"
    node.api.objects[path]["binaryData"] = {"raw": base64.b64encode(b"\0").decode()}
    folder = node.one(CONFIG)
    assert contents(folder) == {"one": "1", "raw": "\0", "two": "2"}
    assert mode_of(folder / "one") == 0o644


def test_items_choose_keys_paths_and_modes(node: Node) -> None:
    node.config(one="1", two="2")
    items = [{"key": "one", "path": "deep/er/file", "mode": 0o400}, {"key": "two", "path": "b"}]
    folder = node.one({"configMap": {"name": "settings", "items": items, "defaultMode": 0o600}})
    assert (folder / "deep/er/file").read_text() == "1"
    assert mode_of(folder / "deep/er/file") == 0o400
    assert mode_of(folder / "b") == 0o600
    assert sorted(p.name for p in folder.iterdir() if p.name[:2] != "..") == ["b", "deep"]


def test_what_is_optional_may_be_missing(node: Node) -> None:
    absent = {"configMap": {"name": "settings", "optional": True}}
    assert contents(node.one(absent)) == {}
    node.config(one="1")
    items = [{"key": "one", "path": "one"}, {"key": "none", "path": "none"}]
    some = {"configMap": {"name": "settings", "optional": True, "items": items}}
    assert contents(node.one(some)) == {"one": "1"}
    with pytest.raises(VolumeError, match="non-existent key: none"):
        node.one({"configMap": {"name": "settings", "items": items}})


def test_no_item_is_written_outside_its_volume(node: Node) -> None:
    node.config(one="1")
    items = [{"key": "one", "path": "../../one"}]
    with pytest.raises(VolumeError, match="leads out of the volume"):
        node.one({"configMap": {"name": "settings", "items": items}})


def test_a_secret_is_as_closed_as_its_mode(node: Node) -> None:
    node.secret(key=b"\xff\x00")
    folder = node.one({"secret": {"secretName": "keys", "defaultMode": 0o400}})
    assert (folder / "key").read_bytes() == b"\xff\x00"
    assert mode_of(folder / "key") == 0o400


def test_a_group_can_read_the_secrets_of_its_pod(node: Node) -> None:
    node.secret(key=b"value")
    source = {"secret": {"secretName": "keys", "defaultMode": 0o400}}
    folder = node.one(source, **SHARED)
    assert mode_of(folder / "key") == 0o440
    if CAN_GIVE_AWAY:
        assert (folder / "key").stat().st_gid == GROUP
    version = (folder / "..data").readlink()
    node.one(source, **SHARED)
    assert (folder / "..data").readlink() == version, "nothing changed, nothing is written"


def test_the_downward_api_tells_a_pod_of_itself(node: Node) -> None:
    fields = {
        "labels": "metadata.labels",
        "name": "metadata.name",
        "note": "metadata.annotations['note']",
        "notes": "metadata.annotations",
    }
    items = [{"path": path, "fieldRef": {"fieldPath": name}} for path, name in fields.items()]
    assert contents(node.one({"downwardAPI": {"items": items}})) == {
        "labels": 'a="1"\nb="2"',
        "name": "ranker-0",
        "note": 'say "hi"',
        "notes": 'note="say \\"hi\\""',
    }
    unknown = {"downwardAPI": {"items": [{"path": "x", "fieldRef": {"fieldPath": "spec.x"}}]}}
    with pytest.raises(VolumeError, match=r"spec\.x"):
        node.one(unknown)


def test_a_projected_volume_joins_its_sources(node: Node) -> None:
    node.config(one="1")
    node.secret(key=b"value")
    item = {"path": "space", "fieldRef": {"fieldPath": "metadata.namespace"}}
    sources = [
        {"configMap": {"name": "settings"}},
        {"secret": {"name": "keys"}},
        {"downwardAPI": {"items": [item]}},
    ]
    folder = node.one({"projected": {"sources": sources, "defaultMode": 0o440}})
    assert contents(folder) == {"key": "value", "one": "1", "space": "search"}
    assert {mode_of(folder / name) for name in ("key", "one", "space")} == {0o440}


# -- tokens ------------------------------------------------------------------------------------

ACCOUNT = "/api/v1/namespaces/search/serviceaccounts/ranker/token"


def pod_with_token(**spec: Any) -> dict[str, Any]:
    token = {"audience": "models", "expirationSeconds": 7200, "path": "token"}
    source = {"projected": {"sources": [{"serviceAccountToken": token}]}}
    return pod_with({"name": "v", **source}, **spec)


def test_a_token_is_bound_to_its_pod(node: Node) -> None:
    node.api.objects[ACCOUNT] = {}
    file = node.prepare(pod_with_token())["v"] / "token"
    ((path, body),) = node.api.asked
    assert path == ACCOUNT
    assert body["spec"] == {
        "audiences": ["models"],
        "boundObjectRef": {"apiVersion": "v1", "kind": "Pod", "name": "ranker-0", "uid": "u-1"},
        "expirationSeconds": 7200,
    }
    assert file.read_text() == node.api.token()
    assert mode_of(file) == 0o644


@pytest.mark.parametrize(("spent", "asked"), [(0.7, 1), (0.9, 2)])
def test_a_token_is_renewed_when_a_fifth_of_its_life_is_left(
    node: Node, spent: float, asked: int
) -> None:
    node.api.objects[ACCOUNT] = {}
    life_seconds = 100_000
    node.api.began = int(time.time() - spent * life_seconds)
    node.api.ends = node.api.began + life_seconds
    pod = pod_with_token()
    file = node.prepare(pod)["v"] / "token"
    first = file.read_text()
    node.refresh(pod)
    assert len(node.api.asked) == asked
    assert (file.read_text() == first) == (asked == 1)


def test_a_token_is_read_by_the_pods_one_user_and_group_only(node: Node) -> None:
    node.api.objects[ACCOUNT] = {}
    security = {"securityContext": {"runAsUser": 10003, "fsGroup": GROUP}}
    file = node.prepare(pod_with_token(**security))["v"] / "token"
    assert mode_of(file) == 0o640
    if CAN_GIVE_AWAY:
        assert (file.stat().st_uid, file.stat().st_gid) == (10003, GROUP)


def test_a_token_that_is_refused_is_a_volume_that_fails(node: Node) -> None:
    with pytest.raises(VolumeError, match=r"failed to fetch token: .*404"):
        node.prepare(pod_with_token())


# -- changes -----------------------------------------------------------------------------------


def test_a_change_reaches_the_pod_and_what_is_gone_goes(node: Node) -> None:
    node.config(stays="1", goes="x")
    pod = pod_with({"name": "v", **CONFIG})
    folder = node.prepare(pod)["v"]
    node.config(stays="2", comes="y")
    node.refresh(pod)
    assert contents(folder) == {"comes": "y", "stays": "2"}
    assert len([p for p in folder.iterdir() if p.name.startswith("..")]) == 2, "no old version"


def test_a_reader_never_meets_two_versions_at_once(node: Node) -> None:
    node.config(a="0", b="0")
    pod = pod_with({"name": "v", **CONFIG})
    data = node.prepare(pod)["v"] / "..data"
    met: set[tuple[str, str]] = set()
    over = threading.Event()

    def read() -> None:
        while not over.is_set():
            try:
                version = os.open(data, os.O_RDONLY)
            except FileNotFoundError:
                continue  # swapped out between the link and what it led to
            try:
                one, other = (Path(f"/proc/self/fd/{version}/{key}").read_text() for key in "ab")
                met.add((one, other))
            except FileNotFoundError:
                continue  # a version that was swapped out, and removed under the reader
            finally:
                os.close(version)

    reader = threading.Thread(target=read)
    reader.start()
    number, deadline = 0, time.monotonic() + 30
    while len(met) < 10 and time.monotonic() < deadline and reader.is_alive():
        number += 1
        node.config(a=str(number), b=str(number))
        node.refresh(pod)
    over.set()
    reader.join()
    assert len(met) >= 10, "the reader was there all the time, and saw changes"
    assert [pair for pair in met if pair[0] != pair[1]] == []


def test_a_change_that_was_cut_short_is_done_again(node: Node) -> None:
    node.config(a="1")
    pod = pod_with({"name": "v", **CONFIG})
    folder = node.prepare(pod)["v"]
    (folder / "..cut-short").mkdir()
    (folder / "..data_tmp").symlink_to("..cut-short")
    node.config(a="2")
    node.refresh(pod)
    assert contents(folder) == {"a": "2"}
    assert not (folder / "..cut-short").exists()


def test_what_cannot_be_had_again_leaves_what_was_there(node: Node) -> None:
    node.config(a="1")
    pod = pod_with({"name": "v", **CONFIG})
    folder = node.prepare(pod)["v"]
    node.api.objects.clear()
    with pytest.raises(VolumeError):
        node.refresh(pod)
    assert contents(folder) == {"a": "1"}
