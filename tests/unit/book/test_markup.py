"""What Jupyter Book and its theme write against the rules of HTML is mended, once."""

from __future__ import annotations

from pathlib import Path

import pytest

from genclust.book.markup import mend, mend_pages

SEARCH = '<input type="search" autocorrect="off" autocapitalize="off"/>'
SUMMARY = '<summary><p class="collapsed admonition-title">Show code cell source</p></summary><p class="other">Text.</p>'
TABLE = '<div>\n<style scoped>\n  th { color: red }\n</style>\n<table border="1" class="dataframe"></table></div>'
SIDEBAR = '<div id="pst-primary-sidebar" class="bd-sidebar-primary bd-sidebar"><p>Title</p></div>'


@pytest.mark.parametrize(
    ("written", "mended"),
    [
        (SEARCH, '<input type="search" autocapitalize="off"/>'),
        (SUMMARY, SUMMARY.replace('<p class="coll', '<span class="coll').replace("source</p>", "source</span>")),
        (TABLE, '<div>\n\n<table class="dataframe"></table></div>'),
        (SIDEBAR, SIDEBAR.replace(" class", ' role="navigation" aria-label="Book" class')),
        ('<div class="citation" role="doc-biblioentry">', '<div class="citation" role="listitem">'),
        ("<td>-9.88</td><td>2-3</td><p>-1</p>", "<td>−9.88</td><td>2-3</td><p>-1</p>"),
        ('<style>p {}</style><table border="0"></table>', '<style>p {}</style><table border="0"></table>'),
    ],
)
def test_markup_is_mended_once(written: str, mended: str) -> None:
    assert mend(written) == mended == mend(mended)


def test_the_first_page_is_a_whole_one_that_leads_on(tmp_path: Path) -> None:
    (tmp_path / "_static").mkdir()
    for name in ("index.html", "_static/index.html"):
        (tmp_path / name).write_text('<meta http-equiv="Refresh" content="0; url=intro.html" />\n', encoding="utf8")
    mend_pages(tmp_path)
    page = (tmp_path / "index.html").read_text(encoding="utf8")
    assert page.startswith("<!DOCTYPE html>") and 'content="0; url=intro.html"' in page and "<title>" in page
    assert (tmp_path / "_static" / "index.html").read_text(encoding="utf8").startswith("<meta")
    mend_pages(tmp_path)
    assert (tmp_path / "index.html").read_text(encoding="utf8") == page
