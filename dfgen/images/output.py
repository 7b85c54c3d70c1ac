"""How an image leaves BuildKit: the options of its export, the same for a build and for a bake file."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping


def output(annotations: Mapping[str, str], destination: str) -> str:
    """Write the options of an export to a layout as buildx reads them: one line of CSV."""
    said = [f"annotation.{name}={value}" for name, value in sorted(annotations.items())]
    row = ["type=oci", "tar=false", "rewrite-timestamp=true", f"dest={destination}", *said]
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(row)
    return text.getvalue()
