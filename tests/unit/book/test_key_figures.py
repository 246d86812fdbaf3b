"""Pictures of notebooks that other pages show."""

import base64
import re
from pathlib import Path

import nbformat
from nbformat import v4

from genclust.book.build import key_figures

ROOT = Path(__file__).parents[3]


def drawn(tags, **data):
    return v4.new_code_cell("", outputs=[v4.new_output("display_data", data=data)], metadata={"tags": tags})


def test_tagged_pictures_are_taken_and_no_others(tmp_path):
    png = base64.b64encode(b"\x89PNG of a kind").decode()
    cells = [
        drawn(["figure:one"], **{"image/svg+xml": "<svg/>", "text/plain": "a figure"}),
        drawn(["other"], **{"image/svg+xml": "<svg>not this</svg>"}),
        drawn(["hide-input", "figure:two"], **{"image/png": png}),
    ]
    nbformat.write(v4.new_notebook(cells=cells), tmp_path / "a.ipynb")
    found = key_figures([tmp_path / "a.ipynb"])
    assert found == {Path("figures/one.svg"): b"<svg/>", Path("figures/two.png"): b"\x89PNG of a kind"}


def test_every_figure_of_a_chapter_is_tagged_in_a_notebook_and_has_an_alternative_text():
    shown, described = set(), 0
    for page in (ROOT / "book").glob("*.md"):
        text = page.read_text(encoding="utf8")
        shown |= set(re.findall(r"^```\{figure\} figures/(\S+)\.(?:svg|png)$", text, re.MULTILINE))
        described += len(re.findall(r"^```\{figure\} figures/\S+\n:alt: .{30,}", text, re.MULTILINE))
    tagged = [
        tag.removeprefix("figure:")
        for path in (ROOT / "notebooks").glob("*.ipynb")
        for cell in nbformat.read(path, as_version=4).cells
        for tag in cell.metadata.get("tags", [])
        if tag.startswith("figure:")
    ]
    assert len(tagged) == len(set(tagged)) and shown == set(tagged) and described == len(shown)
