"""Projection of representations to two dimensions by t-SNE."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

PERPLEXITY = 30


def tsne(features: Float[np.ndarray, "N F"], seed: int) -> Float[np.ndarray, "N 2"]:
    """t-SNE of the features: perplexity 30, started from their first two principal components.

    Distances between far groups and the sizes of groups mean nothing in the result; neighbourhoods do.

    Args:
        features: at least 31 points of at least 2 features.
        seed: seed of the random numbers in the approximate decomposition and descent.

    Returns:
        float32 positions without a unit.

    Raises:
        ValueError: for features that are not finite or do not differ, too few points or too few features.
    """
    features = np.asarray(features)
    if wrong := unfit(features):
        raise ValueError(wrong)
    from sklearn.manifold import TSNE  # here, as it takes half a second to import

    projection = TSNE(perplexity=PERPLEXITY, init="pca", random_state=seed).fit_transform(features)
    return projection.astype(np.float32)


def unfit(features: np.ndarray) -> str:
    """Sentence on why features have no t-SNE; empty if they have one."""
    if features.ndim != 2 or features.shape[1] < 2 or len(features) <= PERPLEXITY:
        shape = f"more than {PERPLEXITY} points and at least 2 features; its shape is {features.shape}"
        return f"features must be a matrix of {shape}"
    if not np.isfinite(features).all():
        return "features must be finite"
    # scikit-learn's t-SNE kills the process where all points are the same, or their squares overflow.
    spread = float(np.var(features, axis=0, dtype=np.float64).sum())
    if not float(np.finfo(np.float32).tiny) < spread < float(np.finfo(np.float32).max):
        return "features must differ from point to point, within what float32 can hold"
    return ""
