"""Markup of the built pages: what Jupyter Book and its theme write against the rules of HTML is mended."""

from __future__ import annotations

import re
from pathlib import Path

#: The page that leads to the first one, which Jupyter Book writes as a single tag.
REFRESH = re.compile(r'^<meta http-equiv="Refresh" content="0; url=([^"]+)" />\s*$')
TO_FIRST_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="refresh" content="0; url={url}">
<title>Clusters in deep generative models</title>
</head>
<body><main><h1><a href="{url}">Clusters in deep generative models</a></h1></main></body>
</html>
"""
#: The words to click on above hidden code.
IN_SUMMARY = re.compile(r'<p class="((?:collapsed|expanded)[^"]*)">([^<]*)</p>')
#: The look that pandas gives its tables, for which the book has a style sheet.
OF_PANDAS = re.compile(r'<style scoped>.*?</style>|(?<=<table )border="1" (?=class="dataframe")', re.DOTALL)
#: A negative number in a table of pandas, which has a hyphen.
NEGATIVE = re.compile(r"(?<=<td>)-(?=\d)")
#: Whole strings, by what stands in their place.
REPLACED = {
    ' autocorrect="off"': "",  # of the search box
    'role="doc-biblioentry"': 'role="listitem"',  # the former is given up, and a list asks for the latter
    # The title of the book stands beside the landmarks.
    'id="pst-primary-sidebar" class': 'id="pst-primary-sidebar" role="navigation" aria-label="Book" class',
}


def mend(page: str) -> str:
    """A page as valid HTML; one that is mended already stays as it is."""
    if found := REFRESH.match(page):
        return TO_FIRST_PAGE.format(url=found[1])
    for written, valid in REPLACED.items():
        page = page.replace(written, valid)
    page = NEGATIVE.sub("−", page)
    page = IN_SUMMARY.sub(r'<span class="\1">\2</span>', page)
    return OF_PANDAS.sub("", page)


def mend_pages(folder: Path) -> None:
    """Mend all pages of a built book."""
    for path in folder.rglob("*.html"):
        if "_static" not in path.relative_to(folder).parts:
            page = path.read_text(encoding="utf8")
            mended = mend(page)
            if mended != page:
                path.write_text(mended, encoding="utf8")
