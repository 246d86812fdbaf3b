"""A notebook that was run, as one HTML file that opens anywhere: its text and results, without the code behind them."""

from __future__ import annotations

import html
import re
from base64 import b64encode
from typing import Any

from markdown_it import MarkdownIt

#: Roles of the book in its text, such as {doc}`title </page>`, of which the text is kept.
_ROLE = re.compile(r"\{[a-z:]+\}`([^`<]*?)\s*(?:<[^>`]*>)?`")
_CHOICES = re.compile(r"^```\{choices\} ([\w-]+)\n```$", re.MULTILINE)
#: A formula, which Markdown must not touch.
_FORMULA = re.compile(r"\$\$.+?\$\$|\$[^$\n]+\$|\\begin\{equation\*\}.+?\\end\{equation\*\}", re.DOTALL)

FRAME = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<script>MathJax = {{tex: {{inlineMath: [["$", "$"]]}}}};</script>
<script async src="https://cdn.jsdelivr.net/npm/mathjax@3/es5/tex-svg.js"></script>
<style>
body {{ max-width: 52rem; margin: 2rem auto; padding: 0 1rem; font: 16px/1.5 sans-serif; }}
table {{ border-collapse: collapse; margin: 1rem 0; }}
caption {{ text-align: left; font-weight: bold; }}
th, td {{ padding: 0.2rem 0.6rem; border-bottom: 1px solid #ccc; text-align: left; }}
.scrolls {{ overflow-x: auto; }}
svg, img {{ max-width: 100%; height: auto; }}
pre {{ background: #f4f4f4; padding: 0.6rem; overflow-x: auto; }}
</style>
</head>
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
            parts += [_result(output) for output in cell.outputs]
    return FRAME.format(title=html.escape(title), body="\n".join(parts))


def _result(output: Any) -> str:
    if output.output_type == "stream":
        return _verbatim(output.text) if output.text.strip() else ""
    data = output.get("data", {})
    if "text/html" in data:
        return "".join(data["text/html"])
    if "image/svg+xml" in data:  # as a picture of its own, so that names in it do not meet those of another
        return _picture("svg+xml", b64encode("".join(data["image/svg+xml"]).encode()).decode())
    if "image/png" in data:
        width = output.get("metadata", {}).get("image/png", {}).get("width")
        return _picture("png", data["image/png"].replace("\n", ""), f' width="{width}"' if width else "")
    if "text/markdown" in data:
        return _text("".join(data["text/markdown"]))
    return _verbatim("".join(data.get("text/plain", "")))


def _picture(kind: str, content: str, size: str = "") -> str:
    return f'<img alt=""{size} src="data:image/{kind};base64,{content}">'


def _text(source: str) -> str:
    """HTML of Markdown; what belongs to the book alone is put plainly, and formulas are left to MathJax."""
    source = _CHOICES.sub(r"The choices are listed in `experiments/\1.yaml`.", source)
    formulas: list[str] = []

    def keep(found: re.Match[str]) -> str:
        formulas.append(html.escape(found[0]))
        return f"FORMULA{len(formulas) - 1}END"

    source = _ROLE.sub(r"\1", _FORMULA.sub(keep, source))
    rendered = MarkdownIt("commonmark").enable("table").render(source)
    return re.sub(r"FORMULA(\d+)END", lambda found: formulas[int(found[1])], rendered)


def _verbatim(text: str) -> str:
    return f"<pre>{html.escape(text.rstrip())}</pre>"
