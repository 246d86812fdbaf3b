"""Estimators small enough to be fitted in a fraction of a second, and data that suit them."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.datasets import load_digits

from genclust import GMVAE, IWAE, LVAE, VAE, VLAC, CaGeM, GumbelClustering, SplitMerge
from genclust.estimators.base import DeepEstimator

_TRAINING = {"epochs": 2, "batch_size": 128}
TINY: dict[str, tuple[type[DeepEstimator], dict[str, Any]]] = {
    "GumbelClustering": (GumbelClustering, {"n_clusters": 3, "hidden": (8, 4), "feature_dim": 4, "latent_dim": 2}),
    "GMVAE": (GMVAE, {"n_clusters": 3, "hidden": 8, "x_dim": 2, "w_dim": 2}),
    "CaGeM": (CaGeM, {"n_clusters": 3, "hidden": 8, "z1_dim": 2, "z2_dim": 2}),
    "VLAC": (VLAC, {"n_clusters": 3, "z_dims": (2, 2), "channels": (2, 2), "dense": 4}),
    "SplitMerge": (SplitMerge, {"n_clusters": 3, "subclusters": 4, "hidden": (8, 8)}),
    "VAE": (VAE, {"z_dims": (2,), "hidden": (8,)}),
    "IWAE": (IWAE, {"z_dims": (2,), "hidden": (8,), "samples": 3}),
    "LVAE": (LVAE, {"z_dims": (2, 2), "hidden": (8, 8)}),
}
NAMES = list(TINY)
CLUSTERERS = ["GumbelClustering", "GMVAE", "CaGeM", "VLAC", "SplitMerge"]
GENERATIVE = [name for name in NAMES if name != "SplitMerge"]
DENSITIES = ["CaGeM", "VAE", "IWAE", "LVAE"]


def tiny(name: str, **parameters: Any) -> Any:
    """An estimator that is not fitted yet."""
    cls, small = TINY[name]
    return cls(**{**small, **_TRAINING, "random_state": 0, **parameters})


def images(n: int = 120) -> np.ndarray:
    """Handwritten digits of 8 × 8 grey values in [0, 1], multiples of 1/16."""
    return load_digits().images[:n] / 16


def rows(n: int = 120) -> np.ndarray:
    """The same as rows."""
    return load_digits().data[:n] / 16


def blobs(n: int = 300, d: int = 8, clusters: int = 3, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Rows in [0, 1] of well separated clusters, each with columns of its own near one, and their clusters."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % clusters
    centres = np.where(np.arange(d) % clusters == np.arange(clusters)[:, None], 0.9, 0.1)
    return np.clip(centres[y] + rng.normal(0, 0.03, (n, d)), 0, 1), y
