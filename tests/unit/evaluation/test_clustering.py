"""Clustering scores against enumeration, a pandas group-by, hand-made cases and entropies."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import adjusted_rand_score

from genclust.evaluation.clustering import (
    chance_level,
    clustering_scores,
    exemplar_accuracy,
    hungarian_accuracy,
    majority_by_chance,
    many_to_one_accuracy,
    nmi,
)


def random_clustering(seed: int) -> tuple[np.ndarray, np.ndarray, int, int]:
    """Partly agreeing labels and clusters, with K and T drawn from 1 … 6."""
    rng = np.random.default_rng(seed)
    K, T = rng.integers(1, 7, size=2)
    labels = rng.integers(T, size=40)
    clusters = np.where(rng.random(40) < 0.5, labels % K, rng.integers(K, size=40))
    return labels, clusters, K, T


@pytest.mark.parametrize("seed", range(30))
def test_hungarian_is_the_best_of_all_one_to_one_assignments(seed: int) -> None:
    labels, clusters, K, T = random_clustering(seed)
    best = max(np.mean(np.array(p)[clusters] == labels) for p in permutations(range(max(K, T))))
    assert hungarian_accuracy(labels, clusters) == pytest.approx(100 * best)


def test_surplus_and_empty_clusters_get_no_class() -> None:
    # clusters 0 and 3 share class 1, of which 0 has more; 2 is empty
    labels = np.array([1, 1, 1, 0, 0, 1])
    clusters = np.array([0, 0, 0, 1, 1, 3])
    assert hungarian_accuracy(labels, clusters) == pytest.approx(100 * 5 / 6)


@pytest.mark.parametrize("seed", range(30))
def test_many_to_one_is_the_majority_of_each_group(seed: int) -> None:
    labels, clusters, _, _ = random_clustering(seed)
    groups = pd.DataFrame({"label": labels, "cluster": clusters}).groupby("cluster")["label"]
    majority = groups.agg(lambda values: values.value_counts().iloc[0]).sum()
    assert many_to_one_accuracy(labels, clusters) == pytest.approx(100 * majority / len(labels))


def test_more_clusters_raise_many_to_one_but_not_hungarian() -> None:
    labels = np.repeat([0, 1], 4)
    halves = np.repeat([0, 1, 2, 3], 2)
    assert many_to_one_accuracy(labels, halves) == 100
    assert hungarian_accuracy(labels, halves) == 50


def test_exemplar_takes_the_label_of_the_most_confident_point() -> None:
    # cluster 0: exemplar is point 2, mislabelled, so one of three right; cluster 1: exemplar point 4
    posterior = np.array([[0.7, 0.3], [0.8, 0.2], [0.9, 0.1], [0.4, 0.6], [0.2, 0.8]])
    labels = np.array([0, 0, 1, 1, 1])
    assert exemplar_accuracy(labels, np.log(posterior)) == pytest.approx(60)


def test_exemplar_may_belong_to_another_cluster() -> None:
    # cluster 1's highest posterior of all, 0.45, is that of a point of cluster 0
    posterior = np.array([[0.55, 0.45, 0.0], [0.3, 0.4, 0.3], [0.35, 0.41, 0.24], [0.99, 0.01, 0.0]])
    labels = np.array([1, 0, 0, 1])
    with np.errstate(divide="ignore"):
        assert exemplar_accuracy(labels, np.log(posterior)) == pytest.approx(50)


def test_exemplar_ties_go_to_the_first_index() -> None:
    log_posterior = np.log([[0.9, 0.1], [0.9, 0.1], [0.9, 0.1], [0.1, 0.9]])
    assert exemplar_accuracy(np.array([0, 1, 1, 1]), log_posterior) == pytest.approx(50)
    assert exemplar_accuracy(np.array([1, 0, 1, 1]), log_posterior) == pytest.approx(75)


def test_exemplar_ignores_clusters_that_are_nobodys_argmax() -> None:
    log_posterior = np.log([[0.6, 0.3, 0.1], [0.5, 0.1, 0.4], [0.1, 0.5, 0.4]])
    labels = np.array([0, 0, 1])
    assert exemplar_accuracy(labels, log_posterior) == 100
    assert clustering_scores(labels, log_posterior)["clusters_used"] == 2


@pytest.mark.parametrize("gap", [20.0, 30.0, 60.0])
def test_exemplar_confidences_do_not_saturate(gap: float) -> None:
    # Point 1 is more confident than point 0, but in float32 both log-probabilities are exactly zero (and
    # at the larger gaps in float64 too): without care the first index, and with it the label 1, would win.
    logits = np.array([[gap, 0.0], [gap + 1, 0.0], [gap - 1, 0.0], [0.0, 1.0]], dtype=np.float32)
    log_posterior = logits - np.log1p(np.exp(logits.min(1) - logits.max(1)))[:, None] - logits.max(1)[:, None]
    assert log_posterior.dtype == np.float32
    assert (np.exp(log_posterior[:3, 0]) == 1).all()
    assert exemplar_accuracy(np.array([1, 0, 0, 2]), log_posterior) == pytest.approx(75)


def entropy(counts: np.ndarray) -> float:
    p = counts[counts > 0] / counts.sum()
    return float(-(p * np.log(p)).sum())


@pytest.mark.parametrize("seed", range(10))
def test_nmi_is_the_information_over_the_mean_entropy(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.integers(4, size=60)
    clusters = np.where(rng.random(60) < 0.6, labels, rng.integers(7, size=60))
    joint = np.zeros((4, 7))
    np.add.at(joint, (labels, clusters), 1)
    h_label, h_cluster = entropy(joint.sum(1)), entropy(joint.sum(0))
    information = h_label + h_cluster - entropy(joint.ravel())
    assert nmi(labels, clusters, "geometric") == pytest.approx(100 * information / np.sqrt(h_label * h_cluster))
    assert nmi(labels, clusters, "arithmetic") == pytest.approx(100 * information / ((h_label + h_cluster) / 2))


def test_nmi_by_hand() -> None:
    # one bit about two classes from four equal clusters: 1 / sqrt(1·2) and 1 / 1.5
    labels, clusters = np.repeat([0, 1], 4), np.repeat([0, 1, 2, 3], 2)
    assert nmi(labels, clusters, "geometric") == pytest.approx(100 / np.sqrt(2))
    assert nmi(labels, clusters, "arithmetic") == pytest.approx(100 / 1.5)
    assert nmi(labels, np.zeros(8, dtype=int), "geometric") == 0


def test_scores_name_every_measure_once() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(50, 5))
    log_posterior = (logits - np.log(np.exp(logits).sum(1, keepdims=True))).astype(np.float32)
    labels, clusters = rng.integers(3, size=50), logits.argmax(1)
    assert clustering_scores(labels, log_posterior) == {
        "acc_hungarian": hungarian_accuracy(labels, clusters),
        "acc_many_to_one": many_to_one_accuracy(labels, clusters),
        "acc_exemplar": exemplar_accuracy(labels, log_posterior),
        "nmi_geometric": nmi(labels, clusters, "geometric"),
        "nmi_arithmetic": nmi(labels, clusters, "arithmetic"),
        "ari": 100 * adjusted_rand_score(labels, clusters),
        "clusters_used": 5,
    }


GOOD = np.array([0, 1, 1])


@pytest.mark.parametrize("score", [hungarian_accuracy, many_to_one_accuracy])
@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (np.array([0, 1]), "equally long"),
        (np.array([], dtype=int), "non-empty"),
        (np.array([0, -1, 1]), "negative"),
        (np.array([0, np.nan, 1]), "integers"),
        (np.array([[0, 1, 1]]), "one dimension"),
    ],
)
def test_bad_assignments_are_refused(score, bad: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        score(GOOD, bad)
    with pytest.raises(ValueError, match=message):
        score(bad, GOOD)
    with pytest.raises(ValueError, match=message):
        nmi(GOOD, bad, "geometric")


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (np.log(np.full((2, 2), 0.5)), "equally long"),
        (np.full((3, 2), np.nan), "NaN"),
        (np.full((3, 2), 0.5), "normalised"),  # probabilities instead of their logarithms
        (np.full((3, 2), -np.inf), "normalised"),
        (np.full((3, 2), np.inf), "normalised"),
        (np.zeros((3, 0)), "shape"),
        (np.zeros(3), "shape"),
        (np.zeros((3, 1), dtype=int), "floats"),
    ],
)
@pytest.mark.parametrize("score", [exemplar_accuracy, clustering_scores])
def test_bad_posteriors_are_refused(score, bad: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        score(GOOD, bad)


def test_unknown_normaliser_is_refused() -> None:
    with pytest.raises(ValueError, match="max"):
        nmi(GOOD, GOOD, "max")  # type: ignore[arg-type]


def test_the_chance_level_of_many_clusters_is_far_above_the_floor():
    """Of 50 clusters on 1,600 points of ten classes, against fresh random partitions; of one cluster, the floor."""
    rng = np.random.default_rng(1)
    labels, clusters = np.repeat(np.arange(10), 160), np.tile(np.arange(50), 32)
    fresh = np.mean([many_to_one_accuracy(labels, rng.permutation(clusters)) for _ in range(200)])
    level = chance_level(many_to_one_accuracy, labels, rng.permutation(clusters))
    assert level == pytest.approx(fresh, abs=0.3) and level > 18
    assert chance_level(many_to_one_accuracy, labels, np.zeros(1600, int)) == 10
    # the mutual information of independent tables: (K - 1)(T - 1) / 2N nats in the leading order
    bits = chance_level(lambda t, k: nmi(t, k, "arithmetic"), labels, clusters)
    expected = 100 * (49 * 9 / 3200) / ((np.log(50) + np.log(10)) / 2)
    assert bits == pytest.approx(expected, rel=0.1)


@pytest.mark.parametrize(("points", "classes"), [(1, 3), (2, 3), (4, 3), (5, 2), (6, 4), (3, 1), (2, 10)])
def test_the_majority_by_chance_is_the_mean_over_all_labellings(points: int, classes: int) -> None:
    every = product(range(classes), repeat=points)
    by_hand = np.mean([np.bincount(labels).max() / points for labels in every])
    assert majority_by_chance(points, classes) == pytest.approx(100 * by_hand)


def test_the_majority_by_chance_is_what_random_clusters_of_equal_size_score() -> None:
    rng = np.random.default_rng(0)
    labels, clusters = rng.integers(10, size=200_000), np.arange(200_000) // 200
    assert majority_by_chance(200, 10) == pytest.approx(many_to_one_accuracy(labels, clusters), abs=0.1)


def test_the_chance_level_does_not_depend_on_how_good_the_clusters_are():
    labels = np.repeat(np.arange(5), 40)
    at_random = np.random.default_rng(7).permutation(labels)  # not the seed of the level's own
    perfect, poor = (chance_level(many_to_one_accuracy, labels, clusters) for clusters in (labels, at_random))
    assert perfect == pytest.approx(poor, abs=1.5) and perfect < 40
