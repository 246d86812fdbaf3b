"""What the chapter on CaGeM says in words, and no record holds as a number, follows from the published records."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from scipy.stats import t, ttest_ind

from genclust.experiments import load
from genclust.experiments.store import Record
from genclust.experiments.verdicts import published_records
from genclust.training.schedules import Schedule

LIKELIHOOD = "test.log_likelihood"
ALIKE = ("cagem-k1", "cagem-0-k5", "cagem-0-k10", "cagem-0-k20", "avae", "lvae-iw1")


def records(place: str, profile: str) -> list[Record]:
    experiment, row = place.split("/")
    _, found = published_records(load(experiment).row(row), profile)
    assert len(found) == 3
    return found


def seeds(place: str, profile: str, metric: str = LIKELIHOOD) -> np.ndarray:
    return np.array([record.metrics[metric] for record in records(place, profile)])


def pairs(values: Sequence[float]) -> tuple[float, float]:
    """The 95 % interval of the mean of paired differences."""
    half = t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / len(values) ** 0.5
    return np.mean(values) - half, np.mean(values) + half


@pytest.mark.parametrize("row", [*ALIKE, "cagem-0-k3", "cagem-20", "cagem-50", "cagem-100"])
def test_in_the_last_ten_epochs_the_bound_still_rises_by_a_tenth_to_more_than_a_nat(row: str) -> None:
    for record in records(f"cagem-table1/{row}", "long"):
        bound = {
            point["epoch"]: -sum(point[name] for name in point if name == "reconstruction" or name.startswith("kl_"))
            for point in record.curve
        }
        assert max(bound) == 40 and 0.1 <= round(bound[40] - bound[30], 1) <= 1.4
        rate = Schedule(**record.config["training"]["learning_rate"])
        assert rate(30) == pytest.approx(1.8e-4, rel=0.02) and rate(40) == pytest.approx(1e-4)


@pytest.mark.parametrize("row", [*ALIKE, "iwae-k1"])
def test_ten_times_the_samples_add_a_third_of_a_nat(row: str) -> None:
    for record in records(f"cagem-table1/{row}", "long"):
        arrays = record.arrays()
        bound = dict(zip(arrays["bound_samples"].tolist(), arrays["bound"].tolist(), strict=True))
        assert 0.25 < bound[5000] - bound[500] < 0.45
        assert record.metrics["test.log_likelihood_samples"] == 500


def test_the_vae_makes_six_times_as_many_steps() -> None:
    def steps(record: Record) -> float:
        training = record.config["training"]
        return record.data["sizes"]["train"] / training["batch_size"] * training["epochs"]

    vae, cagem = records("cagem-iwae/vae-l2-k1", "long")[0], records("cagem-table1/cagem-0-k10", "long")[0]
    assert steps(vae) / steps(cagem) == pytest.approx(6.5, abs=0.2)
    assert [record.config["training"]["epochs"] for record in (vae, cagem)] == [205, 40]


def test_the_vae_is_not_trained_out_either() -> None:
    found = records("cagem-iwae/vae-l2-k1", "long")
    for record in found:
        bound = {
            point["epoch"]: -sum(point[name] for name in point if name == "reconstruction" or name.startswith("kl_"))
            for point in record.curve
        }
        assert 2.35 < bound[205] - bound[105] < 2.75
    (reported,) = [r.mean for r in load("cagem-iwae").row("vae-l2-k1").reported if r.metric == LIKELIHOOD]
    assert round(reported - np.mean([record.metrics[LIKELIHOOD] for record in found]), 1) == 5.7


@pytest.mark.parametrize("layers", ["l1", "l2"])
def test_five_samples_beat_one_and_where_the_logarithm_stands_three_seeds_do_not_tell(layers: str) -> None:
    one, averaged, of_average = (
        seeds(f"cagem-iwae/{row}-{layers}-{k}", "quick") for row, k in (("vae", "k1"), ("vae", "k5"), ("iwae", "k5"))
    )
    for five in (averaged, of_average):
        assert ttest_ind(five, one, equal_var=False).confidence_interval().low > 0
    apart = ttest_ind(of_average, averaged, equal_var=False).confidence_interval()
    assert apart.low < 0 < apart.high and np.mean(of_average) > np.mean(averaged)


def test_on_omniglot_lvae_leads_the_vae_by_eight_nats() -> None:
    lvae, vae = seeds("cagem-others/lvae-omniglot", "long"), seeds("cagem-iwae-omniglot/vae-l2-k1", "long")
    assert np.mean(lvae) - np.mean(vae) == pytest.approx(8.2, abs=0.4) and min(lvae) - max(vae) > 7.5
    assert load("cagem-iwae-omniglot").row("vae-l2-k1").reported[0].mean - max(vae) > 10
    assert [row.reported for row in load("cagem-table2").rows.values() if row.name == "lvae-iw1"] == [()]


def test_the_divisor_costs_half_a_nat_in_pairs_of_seeds() -> None:
    low, high = pairs(seeds("cagem-table1/cagem-0-k10", "quick") - seeds("cagem-protocol/divisor-256", "quick"))
    assert 0.3 < low < 0.5 < high < 0.8


def test_a_dozen_units_are_active_after_ten_epochs_with_one_cluster_or_ten_and_more_with_labels() -> None:
    units = {
        row: seeds(f"cagem-table1/{row}", "quick", "test.active_z2")
        for row in ("cagem-k1", "cagem-0-k10", "cagem-20", "cagem-50", "cagem-100")
    }
    for row in ("cagem-k1", "cagem-0-k10"):
        assert all(12 <= value <= 14 for value in units.pop(row))
    assert all(value > 14 for values in units.values() for value in values)


def test_at_long_a_hundred_labels_make_digits_and_no_clear_gain_of_likelihood() -> None:
    with_labels, without = (seeds(f"cagem-table1/{row}", "long") for row in ("cagem-100", "cagem-0-k10"))
    interval = ttest_ind(with_labels, without, equal_var=False).confidence_interval()
    apart = [round(float(x), 2) for x in (with_labels.mean() - without.mean(), interval.low, interval.high)]
    assert apart == [0.31, -0.52, 1.14]
    assert set(seeds("cagem-table1/cagem-100", "long", "test.clusters_used")) == {10}
    seven = [
        record.metrics[LIKELIHOOD]
        for row in ("cagem-0-k10", "cagem-0-k20")
        for record in records(f"cagem-table1/{row}", "long")
        if record.metrics["test.clusters_used"] == 7
    ]
    assert len(seven) == 3 and abs(np.mean(seven) - with_labels.mean()) < 0.1


def test_at_long_more_labels_are_no_better_than_fewer() -> None:
    none, twenty, fifty, hundred = (
        seeds(f"cagem-table1/{row}", "long") for row in ("cagem-0-k10", "cagem-20", "cagem-50", "cagem-100")
    )
    nine = np.concatenate([seeds(f"cagem-table1/cagem-0-k{K}", "long") for K in (5, 10, 20)])
    told = []
    for more, fewer in (
        (fifty, none),
        (hundred, fifty),
        (hundred, twenty),
        (fifty, twenty),
        (twenty, nine),
        (hundred, nine),
    ):
        interval = ttest_ind(more, fewer, equal_var=False).confidence_interval()
        told.append([round(float(x), 2) for x in (more.mean() - fewer.mean(), interval.low, interval.high)])
    assert told[:3] == [[0.34, -0.46, 1.13], [-0.02, -0.20, 0.15], [-0.14, -0.28, -0.01]]
    assert told[3][1] < 0 < told[3][2]  # so one of the three comparisons between numbers of labels excludes zero
    assert told[4:] == [[0.47, 0.28, 0.66], [0.33, 0.14, 0.51]]  # comparisons that were made afterwards
    of_labels = [seeds(f"cagem-table1/cagem-{n}", "long", "test.acc_hungarian") for n in (20, 50, 100)]
    assert max(np.concatenate(of_labels[:2])) < min(of_labels[2])
    poster = [load("cagem-table1").row(row).reported[0].mean for row in ("cagem-0-k10", "cagem-50", "cagem-100")]
    assert [round(more - fewer, 1) for fewer, more in pairwise(poster)] == [1.1, 1.1]


def test_at_long_the_cross_entropy_of_q_alone_is_better_than_both_and_than_any_other_model() -> None:
    of_q, of_both = seeds("cagem-labels/ce-q-0.1", "long"), seeds("cagem-table1/cagem-100", "long")
    unlabelled = {K: seeds(f"cagem-table1/cagem-0-k{K}", "long") for K in (5, 10, 20)}
    nine, lvae = np.concatenate(list(unlabelled.values())), seeds("cagem-table1/lvae-iw1", "long")
    told = []
    for other in (of_both, unlabelled[10], nine, lvae):
        interval = ttest_ind(of_q, other, equal_var=False).confidence_interval()
        told.append([round(float(x), 2) for x in (of_q.mean() - other.mean(), interval.low, interval.high)])
    assert told == [[0.38, 0.28, 0.48], [0.69, -0.15, 1.53], [0.71, 0.53, 0.89], [0.64, 0.26, 1.03]]
    at_long = [published_records(row, "long")[1] for row in load("cagem-table1").runnable]
    assert max(np.mean([one.metrics[LIKELIHOOD] for one in of]) for of in at_long if of) < of_q.mean()
    on_mnist = [row.name for row in load("cagem-labels").runnable if published_records(row, "long")[1]]
    assert on_mnist == ["ce-pq-0.1", "ce-q-0.1"]


def test_labels_after_ten_epochs_help_or_not_by_how_they_enter() -> None:
    none = seeds("cagem-table1/cagem-0-k10", "quick")
    only_q = seeds("cagem-labels/ce-q-0.1", "quick")
    test = ttest_ind(only_q, none, equal_var=False)
    apart = [float(x) for x in (only_q.mean() - none.mean(), *test.confidence_interval())]
    assert [round(x, 2) for x in apart] == [0.80, 0.04, 1.56]
    run = [row for row in load("cagem-labels").runnable if published_records(row, "quick")[1]]
    assert len(run) == 5 and test.confidence_interval(1 - 0.05 / 5).low < 0  # "if all five are allowed for"
    for row in ("cagem-20", "cagem-50", "cagem-100"):
        assert np.mean(seeds(f"cagem-table1/{row}", "quick")) < np.mean(none)
