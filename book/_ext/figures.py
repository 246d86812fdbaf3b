"""Figures of notebooks in two renderings: as drawn where the page is light, and in other inks where it is dark.

The theme shows what has the class ``only-light`` or ``only-dark`` on such pages alone. A figure that a phone may not
shrink to its own width has the class ``wide``, and scrolls.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

from genclust.figures.style import INK, SHRINKS, on_dark

#: Pixels that a phone has for a figure.
PHONE = 358
WIDTH_IN_POINTS = re.compile(r'<svg[^>]* width="([\d.]+)pt"')


def render_twice(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Put a rendering for dark pages beside every drawing in ink."""
    if app.builder.format != "html":
        return
    for image in list(doctree.findall(nodes.image)):
        source = Path(app.srcdir, image["uri"])
        svg = source.read_text(encoding="utf8") if source.suffix == ".svg" else ""
        if INK not in svg:
            continue
        width = WIDTH_IN_POINTS.search(svg)
        if width and float(width[1]) * 96 / 72 * SHRINKS > PHONE:
            image["classes"].append("wide")
        dark = image.deepcopy()
        dark["uri"] = str(PurePosixPath(image["uri"]).with_stem(f"{source.stem}-dark"))
        dark["candidates"] = {"*": dark["uri"]}
        Path(app.srcdir, dark["uri"]).write_text(on_dark(svg), encoding="utf8")
        app.env.images.add_file(docname, dark["uri"])
        image["classes"].append("only-light")
        dark["classes"].append("only-dark")
        image.parent.insert(image.parent.index(image) + 1, dark)


def leave_numbers_to_the_papers(app: Sphinx, config: Any) -> None:
    """Turn off Sphinx's own numbers of figures, which an extension of Jupyter Book turns on whatever is configured."""
    config.numfig = False


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("config-inited", leave_numbers_to_the_papers, priority=900)
    app.connect("doctree-resolved", render_twice)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": False}
