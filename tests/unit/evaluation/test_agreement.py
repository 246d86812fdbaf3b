"""Agreement, consensus and stability against what is known by hand, by brute force, or by another method."""

from itertools import permutations

import numpy as np
import pytest
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform
from sklearn.cluster import KMeans
from sklearn.datasets import make_blobs
from sklearn.metrics import adjusted_rand_score

from genclust.evaluation.agreement import agreement, consensus, stability


def noisy(truth: np.ndarray, n_clusters: int, seeds: int, wrong: float, seed: int = 0) -> np.ndarray:
    """Copies of a clustering with their clusters renumbered and some of the points put anywhere."""
    rng = np.random.default_rng(seed)
    copies = []
    for _ in range(seeds):
        moved = rng.random(len(truth)) < wrong
        labels = np.where(moved, rng.integers(n_clusters, size=len(truth)), truth)
        copies.append(rng.permutation(n_clusters)[labels])
    return np.array(copies)


# ---- agreement


def test_agreement_by_hand():
    """Of four points: the same pairs under other numbers, and the pairs that share no pair with them."""
    together, renumbered, across = [0, 0, 1, 1], [1, 1, 0, 0], [0, 1, 0, 1]
    # across: 2 and 2 pairs, none shared, 2 × 2 / 6 expected: (0 - 2/3) / (2 - 2/3)
    assert agreement(np.array([together, renumbered, across])) == pytest.approx([0.25, 0.25, -0.5])


def test_agreement_is_the_mean_of_scikit_learns_index_over_the_others():
    labels = np.random.default_rng(0).integers(5, size=(4, 60))
    found = agreement(labels)
    for r in range(4):
        assert found[r] == pytest.approx(
            np.mean([adjusted_rand_score(labels[r], labels[s]) for s in range(4) if s != r])
        )


def test_agreement_of_one_seed_is_nan_and_of_equal_ones_one():
    assert np.isnan(agreement(np.array([[0, 1, 2]]))).tolist() == [True]
    assert agreement(np.array([[0, 0, 1], [2, 2, 0]])).tolist() == [1, 1]
    assert agreement(np.zeros((3, 5), dtype=int)).tolist() == [1, 1, 1]


def test_an_outlier_agrees_least():
    labels = noisy(np.arange(300) % 5, 5, 4, 0.1)
    labels[2] = np.random.default_rng(1).integers(5, size=300)
    assert agreement(labels).argmin() == 2


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.array([0, 1]), "shape"),
        (np.zeros((2, 0), dtype=int), "shape"),
        (np.zeros((0, 2), dtype=int), "shape"),
        (np.zeros((2, 3)), "integers"),
        (np.array([[0, -1]]), "negative"),
    ],
)
def test_wrong_labels_are_refused(labels, message):
    with pytest.raises(ValueError, match=message):
        agreement(labels)
    with pytest.raises(ValueError, match=message):
        consensus(labels, 3)


def test_a_cluster_beyond_the_number_of_clusters_is_refused():
    with pytest.raises(ValueError, match="between 0 and 1, but hold 2"):
        consensus(np.array([[0, 2]]), 2)


# ---- consensus


def test_consensus_by_hand():
    """Three seeds under three numberings; each puts another point wrong, and two outvote it."""
    labels = np.array([[0, 0, 0, 1, 1, 1], [1, 1, 0, 0, 0, 0], [0, 0, 0, 1, 1, 0]])
    assert consensus(labels, 2).tolist() == [0, 0, 0, 1, 1, 1]


def test_consensus_of_one_seed_and_of_equal_ones_is_that_seed():
    assert consensus(np.array([[2, 0, 1]]), 3).tolist() == [2, 0, 1]
    assert consensus(np.array([[2, 0, 1], [0, 1, 2]]), 3).tolist() == [2, 0, 1]


def test_equal_votes_go_to_the_reference():
    """Two seeds agree equally well, so the first is the reference; where they differ there is a vote for each."""
    assert consensus(np.array([[0, 0, 0, 1, 1, 1], [0, 0, 1, 1, 1, 1]]), 2).tolist() == [0, 0, 0, 1, 1, 1]
    assert consensus(np.array([[0, 0, 1, 1, 1, 1], [0, 0, 0, 1, 1, 1]]), 2).tolist() == [0, 0, 1, 1, 1, 1]


def best_by_brute_force(labels: np.ndarray, n_clusters: int) -> int:
    """The most votes that any renumbering of the seeds after the first can gather, a vote for the winner of a point."""
    every = list(permutations(range(n_clusters)))
    best = 0
    for first in every:
        for second in every:
            voters = np.stack([labels[0], np.array(first)[labels[1]], np.array(second)[labels[2]]])
            best = max(best, sum(np.bincount(column).max() for column in voters.T))
    return best


@pytest.mark.parametrize("seed", range(5))
def test_no_other_numbering_gathers_more_votes(seed):
    labels = noisy(np.arange(24) % 3, 3, 3, 0.3, seed)
    found = consensus(labels, 3)
    gathered = 0
    for of_seed in labels:
        gathered += max(int((np.array(order)[of_seed] == found).sum()) for order in permutations(range(3)))
    assert gathered == best_by_brute_force(labels, 3)


@pytest.mark.parametrize("seed", range(3))
def test_votes_find_what_evidence_accumulation_finds(seed):
    """Fred and Jain: how often two points share a cluster, and average linkage on what is left to one."""
    truth = np.repeat(np.arange(4), 40)
    labels = noisy(truth, 4, 9, 0.3, seed)
    together = np.mean([of_seed[:, None] == of_seed for of_seed in labels], axis=0)
    accumulated = fcluster(linkage(squareform(1 - together, checks=False), "average"), 4, "maxclust")
    found = consensus(labels, 4)
    assert adjusted_rand_score(found, accumulated) > 0.9
    assert adjusted_rand_score(found, truth) > max(adjusted_rand_score(of_seed, truth) for of_seed in labels)


def test_consensus_does_not_depend_on_how_the_seeds_number_their_clusters():
    labels = noisy(np.arange(200) % 4, 4, 5, 0.3)
    rng = np.random.default_rng(3)
    renumbered = np.array([rng.permutation(4)[of_seed] for of_seed in labels])
    assert adjusted_rand_score(consensus(labels, 4), consensus(renumbered, 4)) == 1


def test_consensus_of_as_many_points_as_mnist_has():
    truth = np.arange(70_000) % 10
    found = consensus(noisy(truth, 10, 10, 0.4), 10)
    assert adjusted_rand_score(found, truth) > 0.97


# ---- stability


def kmeans(n_clusters):
    def fit_predict(train, rows, seed):
        return KMeans(n_clusters, n_init=5, random_state=seed).fit(train).predict(rows)

    return fit_predict


@pytest.mark.parametrize("samples", ["halves", "bootstraps"])
def test_clusters_that_are_there_are_stable_and_others_are_not(samples):
    x, _ = make_blobs(200, centers=[[-9, 0], [0, 9], [9, 0]], random_state=0)
    assert stability(kmeans(3), x, 4, samples) == pytest.approx([1, 1, 1, 1])
    disc = np.random.default_rng(0).normal(size=(200, 2))
    assert stability(kmeans(3), disc, 4, samples).mean() < 0.8


def test_halves_share_no_row_and_together_are_all_rows():
    x, seen = np.arange(11.0)[:, None], []

    def fit_predict(train, rows, seed):
        seen.append((train[:, 0], seed))
        return (rows[:, 0] > 5).astype(int)

    assert stability(fit_predict, x, 3).tolist() == [1, 1, 1]
    for (first, _), (second, _) in zip(seen[::2], seen[1::2], strict=True):
        assert sorted([*first, *second]) == list(range(11)) and len(first) == 5
    assert len({seed for _, seed in seen}) == 6


def test_bootstraps_are_as_long_as_the_data_and_the_same_seed_draws_the_same():
    x, seen = np.arange(12.0)[:, None], []

    def fit_predict(train, rows, seed):
        seen.append([*train[:, 0]])
        return np.zeros(len(rows), dtype=int)

    stability(fit_predict, x, 2, "bootstraps", seed=7)
    stability(fit_predict, x, 2, "bootstraps", seed=7)
    assert seen[:4] == seen[4:] and {len(rows) for rows in seen} == {12} and len(set(seen[0])) < 12


def test_what_stability_refuses():
    x = np.zeros((4, 1))
    with pytest.raises(ValueError, match="two rows and one round"):
        stability(kmeans(1), x[:1])
    with pytest.raises(ValueError, match="two rows and one round"):
        stability(kmeans(1), x, 0)
    with pytest.raises(ValueError, match="'halves' or 'bootstraps'"):
        stability(kmeans(1), x, 1, "thirds")
    with pytest.raises(ValueError, match="all 4 rows"):
        stability(lambda train, rows, seed: np.zeros(2, dtype=int), x)
