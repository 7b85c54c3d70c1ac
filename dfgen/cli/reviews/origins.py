"""Which line of a template made each line of a Dockerfile."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from dfgen.catalog.model import Image
from dfgen.commands.explain import places
from dfgen.commands.render import render_image
from dfgen.errors import InputError, Place
from dfgen.workspace import App


def origins(app: App, image: Image) -> Sequence[Place | None]:
    """Follow the lines of an image; nothing where that cannot be done, which is told elsewhere."""
    try:
        return places(partial(render_image, app.catalog, image, app.lock), app.templates_for(image))
    except InputError:
        return ()
