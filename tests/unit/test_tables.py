"""Tables of the book: numbers of different kinds are marked, and pictures of many rows are of one profile."""

import pandas as pd

from genclust.experiments import common_profile, load, published_records, records
from genclust.experiments.tables import comparison, measured, show

SCORES = {"test.acc_exemplar": "ACC", "test.acc_exemplar_best": "best ACC"}


def test_a_quoted_accuracy_of_another_kind_is_marked():
    table = comparison("gmvae-table1", "mnist", SCORES).set_index("Method")
    quoted = table["best ACC, paper"]
    assert quoted["CatGAN, K = 20"] == "90.30<sup>u</sup>"  # its paper does not say
    assert quoted["DEC, K = 10"] == "84.30<sup>a</sup>"  # one to one, all points
    assert quoted["GMVAE, K = 10, M = 1"] == "87.71"
    assert table["ACC, paper"]["AAE, K = 16"] == "90.45 ± 2.05"  # exemplars, as GMVAE
    assert table["Seeds"]["DEC, K = 10"] == "quoted"
    simple = comparison("simple-table1", "mnist", {"test.acc_hungarian": "ACC"}).set_index("Method")
    assert simple["ACC, paper"]["GMVAE"] == "82.31 ± 4<sup>e</sup>"


def test_the_best_run_has_a_number_and_no_spread():
    found = records("gmvae-table1", "gmvae-k10-m1")
    best = max(record.metrics["test.acc_exemplar"] for record in found)
    assert measured(found, "test.acc_exemplar_best") == f"{best:.2f}"
    assert measured(found, "test.no_such_score_best") == "–" == measured([], "test.acc_exemplar_best")


def test_the_phase_map_is_of_one_profile():
    """Four of its pairs are published at the paper's settings too, as they are in Figure 2."""
    rows = load("gmvae-phases").runnable
    assert {published_records(row)[0] for row in rows} == {"paper", "quick"}
    assert common_profile("gmvae-phases") == "quick"


def test_no_profile_is_common_where_a_row_lacks_all():
    assert common_profile("gmvae-figure2") == "paper"
    assert common_profile("simple-figure3") is None


def test_equations_and_spreads_are_not_broken_over_lines():
    html = show(pd.DataFrame([{"": "K = 10, M = 1", "ACC": "65.1 ± 7.2"}])).data
    assert "K&nbsp;=&nbsp;10, M&nbsp;=&nbsp;1" in html and "65.1&nbsp;±&nbsp;7.2" in html
    assert html.startswith('<div class="scrolls"><table')
