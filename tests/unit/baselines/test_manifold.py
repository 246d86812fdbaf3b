"""UMAP and a clustering, and N2D, against the libraries called one by one.

They stand in one file, and so run in one process, since most of their time goes into compiling UMAP.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.metrics import adjusted_rand_score
from sklearn.mixture import GaussianMixture

from genclust.baselines.autoencoder import N2DSettings, pretrained
from genclust.baselines.manifold import UMAPSettings

umap = pytest.importorskip("umap", reason="umap-learn is not installed; `make baselines` installs it")
X, Y = load_digits(return_X_y=True)
X = (X / 16).astype(np.float32)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of UMAP's own
def test_umap_and_a_mixture_are_the_libraries_own() -> None:
    settings = UMAPSettings(10, "gmm", n_components=3, n_neighbors=10, pca=20)
    threads = torch.get_num_threads()
    fitted = settings.fit(X[:600], 4)
    assert torch.get_num_threads() == threads
    reduced = PCA(20, random_state=4).fit(X[:600])
    peer = umap.UMAP(n_neighbors=10, n_components=3, min_dist=0.0, random_state=4)
    places = peer.fit_transform(reduced.transform(X[:600]))
    mixture = GaussianMixture(10, reg_covar=1e-3, n_init=10, max_iter=200, random_state=4).fit(places)
    np.testing.assert_allclose(
        np.exp(fitted.cluster_posterior(X[:600])), mixture.predict_proba(places), atol=1e-6
    )  # at the places of the fit
    new = mixture.predict(peer.transform(reduced.transform(X[600:900])))
    assert (fitted.cluster_posterior(X[600:900]).argmax(1) == new).all()
    assert adjusted_rand_score(Y[600:900], new) > 0.6
    again = settings.fit(X[:600], 4)
    assert np.array_equal(again.cluster_posterior(X[:600]), fitted.cluster_posterior(X[:600]))
    other = settings.fit(X[:600], 5)
    assert not np.allclose(other.embed(X[:600]), fitted.embed(X[:600]))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of UMAP's own
def test_n2d_is_umap_of_the_code_and_a_mixture_as_the_libraries_fit_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("clustpy", reason="ClustPy is not installed; `make baselines` installs it")
    monkeypatch.setenv("GENCLUST_CACHE", str(tmp_path))
    x = X[:500]
    fitted = N2DSettings(10, pretrain_epochs=2).fit(x, 3)
    code = pretrained(x, 3, 2).encode(x)
    theirs = umap.UMAP(n_components=10, n_neighbors=20, min_dist=0.0, random_state=3).fit(code).embedding_
    np.testing.assert_allclose(fitted.embed(x), theirs, atol=1e-3)
    mixture = GaussianMixture(10, n_init=10, reg_covar=1e-3, max_iter=200, random_state=3).fit(theirs)
    assert adjusted_rand_score(fitted.cluster_posterior(x).argmax(1), mixture.predict(theirs)) > 0.99
