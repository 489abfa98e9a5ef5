"""Makes a Helm chart that yields the objects of one rendered region.

For each shape of model the chart has one template: the rendered text of the shape's first model,
looped over all models of the shape, where the name, the project, the weights' digests and every
word that differs between models come from the values. What belongs to the region and its projects
stands verbatim in a template. Helm decides nothing (no validation, no placement, no clocks): it
gets every derived value ready, which is the kindest form for it.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from pathlib import Path
from typing import Any, Final

from tests.bench.tree import SHAPES

_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_BARE_DIGEST: Final = re.compile(r"(?<= )[0-9a-f]{64}$", re.MULTILINE)
_WORD: Final = re.compile(r"(\w+)")


def _escape(text: str) -> str:
    return text.replace("{{", '{{ "{{" }}')


def _shape(name: str) -> str:
    return name.rsplit("-", 1)[0].replace("-", "_")


def _slots(text: str, project: str, name: str) -> tuple[str, dict[str, str]]:
    """The text with places for what is the model's own, and the values for these places."""
    values = {"name": name, "project": project}
    # We quote a digest only where it starts with a figure; one template has to choose.
    text = _BARE_DIGEST.sub(r'"\g<0>"', _escape(text))
    for index, digest in enumerate(dict.fromkeys(_DIGEST.findall(text))):
        values[f"digest{index}"] = digest
        text = text.replace(digest, f"{{{{ .digest{index} }}}}")
    text = text.replace(name, "{{ .name }}")
    return re.sub(rf"\b{project}\b", "{{ .project }}", text), values


def _template(texts: list[tuple[str, dict[str, str]]]) -> tuple[str, list[dict[str, Any]]]:
    """One template for all models of a shape; words that still differ become values too."""
    words = [_WORD.split(text) for text, _ in texts]
    values: list[dict[str, Any]] = [dict(own) for _, own in texts]
    assert len({len(row) for row in words}) == 1, "models of a shape have the same words"
    pieces = []
    for number, variants in enumerate(zip(*words, strict=True)):
        if len(set(variants)) == 1:
            pieces.append(variants[0])
            continue
        pieces.append(f"{{{{ .word{number} }}}}")
        for value, word in zip(values, variants, strict=True):
            value[f"word{number}"] = word
    return "".join(pieces), values


def write_chart(region: Path, chart: Path, values_file: Path) -> None:
    """Write the chart of the rendered files in `region`, and its values, which may be large."""
    templates = chart / "templates"
    templates.mkdir(parents=True)
    (chart / "Chart.yaml").write_text("apiVersion: v2\nname: region\nversion: 0.1.0\n")
    shapes: dict[str, list[tuple[str, dict[str, str]]]] = defaultdict(list)
    for path in sorted(region.rglob("*.yaml")):
        text = path.read_text()
        if path.name.startswith("_"):
            (templates / f"{path.parent.name}{path.name}").write_text(_escape(text))
        else:
            shapes[_shape(path.stem)].append(_slots(text, path.parent.name, path.stem))
    values: dict[str, list[dict[str, Any]]] = {}
    for shape, texts in shapes.items():
        template, values[shape] = _template(texts)
        loop = f"{{{{- range .Values.{shape} }}}}\n{template}{{{{- end }}}}\n"
        (templates / f"{shape}.yaml").write_text(loop)
    values_file.write_text(json.dumps(values))
    known = {_shape(f"{shape.split('/')[1]}-0") for shape in SHAPES}
    assert set(shapes) <= known, "a file of another name would be lost"
