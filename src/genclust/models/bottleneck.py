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

    Args:
        joint: symmetric joint distribution P(s, t).
        n_clusters: number K of clusters to stop at, at most S.
    """
    P, cluster = np.array(joint, np.float64), np.arange(len(joint))
    while len(P) > n_clusters:
        i, j = np.unravel_index(np.argmin(_losses(P)), P.shape)
        i, j = min(i, j), max(i, j)
        P[i] += P[j]
        P[:, i] += P[:, j]
        P = np.delete(np.delete(P, j, 0), j, 1)
        cluster[cluster == j] = i
        cluster[cluster > j] -= 1
    return cluster


def _losses(P: Float[np.ndarray, "S S"]) -> Float[np.ndarray, "S S"]:
    """Mutual information that is lost where s and t are merged, for all pairs; infinite on the diagonal."""

    def less(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """By how much p log p of a sum exceeds that of its parts."""
        return xlogy(a + b, a + b) - xlogy(a, a) - xlogy(b, b)

    m, diagonal = P.sum(0), P.diagonal()
    rows = less(P[:, None], P[None]).sum(-1)  # over all columns, of which the two merged ones are counted apart
    crossing = less(diagonal[:, None], P) + less(P, diagonal)
    corner = xlogy(c := diagonal[:, None] + diagonal + 2 * P, c)
    corner -= xlogy(diagonal, diagonal)[:, None] + xlogy(diagonal, diagonal) + 2 * xlogy(P, P)
    return 2 * less(m[:, None], m) - 2 * (rows - crossing) - corner + np.diag(np.full(len(P), np.inf))
