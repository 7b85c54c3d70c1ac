"""The names of a platform, as they stand in Dockerfiles."""

from __future__ import annotations

import re
from functools import cache

from dfgen.values.platform import Platform, aliases


@cache
def platform_names(platform: Platform) -> re.Pattern[str]:
    """Match all that a platform is called, Debian's and RPM's names too."""
    known = {alias for alias, other in aliases().items() if other == platform}
    words = {
        *known,
        platform.architecture,
        platform.row.tag,
        "ppc64el" if "ppc64le" in known else str(platform),
    }
    found = "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))
    return re.compile(rf"(?<![A-Za-z0-9])(?:{found})(?![A-Za-z0-9])")
