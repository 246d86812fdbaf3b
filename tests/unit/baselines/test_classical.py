"""k-means, mixtures and spectral clustering against scikit-learn's own, fitted beside them."""

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.cluster import KMeans, SpectralClustering
from sklearn.datasets import load_digits
from sklearn.metrics import adjusted_rand_score
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import KNeighborsClassifier

from genclust.baselines import GaussianMixtureSettings, KMeansSettings
from genclust.baselines.classical import SpectralBaseline, SpectralSettings

X = load_digits().data[:400].astype(np.float64) / 16
REST = load_digits().data[400:500].astype(np.float64) / 16


@pytest.mark.parametrize("n_init", [1, 3])
def test_kmeans_is_scikit_learns_from_the_same_seed(n_init):
    """Ten digits have many local optima, so that other seeds or fewer restarts end elsewhere."""
    inertias = []
    for seed in range(4):
        peer = KMeans(10, n_init=n_init, random_state=seed).fit(X)
        fitted = KMeansSettings(10, n_init).fit(X, seed)
        np.testing.assert_allclose(fitted.estimator.cluster_centers_, peer.cluster_centers_)
        inertias.append(peer.inertia_)
        squares = ((REST[:, None] - peer.cluster_centers_) ** 2).sum(-1)
        found = np.exp(fitted.cluster_posterior(REST))
        np.testing.assert_allclose(found, softmax(-squares / 2, axis=1), rtol=1e-6, atol=1e-12)
        assert (found.argmax(1) == peer.predict(REST)).all()
    assert len(set(inertias)) > 1


@pytest.mark.parametrize("covariance", ["diag", "full", "tied"])
def test_the_mixture_is_scikit_learns_from_the_same_seed(covariance):
    likelihoods = []
    for seed in range(3):
        settings = {"covariance_type": covariance, "reg_covar": 0.01, "max_iter": 200}
        peer = GaussianMixture(6, random_state=seed, **settings).fit(X)
        fitted = GaussianMixtureSettings(6, covariance, reg_covar=0.01).fit(X, seed)
        found = np.exp(fitted.cluster_posterior(REST))
        np.testing.assert_allclose(found, peer.predict_proba(REST), rtol=1e-6, atol=1e-12)
        likelihoods.append(round(float(peer.score(X)), 9))
    assert len(set(likelihoods)) > 1


@pytest.mark.filterwarnings("ignore:Graph is not fully connected")
def test_spectral_clustering_is_scikit_learns_and_neighbours_vote_on_new_rows():
    for seed in range(2):
        peer = SpectralClustering(10, affinity="nearest_neighbors", n_neighbors=8, random_state=seed).fit_predict(X)
        fitted = SpectralSettings(10, n_neighbors=8).fit(X, seed)
        mine = fitted.cluster_posterior(X).argmax(1)
        assert adjusted_rand_score(mine, peer) > 0.99  # theirs is by another eigensolver
    distances = np.sqrt(((REST[:, None] - X) ** 2).sum(-1))
    votes = np.zeros((len(REST), 10))
    for i, nearest in enumerate(np.argsort(distances)[:, :8]):
        np.add.at(votes[i], mine[nearest], 1 / distances[i, nearest])
    eighth, ninth = np.sort(distances)[:, 7:9].T
    told = ninth > eighth + 1e-9  # of two that are as near either may be taken
    found = np.exp(fitted.cluster_posterior(REST))
    assert told.sum() > 50
    np.testing.assert_allclose(found[told], (votes / votes.sum(1, keepdims=True))[told], atol=1e-9)


def test_a_cluster_that_no_row_has_has_no_votes():
    """Three rows in two places make two clusters of the three asked for, of which the last may be empty."""
    fitted = SpectralBaseline(KNeighborsClassifier(1).fit([[0.0], [1.0]], [0, 2]), 3)
    assert np.exp(fitted.cluster_posterior(np.array([[0.1], [0.9]]))).round(9).tolist() == [[1, 0, 0], [0, 0, 1]]
