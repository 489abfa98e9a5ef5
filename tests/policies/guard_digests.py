"""Writes the digests of the admission guard that policies/legal/guard.py agrees to.

python -m tests.policies.guard_digests
"""

from __future__ import annotations

from typing import Final

from policies.legal import guard
from policies.legal.platform import digest_of, places
from policies.legal.shapes import Subject
from tests.examples import ROOT
from tests.policies.estate import REGION, facts, good

FILE: Final = ROOT / "policies" / "legal" / "guard.py"


def digests(region: str = REGION) -> dict[str, tuple[str, str]]:
    """By policy its row of the catalogue, and the digest of its spec."""
    return {
        str(one.metadata["name"]): (
            str(one.labels["isoserve.dev/rule"]),
            digest_of(one.spec, places(Subject(one, facts(region)))),
        )
        for one in good(region)
        if one.kind == "ValidatingAdmissionPolicy"
    }


def text() -> str:
    """The file with the digests of today's guard."""
    head, _, _ = FILE.read_text(encoding="utf-8").partition("AGREED: Final")
    rows = "".join(
        f'    "{name}": (\n        "{row}",\n        "{digest}",\n    ),\n'
        for name, (row, digest) in sorted(digests().items())
    )
    return f"{head}AGREED: Final[dict[str, tuple[str, str]]] = {{\n{rows}}}\n"


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
    print(f"{len(guard.AGREED)} policies agreed before, {len(digests())} now")
