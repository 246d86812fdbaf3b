"""``{widget}``: a picture that becomes something to touch, where scripts run and when the reader comes near.

The scripts lie in ``widgets/`` beside the prose, and ``genclust.book.widgets`` adds the numbers they need.  They are
copied after the build rather than put in ``_static``, whose scripts Jupyter Book adds to every page.
"""

from __future__ import annotations

import shutil
from html import escape
from pathlib import Path
from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

#: What every widget has in common, below ``_static``.
FOLDER, SCRIPT, STYLE = "widgets", "widgets/widgets.js", "widgets/widgets.css"


class Widget(SphinxDirective):
    """A widget by the name of its script; ``needs`` names scripts of numbers, ``alt`` says what the picture shows.

    The content is the caption.
    """

    required_arguments = 1
    has_content = True
    option_spec: ClassVar = {"needs": directives.unchanged_required, "alt": directives.unchanged_required}

    def run(self) -> list[nodes.Node]:
        name, up = self.arguments[0], "../" * self.env.docname.count("/")
        attributes = {"class": "widget", "data-widget": name, "data-needs": self.options["needs"]}
        picture = {"class": "widget-still", "src": f"{up}_static/{FOLDER}/{name}.png", "alt": self.options["alt"]}
        opening = f'<figure {written(attributes)}><img {written(picture)} loading="lazy"><figcaption>'
        caption = nodes.container()
        self.state.nested_parse(self.content, self.content_offset, caption)
        return [
            nodes.raw("", opening, format="html"),
            *caption.children,
            nodes.raw("", "</figcaption></figure>", format="html"),
        ]


def written(attributes: dict[str, str]) -> str:
    return " ".join(f'{name}="{escape(value)}"' for name, value in attributes.items())


def add_scripts(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None) -> None:
    """Scripts and style, on pages with widgets alone."""
    if "data-widget=" in context.get("body", ""):
        app.add_js_file(SCRIPT)
        app.add_css_file(STYLE)


def copy(app: Sphinx, error: Exception | None) -> None:
    if error is None and app.builder.format == "html":
        target = Path(app.outdir) / "_static" / FOLDER
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(Path(app.srcdir) / FOLDER, target)


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_directive("widget", Widget)
    app.connect("html-page-context", add_scripts)
    app.connect("build-finished", copy)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
