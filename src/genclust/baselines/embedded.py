"""Clusterings of what an embedding makes of the rows: an embedding, and clusters in its space."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from jaxtyping import Float

from genclust.baselines.classical import GaussianMixtureSettings, KMeansSettings

#: Clustering of the rows of an embedding.
Then = Literal["kmeans", "gmm"]


class Clusters(Protocol):
    """What has log-probabilities of clusters."""

    def cluster_posterior(self, x: Float[np.ndarray, "N D"]) -> Float[np.ndarray, "N K"]: ...


@dataclass(frozen=True)
class Embedded:
    """A fitted embedding and the clusters in its space.

    Attributes:
        embed: embedding of rows ``[N, D]``, new ones too, as ``[N, F]``.
        clusters: clusters of embedded rows.
        saved_seconds: time that fitting would have taken longer without what an earlier fit had kept.
    """

    embed: Callable[[Float[np.ndarray, "N D"]], Float[np.ndarray, "N F"]]
    clusters: Clusters
    saved_seconds: float = 0.0

    def cluster_posterior(self, x: Float[np.ndarray, "N D"]) -> Float[np.ndarray, "N K"]:
        """Log-probabilities of the clusters, in nats."""
        return self.clusters.cluster_posterior(self.embed(x))


def clustered(then: Then, n_clusters: int, z: Float[np.ndarray, "N F"], seed: int) -> Clusters:
    """Clusters of embedded rows by k-means or by a Gaussian mixture with full covariances, the best of ten starts.

    One start of a mixture often ends in a worse likelihood, as one of k-means does in a larger sum of squares.
    """
    if then == "kmeans":
        return KMeansSettings(n_clusters).fit(z, seed)
    return GaussianMixtureSettings(n_clusters, "full", n_init=10).fit(z, seed)
