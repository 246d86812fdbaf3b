"""A notebook that was run, as one HTML file that opens anywhere: its text and results, without the code behind them."""

from __future__ import annotations

import html
import re
from base64 import b64encode
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from markdown_it import MarkdownIt

#: A number of a published record in the text.
_MEASURED = re.compile(r"\{measured\}`([^`]+)`")
#: Roles of the book in its text, such as {doc}`title </page>`, of which the text is kept.
_ROLE = re.compile(r"\{[a-z:]+\}`([^`<]*?)\s*(?:<[^>`]*>)?`")
_CHOICES = re.compile(r"^```\{choices\} ([\w-]+)\n```$", re.MULTILINE)
#: Target that a link of the page leads to, in a line of its own above a heading.
_TARGET = re.compile(r"^\(([\w-]+)\)=$", re.MULTILINE)
#: A formula, which Markdown must not touch.
_FORMULA = re.compile(r"\$\$.+?\$\$|\$[^$\n]+\$|\\begin\{equation\*\}.+?\\end\{equation\*\}", re.DOTALL)
_SPAN = '<span class="formula">'

#: Package and component, as in the book: one file that draws with SVG, holds all of TeX, and loads nothing later.
MATHJAX = ("sphinx-mathjax-offline", "static/mathjax/tex-svg-full.js")
SETTINGS = r"""
MathJax = {
  options: {enableMenu: false, ignoreHtmlClass: ".*", processHtmlClass: "formula"},
  svg: {fontCache: "global"},
  tex: {inlineMath: [["$", "$"]]},
};
"""

FRAME = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
body {{ max-width: 52rem; margin: 2rem auto; padding: 0 1rem; font: 16px/1.5 sans-serif; }}
table {{ border-collapse: collapse; margin: 1rem 0; }}
caption {{ text-align: left; font-weight: bold; }}
th, td {{ padding: 0.2rem 0.6rem; border-bottom: 1px solid #ccc; text-align: left; }}
.scrolls {{ overflow-x: auto; }}
svg, img {{ max-width: 100%; height: auto; }}
figure {{ margin: 1rem 0; }}
pre {{ background: #f4f4f4; padding: 0.6rem; overflow-x: auto; }}
.formula {{ font-family: serif; font-style: italic; }}
</style>
{script}</head>
<body>
{body}
</body>
</html>
"""


def as_html(notebook: Any, title: str) -> str:
    """HTML of an executed notebook: text, the parameters, and the results of all other cells."""
    parts = []
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            parts.append(_text(cell.source))
        elif cell.cell_type == "code":
            if {"parameters", "injected-parameters"} & {*cell.metadata.get("tags", [])}:
                parts.append(_verbatim(cell.source))
            parts += [_result(output, cell.metadata.get("mystnb", {})) for output in cell.outputs]
    body = "\n".join(parts)
    return FRAME.format(title=html.escape(title), body=body, script=_mathjax() if _SPAN in body else "")


def _mathjax() -> str:
    """MathJax as a part of the page; nothing where the book's packages are not installed, so that TeX is shown."""
    package, component = MATHJAX
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        return ""
    program = (Path(spec.origin).parent / component).read_text(encoding="utf-8")
    return f"<script>{SETTINGS}</script>\n<script>{program}</script>\n"


def _result(output: Any, told: Mapping[str, Any]) -> str:
    """HTML of one output; ``told`` is what its cell says of pictures, the text in their place and the caption."""
    if output.output_type == "stream":
        return _verbatim(output.text) if output.text.strip() else ""
    data = output.get("data", {})
    if "text/html" in data:
        return "".join(data["text/html"])
    if "image/svg+xml" in data:  # as a picture of its own, so that names in it do not meet those of another
        return _picture("svg+xml", b64encode("".join(data["image/svg+xml"]).encode()).decode(), told)
    if "image/png" in data:
        width = output.get("metadata", {}).get("image/png", {}).get("width")
        return _picture("png", data["image/png"].replace("\n", ""), told, f' width="{width}"' if width else "")
    if "text/markdown" in data:
        return _text("".join(data["text/markdown"]))
    return _verbatim("".join(data.get("text/plain", "")))


def _picture(kind: str, content: str, told: Mapping[str, Any], size: str = "") -> str:
    alt = html.escape(told.get("image", {}).get("alt", ""))
    picture = f'<img alt="{alt}"{size} src="data:image/{kind};base64,{content}">'
    caption = told.get("figure", {}).get("caption", "")
    return f"<figure>{picture}<figcaption>{_text(caption)}</figcaption></figure>" if caption else picture


def _text(source: str) -> str:
    """HTML of Markdown; what belongs to the book alone is put plainly, and formulas are marked for MathJax."""
    source = _CHOICES.sub(r"The choices are listed in `experiments/\1.yaml`.", source)
    source = _TARGET.sub(r'<span id="\1"></span>\n', source)
    formulas: list[str] = []

    def keep(found: re.Match[str]) -> str:
        formulas.append(f"{_SPAN}{html.escape(found[0])}</span>")
        return f"FORMULA{len(formulas) - 1}END"

    source = _ROLE.sub(r"\1", _MEASURED.sub(_published, _FORMULA.sub(keep, source)))
    rendered = MarkdownIt("commonmark").enable("table").render(source)
    return re.sub(r"FORMULA(\d+)END", lambda found: formulas[int(found[1])], rendered)


def _published(role: re.Match[str]) -> str:
    """The published number that a role names; a dash where none is published, as in a folder of one's own."""
    from genclust.experiments.verdicts import number

    try:
        return number(role[1])
    except KeyError:
        return "–"


def _verbatim(text: str) -> str:
    return f"<pre>{html.escape(text.rstrip())}</pre>"
