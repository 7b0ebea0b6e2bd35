"""`python -m statewise` is the command `statewise`."""

from __future__ import annotations

import sys

from statewise.cli import main

if __name__ == "__main__":
    sys.exit(main())
