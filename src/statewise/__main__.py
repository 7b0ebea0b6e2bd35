"""`python -m statewise` is the command `statewise`."""

from __future__ import annotations

import contextlib
import os
import sys

if __name__ == "__main__":
    # Python puts the working folder first; a file that lies there must not take the place of a package.
    with contextlib.suppress(OSError):
        if not sys.flags.safe_path and sys.path[0] in ("", os.getcwd()):
            del sys.path[0]
    from statewise.cli import main

    sys.exit(main())
