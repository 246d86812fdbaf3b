"""What a fit found: typical rows of every cluster, a table, a picture, and scores where labels are known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from matplotlib.figure import Figure
from scipy import sparse

from genclust.estimators.base import DeepEstimator
from genclust.estimators.clustering import ClusterEstimator
from genclust.estimators.inputs import as_rows
from genclust.evaluation.agreement import agreement
from genclust.evaluation.clustering import clustering_scores
from genclust.figures.clusters import cluster_images, cluster_table

#: Clusters, and images of each, that a picture shows at most.
MOST_CLUSTERS, IMAGES = 30, 6
#: Scores against labels that are printed.
SCORES = ("acc_hungarian", "acc_many_to_one", "nmi_arithmetic", "ari")


def assignments(model: ClusterEstimator, X: Any, names: list[str]) -> pd.DataFrame:
    """Name, most probable cluster and its probability, for every row of X."""
    probabilities = model.predict_proba(X)
    return pd.DataFrame(
        {
            "name": names,
            "cluster": probabilities.argmax(1),
            "probability": probabilities.max(1).astype(np.float64).round(4),
        }
    )


def typical_rows(model: ClusterEstimator, X: Any, n: int) -> Int[np.ndarray, "K n"]:
    """The ``n`` rows of every cluster whose embedding is nearest to the mean of the cluster's; -1 where it has fewer.

    The first is the cluster's medoid, as far as a mean tells.
    """
    z, clusters = model.transform(X).astype(np.float64), model.predict(X)
    typical = np.full((model.n_clusters_, n), -1)
    for k in range(len(typical)):
        rows = np.flatnonzero(clusters == k)
        if len(rows):
            nearest = rows[np.argsort(((z[rows] - z[rows].mean(0)) ** 2).sum(1), kind="stable")][:n]
            typical[k, : len(nearest)] = nearest
    return typical


def seeds_agree(model: ClusterEstimator) -> Float[np.ndarray, " R"]:
    """Mean adjusted Rand index of each seed's clusters with those of the other seeds, from -1 to 1."""
    return agreement(model.all_labels_)


def scores(model: ClusterEstimator, X: Any, labels: np.ndarray) -> dict[str, float]:
    """Accuracies, normalised mutual information and adjusted Rand index against labels of any kind, in per cent."""
    _, classes = np.unique(labels, return_inverse=True)
    with np.errstate(divide="ignore"):
        all_scores = clustering_scores(classes, np.log(model.predict_proba(X)))
    return {name: all_scores[name] for name in SCORES}


def summary(model: ClusterEstimator, X: Any, names: list[str]) -> pd.DataFrame:
    """Of every cluster in use: rows, share in per cent, mean probability, and the name of its most typical row."""
    found = assignments(model, X, names)
    medoids = typical_rows(model, X, 1)[:, 0]
    sizes = np.bincount(found.cluster, minlength=len(medoids))
    used = np.flatnonzero(sizes)
    return pd.DataFrame(
        {
            "cluster": used,
            "rows": sizes[used],
            "share (%)": (100 * sizes[used] / len(found)).round(1),
            "probability": found.groupby("cluster").probability.mean()[used].round(2).to_numpy(),
            "most typical row": [names[row] for row in medoids[used]],
        }
    )


def picture(model: ClusterEstimator, X: Any, columns: list[str] | None = None) -> Figure:
    """The clusters in use, the largest first: typical rows and samples of images, or medoids of a table."""
    sizes = np.bincount(model.predict(X), minlength=model.n_clusters_)
    clusters = [int(k) for k in np.argsort(-sizes, kind="stable")[:MOST_CLUSTERS] if sizes[k]]
    names = [f"{k} ({sizes[k]:,})" for k in clusters]
    rows, image = as_rows(X)
    typical = typical_rows(model, X, IMAGES)[clusters]
    if image is None:
        dense = (rows.toarray() if sparse.issparse(rows) else np.asarray(rows)).astype(np.float64)
        standard = (dense - dense.mean(0)) / np.where(dense.std(0) > 0, dense.std(0), 1)
        return cluster_table(standard[typical[:, 0]], names, columns or [f"x{i}" for i in range(dense.shape[1])])
    shape = (*image, 1)[:3]
    shown = model.scaling_.to_unit(model.scaling_.apply(rows[typical.clip(0).ravel()]))
    shown = shown.reshape(*typical.shape, *shape) * (typical >= 0)[..., None, None, None]
    samples = np.stack([model.sample(IMAGES, random_state=0, cluster=k) for k in clusters])
    return cluster_images(shown, as_brightness(model, samples.reshape(len(clusters), IMAGES, *shape)), names)


def as_brightness(model: DeepEstimator, generated: Float[np.ndarray, "*n H W C"]) -> Float[np.ndarray, "*n H W C"]:
    """Generated images, in the units of X, as brightness from 0 to 1."""
    if model.scaling_.kind == "grey":  # are in [0, 1] already
        return generated
    rows = generated.reshape(-1, model.n_features_in_)
    return model.scaling_.to_unit(model.scaling_.apply(rows)).reshape(generated.shape)
