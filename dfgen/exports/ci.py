"""What exports for CI systems share: which machine runs the build of which platform."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

from dfgen.errors import InputError
from dfgen.oci.platform import Platform


def runners(defaults: Mapping[Platform, str], words: Iterable[str], fallback: str) -> Mapping[Platform, str]:
    """Say which runner each platform has: what `arm64=LABEL` words say, else the default of its own.

    The platforms that nothing is said of have the `fallback`, and are emulated there.
    Errors: InputError for a word that is none.
    """
    found = defaultdict(lambda: fallback, defaults)
    for word in words:
        alias, equals, label = word.partition("=")
        if not equals or not label:
            expected = "expected PLATFORM=LABEL, such as arm64=my-arm"
            raise InputError(f"--runner {word}: does not say which runner; {expected}")
        found[Platform.parse(alias)] = label
    return found
