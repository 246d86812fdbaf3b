"""Verdicts against scipy's Welch test, and the rules they follow."""

import json
from dataclasses import asdict, replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.optimize import brentq

from genclust.experiments import declaration
from genclust.experiments.declaration import Reported
from genclust.experiments.papers import papers
from genclust.experiments.verdicts import (
    LackingMetric,
    Summary,
    exceeding,
    judge,
    number,
    published_records,
    summarise,
    verdicts,
)


def test_the_summary_against_scipy():
    values = [70.0, 75.0, 81.0, 90.0]
    summary = Summary.of(values)
    interval = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert summary.interval == pytest.approx((interval.low, interval.high))
    assert (summary.mean, summary.median, summary.best, summary.n) == (79.0, 78.0, 90.0, 4)
    assert summary.sd == pytest.approx(np.std(values, ddof=1))
    assert Summary.of(values, lower_is_better=True).best == 70


def test_one_seed_has_no_spread():
    summary = Summary.of([3.0])
    assert (summary.sd, summary.interval) == (None, None)


@pytest.mark.parametrize("mean", np.linspace(60, 110, 26))
def test_partly_means_that_welchs_test_cannot_tell_the_means_apart(mean):
    spread = np.array([-9, -4, 0, 2, 11.0])
    measured = Summary.of(mean + spread - spread.mean())
    p = stats.ttest_ind_from_stats(85.75, 8, 5, measured.mean, measured.sd, 5, equal_var=False).pvalue
    expected = "reproduced" if abs(mean - 85.75) <= 5 else "partly" if p > 0.05 else "not reproduced"
    assert judge(Reported("ACC", "m", mean=85.75, sd=8, tolerance=5), measured) == expected


def test_without_a_reported_spread_the_measured_interval_decides():
    reported = Reported("ACC", "m", mean=50, tolerance=1)
    assert judge(reported, Summary.of([40, 60, 49, 47])) == "reproduced"
    assert judge(reported, Summary.of([40, 60, 40, 47])) == "partly"
    assert judge(reported, Summary.of([40, 41, 40, 41])) == "not reproduced"
    assert judge(reported, Summary.of([40])) == "not reproduced"


def test_a_bound_in_place_of_a_number():
    bound = Reported("fails", "m", below=40)
    assert judge(bound, Summary.of([20, 25])) == "reproduced"
    assert judge(bound, Summary.of([20, 75])) == "partly"
    assert judge(bound, Summary.of([50, 51])) == "not reproduced"
    assert judge(bound, Summary.of([75])) == "not reproduced"
    bound = Reported("succeeds", "m", above=40)
    assert judge(bound, Summary.of([30, 75])) == "reproduced"
    assert judge(bound, Summary.of([20, 50])) == "partly"
    assert judge(bound, Summary.of([20, 21])) == "not reproduced"
    assert judge(bound, Summary.of([20])) == "not reproduced"


def test_the_best_of_all_seeds():
    records = [SimpleNamespace(metrics={"test.ari": value, "test.error_q": value}) for value in (40.0, 70.0, 55.0)]
    assert summarise(records, "test.ari_best") == Summary(70, None, 70, 70, 3, None)
    assert summarise(records, "test.error_q_best").mean == 40


def test_every_reported_number_has_a_line():
    found = verdicts()
    lines = pd.DataFrame(found)
    assert set(lines.paper) == set(papers())
    judged = {"reproduced", "partly", "not reproduced"}
    measured = judged | {"surrogate data", "subset of the data", "smaller run"}
    assert set(lines.verdict) <= {*measured, "not run", "quoted"}
    assert lines[lines.verdict.isin(measured)].measured_mean.notna().all()
    assert set(lines[lines.verdict.isin(judged)].fidelity) <= {"exact", "rebuilt"}
    assert (lines.fidelity.isna() == lines.measured_mean.isna()).all()
    proposed = lines[(lines.table == "Table 1") & (lines.paper == "simple") & (lines.label == "Proposed")]
    assert set(proposed.dataset) == {"mnist", "usps", "reuters10k"}
    assert set(proposed.name) == {"ACC", "NMI"}
    assert not lines[lines.quoted.astype(bool)].measured_mean.notna().any()
    assert set(lines[lines.quoted.astype(bool)].verdict) == {"quoted"} and set(
        lines[lines.verdict == "quoted"].quoted
    ) == {True}
    json.dumps([asdict(one) for one in found])
    assert lines.anchor.is_unique
    assert (lines.seeds.map(len) == lines.n_seeds).all()


@pytest.mark.parametrize(
    "key",
    [
        "simple-table1/proposed-mnist/test.acc_hungarian",
        "simple-table1/proposed-mnist/test.acc_hungarian/men",
        "simple-table1/proposed-minst/test.acc_hungarian/mean",
        "simple-tabel1/proposed-mnist/test.acc_hungarian/mean",
        "simple-table1/proposed-mnist@papr/test.acc_hungarian/mean",
        "vlac-table1/imsat/test.acc_unstated/mean",
    ],
)
def test_a_number_that_is_not_there_is_an_error(key):
    with pytest.raises(KeyError):
        number(key)


def test_a_number_is_what_the_records_say():
    row = declaration.load("simple-table1").row("kmeans-usps")
    values = [r.metrics["test.acc_hungarian"] for r in published_records(row)[1]]
    key = "simple-table1/kmeans-usps/test.acc_hungarian"
    assert number(f"{key}/mean±sd") == f"{np.mean(values):.1f} ± {np.std(values, ddof=1):.1f}"
    assert number(f"{key}/seeds").split(", ") == [f"{value:.1f}" for value in values]
    assert number("simple-table1/proposed-mnist/test.acc_hungarian/reported") == "85.75"


@pytest.mark.parametrize("n", [3, 5, 8])
@pytest.mark.parametrize("side", [1, -1])
def test_the_verdict_changes_where_welchs_p_value_is_a_twentieth(n, side):
    """The place by bisection on scipy's test; a hundredth of the way from it either side the verdict is another."""
    measured, reported = Summary.of(np.linspace(50, 62, n)), Reported("ACC", "m", mean=0, sd=3.0, tolerance=0.1)

    def p(apart: float) -> float:
        return stats.ttest_ind_from_stats(measured.mean, measured.sd, n, measured.mean + apart, 3, 5, False).pvalue

    place = brentq(lambda apart: p(apart) - 0.05, 0.1, 100)
    for factor, verdict in ((0.99, "partly"), (1.01, "not reproduced")):
        mean = measured.mean + side * factor * place
        assert judge(replace(reported, mean=mean), measured) == verdict


@pytest.mark.parametrize(("difference", "verdict"), [(0.99, "reproduced"), (1.01, "not reproduced")])
def test_without_a_declared_tolerance_one_is_meant(difference, verdict):
    measured = Summary.of([50.0, 50.001, 50.002])
    assert judge(Reported("ACC", "m", mean=measured.mean + difference), measured) == verdict
    assert judge(Reported("ACC", "m", mean=measured.mean - difference), measured) == verdict
    none = Reported("ACC", "m", mean=measured.mean + difference, tolerance=0.0)
    assert judge(none, measured) == "not reproduced"


def test_a_difference_has_welchs_interval():
    values, base = [70.0, 75, 81, 90], [60.0, 62, 61]
    found = exceeding(*([SimpleNamespace(metrics={"m": v}) for v in part] for part in (values, base)), "m")
    assert (found.mean, found.n) == (pytest.approx(79 - 61), 3)
    a, b = np.var(values, ddof=1) / 4, np.var(base, ddof=1) / 3
    half = stats.t.ppf(0.975, (a + b) ** 2 / (a**2 / 3 + b**2 / 2)) * (a + b) ** 0.5
    assert found.interval == pytest.approx((18 - half, 18 + half))


def test_verdicts_are_those_of_the_interval_of_the_difference_by_hand():
    """Partly, where zero lies in the interval of Welch and Satterthwaite, written out here; also without any spread."""
    rng = np.random.default_rng(0)
    found = set()
    for _ in range(400):
        values = (
            rng.normal(50, 4, size=rng.integers(2, 9)).round(rng.integers(0, 3)) if rng.random() < 0.8 else [50.0] * 3
        )
        measured = Summary.of(values)
        mean, sd = float(rng.normal(50, 5)), float(rng.choice([0.0, 1.0, 4.0]))
        paper, ours = sd**2 / 5, measured.sd**2 / measured.n
        half = 0.0
        if paper + ours > 0:
            freedom = (paper + ours) ** 2 / (paper**2 / 4 + ours**2 / (measured.n - 1))
            half = stats.t.ppf(0.975, freedom) * (paper + ours) ** 0.5
        apart = abs(measured.mean - mean)
        expected = "reproduced" if apart <= 1 else "partly" if apart <= half else "not reproduced"
        assert judge(Reported("ACC", "m", mean=mean, sd=sd), measured) == expected
        found.add((expected, sd == measured.sd == 0))
    assert len(found) == 5, "all three verdicts, and two of them without spread"


def test_a_metric_that_no_record_has_is_told_from_one_that_a_record_lacks():
    _, records = published_records(declaration.load("gmvae-figure2").row("eta1-alpha2"))
    with pytest.raises(LackingMetric, match=r"^No record of .* has test.elbo; name a metric"):
        summarise(records, "test.elbo")
    cut = replace(records[0], metrics={"test.acc_hungarian": 1.0})
    with pytest.raises(LackingMetric, match=r"has no test\.ari, which others of its row have"):
        summarise([cut, *records[1:]], "test.ari")


def test_a_row_says_where_it_was_fitted_on_all_points():
    labels = {one.row: one.label for one in verdicts()}
    assert labels["baselines/kmeans-mnist-all"] == "k-means, fitted on all points"
    assert labels["simple-table1/kmeans-mnist"] == "k-means"
