"""`python -m statewise` is the command `statewise`."""

from __future__ import annotations

import sys

if __name__ == "__main__":
    if not sys.flags.safe_path:
        # Python puts the working folder first; a file that lies there must not take the place of a package.
        del sys.path[0]
    from statewise.cli import main

    sys.exit(main())
