r"""Agglomerative information bottleneck: clusters are merged so that as little information as possible is lost.

Slonim and Tishby, "Agglomerative Information Bottleneck", NIPS, 1999, for a joint distribution :math:`P(s, t)` that is
symmetric, such as that of the clusters of two views of the same thing: both are merged alike.

.. math:: I(S;T) = \sum_{s,t} P(s,t) \log \frac{P(s,t)}{P(s)\,P(t)}
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int
from scipy.special import xlogy


def merge(joint: Float[np.ndarray, "S S"], n_clusters: int) -> Int[np.ndarray, " S"]:
    """Cluster 0 … K-1 of every value of S, after greedy merges that each lose the least mutual information.

    Each merge takes time and memory O(S²).

    Args:
        joint: symmetric joint distribution P(s, t).
        n_clusters: number K of clusters to stop at, at most S.
    """
    P, cluster = np.array(joint, np.float64), np.arange(len(joint))
    rows = np.stack([_less(row, P).sum(-1) for row in P])  # what merging s and t loses in all columns
    while len(P) > n_clusters:
        i, j = np.unravel_index(np.argmin(_losses(P, rows)), P.shape)
        i, j = min(i, j), max(i, j)
        for column in (P[:, i], P[:, j]):
            rows -= _less(column[:, None], column)
        P[i] += P[j]
        P[:, i] += P[:, j]
        P, rows = (np.delete(np.delete(of_pairs, j, 0), j, 1) for of_pairs in (P, rows))
        rows += _less(P[:, i, None], P[:, i])
        rows[i] = rows[:, i] = _less(P[i], P).sum(-1)
        cluster[cluster == j] = i
        cluster[cluster > j] -= 1
    return cluster


def _less(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """By how much p log p of a sum exceeds that of its parts."""
    return xlogy(a + b, a + b) - xlogy(a, a) - xlogy(b, b)


def _losses(P: Float[np.ndarray, "S S"], rows: Float[np.ndarray, "S S"]) -> Float[np.ndarray, "S S"]:
    """Mutual information that is lost where s and t are merged, for all pairs; infinite on the diagonal.

    ``rows`` holds what is lost in all columns, of which the two merged ones are counted apart.
    """
    m, diagonal = P.sum(0), P.diagonal()
    crossing = _less(diagonal[:, None], P) + _less(P, diagonal)
    corner = xlogy(c := diagonal[:, None] + diagonal + 2 * P, c)
    corner -= xlogy(diagonal, diagonal)[:, None] + xlogy(diagonal, diagonal) + 2 * xlogy(P, P)
    return 2 * _less(m[:, None], m) - 2 * (rows - crossing) - corner + np.diag(np.full(len(P), np.inf))
