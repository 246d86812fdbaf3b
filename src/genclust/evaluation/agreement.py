r"""Agreement of several clusterings of the same points, which can be measured without labels.

Three questions, all asked of the labels that clusterings give to N common points:

- Does one seed find what the others find?  :func:`agreement`.
- What do all seeds say together?  :func:`consensus`.
- Does another sample of the data lead to the same clusters?  :func:`stability`.

Agreement is the adjusted Rand index: 1 for the same partition, 0 in the mean for clusters at random, and it may be
negative.  The numbers that clusters have do not matter to it.  Agreement says that a result comes out again, and not
that it is right: clusterings may agree on the wrong thing, and a model that puts every point into one cluster agrees
with itself perfectly.

Where the methods come from: combining clusterings when nothing is known of the points but their labels is the problem
of Strehl and Ghosh (2002, "Cluster ensembles").  Renumbering the clusters of each clustering to fit a reference, and
then letting every clustering vote on every point, is what Dudoit and Fridlyand (2003, "Bagging to improve the accuracy
of a clustering procedure") do with clusterings of bootstrap samples.  Fred and Jain (2005, "Combining multiple
clusterings using evidence accumulation") count for each pair of points how often the two share a cluster, and cluster
the matrix of these counts.  It has N² entries, 4.9 thousand million for 70,000 points, so here it is only what the
tests compare the votes with.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import linear_sum_assignment

Labels = Int[np.ndarray, " N"]

#: Largest number of rounds of votes, if they do not settle before.
MOST_ROUNDS = 100


def agreement(labels: Int[np.ndarray, "R N"]) -> Float[np.ndarray, " R"]:
    """Mean adjusted Rand index of each seed's clusters with those of the other seeds.

    Args:
        labels: cluster of each of N points for each of R seeds; only which points share a cluster matters.

    Returns:
        One number for each seed, at most 1; NaN for a single seed, which has nothing to agree with.

    Raises:
        ValueError: for labels that are not non-negative integers of shape ``[R, N]``, with a seed and a point.
    """
    from sklearn.metrics import adjusted_rand_score  # here, as it takes half a second to import

    labels = _checked(labels)
    R = len(labels)
    if R == 1:
        return np.array([np.nan])
    pairs = np.zeros((R, R))
    for r in range(R):
        for other in range(r):
            pairs[r, other] = pairs[other, r] = adjusted_rand_score(labels[r], labels[other])
    return pairs.sum(axis=1) / (R - 1)


def consensus(labels: Int[np.ndarray, "R N"], n_clusters: int) -> Labels:
    """Consensus clustering of all seeds: their clusters are matched, and every seed votes on every point.

    The reference is at first the seed that agrees best with the others (:func:`agreement`).  In each round the clusters
    of every seed are numbered as the reference numbers them, by the one-to-one assignment that keeps most points in
    their cluster (the Hungarian method), and the votes make the next reference, until it stays as it is.

    It takes ``R N + R K³`` steps per round, so 70,000 points and ten seeds are no burden.  The result is deterministic:
    of seeds that agree equally well the first is the reference, and of clusters with equally many votes a point gets
    the one that it has in the reference, or else the first.

    Args:
        labels: clusters 0 … K-1 of each of N points for each of R seeds.
        n_clusters: number K of clusters of every seed.

    Returns:
        A cluster 0 … K-1 for each point, numbered as the first reference numbers them.

    Raises:
        ValueError: as :func:`agreement`, and for a cluster that is not below ``n_clusters``.
    """
    labels = _checked(labels)
    if labels.max() >= n_clusters:
        raise ValueError(f"labels must lie between 0 and {n_clusters - 1}, but hold {labels.max()}")
    points = np.arange(labels.shape[1])
    reference = labels[0] if len(labels) == 1 else labels[np.argmax(agreement(labels))]
    for _ in range(MOST_ROUNDS):
        votes = np.zeros((labels.shape[1], n_clusters))
        for of_seed in labels:
            votes[points, _renumbered(of_seed, reference, n_clusters)] += 1
        votes[points, reference] += 0.5  # decides between equal votes and nothing else
        voted = votes.argmax(axis=1)
        if (voted == reference).all():
            break
        reference = voted
    return reference


def stability(
    fit_predict: Callable[[np.ndarray, np.ndarray, int], Labels],
    x: Float[np.ndarray, "N D"],
    rounds: int = 10,
    samples: Literal["halves", "bootstraps"] = "halves",
    seed: int = 0,
) -> Float[np.ndarray, " rounds"]:
    """Adjusted Rand index of clusterings fitted to two random samples of the same data, for each round.

    In each round two samples of the rows are drawn, the method is fitted to one and to the other, both fits put all
    rows of ``x`` into clusters, and the adjusted Rand index compares the two.  Unlike the agreement of seeds on all of
    the data, it also tells whether a few rows decide what is found.

    Args:
        fit_predict: function of the rows to fit to ``[n, D]``, all rows ``[N, D]`` and a seed; returns the cluster
            of each of all rows.
        x: data, one row per point, at least two rows.
        rounds: number of pairs of samples.
        samples: ``halves``, which share no row, or ``bootstraps``, N rows drawn with replacement.
        seed: seed of the samples and of the seeds that ``fit_predict`` gets, which are all different.

    Returns:
        The index of each round, at most 1; their mean is the stability.

    Raises:
        ValueError: for fewer than two rows or one round, another kind of samples, or clusters not of all rows.
    """
    from sklearn.metrics import adjusted_rand_score

    N = len(x)
    if N < 2 or rounds < 1:
        raise ValueError(f"stability needs two rows and one round at least, not {N} and {rounds}")
    if samples not in ("halves", "bootstraps"):
        raise ValueError(f"samples must be 'halves' or 'bootstraps', not {samples!r}")
    rng = np.random.default_rng(seed)
    indices = []
    for at in range(rounds):
        order = rng.permutation(N)
        drawn = (order[: N // 2], order[N // 2 :]) if samples == "halves" else rng.integers(N, size=(2, N))
        first, second = (
            np.asarray(fit_predict(x[rows], x, 2 * rounds * seed + 2 * at + which)) for which, rows in enumerate(drawn)
        )
        if first.shape != (N,) or second.shape != (N,):
            raise ValueError(f"fit_predict must return the cluster of all {N} rows, not {first.shape}")
        indices.append(float(adjusted_rand_score(first, second)))
    return np.array(indices)


def _renumbered(labels: Labels, reference: Labels, n_clusters: int) -> Labels:
    """Clusters renumbered like the clusters of the reference with which they share most points."""
    shared = np.bincount(labels * n_clusters + reference, minlength=n_clusters**2).reshape(n_clusters, n_clusters)
    return linear_sum_assignment(shared, maximize=True)[1][labels]


def _checked(labels: np.ndarray) -> Int[np.ndarray, "R N"]:
    """``labels`` as int64; raises a ValueError if they are not non-negative integers ``[R, N]``."""
    labels = np.asarray(labels)
    if labels.ndim != 2 or labels.size == 0 or not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(f"labels must be integers of shape [seeds, points], not {labels.dtype} of {labels.shape}")
    if labels.min() < 0:
        raise ValueError(f"labels must not be negative, but hold {labels.min()}")
    return labels.astype(np.int64)
