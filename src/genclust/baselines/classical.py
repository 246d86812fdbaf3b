"""k-means, Gaussian mixtures and spectral clustering of the rows as they are, as scikit-learn fits them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from jaxtyping import Float
from scipy.special import log_softmax

from genclust.baselines.libraries import quiet
from genclust.settings import within

if TYPE_CHECKING:  # imported when a baseline is fitted: scikit-learn takes half a second
    from sklearn.cluster import KMeans
    from sklearn.mixture import GaussianMixture
    from sklearn.neighbors import KNeighborsClassifier


def posterior_of_distances(squares: Float[np.ndarray, "N K"]) -> Float[np.ndarray, "N K"]:
    r"""Log-responsibilities of a Gaussian mixture with equal weights and unit variances, from squared distances.

    k-means itself has no posterior; this one has the same assignments and orders points by confidence.
    """
    return log_softmax(-0.5 * squares, axis=1)


def log_of(probabilities: Float[np.ndarray, "N K"]) -> Float[np.ndarray, "N K"]:
    """Logarithms of probabilities, of which some may be zero."""
    return np.log(np.maximum(probabilities, np.finfo(np.float64).tiny))


@dataclass(frozen=True)
class KMeansSettings:
    """Settings of k-means, which keeps the best of ``n_init`` restarts by the sum of squared distances."""

    n_clusters: int = within(1, 10_000)
    n_init: int = within(1, 1000, default=10)

    def fit(self, x: Float[np.ndarray, "N D"], seed: int) -> KMeansBaseline:
        from sklearn.cluster import KMeans

        return KMeansBaseline(KMeans(self.n_clusters, n_init=self.n_init, random_state=seed).fit(x))


@dataclass(frozen=True)
class KMeansBaseline:
    """A fitted k-means clustering."""

    estimator: KMeans

    def cluster_posterior(self, x: Float[np.ndarray, "N D"]) -> Float[np.ndarray, "N K"]:
        """Log-responsibilities of unit Gaussians at the cluster centres (see `posterior_of_distances`)."""
        return posterior_of_distances(self.estimator.transform(x).astype(np.float64) ** 2)


@dataclass(frozen=True)
class GaussianMixtureSettings:
    """Settings of a Gaussian mixture that is fitted by EM, started from k-means."""

    n_clusters: int = within(1, 10_000)
    covariance: Literal["diag", "full", "tied"] = "diag"
    n_init: int = within(1, 1000, default=1)
    reg_covar: float = within(0, 1e6, default=1e-3)

    def fit(self, x: Float[np.ndarray, "N D"], seed: int) -> GaussianMixtureBaseline:
        from sklearn.mixture import GaussianMixture

        mixture = GaussianMixture(
            self.n_clusters,
            covariance_type=self.covariance,
            n_init=self.n_init,
            reg_covar=self.reg_covar,
            max_iter=200,
            random_state=seed,
        )
        return GaussianMixtureBaseline(mixture.fit(x))


@dataclass(frozen=True)
class GaussianMixtureBaseline:
    """A fitted Gaussian mixture."""

    estimator: GaussianMixture

    def cluster_posterior(self, x: Float[np.ndarray, "N D"]) -> Float[np.ndarray, "N K"]:
        """Log-responsibilities of the components, in nats."""
        return log_of(self.estimator.predict_proba(x))


@dataclass(frozen=True)
class SpectralSettings:
    """Settings of spectral clustering on a graph of nearest neighbours, which also vote on the clusters of new rows."""

    n_clusters: int = within(1, 10_000)
    n_neighbors: int = within(2, 1000, default=20)

    def fit(self, x: Float[np.ndarray, "N D"], seed: int) -> SpectralBaseline:
        from sklearn.cluster import SpectralClustering
        from sklearn.neighbors import KNeighborsClassifier

        spectral = SpectralClustering(
            self.n_clusters,
            affinity="nearest_neighbors",
            n_neighbors=self.n_neighbors,
            eigen_solver="lobpcg",  # the default factorises the graph, which takes memory and time with many rows
            random_state=seed,
        )
        with quiet():  # a graph in several parts is warned of
            labels = spectral.fit_predict(x)
        # Weighed by inverse distances, since then a row of the graph keeps the cluster that it has there.
        voters = KNeighborsClassifier(self.n_neighbors, weights="distance").fit(x, labels)
        return SpectralBaseline(voters, self.n_clusters)


@dataclass(frozen=True)
class SpectralBaseline:
    """A fitted spectral clustering."""

    estimator: KNeighborsClassifier
    n_clusters: int

    def cluster_posterior(self, x: Float[np.ndarray, "N D"]) -> Float[np.ndarray, "N K"]:
        """Logarithms of the votes for each cluster among the nearest rows of the graph."""
        votes = np.zeros((len(x), self.n_clusters))
        votes[:, self.estimator.classes_] = self.estimator.predict_proba(x)
        return log_of(votes)
