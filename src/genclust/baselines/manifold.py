"""UMAP and a clustering of its coordinates: k-means or a Gaussian mixture."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from jaxtyping import Float

from genclust.baselines.embedded import Embedded, Then, clustered
from genclust.baselines.libraries import quiet
from genclust.settings import within


@dataclass(frozen=True)
class UMAPSettings:
    """Settings of UMAP, after PCA to ``pca`` components (0: without it), and of the clustering of its coordinates."""

    needs: ClassVar = ("umap",)
    n_clusters: int = within(1, 10_000)
    then: Then = "gmm"
    n_components: int = within(1, 1000, default=10)
    n_neighbors: int = within(2, 1000, default=20)
    min_dist: float = within(0, 1, default=0.0)
    metric: Literal["euclidean", "cosine"] = "euclidean"
    pca: int = within(0, 100_000, default=0)

    def fit(self, x: Float[np.ndarray, "N D"], seed: int) -> Embedded:
        reduce = principal_components(x, self.pca, seed) if self.pca else lambda rows: rows
        coordinates = umap(reduce(x), seed, self.n_components, self.n_neighbors, self.min_dist, self.metric)
        return Embedded(
            lambda rows: coordinates(reduce(rows)),
            clustered(self.then, self.n_clusters, coordinates(reduce(x)), seed),
        )


def principal_components(x: Float[np.ndarray, "N D"], n: int, seed: int) -> Callable[[Any], Any]:
    """Projection on the first ``n`` principal components of ``x``, or on all if it has fewer."""
    from sklearn.decomposition import PCA

    return PCA(min(n, *x.shape), random_state=seed).fit(x).transform


def umap(
    x: Float[np.ndarray, "N D"], seed: int, n_components: int, n_neighbors: int, min_dist: float, metric: str
) -> Callable[[Any], Any]:
    """UMAP fitted to ``x``: a function of rows, which gives those of ``x`` the coordinates of the fit."""
    with quiet():
        from umap import UMAP

        fitted = UMAP(n_neighbors, n_components, metric=metric, min_dist=min_dist, random_state=seed).fit(x)

    def coordinates(rows: Float[np.ndarray, "N D"]) -> Float[np.ndarray, "N F"]:
        with quiet():
            return fitted.transform(rows)

    return coordinates
