"""Differences and intervals that the pages made from notebooks state in words follow from the published records."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import pytest
from scipy import stats

from genclust.experiments import declaration
from genclust.experiments.declaration import Profile, parse_profile
from genclust.experiments.execution import prepare
from genclust.experiments.store import Record, published
from genclust.experiments.verdicts import published_records
from genclust.pages.gaps import Gaps
from genclust.pages.ladder import rungs
from genclust.paths import root

LIKELIHOOD = "test.log_likelihood"


def runs(place: str) -> list[Record]:
    """Records of ``experiment/row@profile``, in the order of their seeds."""
    row, _, profile = place.partition("@")
    found: tuple[Profile | None, list[Record]] = published_records(declaration.row_of(row), parse_profile(profile))
    assert found[1]
    return sorted(found[1], key=lambda run: run.seed)


def scores(place: str, metric: str) -> np.ndarray:
    return np.array([run.metrics[metric] for run in runs(place)])


def welch(ours: Sequence[float] | np.ndarray, others: Sequence[float] | np.ndarray, digits: int) -> str:
    """Difference of two means with Welch's 95 % interval, as the pages write it."""
    interval = stats.ttest_ind(ours, others, equal_var=False).confidence_interval()
    return written(np.mean(ours) - np.mean(others), interval.low, interval.high, digits)


def of_pairs(ours: Sequence[float] | np.ndarray, others: Sequence[float] | np.ndarray, digits: int) -> str:
    """Mean difference of the same seeds with Student's 95 % interval."""
    apart = np.subtract(ours, others)
    interval = stats.ttest_1samp(apart, 0).confidence_interval()
    return written(apart.mean(), interval.low, interval.high, digits)


def written(mean: float, low: float, high: float, digits: int) -> str:
    return f"{mean:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]".replace("-", "−")


def test_on_news_articles_no_method_that_was_run_is_better_than_k_means() -> None:
    found = {
        one.label: np.mean([run.metrics["test.acc_hungarian"] for run in one.fitted])
        for one in rungs("reuters10k")
        if one.fitted
    }
    assert max(found, key=lambda name: found[name]) == "k-means" and len(found) > 3


@pytest.mark.parametrize(
    ("pair", "expected"),
    [
        ("eta1-alpha2", "1.7 [−19.0, 22.4]"),
        ("eta1-alpha1", "2.1 [−3.8, 8.0]"),
        ("eta0.5-alpha1", "3.6 [−14.1, 21.2]"),
    ],
)
def test_on_the_arcs_five_seeds_do_not_tell_what_ten_samples_do(pair: str, expected: str) -> None:
    of = [scores(f"gmvae-phases/{name}@quick", "test.ari") for name in (f"m10-{pair}", pair)]
    assert welch(*of, 1) == expected


def test_in_four_of_six_pairs_of_weights_the_long_runs_scatter_more() -> None:
    pairs = {
        "eta1-alpha0": "gmvae-figure2/eta1-alpha0",
        "eta0-alpha1": "gmvae-figure2/eta0-alpha1",
        "eta0-alpha0": "gmvae-figure2/eta0-alpha0",
        "eta1-alpha2": "gmvae-figure2/eta1-alpha2",
        "bn-eta1-alpha2": "gmvae-figure2/eta1-alpha2-bn",
        "bn-eta0.5-alpha2": "gmvae-figure2/eta0.5-alpha2-bn",
    }
    more = [
        np.std(scores(f"{whole}@paper", "test.ari"), ddof=1)
        > np.std(scores(f"gmvae-phases/{short}@quick", "test.ari"), ddof=1)
        for short, whole in pairs.items()
    ]
    assert sum(more) == 4


def test_from_five_clusters_on_three_seeds_show_no_clear_difference() -> None:
    five, ten, twenty = (scores(f"cagem-table1/cagem-0-k{k}@long", LIKELIHOOD) for k in (5, 10, 20))
    assert welch(ten, five, 2) == "0.15 [−0.65, 0.95]" and welch(twenty, five, 2) == "0.26 [−0.16, 0.68]"


def test_how_labels_enter_in_nats() -> None:
    base = scores("cagem-table1/cagem-0-k10@quick", LIKELIHOOD)
    assert welch(scores("cagem-labels/ce-q-0.1@quick", LIKELIHOOD), base, 2) == "0.80 [0.04, 1.56]"
    assert welch(scores("cagem-labels/ce-pq-1@quick", LIKELIHOOD), base, 2) == "−1.81 [−2.57, −1.04]"
    with_labels = [row for row in declaration.load("cagem-labels").runnable if published_records(row, "quick")[1]]
    assert len(with_labels) == 5
    on_digits = scores("cagem-table1/cagem-0-k10@demo", LIKELIHOOD).mean()
    gains = [
        scores(f"cagem-labels/{objective}-0.1@demo", LIKELIHOOD).mean() - on_digits
        for objective in ("ce-pq", "ce-q", "elbo-ce-pq", "elbo-ce-q")
    ]
    assert all(0.25 < gain < 0.45 for gain in gains) and max(gains) == max(gains[2:])


def test_what_the_divisor_the_precision_and_the_sum_do_in_pairs_of_seeds() -> None:
    base = scores("cagem-table1/cagem-0-k10@quick", LIKELIHOOD)
    changed = ("cagem-protocol/divisor-256", "cagem-protocol/float32", "cagem-table1-sums/cagem-1")
    told = [of_pairs(scores(f"{place}@quick", LIKELIHOOD), base, 2) for place in changed]
    assert told == ["−0.53 [−0.73, −0.33]", "−0.03 [−0.11, 0.05]", "0.04 [−0.13, 0.22]"]


def test_the_first_seed_of_figure_3_is_the_worst_with_one_sample_and_the_best_with_ten() -> None:
    one, ten = (scores(f"gmvae-table1/gmvae-k10-m{m}@quick", "test.acc_exemplar") for m in (1, 10))
    assert len(one) == len(ten) == 5 and one[0] == min(one) and ten[0] == max(ten)
    assert np.mean(one) > np.mean(ten) and welch(ten, one, 1) == "−4.5 [−13.3, 4.3]"


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ("vlac-one-crops", "1.8 [−0.8, 4.4]"),
        ("vlac-two-crops", "1.4 [−0.9, 3.8]"),
        ("gm-dgm-crops", "1.5 [0.4, 2.5]"),
    ],
)
def test_on_house_numbers_only_the_gm_dgm_is_clear_of_chance(row: str, expected: str) -> None:
    metrics = ("test.acc_many_to_one", "test.chance_many_to_one_y3_identity")
    assert of_pairs(*(scores(f"vlac-table1/{row}@quick", metric) for metric in metrics), 1) == expected


@pytest.mark.parametrize(
    ("layer", "expected"), [(4, "21.7 [10.0, 33.4]"), (1, "10.4 [−2.7, 23.5]"), (3, "3.3 [−15.9, 22.5]")]
)
def test_the_temperature_shows_clearly_in_the_top_layer_only(layer: int, expected: str) -> None:
    metric = f"test.nmi_arithmetic_y{layer}_background"
    assert welch(*(scores(f"vlac-sweep/tau-{tau}@demo", metric) for tau in ("0.3", "1")), 1) == expected


def test_on_omniglot_cagem_is_behind_iwae_at_quick() -> None:
    cagem, iwae = (scores(f"cagem-table2/{row}@quick", LIKELIHOOD) for row in ("cagem-500", "iwae-k50"))
    assert welch(cagem, iwae, 2) == "−0.89 [−1.27, −0.52]"


def test_with_few_epochs_the_smaller_sum_stays_less_sure_which_three_seeds_do_not_settle() -> None:
    all_classes, one = (
        [run.curve[-1]["confidence"] for run in runs(f"{place}@demo")]
        for place in ("cagem-table1-sums/cagem-all-again", "cagem-table1-sums/cagem-1")
    )
    assert np.mean(one) < np.mean(all_classes) and stats.ttest_ind(one, all_classes, equal_var=False).pvalue > 0.05


def test_the_model_that_is_drawn_with_is_the_second_lowest_of_its_row() -> None:
    of_row = scores("simple-table1/proposed-mnist@paper", "test.acc_hungarian")
    assert of_row[6] == 63.6 and sorted(of_row)[1] == of_row[6]
    assert "seed 6" in (root() / "models" / "simple-table1" / "proposed-mnist" / "card.md").read_text("utf8")


def test_how_far_clusters_have_formed_at_epoch_30_and_at_the_end() -> None:
    with np.load(published().folder / "cluster-formation.npz") as kept:
        epochs, clusters, rows = kept["epochs"].tolist(), kept["clusters"], kept["rows"]
    changed = (clusters[:, epochs.index(30)] != clusters[:, -1]).mean(1)
    assert min(changed) > 1 / 3
    config = declaration.row_of("simple-table1/proposed-mnist").config("demo")
    labels = np.asarray(prepare(config)[0].splits["test"].y)[rows]
    for of_seed in clusters[:, -1]:
        assert 0.7 < np.mean([np.bincount(of_seed[labels == k]).max() / sum(labels == k) for k in range(10)]) < 0.8


def test_two_rows_were_trained_to_the_end_and_most_were_too_short_as_the_page_of_missed_numbers_begins() -> None:
    found = Gaps.read().finding()
    assert "**2 ran at the paper's size and were trained to the end**, Is Simple Better? (Proposed, MNIST), " in found
    assert "GMVAE (η = 1, α = 2): more" in found
    rows, short = map(int, re.match(r"(\d+) rows .*?\*\*(\d+) were too short", found).groups())
    assert short > 2 * rows / 3
