"""Charts are packed as they are released, of the version that is built and installed."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

from regions.addon_values import values
from regions.addons import ADDONS
from regions.sandbox import charts
from regions.sandbox.layout import REGIONS
from regions.sandbox.node.gateway import ENVOY_IMAGE
from regions.sandbox.plans import profile_of


def test_a_packed_chart_has_its_version_and_its_values(tmp_path: Path) -> None:
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "one.yaml").write_text("kind: {{ .Values.kind }}")
    (tmp_path / "Chart.yaml").write_text('version: v0.0.0-latest\nappVersion: "latest"\n')
    (tmp_path / "values.yaml").write_text("of: before")
    (tmp_path / "values.tmpl.yaml").write_text("image: ${GatewayImage}")
    made = charts._packed(tmp_path, "gateway-helm", "v1.9.1")
    assert made == charts._packed(tmp_path, "gateway-helm", "v1.9.1"), "always the same"
    with tarfile.open(fileobj=io.BytesIO(made)) as archive:
        files = {one.name: archive.extractfile(one) for one in archive.getmembers()}
        found = {name: file.read().decode() for name, file in files.items() if file}
    assert found == {
        "gateway-helm/Chart.yaml": "version: v1.9.1\nappVersion: v1.9.1\n",
        "gateway-helm/templates/one.yaml": "kind: {{ .Values.kind }}",
        "gateway-helm/values.yaml": f"image: {charts.GATEWAY_IMAGE}",
    }


def test_what_charts_name_is_what_is_built() -> None:
    version = ADDONS["envoy-gateway"].version
    assert f"{charts._MODULE} v{version} " in (charts._BUILD / "go.mod").read_text()
    assert charts.GATEWAY_IMAGE.endswith(f":v{version}")
    for region in REGIONS:
        made = values("envoy-gateway", profile_of(region))["global"]["images"]["envoyProxy"]
        assert made == {"image": ENVOY_IMAGE}, "the Envoy that the registry has"
