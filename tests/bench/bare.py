"""The lower limit: a Jinja2 loop that writes the same Dockerfiles without headers. Usage: bare.py DIR VERSIONS"""

from __future__ import annotations

import sys
from pathlib import Path

import jinja2

from tests.bench.catalog import PER_FAMILY, PLATFORMS, digest_of


def main(root: Path, versions: int) -> None:
    """Render and write every Dockerfile below DIR/bare."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(root / "templates"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    template = environment.get_template("base.j2")
    for number in range(versions):
        folder = root / "bare" / f"family-{number // PER_FAMILY}" / f"{number}.0"
        folder.mkdir(parents=True)
        for platform in PLATFORMS:
            parent = f"--platform={platform} docker.io/library/java:{number}@{digest_of(number, platform)}"
            text = template.render(
                parent=parent, version=f"{number}.0", java=number, packages=["curl", "git"]
            )
            (folder / f"Dockerfile_{platform[6:]}").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
