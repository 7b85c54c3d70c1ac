"""What lint says of differences between architectures, for the versions that a review is about."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from dfgen.catalog.model import Image
from dfgen.commands.lint.parity import same
from dfgen.findings import Finding
from dfgen.workspace import App


def parity(app: App, images: Sequence[Image], rendered: Mapping[str, str]) -> tuple[Finding, ...]:
    """Find them; what is rendered already is not rendered again, and what is alike is not even parsed."""
    texts = {id(image): rendered[path] for image in images if (path := image.path) in rendered}
    unlike = [*_unlike(images, texts)]
    if not unlike:
        return ()
    # Most reviews have none, and lint brings along all that builds.
    from dfgen.cli.commands.lint import lint_sources, waits
    from dfgen.commands.lint import uneven

    chosen = [image for version in unlike for image in version if not waits(app, image)]
    if not chosen:
        return ()
    sources = lint_sources(app)

    def render(image: Image) -> str:
        """Take the text that the review has read; another is rendered."""
        return texts.get(id(image)) or sources.render(image)

    return uneven(chosen, replace(sources, render=render))


def _unlike(images: Sequence[Image], texts: Mapping[int, str]) -> Iterator[list[Image]]:
    """Yield the versions whose texts differ in more than names, or are not all known."""
    versions: dict[str, list[Image]] = {}
    for image in images:
        versions.setdefault(image.merged_name, []).append(image)
    for first, *others in versions.values():
        sides = [texts.get(id(image)) for image in (first, *others)]
        here = sides[0]
        for other, there in zip(others, sides[1:], strict=True):
            if here is None or there is None or not same(here, there, (first.platform, other.platform)):
                yield [first, *others]
                break
