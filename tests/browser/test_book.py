"""The built book: opens from disk without a network, with every link whole and no error in a notebook.

The tests read its files as a browser would. That pages are silent when a browser loads them is tested with what else a
browser shows, in ``test_everyone.py``; the last tests here say what such a test would notice.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit

import chromium
import pytest
from built import BOOK, PAGES, ROOT, needs_the_book, of_pages, parsed

pytestmark = needs_the_book
every_page = of_pages(PAGES)

#: Attributes that make a browser fetch something. Links that only a reader follows are not among them.
FETCHED = {
    "script": ("src",),
    "img": ("src", "srcset"),
    "source": ("src", "srcset"),
    "iframe": ("src",),
    "video": ("src", "poster"),
    "audio": ("src",),
    "embed": ("src",),
    "object": ("data",),
    "image": ("href", "xlink:href"),
    "use": ("href", "xlink:href"),
}
#: Relations of a <link> that only say where something is.
NOT_FETCHED = {"canonical", "author", "index", "search", "next", "prev", "license", "alternate", "help", "top", "up"}
CSS_URL = re.compile(r"url\(\s*['\"]?([^'\")]+)|@import\s+['\"]([^'\"]+)")


@cache
def anchors(page: Path) -> frozenset[str]:
    return frozenset(str(tag[name]) for tag in parsed(page).find_all(True) for name in ("id", "name") if tag.get(name))


def is_external(url: str) -> bool:
    return bool(urlsplit(url).netloc)


def in_css(text: str) -> list[str]:
    return [first or second for first, second in CSS_URL.findall(text)]


def resources(page: Path) -> list[str]:
    """Everything a browser fetches for a page, except what style sheets ask for in turn."""
    soup, found = parsed(page), []
    for tag in soup.find_all(list(FETCHED)):
        for name in FETCHED[tag.name]:
            if value := tag.get(name):
                found += [part.split()[0] for part in value.split(",")] if name == "srcset" else [str(value)]
    for tag in soup.find_all("link"):
        if not set(tag.get("rel", [])) <= NOT_FETCHED:
            found.append(str(tag.get("href", "")))
    for tag in soup.find_all("style"):
        found += in_css(tag.get_text())
    for tag in soup.find_all(style=True):
        found += in_css(str(tag["style"]))
    return found


def missing(base: Path, urls: list[str]) -> list[str]:
    """Of local addresses, seen from a file, those that lead nowhere."""
    paths = [(url, base.parent / unquote(urlsplit(url).path)) for url in urls if not urlsplit(url).scheme]
    return [url for url, path in paths if urlsplit(url).path and not path.exists()]


def test_first_page_leads_to_the_introduction() -> None:
    assert (BOOK / "intro.html").is_file()
    assert "intro.html" in (BOOK / "index.html").read_text(encoding="utf8")


def test_pages_of_the_table_of_contents_are_built() -> None:
    from genclust.book.build import pages

    assert [page for page in pages(ROOT) if not (BOOK / f"{page}.html").is_file()] == []


@every_page
def test_no_error_output(page: Path) -> None:
    outputs = parsed(page).select(".cell_output .traceback, .cell_output .output.error, .highlight-ipythontb")
    assert [output.get_text()[-300:] for output in outputs] == []
    assert "Traceback (most recent call last)" not in parsed(page).get_text()


@every_page
def test_internal_links_resolve(page: Path) -> None:
    broken = []
    for tag in parsed(page).find_all("a", href=True):
        href = str(tag["href"])
        if is_external(href) or urlsplit(href).scheme:
            continue
        path, fragment = urldefrag(href)
        target = page if not path else (page.parent / unquote(path)).resolve()
        whole = target.exists()
        if whole and fragment and target.suffix == ".html":
            whole = unquote(fragment) in anchors(target) | {"top"}
        if not whole:
            broken.append(href)
    assert broken == []


@every_page
def test_nothing_is_fetched_from_elsewhere(page: Path) -> None:
    found = resources(page)
    assert [url for url in found if is_external(url)] == []
    assert missing(page, found) == []
    scripts = "".join(tag.get_text() for tag in parsed(page).find_all("script") if not tag.get("src"))
    assert not re.findall(r"(?:import|src|fetch)\W{1,4}https?://\S+", scripts)


def test_style_sheets_fetch_nothing_from_elsewhere() -> None:
    for sheet in BOOK.rglob("*.css"):
        urls = [url for url in in_css(sheet.read_text(encoding="utf8", errors="replace")) if "data:" not in url[:8]]
        assert [url for url in urls if is_external(url)] == [], sheet


def test_formulas_are_drawn_by_a_local_script() -> None:
    page = BOOK / "simple.html"
    scripts = [url for url in resources(page) if "mathjax" in url.lower()]
    assert len(scripts) == 1 and (page.parent / urlsplit(scripts[0]).path).is_file()


def test_every_output_of_a_notebook_is_stored() -> None:
    from genclust.book.notebooks import problems

    executed = sorted((ROOT / "_build" / "executed").glob("*.ipynb"))
    assert {path.name: found for path in executed if (found := problems(path))} == {}


in_a_browser = pytest.mark.skipif(chromium.PROGRAM is None, reason="no Chromium on this machine")


@in_a_browser
def test_a_page_that_asks_the_network_would_be_noticed(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text(
        '<script src="https://cdn.example.org/x.js"></script>'
        '<script>console.error("no"); new WebSocket("wss://live.example.org/x"); unknown()</script>'
    )
    (tmp_path / "silent.html").write_text("<p>Nothing.</p>")
    with chromium.Browser(tmp_path) as browser:
        _, console, asked = browser.load(page)
        assert browser.load(tmp_path / "silent.html")[1:] == ([], [])
    assert set(asked) == {"https://cdn.example.org/x.js", "wss://live.example.org/x"} == set(browser.asked_of_network())
    assert "no" in console and any("unknown is not defined" in words for words in console)
    assert any("ERR_NAME_NOT_RESOLVED https://cdn.example.org/x.js" in words for words in console)


@in_a_browser
def test_the_page_of_a_rerun_draws_its_formulas_without_a_network(browser: chromium.Browser, tmp_path: Path) -> None:
    from nbformat import v4

    from genclust.book.page import as_html

    cells = [v4.new_markdown_cell(r"Of $w_G < w_C$ and $$\mathbb{E}_q \log p(x)$$")]
    (tmp_path / "rerun.html").write_text(as_html(v4.new_notebook(cells=cells), "title"), encoding="utf8")
    elements, console, asked = browser.load(tmp_path / "rerun.html")
    assert console == asked == []
    body = elements.rpartition("</head>")[2]  # MathJax itself stands in the head
    assert body.count("<mjx-container") == 2 and "data-mjx-error" not in body
