"""``python -m agnt5``: the same as the command ``agnt5``."""

from __future__ import annotations

import sys

from agnt5.cli import main

if __name__ == "__main__":
    sys.exit(main())
