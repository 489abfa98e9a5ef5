"""`python -m stacks.images`, which `make images` runs."""

from __future__ import annotations

import sys

from stacks.images.build import main

if __name__ == "__main__":
    sys.exit(main())
