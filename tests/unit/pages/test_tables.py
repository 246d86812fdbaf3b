"""Tables of the book: numbers of different kinds are marked, and pictures of many rows are of one profile."""

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd

from genclust.experiments import Asked, access, common_profile, load, published_records, records
from genclust.pages.likelihoods import gradient_noise
from genclust.pages.tables import (
    by_data,
    comparison,
    context,
    difference,
    measured,
    seeds_of,
    show,
)

SCORES = {"test.acc_exemplar": "ACC", "test.acc_exemplar_best": "best ACC"}


def test_a_quoted_accuracy_of_another_kind_is_marked():
    table = comparison(Asked().rows("gmvae-table1"), SCORES).set_index("Method")
    quoted = table["best ACC, paper"]
    assert quoted["CatGAN, K = 20"] == "90.30<sup>u</sup>"  # its paper does not say
    assert quoted["DEC, K = 10"] == "84.30<sup>a</sup>"  # one to one, all points
    assert quoted["GMVAE, K = 10, M = 1"] == "87.71"
    assert table["ACC, paper"]["AAE, K = 16"] == "90.45 ± 2.05"  # exemplars, as GMVAE
    assert table["Seeds"]["DEC, K = 10"] == "quoted"
    groups = by_data(Asked().rows("simple-table1"))
    assert list(groups) == ["MNIST", "USPS", "REUTERS-10K, measured on RCV1-10k"]
    simple = comparison(groups["MNIST"], {"test.acc_hungarian": "ACC"}).set_index("Method")
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
    assert common_profile("baselines") is None


def test_equations_and_spreads_are_not_broken_over_lines():
    html = show(pd.DataFrame([{"": "K = 10, M = 1", "ACC": "65.1 ± 7.2"}])).data
    assert "K&nbsp;=&nbsp;10, M&nbsp;=&nbsp;1" in html and "65.1&nbsp;±&nbsp;7.2" in html
    assert html.startswith('<div class="scrolls"><table')


def test_seeds_are_labelled_by_what_was_run_and_not_by_what_was_asked_for():
    row = load("vlac-factors").row("gm-dgm")
    demo = published_records(row, "demo")[1]
    assert seeds_of(row, demo) == "3, demo"
    changed = [replace(run, config=run.config | {"training": run.config["training"] | {"epochs": 1}}) for run in demo]
    assert seeds_of(row, changed) == "3, changed settings, coloured digits"
    assert seeds_of(load("simple-table1").row("kmeans-mnist"), records("simple-table1", "kmeans-mnist")) == "10"
    assert seeds_of(row, []) == "not run" and seeds_of(load("vlac-table1").row("imsat"), []) == "quoted"
    assert context(demo, demo[:2]) == "coloured digits; epochs: 8; seeds: 2, 3"
    assert context([]) == "not run"


def test_a_score_that_was_not_measured_is_a_dash_or_nan():
    demo = published_records(load("vlac-factors").row("vlae"), "demo")[1]
    assert difference(demo, demo, "test.acc_many_to_one") == "–" == measured(demo, "test.acc_many_to_one")
    assert math.isnan(demo[0].metric("test.acc_many_to_one")) and demo[0].metric("test.leading_z") >= 1


def test_changed_settings_without_a_profile_are_run_at_demo_which_is_said(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("GENCLUST_CACHE", str(tmp_path))
    access._say.cache_clear()
    (run,) = Asked(seeds="7", training={"epochs": 1}).row("simple-table1", "proposed-mnist")
    assert run.data["name"] == "digits" and "profile: demo; seeds: 7" in capsys.readouterr().out


def test_noise_of_gradients_is_in_units_of_the_mean_gradient_and_averaged_over_seeds():
    """Squared norms of 2 and 4, so 3 in the mean; draws of 30 and 60 in the mean, batches of 9."""
    kept = [
        {"gradient_squared_norm": [2.0, 2.0], "gradient_of_draws": [20.0, 70.0], "gradient_of_batches": [6.0, 12.0]},
        {"gradient_squared_norm": [4.0, 4.0], "gradient_of_draws": [40.0, 50.0], "gradient_of_batches": [12.0, 6.0]},
    ]
    runs = [SimpleNamespace(arrays=lambda one=one: one | {"gradient_classes": np.array([0, 2])}) for one in kept]
    assert gradient_noise({"CaGeM": runs}).to_numpy().tolist() == [
        ["CaGeM", "all", "10.0", "1.00×", "3.0"],
        ["CaGeM", "2 and one drawn", "20.0", "2.00×", "3.0"],
    ]
