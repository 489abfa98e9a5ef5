"""The stack REGION.addons on the real engine, with a chart of the test's own under a row's name.

The chart holds a definition of KEDA's and a ConfigMap; KEDA itself does not run in this region.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator
from typing import Any, Final

import pytest
import yaml

from regions.addons import ADDONS
from regions.sandbox.crds import KEDA, definitions
from tests.engine.world import World

pytestmark = pytest.mark.engine

REGION, STACK = "sandbox-onprem", "sandbox-onprem.addons"
CRDS: Final = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
TRIGGERS: Final = "triggerauthentications.keda.sh"
SAID: Final = "/api/v1/namespaces/keda/configmaps/keda"
SPACE: Final = "/api/v1/namespaces/keda"


def packed(files: dict[str, Any]) -> bytes:
    """A packed chart of these files, by path."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as archive:
        for path, content in files.items():
            text = content if isinstance(content, str) else yaml.safe_dump(content)
            entry = tarfile.TarInfo(f"keda/{path}")
            entry.size = len(text.encode())
            archive.addfile(entry, io.BytesIO(text.encode()))
    return made.getvalue()


def chart(version: str) -> bytes:
    """A chart with one definition and a ConfigMap that tells the values and the namespace."""
    (definition,) = [one for one in definitions(KEDA) if one["metadata"]["name"] == TRIGGERS]
    return packed(
        {
            "Chart.yaml": {"apiVersion": "v2", "name": "keda", "version": version},
            "values.yaml": {},
            "crds/definition.yaml": definition,
            "templates/said.yaml": (
                "apiVersion: v1\nkind: ConfigMap\n"
                "metadata: {name: keda, namespace: {{ .Release.Namespace }}}\n"
                "data:\n  values: {{ .Values | toJson | quote }}\n"
            ),
        }
    )


@pytest.fixture
def installing(world: World) -> Iterator[World]:
    """The profile of sandbox-onprem says to install KEDA, from a folder of packed charts."""
    profile = world.root / "regions" / f"{REGION}.yaml"
    text = profile.read_text()
    row = ADDONS["keda"].chart
    folder = world.root / "charts"
    folder.mkdir()
    (folder / f"keda-{row.version}.tgz").write_bytes(chart(row.version))
    profile.write_text(
        text.replace("\naddons:\n", "\nchart_mirror: charts\naddons:\n  keda: install\n", 1)
    )
    assert world.pulumi("stack", "init", STACK, "--no-select").returncode == 0
    try:
        yield world
    finally:
        profile.write_text(text)
        world.pulumi("state", "unprotect", "--all", "-s", STACK, "--yes")
        world.pulumi("destroy", "-s", STACK, "--yes", "--skip-preview")
        world.pulumi("stack", "rm", STACK, "--yes", "--force")


def test_what_the_profile_says_to_install_is_there_and_goes_only_unprotected(
    installing: World,
) -> None:
    world, cluster = installing, installing.cluster(REGION)
    done = world.pulumi("up", "--yes", "--skip-preview", "-s", STACK)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert cluster.get(f"{CRDS}/{TRIGGERS}") is not None, "the definition comes with the chart"
    said = cluster.get(SAID)
    assert said is not None, "in the namespace of the row"
    assert isinstance(json.loads(said["data"]["values"]), dict)
    again = world.pulumi("preview", "-s", STACK, "--expect-no-changes")
    assert again.returncode == 0, again.stdout[-3000:]
    profile = world.root / "regions" / f"{REGION}.yaml"
    profile.write_text(profile.read_text().replace("  keda: install\n", ""))
    gone = world.pulumi("up", "--yes", "--skip-preview", "-s", STACK)
    assert gone.returncode != 0, "with the definition would go every ScaledObject"
    assert "protect" in gone.stdout + gone.stderr
    assert cluster.get(f"{CRDS}/{TRIGGERS}") is not None
    assert cluster.get(SPACE) is not None
    assert world.pulumi("state", "unprotect", "--all", "-s", STACK, "--yes").returncode == 0
    gone = world.pulumi("up", "--yes", "--skip-preview", "-s", STACK)
    assert gone.returncode == 0, gone.stdout[-3000:] + gone.stderr[-3000:]
    assert cluster.get(f"{CRDS}/{TRIGGERS}") is None
