"""What the page of findings is made of: small hand-made records, and answers by hand."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path

import nbformat
import numpy as np
import pytest
from scipy import stats

from genclust.experiments import load
from genclust.experiments.access import Runs
from genclust.experiments.store import Record
from genclust.pages import findings
from genclust.pages.findings import Finding
from genclust.pages.tables import with_ends
from genclust.wording import signed

ROW = replace(load("simple-table1").row("proposed-mnist"), label="A")
LIKELIHOOD = "test.log_likelihood"


def runs(label: str = "A", seeds: tuple[int, ...] = (), **metrics: tuple[float, ...]) -> Runs:
    """Records of one value per seed for each metric of the test split."""
    count = len(next(iter(metrics.values())))
    return Runs(
        replace(ROW, label=label),
        [
            Record({}, seed, {f"test.{name}": of[i] for name, of in metrics.items()}, [], {}, None, {}, {}, 1.0)
            for i, seed in enumerate(seeds or range(count))
        ],
    )


def test_pairs_are_of_the_same_seed() -> None:
    one, other = runs(log_likelihood=(-10.0, -20.0, -31.0)), runs(log_likelihood=(-11.0, -23.0, -33.0))
    summary = findings.paired(one, other)
    low, high = stats.ttest_rel([-10, -20, -31], [-11, -23, -33]).confidence_interval()
    assert summary.mean == 2 and summary.interval == pytest.approx((low, high))
    assert findings._differences(one, other) == [1, 3, 2]
    with pytest.raises(ValueError, match="B and A have other seeds"):
        findings.paired(runs("B", seeds=(0, 1, 4), log_likelihood=(1.0, 2.0, 3.0)), one)


def test_two_methods_turn_by_what_the_smaller_of_both_leads_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(findings, "profile_of", lambda row, config: "quick")
    one = runs(acc_hungarian=(70.0, 72.0), acc_many_to_one=(80.0, 82.0), acc_exemplar=(60.0, 60.0))
    other = runs("B", acc_hungarian=(65.0, 65.0), acc_many_to_one=(78.0, 80.0), acc_exemplar=(62.0, 64.0))
    least, words = findings._turn(one, other) or (0, "")
    assert least == 3 and words == (
        "The largest change: A (quick) is 6.0 points above B (quick) by Hungarian accuracy, and 3.0 below "
        "it by exemplar."
    )
    swapped, _ = findings._turn(other, one) or (0, "")
    assert swapped == 3 and findings._turn(one, one) is None


def test_chance_is_taken_from_each_seed() -> None:
    found = runs(acc_many_to_one=(20.0, 25.0), chance_many_to_one_y3_identity=(18.0, 22.0))
    assert findings._above_chance(found).mean == 2.5


def test_the_first_number_of_seeds_that_reaches_a_value() -> None:
    assert findings._first([1.0, 2.0, 3.0], 2.0) == 2 and findings._first([1.0, 2.0, 3.0], 9.0) == 3


def test_numbers_have_a_true_minus_sign_and_no_negative_zero() -> None:
    assert signed(-0.04, 1) == "0.0" and signed(-1.25) == "−1.25"
    assert with_ends(findings.Summary.of([-1.0])) == "−1.0"
    assert with_ends(findings.Summary.of([1.0, 3.0]), 2) == "2.00 [−10.71, 14.71]"


@pytest.mark.parametrize(
    ("values", "clear"), [([1.0, 1.1], True), ([-1.0, -1.1], True), ([-1.0, 3.0], False), ([1.0], False)]
)
def test_an_interval_is_clear_of_zero_if_both_ends_are_on_one_side(values: list[float], clear: bool) -> None:
    assert findings._clear(findings.Summary.of(values)) is clear


def test_the_list_leads_to_the_headings() -> None:
    found = [Finding("one", "This", "is **1**.", "", None, True), Finding("two", "That", "is **2**.", "", None, True)]
    assert findings.listed(found) == "1. [This](#finding-one) is **1**.\n1. [That](#finding-two) is **2**."


def test_the_page_has_a_section_for_each_finding_in_the_order_of_the_list() -> None:
    page = nbformat.read(Path(__file__).parents[3] / "notebooks" / "findings.ipynb", as_version=4)
    text = "\n".join(cell.source for cell in page.cells)
    targets = re.findall(r"^\(finding-(\w+)\)=\n## ", text, re.MULTILINE)
    (listed,) = [o.data["text/markdown"] for c in page.cells[:4] for o in c.get("outputs", []) if "data" in o]
    assert targets == re.findall(r"\(#finding-(\w+)\)", listed) and 7 <= len(targets) <= 10
    shown = re.findall(r'Markdown\(found\["(\w+)"\]\.told\)', text)
    drawn = re.findall(r'found\["(\w+)"\]\.drawn', text)
    assert shown == drawn == targets


def test_the_interval_of_one_seed_is_its_value() -> None:
    assert findings._ends(findings.Summary.of([2.0])) == (2.0, 2.0)
    low, high = findings._ends(findings.Summary.of([1.0, 3.0]))
    assert low == pytest.approx(2 - stats.t.ppf(0.975, 1)) and high == pytest.approx(4 - low)
    assert not math.isnan(low) and np.isfinite(high)
