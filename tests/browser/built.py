"""The pages of the built book: ``_build/html`` of this repository, or what ``GENCLUST_BOOK`` names."""

from __future__ import annotations

import gc
import os
from functools import cache
from pathlib import Path
from typing import Literal

import pytest
from bs4 import BeautifulSoup

ROOT = Path(__file__).resolve().parents[2]
BOOK = Path(os.environ.get("GENCLUST_BOOK", ROOT / "_build" / "html"))
PAGES = [page for page in sorted(BOOK.rglob("*.html")) if "_static" not in page.relative_to(BOOK).parts]

needs_the_book = [
    pytest.mark.browser,
    pytest.mark.skipif(not PAGES, reason=f"no book in {BOOK}: run `make book` first"),
]


def of_pages(pages: list[Path], scope: Literal["function", "module"] = "function") -> pytest.MarkDecorator:
    """A test of each of these pages, by its path; in the scope of the module all such tests of a page come together."""
    return pytest.mark.parametrize("page", pages, ids=[str(page.relative_to(BOOK)) for page in pages], scope=scope)


@cache
def parsed(page: Path) -> BeautifulSoup:
    soup = BeautifulSoup(page.read_text(encoding="utf8"), "html.parser")
    gc.freeze()  # a page stays in memory, so the collector of garbage need not walk through it again and again
    return soup
