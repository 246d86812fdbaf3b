"""What is written by hand keeps up with the lists it repeats, and can be read."""

import re
from pathlib import Path

import nbformat
import pytest

from genclust.experiments.papers import papers

ROOT = Path(__file__).resolve().parents[3]
#: Words of a paragraph beyond which a reader loses the thread.
MOST_WORDS = 120


def texts() -> dict[str, str]:
    """The prose of every page, by its path; of notebooks, their cells of text."""
    pages = {str(path.relative_to(ROOT)): path.read_text(encoding="utf8") for path in (ROOT / "book").glob("*.md")}
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        cells = nbformat.read(path, as_version=4).cells
        pages[str(path.relative_to(ROOT))] = "\n\n".join(c.source for c in cells if c.cell_type == "markdown")
    return pages


@pytest.mark.parametrize("page", ["README.md", "book/intro.md", "_toc.yml"])
def test_papers_stand_in_one_order_everywhere(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf8")
    names = [f"file: {name}\n" for name in papers()] if page == "_toc.yml" else [p.title for p in papers().values()]
    places = [text.find(name) for name in names]
    assert -1 not in places and places == sorted(places)


def test_no_paragraph_is_too_long() -> None:
    too_long = []
    for page, text in texts().items():
        prose = re.sub(r"(`{3,}|\${2}).*?\1", "", text, flags=re.DOTALL)  # neither code nor formulas
        prose = re.sub(r"\{[\w:]+\}`[^`]*`", "X", prose)  # a reference is a word
        for paragraph in re.split(r"\n\s*\n|\n(?=\s*(?:[-*] |\d+\. |\|))", prose):
            if len(paragraph.split()) > MOST_WORDS:
                too_long.append(f"{page}: {len(paragraph.split())} words: {paragraph.strip()[:60]} …")
    assert not too_long, "\n".join(too_long)


def test_no_line_begins_with_what_makes_it_a_comment() -> None:
    hidden = [
        f"{page}: {line}" for page, text in texts().items() for line in re.findall(r"^\s*%.*", text, re.MULTILINE)
    ]
    assert not hidden, "MyST takes a line that begins with % for a comment"


@pytest.mark.parametrize("word", ["profile", "replica", "surrogate", "verdict", "seed", "exemplar"])
def test_words_of_the_glossary_are_linked(word: str) -> None:
    """Once per page, unless the word stands in code, a heading or a table alone."""
    assert f"\n{word}\n  " in (ROOT / "book" / "glossary.md").read_text(encoding="utf8")
    aside = re.compile(r"`{3,}.*?`{3,}|`[^`\n]*`|^[#:|>][^\n]*$|\]\([^)]*\)|\{[^}]*\}", re.DOTALL | re.MULTILINE)
    unlinked = []
    for path in (ROOT / "book").glob("*.md"):
        text = path.read_text(encoding="utf8")
        used = re.search(rf"(?<![\w/-]){word}s?(?![\w/-])", aside.sub("", text))
        if used and path.stem != "glossary" and f"{{term}}`{word}" not in text:
            unlinked.append(path.name)
    assert not unlinked
