"""The pages of the built book: ``_build/html`` of this repository, or what ``GENCLUST_BOOK`` names."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

import pytest
from bs4 import BeautifulSoup

ROOT = Path(__file__).resolve().parents[2]
BOOK = Path(os.environ.get("GENCLUST_BOOK", ROOT / "_build" / "html"))
PAGES = [page for page in sorted(BOOK.rglob("*.html")) if "_static" not in page.relative_to(BOOK).parts]

needs_the_book = [
    pytest.mark.browser,
    pytest.mark.skipif(not PAGES, reason=f"no book in {BOOK}: run `make book` first"),
]


def of_pages(pages: list[Path]) -> pytest.MarkDecorator:
    """A test of each of these pages, by its path."""
    return pytest.mark.parametrize("page", pages, ids=[str(page.relative_to(BOOK)) for page in pages])


@cache
def parsed(page: Path) -> BeautifulSoup:
    return BeautifulSoup(page.read_text(encoding="utf8"), "html.parser")
