"""k-means and Gaussian mixtures on the raw data, as scikit-learn fits them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from jaxtyping import Float
from scipy.special import log_softmax

from genclust.settings import within

if TYPE_CHECKING:  # imported when a baseline is fitted: scikit-learn takes half a second
    from sklearn.cluster import KMeans
    from sklearn.mixture import GaussianMixture


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
        r"""Log-responsibilities of a Gaussian mixture with equal weights and unit variances at the cluster centres.

        k-means itself has no posterior; this one has the same assignments and orders points
        by confidence.
        """
        return log_softmax(-0.5 * self.estimator.transform(x).astype(np.float64) ** 2, axis=1)


@dataclass(frozen=True)
class GaussianMixtureSettings:
    """Settings of a Gaussian mixture that is fitted by EM, started from k-means."""

    n_clusters: int = within(1, 10_000)
    covariance: Literal["diag", "full"] = "diag"
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
        return np.log(np.maximum(self.estimator.predict_proba(x), np.finfo(np.float64).tiny))
