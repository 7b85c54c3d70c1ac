"""Tests of the demo's scripts, which are no package: their folder is put on the path here."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[3] / "examples" / "demo"))
