"""Writes policies/mutants.md: how many changed things the rules refuse.

python -m tests.policies.mutants_page
"""

from __future__ import annotations

from tests.examples import ROOT
from tests.policies.test_mutants import tally

if __name__ == "__main__":
    page = tally().page()
    (ROOT / "policies" / "mutants.md").write_text(page, encoding="utf-8")
    print(page)
