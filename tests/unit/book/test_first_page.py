"""The figure and the tallies of the first page, against the records themselves."""

import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from genclust.experiments.claims import judged_claims
from genclust.experiments.verdicts import verdicts
from genclust.pages.overview import own_numbers

sys.path.insert(0, str(Path(__file__).parents[3] / "book" / "_ext"))
first_page = pytest.importorskip("first_page")


def test_a_strip_shows_every_seed_where_it_belongs() -> None:
    one = next(number for number in own_numbers() if number.row == "simple-table1/proposed-mnist")
    strip = first_page._strip(one, 50, 100)
    places = [float(x) for x in re.findall(r'class="seed" cx="([\d.]+)%"', strip)]
    assert [50 + x / 2 for x in places] == pytest.approx(one.seeds, abs=0.01) and len(places) == 10
    (reported,) = re.findall(r'class="reported" x1="([\d.]+)%"', strip)
    assert 50 + float(reported) / 2 == pytest.approx(85.75, abs=0.01)
    assert all(f"{seed:.1f}" in strip for seed in one.seeds)  # in words too


def test_every_measured_number_has_a_row_that_leads_to_its_verdict() -> None:
    numbers = [number for number in own_numbers() if number.seeds]
    html = first_page._group("All", numbers)
    assert re.findall(r'href="([^"]+)"', html) == [f"verdicts.html#{number.anchor}" for number in numbers]


def test_means_stand_beside_the_papers_numbers_and_none_where_a_seed_diverged() -> None:
    one = next(number for number in own_numbers() if number.row == "cagem-table1/cagem-0-k10")
    mean = f"{sum(one.seeds) / len(one.seeds):.1f}".replace("-", "−")
    assert first_page._values(one) == f"{mean} <small>paper −81.6</small>"
    assert first_page._values(replace(one, measured_mean=None)).startswith("–")


@pytest.mark.parametrize(("low", "high", "expected"), [(58.2, 93.2, (50, 100)), (-97.9, -79.4, (-100, -70))])
def test_axes_end_at_round_numbers(low: float, high: float, expected: tuple[float, float]) -> None:
    assert first_page._rounded(low, high) == expected


def test_a_tally_counts_all() -> None:
    html = first_page.tally("claims", {"holds": 4, "does not hold": 3})
    assert "7 claims" in html and 'aria-label="4 holds, 3 does not hold"' in html
    assert re.findall(r"flex-grow: (\d+)", html) == ["4", "3"]


def test_the_claims_of_each_paper_are_counted() -> None:
    html = first_page.claims_by_paper(("holds", "does not hold"), {"cagem": ("CaGeM", {"does not hold": 2})})
    assert re.findall(r"<td>(.*?)</td>", html) == ["–", "2"]
    assert 'href="cagem.html#its-claims-judged">CaGeM</a>' in html


def test_every_claim_is_shown_with_what_it_rests_on() -> None:
    measured = pytest.importorskip("verdict_html")
    found = judged_claims()
    html = measured.claims_table(found, with_anchors=True)
    assert re.findall(r'<tr id="([^"]+)"', html) == [one.anchor for one in found]
    assert html.count("<li>") == sum(len(one.evidence) for one in found)
    shown = re.findall(r'<span class="verdict [a-z-]+">([^<]+)</span>', html)
    assert shown == [one.verdict for one in found]


def test_the_searchable_table_has_all_rows_and_bounds_of_ours_in_their_own_column() -> None:
    measured = pytest.importorskip("verdict_html")
    own = [one for one in verdicts() if not one.quoted]
    html = measured.searchable(own)
    assert sorted(re.findall(r'<tr id="([^"]+)"', html)) == sorted(one.anchor for one in own)
    places = re.findall(r'<tr id="[^"]+" data-paper="simple".*?, ([A-Z]\w+)[^<]*</small>', html)
    assert places.index("Baselines") > max(i for i, place in enumerate(places) if place in ("Table", "Figure"))
    bounds = re.findall(r'data-label="Our threshold">(.*?)</td>', html)
    assert sum(bool(one) for one in bounds) == sum(one.reported_mean is None for one in own)
