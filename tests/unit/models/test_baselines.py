"""k-means and mixtures against scikit-learn's own, fitted beside them."""

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.cluster import KMeans
from sklearn.datasets import load_digits
from sklearn.mixture import GaussianMixture

from genclust.models.baselines import GaussianMixtureSettings, KMeansSettings

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


@pytest.mark.parametrize("covariance", ["diag", "full"])
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
