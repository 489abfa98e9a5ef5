"""The charts of add-ons that a sandbox installs, packed from the Go modules that hold them.

A profile's `chart_mirror` names their folder. In a module a chart is as its repository has it: the
version is written, and values are filled in, when it is released.
"""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Final

from regions.addons import ADDONS
from regions.sandbox.layout import CHARTS, TOOLCHAIN, write_atomically
from regions.sandbox.toolchain import module_folder

_VALUES: Final = "values.tmpl.yaml"
_UNRELEASED: Final = {"version": "v0.0.0-latest", "appVersion": '"latest"'}
"""What Chart.yaml has before the release."""


@dataclass(frozen=True, slots=True)
class _Origin:
    """A chart's place: the toolchain's module, the path of the Go module, the folder inside."""

    build: str
    module: str
    folder: str


_ENVOY: Final = ("envoy-gateway", "github.com/envoyproxy/gateway")
_ORIGINS: Final = {
    "gateway-api": _Origin(*_ENVOY, "charts/gateway-crds-helm"),
    "envoy-gateway": _Origin(*_ENVOY, "charts/gateway-helm"),
}


def pack() -> str:
    """Pack each chart that is not there yet; a note of what was done. Raises SandboxError."""
    made = 0
    for name, origin in _ORIGINS.items():
        chart = ADDONS[name].chart
        assert chart is not None, "the rows of _ORIGINS have one"
        target = CHARTS / f"{chart.name}-{chart.version}.tgz"
        if not target.exists():
            source = module_folder(TOOLCHAIN / origin.build, origin.module) / origin.folder
            write_atomically(target, _packed(source, chart.name, chart.version))
            made += 1
    return f"{len(_ORIGINS)} charts, {made} packed"


def _packed(source: Path, name: str, version: str) -> bytes:
    """The chart as `helm package` has it, for the same files always the same."""
    held = io.BytesIO()
    with (
        gzip.GzipFile("", "wb", fileobj=held, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as stream,
    ):
        for path, body in _files(source, version):
            entry = tarfile.TarInfo(f"{name}/{path}")
            entry.size = len(body)
            stream.addfile(entry, io.BytesIO(body))
    return held.getvalue()


def _files(source: Path, version: str) -> Iterator[tuple[Path, bytes]]:
    values = source / _VALUES
    if values.exists():
        filled = Template(values.read_text()).substitute(
            GatewayImage=f"docker.io/envoyproxy/gateway:{version}",
            GatewayImagePullPolicy="IfNotPresent",
        )
        yield Path("values.yaml"), filled.encode()
    for path in sorted(one for one in source.rglob("*") if one.is_file()):
        within = path.relative_to(source)
        if within == Path("Chart.yaml"):
            yield within, _released(path.read_text(), version).encode()
        elif path != values and not (within == Path("values.yaml") and values.exists()):
            yield within, path.read_bytes()


def _released(text: str, version: str) -> str:
    for field, value in _UNRELEASED.items():
        text = text.replace(f"{field}: {value}", f"{field}: {version}")
    return text
