"""From a pod's volumes to folders of this machine, and from those to what a container mounts.

    <folder>/writable/<name>    emptyDirs (of either medium plain folders, without a size limit);
                                links to hostPaths and claims
    <folder>/read-only/<name>   what the API server knows; links to claims that are read-only

The node's own disk is a folder too, `disk`: there are hostPaths and local volumes, nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from regions.sandbox.kube import Cluster, Object
from regions.sandbox.process_node.atomic_folder import hand_over, write
from regions.sandbox.process_node.contents import Asker, VolumeError, files_of, refused
from regions.sandbox.process_node.spec import Mount

__all__ = ["VolumeError", "mounts_of", "prepare", "refresh"]

_READ_ONLY, _WRITABLE = "read-only", "writable"
_KNOWN: Final = ("configMap", "downwardAPI", "projected", "secret")


@dataclass(frozen=True, slots=True)
class _Place:
    pod: Object
    folder: Path
    disk: Path
    cluster: Cluster


def prepare(pod: Object, folder: Path, disk: Path, cluster: Cluster) -> dict[str, Path]:
    """Make all volumes of the pod ready; what is there already stays. Where each of them is.

    Raises VolumeError for the first one that can't be had now, SandboxError without an API server.
    """
    place = _Place(pod, folder, disk, cluster)
    return {volume["name"]: _prepared(volume, place) for volume in _volumes(pod)}


def refresh(pod: Object, folder: Path, cluster: Cluster) -> None:
    """Write again what has changed of ConfigMaps, Secrets and the pod, and tokens that grow old.

    Raises VolumeError, SandboxError; until then every volume holds what it held.
    """
    for volume in _volumes(pod):
        kind, source = _kind(volume)
        if kind in _KNOWN:
            with _about(volume):
                _written(volume["name"], kind, source, pod, folder, cluster)


def mounts_of(container: Object, volumes: Mapping[str, Path]) -> tuple[Mount, ...]:
    """What the container mounts of its pod's prepared volumes. Raises VolumeError."""
    return tuple(_mount(row, volumes) for row in container.get("volumeMounts") or ())


def _volumes(pod: Object) -> list[Object]:
    return pod["spec"].get("volumes") or []


def _kind(volume: Object) -> tuple[str, Object]:
    kinds = [(key, source) for key, source in volume.items() if key != "name"]
    # The API server takes a volume without a source and makes it an emptyDir.
    return (kinds[0][0], kinds[0][1] or {}) if kinds else ("emptyDir", {})


def _prepared(volume: Object, place: _Place) -> Path:
    kind, source = _kind(volume)
    with _about(volume):
        if kind not in _PREPARE:
            raise refused(f"process nodes know no {kind}")
        return _PREPARE[kind](volume["name"], kind, source, place)


@contextmanager
def _about(volume: Object) -> Iterator[None]:
    try:
        yield
    except VolumeError as error:
        sentence = f'MountVolume.SetUp failed for volume "{volume["name"]}": {error}'
        raise VolumeError(error.reason, sentence) from error


def _group(pod: Object) -> int | None:
    group: int | None = (pod["spec"].get("securityContext") or {}).get("fsGroup")
    return group


def _empty(name: str, kind: str, source: Object, place: _Place) -> Path:
    folder = place.folder / _WRITABLE / name
    if not folder.exists():
        folder.mkdir(parents=True)
        hand_over(folder, 0o777, None, _group(place.pod))
    return folder


def _known(name: str, kind: str, source: Object, place: _Place) -> Path:
    return _written(name, kind, source, place.pod, place.folder, place.cluster)


def _written(
    name: str, kind: str, source: Object, pod: Object, folder: Path, cluster: Cluster
) -> Path:
    place = folder / _READ_ONLY / name
    write(place, files_of(kind, source, Asker(pod, cluster, place)), _group(pod))
    return place


def _host_path(name: str, kind: str, source: Object, place: _Place) -> Path:
    kind_of_path, path = source.get("type") or "", _on_disk(place.disk, source["path"])
    if kind_of_path not in ("Directory", "DirectoryOrCreate"):
        raise refused(
            f"process nodes know hostPaths of type Directory and DirectoryOrCreate, "
            f"not {kind_of_path!r}"
        )
    if kind_of_path == "DirectoryOrCreate":
        path.mkdir(mode=0o755, parents=True, exist_ok=True)
    if not path.is_dir():
        raise refused(f"hostPath type check failed: {source['path']} is not a directory")
    return _linked(place.folder / _WRITABLE / name, path)


def _claim(name: str, kind: str, source: Object, place: _Place) -> Path:
    wanted, namespace = source["claimName"], place.pod["metadata"]["namespace"]
    claims = f"/api/v1/namespaces/{namespace}/persistentvolumeclaims"
    claim = place.cluster.get(f"{claims}/{wanted}")
    if claim is None:
        raise refused(f'persistentvolumeclaim "{wanted}" not found')
    bound = claim["spec"].get("volumeName")
    if not bound or (claim.get("status") or {}).get("phase") != "Bound":
        raise refused(f'persistentvolumeclaim "{wanted}" is not bound')
    volume = place.cluster.get(f"/api/v1/persistentvolumes/{bound}")
    if volume is None:
        raise refused(f'persistentvolume "{bound}" not found')
    path = (volume["spec"].get("local") or {}).get("path")
    if path is None:
        raise refused(f'process nodes know local volumes only, and "{bound}" is none')
    on_disk = _on_disk(place.disk, path)
    if not on_disk.is_dir():
        raise refused(f'path "{path}" of volume "{bound}" does not exist on this node')
    access = _READ_ONLY if source.get("readOnly") else _WRITABLE
    return _linked(place.folder / access / name, on_disk)


def _on_disk(disk: Path, path: str) -> Path:
    """A path of the node, whose root is its disk; a pod may have left symbolic links there."""
    real = (disk / path.lstrip("/")).resolve()
    if not real.is_relative_to(disk.resolve()):
        raise refused(f"{path} leads out of the node's disk")
    return real


def _linked(link: Path, target: Path) -> Path:
    link.parent.mkdir(parents=True, exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(target)
    return link


def _mount(row: Object, volumes: Mapping[str, Path]) -> Mount:
    if row.get("subPathExpr"):
        raise _unusable(row, "process nodes know no subPathExpr, only subPath")
    volume = volumes[row["name"]]
    is_read_only = volume.parent.name == _READ_ONLY
    return Mount(
        source=_below(volume.resolve(), row, is_read_only),
        target=row["mountPath"],
        read_only=is_read_only or bool(row.get("readOnly")),
    )


def _below(volume: Path, row: Object, is_read_only: bool) -> Path:
    wanted = str(row.get("subPath") or "")
    path = (volume / wanted).resolve()
    if ".." in Path(wanted).parts or not path.is_relative_to(volume):
        raise _unusable(row, f"subPath {wanted!r} leads out of the volume")
    if not path.exists():
        if is_read_only:
            raise _unusable(row, f"there is no {wanted!r} in the read-only volume")
        _make(path, volume)
    return path


def _make(path: Path, volume: Path) -> None:
    """Missing folders, each as open as the volume itself: else only root could use them."""
    mode = volume.stat().st_mode & 0o7777
    for folder in reversed([path, *path.parents]):
        if not folder.exists():
            folder.mkdir()
            folder.chmod(mode)


def _unusable(row: Object, sentence: str) -> VolumeError:
    name = row["name"]
    return VolumeError("CreateContainerConfigError", f'volume "{name}" can\'t be used: {sentence}')


_PREPARE: Final[Mapping[str, Callable[[str, str, Any, _Place], Path]]] = {
    "emptyDir": _empty,
    "hostPath": _host_path,
    "persistentVolumeClaim": _claim,
    **dict.fromkeys(_KNOWN, _known),
}
