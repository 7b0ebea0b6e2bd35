"""`benchmarks` is imported as a package of the repository, which an installation doesn't hold."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
