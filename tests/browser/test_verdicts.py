"""The table of all verdicts: whole without scripts, and to be sorted, filtered and searched with them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import chromium
import pytest
from built import BOOK, needs_the_book, parsed

from genclust.experiments.papers import dataset_title
from genclust.experiments.verdicts import verdicts

pytestmark = needs_the_book

PAGE = BOOK / "verdicts.html"
OWN = [one for one in verdicts() if not one.quoted]


def answer(browser: chromium.Browser, expression: str) -> Any:
    found = browser.ask("Runtime.evaluate", browser.tab, expression=f"JSON.stringify({expression})", awaitPromise=True)
    assert "exceptionDetails" not in found, found
    return json.loads(found["result"]["value"])


VISIBLE = "[...document.querySelectorAll('.searchable tbody tr')].filter(row => !row.hidden)"


def choose(browser: chromium.Browser, name: str, value: str) -> None:
    selector = f".verdict-filters [name={name}]"
    answer(
        browser,
        f"(() => {{ const c = document.querySelector('{selector}'); c.value = {json.dumps(value)};"
        "c.dispatchEvent(new Event('input', {bubbles: true})); return 1; })()",
    )


def follow(browser: chromium.Browser, fragment: str) -> None:
    """Go to another fragment of the page, and let time pass until the page knows."""
    browser.ask("Emulation.setVirtualTimePolicy", browser.tab, policy="advance")
    changed = "new Promise(done => addEventListener('hashchange', done, {once: true}))"
    expression = f"location.hash = '{fragment}'; {changed}.then(() => 1)"
    browser.ask("Runtime.evaluate", browser.tab, expression=expression, awaitPromise=True)


@pytest.fixture
def page(browser: chromium.Browser) -> chromium.Browser:
    browser.ask("Emulation.setDeviceMetricsOverride", browser.tab, width=1400, height=900, deviceScaleFactor=1,
                mobile=False)  # fmt: skip
    browser.load(PAGE)
    return browser


def test_every_number_has_a_row_with_a_place_of_its_own() -> None:
    places = [row["id"] for row in parsed(PAGE).select(".searchable tbody tr")]
    assert sorted(places) == sorted(one.anchor for one in OWN) and len(set(places)) == len(places)


def test_links_of_the_first_page_lead_to_rows() -> None:
    links = [a["href"] for a in parsed(BOOK / "intro.html").select(".own-numbers a")]
    places = {row["id"] for row in parsed(PAGE).select(".searchable tbody tr")}
    assert links and all(link.removeprefix("verdicts.html#") in places for link in links)


def test_bounds_of_ours_never_stand_under_paper() -> None:
    for row in parsed(PAGE).select(".verdict-table tbody tr"):
        cell = row.find("td", {"data-label": "Paper"})
        assert cell is None or ("below" not in cell.text and "above" not in cell.text)


@pytest.mark.parametrize(("kind", "column"), [("paper", "paper"), ("verdict", "verdict"), ("data", "dataset")])
def test_filters_leave_what_they_say(page: chromium.Browser, kind: str, column: str) -> None:
    for value in dict.fromkeys(getattr(one, column) for one in OWN):
        choose(page, kind, dataset_title(value) if kind == "data" else value)
        shown = answer(page, f"{VISIBLE}.map(row => row.id)")
        assert sorted(shown) == sorted(one.anchor for one in OWN if getattr(one, column) == value)
    choose(page, kind, "")
    assert answer(page, f"{VISIBLE}.length") == len(OWN)


def test_a_phone_begins_with_what_was_measured(page: chromium.Browser) -> None:
    measured = [one.anchor for one in OWN if one.verdict != "not run"]
    choose(page, "verdict", "measured")
    assert sorted(answer(page, f"{VISIBLE}.map(row => row.id)")) == sorted(measured)
    page.ask("Emulation.setDeviceMetricsOverride", page.tab, width=390, height=800, deviceScaleFactor=1, mobile=True)
    page.load(PAGE)
    assert sorted(answer(page, f"{VISIBLE}.map(row => row.id)")) == sorted(measured)
    missing = next(one.anchor for one in OWN if one.verdict == "not run")
    follow(page, f"#{missing}")
    assert missing in answer(page, f"{VISIBLE}.map(row => row.id)"), "a link leads to a row that the list leaves out"
    choose(page, "verdict", "")
    assert answer(page, f"{VISIBLE}.length") == len(OWN)


def test_words_are_searched_for(page: chromium.Browser) -> None:
    choose(page, "search", "proposed usps")
    labels = answer(page, f"{VISIBLE}.map(row => row.textContent.toLowerCase())")
    assert labels and len(labels) < len(OWN) and all("proposed" in label and "usps" in label for label in labels)
    choose(page, "search", "no such words")
    assert answer(page, f"{VISIBLE}.length") == 0


def test_the_address_keeps_what_is_asked_for(page: chromium.Browser) -> None:
    choose(page, "paper", "vlac")
    choose(page, "search", "accuracy")
    asked, shown = answer(page, "location.hash"), answer(page, f"{VISIBLE}.map(row => row.id)")
    assert asked == "#paper=vlac&search=accuracy" and 0 < len(shown) < len(OWN)
    follow(page, "")
    assert answer(page, f"{VISIBLE}.length") == len(OWN)
    follow(page, asked)
    assert answer(page, f"{VISIBLE}.map(row => row.id)") == shown
    assert answer(page, "document.querySelector('.verdict-filters [name=paper]').value") == "vlac"


def test_an_address_that_asks_for_what_there_is_not_shows_everything(page: chromium.Browser) -> None:
    follow(page, "#paper=vlac")
    assert answer(page, f"{VISIBLE}.length") < len(OWN)
    follow(page, "#paper=nobody")
    assert answer(page, f"{VISIBLE}.length") == len(OWN)


def test_a_heading_sorts_by_its_column_in_both_directions(page: chromium.Browser) -> None:
    number = "parseFloat(row.querySelector('[data-label=Measured]').textContent.trim().replace('\\u2212', '-'))"
    click = "[...document.querySelectorAll('.searchable th button')].find(b => b.textContent == 'Measured').click()"
    for direction in ("ascending", "descending"):
        answer(page, f"({click}, 1)")
        values = answer(page, f"{VISIBLE}.map(row => {number})")
        measured = [value for value in values if value is not None]
        assert measured == sorted(measured, reverse=direction == "descending") and len(measured) > 20
        assert values[: len(measured)] == measured, "what was not measured comes last"
        assert answer(page, "document.querySelector('[aria-sort]').getAttribute('aria-sort')") == direction


def test_the_page_is_short_on_a_desktop_and_no_wider_than_a_phone(page: chromium.Browser) -> None:
    assert answer(page, "document.documentElement.scrollHeight") < 4000
    page.ask("Emulation.setDeviceMetricsOverride", page.tab, width=390, height=800, deviceScaleFactor=1, mobile=True)
    page.load(PAGE)
    assert answer(page, "document.documentElement.scrollWidth") <= 390


def test_the_table_is_whole_without_scripts(browser: chromium.Browser, tmp_path: Path) -> None:
    browser.ask("Emulation.setScriptExecutionDisabled", browser.tab, value=True)
    try:
        elements, _, _ = browser.load(PAGE)
    finally:
        browser.ask("Emulation.setScriptExecutionDisabled", browser.tab, value=False)
    assert "verdict-filters" not in elements and elements.count('id="simple-table1-proposed-mnist') >= 2
