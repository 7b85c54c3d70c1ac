"""Tests of the demo's scripts. These are not a package, so their folder is added to `sys.path` here."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[3] / "examples" / "demo"))
