r"""Agreement of clusters with classes: three accuracies, which must not be mixed, NMI and adjusted Rand index.

With :math:`n_{kt}` the number of points of class t in cluster k and N the number of points:

.. math::

    \mathrm{ACC}_{\text{Hungarian}} &= \tfrac1N \max_{\pi \text{ one-to-one}} \sum_k n_{k\,\pi(k)} \\
    \mathrm{ACC}_{\text{many-to-one}} &= \tfrac1N \sum_k \max_t n_{kt} \\
    \mathrm{ACC}_{\text{exemplar}} &= \tfrac1N \sum_k n_{k\,t_{e(k)}}, \quad e(k) = \arg\max_n q(k|x_n)

Classes and clusters are numbered from zero. All scores are in per cent.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
from jaxtyping import Float, Int
from scipy.fft import next_fast_len
from scipy.optimize import linear_sum_assignment
from scipy.special import logsumexp
from scipy.stats import poisson

Normaliser = Literal["geometric", "arithmetic"]

#: Number of permutations of the labels, drawn from seed 0, of which a chance level is the mean.
PERMUTATIONS = 20


def hungarian_accuracy(labels: Int[np.ndarray, " N"], clusters: Int[np.ndarray, " N"]) -> float:
    """Accuracy in per cent under the best one-to-one assignment of clusters to classes.

    The accuracy of DEC, IDEC, DCN, VaDE and "Is Simple Better?". With more clusters than classes the
    surplus clusters count as wrong.

    Args:
        labels: classes 0 … T-1.
        clusters: clusters 0 … K-1.

    Raises:
        ValueError: for arrays that are not non-negative integers of one length.
    """
    counts = _contingency(labels, clusters)
    return 100 * float(counts[linear_sum_assignment(counts, maximize=True)].sum()) / len(labels)


def many_to_one_accuracy(labels: Int[np.ndarray, " N"], clusters: Int[np.ndarray, " N"]) -> float:
    """Accuracy in per cent (purity) where every cluster takes its majority class.

    The accuracy of VLAC and its group. It never falls when a cluster is split, so it can be
    compared only at equal numbers of clusters.

    Args:
        labels: classes 0 … T-1.
        clusters: clusters 0 … K-1.

    Raises:
        ValueError: for arrays that are not non-negative integers of one length.
    """
    counts = _contingency(labels, clusters)
    return 100 * float(counts.max(axis=1).sum()) / len(labels)


def exemplar_accuracy(labels: Int[np.ndarray, " N"], log_posterior: Float[np.ndarray, "N K"]) -> float:
    """Accuracy in per cent where every cluster takes the label of its single most confident point.

    The accuracy of GMVAE, after adversarial autoencoders. The exemplar of cluster k is the point with the
    highest q(k|x) of all points, also those that fall into another cluster; of equally confident
    points the first one counts. A cluster that is no point's most probable one holds no points and
    so counts for nothing. One mislabelled exemplar turns a whole cluster wrong: expect high variance.

    A float32 probability saturates at one, and a float32 log-probability at zero, after which the first
    of many points would win whatever the model says. The confidences are therefore computed again in
    float64 from the gaps to the other clusters, which do not saturate.

    Args:
        labels: classes 0 … T-1.
        log_posterior: log q(k|x) of each point in nats; minus infinity is allowed.

    Raises:
        ValueError: for labels that are not non-negative integers, other lengths than the labels',
            NaN, or rows that are not normalised.
    """
    labels = _indices("labels", labels)
    log_q = _log_probabilities(log_posterior, len(labels))
    return 100 * float(np.mean(labels == labels[log_q.argmax(axis=0)[log_q.argmax(axis=1)]]))


def exemplars(log_posterior: Float[np.ndarray, "N K"]) -> Int[np.ndarray, " K"]:
    """Index of each cluster's exemplar, its most confident point, as in :func:`exemplar_accuracy`.

    Args:
        log_posterior: log q(k|x) of each point in nats.

    Raises:
        ValueError: for NaN, or rows that are not normalised.
    """
    return _log_probabilities(log_posterior, len(log_posterior)).argmax(axis=0)


def nmi(labels: Int[np.ndarray, " N"], clusters: Int[np.ndarray, " N"], normaliser: Normaliser) -> float:
    """Normalised mutual information (NMI) of classes and clusters, in per cent of the mean of their entropies.

    The papers of 2017 almost surely took the geometric mean, scikit-learn's default until 0.22; it is
    never below the value for the arithmetic mean. One class against one cluster scores 100.

    Args:
        labels: classes 0 … T-1.
        clusters: clusters 0 … K-1.
        normaliser: kind of mean of the two entropies to divide by.

    Raises:
        ValueError: for arrays that are not non-negative integers of one length, or another normaliser.
    """
    from sklearn.metrics import normalized_mutual_info_score  # here, as it takes half a second to import

    labels, clusters = _pair(labels, clusters)
    if normaliser not in ("geometric", "arithmetic"):
        raise ValueError(f"normaliser must be 'geometric' or 'arithmetic', not {normaliser!r}")
    return 100 * float(normalized_mutual_info_score(labels, clusters, average_method=normaliser))


def chance_level(
    score: Callable[[Int[np.ndarray, " N"], Int[np.ndarray, " N"]], float],
    labels: Int[np.ndarray, " N"],
    clusters: Int[np.ndarray, " N"],
) -> float:
    """Mean score of random clusters of the same sizes, from :data:`PERMUTATIONS` random permutations of the labels.

    Many clusters on few points agree with anything: 50 of equal size on 1,600 points of ten classes have a many-to-one
    accuracy of 19 %, where a single one has 10.

    Args:
        score: function of labels and clusters, such as :func:`many_to_one_accuracy`.
        labels: classes 0 … T-1.
        clusters: clusters 0 … K-1.
    """
    rng = np.random.default_rng(0)
    return float(np.mean([score(rng.permutation(labels), clusters) for _ in range(PERMUTATIONS)]))


def majority_by_chance(points: int, classes: int) -> float:
    r"""Share of the most frequent class, in per cent, to expect of points drawn from equally frequent classes.

    It is the many-to-one accuracy of clusters of so many points each that know nothing of the classes.  Exact: with M
    the number of points of the most frequent class,

    .. math::

        \Pr(M \le m) = \frac{n!}{T^n} [x^n] \Big(\sum_{j \le m} \frac{x^j}{j!}\Big)^T, \quad
        \mathbb E[M] = \sum_{m < n} \big(1 - \Pr(M \le m)\big).

    Args:
        points: number n of points in a cluster.
        classes: number T of classes.

    Raises:
        ValueError: if one of the two is below 1.

    Example:
        >>> round(majority_by_chance(32, 10))
        19
    """
    if points < 1 or classes < 1:
        raise ValueError(f"points and classes must be 1 or more, not {points} and {classes}")
    # Numbers of points of the classes are Poisson variables, given their sum.
    counts = np.arange(points + 1)
    mass = poisson.pmf(counts, points / classes)
    length = next_fast_len(classes * points + 1)  # enough for all sums, so that the cyclic convolution is none
    least = -(-points // classes)  # points that the most frequent class has at least
    expected = float(least)
    for m in range(least, points):
        of_all = np.fft.irfft(np.fft.rfft(np.where(counts <= m, mass, 0), length) ** classes, length)
        more = 1 - of_all[points] / poisson.pmf(points, points)
        if more < 1e-12:  # and less for all that follow
            break
        expected += more
    return 100 * float(expected) / points


def clustering_scores(labels: Int[np.ndarray, " N"], log_posterior: Float[np.ndarray, "N K"]) -> dict[str, float]:
    """All scores of the clustering that puts every point into its most probable cluster.

    Args:
        labels: classes 0 … T-1.
        log_posterior: log q(k|x) of each point in nats; of equally probable clusters the first one counts.

    Returns:
        ``acc_hungarian``, ``acc_many_to_one``, ``acc_exemplar``, ``nmi_geometric``, ``nmi_arithmetic`` and
        ``ari`` (adjusted Rand index: 0 for clusters at random, 100 for the classes) in per cent, and
        ``clusters_used``, the number of clusters with at least one point.

    Raises:
        ValueError: as :func:`exemplar_accuracy`.
    """
    from sklearn.metrics import adjusted_rand_score

    labels = _indices("labels", labels)
    clusters = _log_probabilities(log_posterior, len(labels)).argmax(axis=1)
    return {
        "acc_hungarian": hungarian_accuracy(labels, clusters),
        "acc_many_to_one": many_to_one_accuracy(labels, clusters),
        "acc_exemplar": exemplar_accuracy(labels, log_posterior),
        "nmi_geometric": nmi(labels, clusters, "geometric"),
        "nmi_arithmetic": nmi(labels, clusters, "arithmetic"),
        "ari": 100 * float(adjusted_rand_score(labels, clusters)),
        "clusters_used": len(np.unique(clusters)),
    }


def _contingency(labels: np.ndarray, clusters: np.ndarray) -> Int[np.ndarray, "K T"]:
    """Contingency table: number of points for each pair of cluster and class."""
    labels, clusters = _pair(labels, clusters)
    K, T = clusters.max() + 1, labels.max() + 1
    return np.bincount(clusters * T + labels, minlength=K * T).reshape(K, T)


def _log_probabilities(log_posterior: np.ndarray, n: int) -> Float[np.ndarray, "N K"]:
    """Log-posterior after checks, normalised again in float64 so that it does not saturate at zero."""
    log_q = np.asarray(log_posterior)
    if log_q.ndim != 2 or log_q.shape[1] == 0 or not np.issubdtype(log_q.dtype, np.floating):
        raise ValueError(f"log_posterior must be floats of shape [N, K], not {log_q.dtype} of shape {log_q.shape}")
    if len(log_q) != n:
        raise ValueError(f"labels and log_posterior must be equally long, not {n} and {len(log_q)}")
    log_q = log_q.astype(np.float64)
    if np.isnan(log_q).any():
        raise ValueError(f"log_posterior holds NaN, first in row {np.isnan(log_q).any(axis=1).argmax()}")
    total = logsumexp(log_q, axis=1)
    wrong = ~(np.abs(total) < 1e-3)  # rounding of float32 stays far below, also for a thousand clusters
    if wrong.any():
        row = wrong.argmax()
        raise ValueError(
            f"log_posterior must hold normalised log-probabilities, but row {row} sums to e^{total[row]:.4g}"
        )

    rows, top = np.arange(len(log_q)), log_q.argmax(axis=1)
    gaps = log_q - log_q[rows, top][:, None]
    others = np.exp(gaps)
    others[rows, top] = 0
    # log(1 + r) for the remainder r; its sum with 1 would round to 1 from r = 1e-16 on
    return gaps - np.log1p(others.sum(axis=1))[:, None]


def _pair(labels: np.ndarray, clusters: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    labels, clusters = _indices("labels", labels), _indices("clusters", clusters)
    if len(labels) != len(clusters):
        raise ValueError(f"labels and clusters must be equally long, not {len(labels)} and {len(clusters)}")
    return labels, clusters


def _indices(name: str, values: np.ndarray) -> Int[np.ndarray, " N"]:
    """``values`` as int64; raises a ValueError if they are not a vector of non-negative integers."""
    values = np.asarray(values)
    if values.ndim != 1 or values.size == 0:
        raise ValueError(f"{name} must be a non-empty array of one dimension, not of shape {values.shape}")
    if not np.issubdtype(values.dtype, np.integer):
        raise ValueError(f"{name} must be integers, not {values.dtype}")
    if values.min() < 0:
        raise ValueError(f"{name} must not be negative, but hold {values.min()}")
    return values.astype(np.int64)
