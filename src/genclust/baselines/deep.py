"""ClustPy's deep clustering: DEC, IDEC and DCN from the pretrained autoencoder of a seed, and VaDE from its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Literal

import numpy as np
from jaxtyping import Float
from scipy.spatial.distance import cdist
from scipy.special import log_softmax

from genclust.baselines import clustpy
from genclust.baselines.autoencoder import CODE, HIDDEN, encode, pretrained
from genclust.baselines.classical import GaussianMixtureBaseline, posterior_of_distances
from genclust.baselines.embedded import Embedded
from genclust.baselines.libraries import quiet
from genclust.settings import later, within


@dataclass(frozen=True)
class Centres:
    """Cluster centres in an embedding, and what squared distances to them say of the clusters."""

    centres: Float[np.ndarray, "K F"]
    posterior: Callable[[Float[np.ndarray, "N K"]], Float[np.ndarray, "N K"]]

    def cluster_posterior(self, x: Float[np.ndarray, "N F"]) -> Float[np.ndarray, "N K"]:
        return self.posterior(cdist(x, self.centres, "sqeuclidean"))


def student_posterior(squares: Float[np.ndarray, "N K"]) -> Float[np.ndarray, "N K"]:
    """DEC's log q(k|z): Student's t-distributions of one degree of freedom about the centres, normalised."""
    return log_softmax(-np.log1p(squares), axis=1)


@dataclass(frozen=True)
class _FromAutoencoder:
    """Settings of a method of ClustPy's that starts from a pretrained autoencoder, at its defaults otherwise."""

    needs: ClassVar = ("clustpy",)
    method: ClassVar[str]
    centres: ClassVar[str]
    posterior: ClassVar[Any]
    n_clusters: int = within(1, 10_000)
    pretrain_epochs: int = within(1, 10_000, default=100)
    clustering_epochs: int = within(1, 10_000, default=150)

    @property
    def loss_weights(self) -> dict[str, float]:
        """Weights of terms of the loss, by ClustPy's names; of those that are not named it takes its defaults."""
        return {}

    def fit(self, x: Float[np.ndarray, "N D"], seed: int) -> Embedded:
        autoencoder = pretrained(x, seed, self.pretrain_epochs)
        with quiet():
            method = getattr(clustpy.deep(), self.method)(
                self.n_clusters,
                neural_network=autoencoder.network,
                clustering_epochs=self.clustering_epochs,
                device="cpu",
                random_state=seed,
                **self.loss_weights,
            ).fit(x)
        centres = Centres(getattr(method, self.centres), self.posterior)
        return Embedded(partial(encode, method.neural_network_trained_), centres, autoencoder.saved_seconds)


@dataclass(frozen=True)
class DECSettings(_FromAutoencoder):
    """Settings of deep embedded clustering (Xie et al. 2016); its own soft assignments are scored."""

    method, centres, posterior = "DEC", "dec_cluster_centers_", staticmethod(student_posterior)


@dataclass(frozen=True)
class IDECSettings(_FromAutoencoder):
    """Settings of DEC that keeps reconstructing (Guo et al. 2017); its own soft assignments are scored.

    ``clustering_loss_weight`` is that of the clustering loss, in nats per row, beside the square error *summed* over
    the columns.  The default is ClustPy's; the code of IDEC's authors has 0.1 beside the *mean* over the columns.
    """

    method, centres, posterior = "IDEC", "dec_cluster_centers_", staticmethod(student_posterior)
    clustering_loss_weight: float = later(0.1, 0, 1e6)

    @property
    def loss_weights(self) -> dict[str, float]:
        return {"clustering_loss_weight": self.clustering_loss_weight}


@dataclass(frozen=True)
class DCNSettings(_FromAutoencoder):
    """Settings of the deep clustering network (Yang et al. 2017); its own centres are scored, as those of k-means."""

    method, centres, posterior = "DCN", "dcn_cluster_centers_", staticmethod(posterior_of_distances)


@dataclass(frozen=True)
class VaDESettings:
    """Settings of variational deep embedding (Jiang et al. 2017), at ClustPy's defaults otherwise.

    Scored is what ClustPy predicts by: a Gaussian mixture of the codes' means, started at VaDE's own means.  Values
    outside [0, 1] need the likelihood ``gaussian``: the square error, and a decoder that ends linearly.
    """

    needs: ClassVar = ("clustpy",)
    n_clusters: int = within(1, 10_000)
    likelihood: Literal["bernoulli", "gaussian"] = "bernoulli"
    pretrain_epochs: int = within(1, 10_000, default=100)
    clustering_epochs: int = within(1, 10_000, default=150)

    def fit(self, x: Float[np.ndarray, "N D"], seed: int) -> Embedded:
        from sklearn.mixture import GaussianMixture

        deep = clustpy.deep()
        linear = {"layers": [x.shape[1], *HIDDEN, CODE], "decoder_output_fn": None}
        gaussian = {"ssl_loss_fn": deep.mean_squared_error, "neural_network": (deep.vade._VaDE_VAE, linear)}
        with quiet():
            method = deep.VaDE(
                self.n_clusters,
                pretrain_epochs=self.pretrain_epochs,
                clustering_epochs=self.clustering_epochs,
                device="cpu",
                random_state=seed,
                **(gaussian if self.likelihood == "gaussian" else {}),
            ).fit(x)
        mixture = GaussianMixture(self.n_clusters)
        mixture.means_, mixture.covariances_ = method.cluster_centers_, method.covariances_
        mixture.weights_ = method.weights_
        mixture.precisions_cholesky_ = np.linalg.cholesky(np.linalg.inv(method.covariances_))
        return Embedded(partial(encode, method.neural_network_trained_), GaussianMixtureBaseline(mixture))
