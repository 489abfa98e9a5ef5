"""The charts of Envoy Gateway that a sandbox installs, packed from the Go module that holds them.

A profile's `chart_mirror` names their folder. In a module a chart is as its repository has it: the
version is written, and values are filled in, when it is released.
"""

from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path
from string import Template
from typing import Final

from regions.addons import ADDONS
from regions.sandbox.layout import CHARTS, TOOLCHAIN, write_atomically
from regions.sandbox.toolchain import module_folder

GATEWAY_IMAGE: Final = f"docker.io/envoyproxy/gateway:v{ADDONS['envoy-gateway'].version}"
_BUILD: Final = TOOLCHAIN / "envoy-gateway"
_MODULE: Final = "github.com/envoyproxy/gateway"
_FOLDERS: Final = {
    "gateway-api": "charts/gateway-crds-helm",
    "envoy-gateway": "charts/gateway-helm",
}
"""By add-on, where the module has its chart."""
_VALUES: Final = "values.tmpl.yaml"
_UNRELEASED: Final = {"version": "v0.0.0-latest", "appVersion": '"latest"'}
"""What Chart.yaml has before the release."""


def pack() -> None:
    """Pack each chart that is not there yet. Raises SandboxError."""
    for name, folder in _FOLDERS.items():
        chart = ADDONS[name].chart
        assert chart is not None, "the rows of _FOLDERS have one"
        target = CHARTS / f"{chart.name}-{chart.version}.tgz"
        if not target.exists():
            source = module_folder(_BUILD, _MODULE) / folder
            write_atomically(target, _packed(source, chart.name, chart.version))


def _packed(source: Path, name: str, version: str) -> bytes:
    """The chart as `helm package` has it, for the same files always the same."""
    held = io.BytesIO()
    with (
        gzip.GzipFile("", "wb", fileobj=held, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as stream,
    ):
        for path, body in _files(source, version).items():
            entry = tarfile.TarInfo(f"{name}/{path}")
            entry.size = len(body)
            stream.addfile(entry, io.BytesIO(body))
    return held.getvalue()


def _files(source: Path, version: str) -> dict[str, bytes]:
    """The chart's files by path, as they are released."""
    paths = sorted(path for path in source.rglob("*") if path.is_file())
    found = {str(path.relative_to(source)): path.read_bytes() for path in paths}
    filled = Template(found.pop(_VALUES).decode()).substitute(
        GatewayImage=GATEWAY_IMAGE, GatewayImagePullPolicy="IfNotPresent"
    )
    description = _released(found["Chart.yaml"].decode(), version)
    return {**found, "Chart.yaml": description.encode(), "values.yaml": filled.encode()}


def _released(text: str, version: str) -> str:
    for field, value in _UNRELEASED.items():
        text = text.replace(f"{field}: {value}", f"{field}: {version}")
    return text
