"""What the pages on the five arcs say in words follows from the records."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import ttest_ind

from genclust.experiments import declaration
from genclust.experiments.store import Record
from genclust.experiments.verdicts import whole_row

#: KL of q(z|y) from uniform, in nats, below which a seed is in the degenerate state; a sure component has log 8 = 2.08.
DEGENERATE = 0.01


def runs(place: str) -> list[Record]:
    experiment, _, row = place.partition("/")
    found = whole_row(declaration.load(experiment).row(row), "paper")
    assert len(found) == 10
    return found


def leave(place: str) -> int:
    """How many seeds have left the degenerate state when training ends."""
    return sum(run.curve[-1]["kl_z"] > DEGENERATE for run in runs(place))


def test_under_the_plain_bound_one_seed_leaves_the_degenerate_state() -> None:
    assert leave("gmvae-figure2/eta1-alpha0") == 1


@pytest.mark.parametrize(
    "place", ["gmvae-figure2/eta1-alpha0-5000", "gmvae-starts/bn-eta1-alpha0", "gmvae-starts/torch7-bn-eta1-alpha0"]
)
def test_on_fewer_points_or_with_batch_normalisation_none_does(place: str) -> None:
    assert leave(place) == 0


def test_only_with_batch_normalisation_the_violation_alone_keeps_several_clusters() -> None:
    def used(place: str) -> set[float]:
        return {run.metrics["test.clusters_used"] for run in runs(place)}

    assert used("gmvae-figure2/eta0-alpha1") == {1}
    assert min(used("gmvae-starts/bn-eta0-alpha1") | used("gmvae-starts/torch7-bn-eta0-alpha1")) > 1


@pytest.mark.parametrize("method", ["kmeans", "gmm-diag", "gmm-tied", "gmm-full"])
def test_simple_methods_find_the_arcs_in_every_seed(method: str) -> None:
    assert min(run.metrics["test.ari"] for run in runs(f"baselines/{method}-arcs")) > 95


def test_without_either_term_clusters_of_about_the_same_index_form() -> None:
    both, neither = (
        sum(run.metrics["test.ari"] for run in runs(f"gmvae-figure2/{row}")) / 10
        for row in ("eta1-alpha2", "eta0-alpha0")
    )
    assert abs(both - neither) < 5


#: Rows with both terms and with neither: without batch normalisation, with it, and with it from Torch7's start.
BOTH_AND_NEITHER = {
    "gmvae-figure2/eta1-alpha2": "gmvae-figure2/eta0-alpha0",
    "gmvae-figure2/eta1-alpha2-bn": "gmvae-starts/bn-eta0-alpha0",
    "gmvae-starts/torch7-bn-eta1-alpha2": "gmvae-starts/torch7-bn-eta0-alpha0",
}


def indices(place: str) -> np.ndarray:
    return np.array([run.metrics["test.ari"] for run in runs(place)])


def test_with_batch_normalisation_alone_both_terms_are_shown_to_beat_neither() -> None:
    told = []
    for both, neither in BOTH_AND_NEITHER.items():
        test = ttest_ind(indices(both), indices(neither), equal_var=False)
        interval = test.confidence_interval()
        told.append([round(float(x), 1) for x in (indices(both).mean() - indices(neither).mean(), *interval)])
    assert told == [[2.6, -12.7, 17.9], [19.9, 10.3, 29.4], [19.0, 11.5, 26.5]]
    assert [int(sum(indices(both) >= 95)) for both in BOTH_AND_NEITHER] == [3, 2, 4]
    assert max(indices(neither).max() for neither in BOTH_AND_NEITHER.values()) < 95


def test_without_either_term_the_components_overlap() -> None:
    def violations(place: str) -> list[float]:
        return [run.curve[-1]["consistency_violation"] for run in runs(place)]

    without = [value for place in BOTH_AND_NEITHER.values() for value in violations(place)]
    assert round(min(without), 2) == 0.09 and round(max(without), 2) == 0.41
    assert max(value for place in BOTH_AND_NEITHER for value in violations(place)) < 0.03
    at_most = [
        value for value in violations("gmvae-figure2/eta1-alpha0") if value == pytest.approx(np.log(8), abs=1e-3)
    ]
    assert len(at_most) == 9


def test_without_batch_normalisation_one_seed_finds_the_arms_at_each_of_two_pairs_of_the_map() -> None:
    rows = [row for row in declaration.load("gmvae-phases").runnable if row.name.startswith("eta")]
    reached = [[run.metrics["test.ari"] >= 95 for run in whole_row(row, "quick")] for row in rows]
    assert sorted(sum(of) for of in reached if any(of)) == [1, 1]
    assert {len(of) for of in reached if any(of)} == {5}
