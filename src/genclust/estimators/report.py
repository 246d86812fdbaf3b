"""What a fit found: typical rows of every cluster, a table, a picture, and scores where labels are known."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from matplotlib.figure import Figure
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning

from genclust.data.tables import with_class
from genclust.estimators.base import DeepEstimator
from genclust.estimators.cautions import values_of
from genclust.estimators.clustering import ClusterEstimator, GenerativeClusterEstimator
from genclust.estimators.inputs import as_rows
from genclust.evaluation.clustering import clustering_scores
from genclust.figures.clusters import cluster_images, cluster_table

#: Clusters, and images of a kind of each, that a picture shows at most.
MOST_CLUSTERS, IMAGES = 30, 4
#: Scores against labels that are printed.
SCORES = ("acc_hungarian", "acc_many_to_one", "nmi_arithmetic", "ari")


def assignments(model: ClusterEstimator, X: Any, names: list[str]) -> pd.DataFrame:
    """Name, most probable cluster and its probability, for every row of X.

    With it the class that the cluster stands for, if the model learned from classes.
    """
    probabilities = model.predict_proba(X)
    clusters = probabilities.argmax(1)
    return pd.DataFrame(
        {
            "name": names,
            "cluster": clusters,
            **({"class": classes_of(model, clusters)} if class_names(model) else {}),
            "probability": probabilities.max(1).astype(np.float64).round(4),
        }
    )


def class_names(model: DeepEstimator) -> list[str]:
    """The classes that the first clusters stand for; none unless the model learned from classes with names."""
    return getattr(model, "class_names_", [])


def classes_of(model: DeepEstimator, clusters: Int[np.ndarray, " N"]) -> list[str]:
    """The class that each cluster stands for, by its name; empty for those that stand for none."""
    names = class_names(model)
    return [names[k] if k < len(names) else "" for k in clusters]


def typical_rows(
    probabilities: Float[np.ndarray, "N K"], z: Float[np.ndarray, "N F"], n: int
) -> Int[np.ndarray, "K n"]:
    """The ``n`` sure rows of every cluster whose embedding is nearest to the mean of theirs; -1 where it has fewer.

    Sure rows are the half of the cluster's with the highest probability of it, and ``n`` at least: a row that the model
    could as well put elsewhere is not typical, wherever its embedding lies.  The first is the medoid of the sure rows,
    as far as a mean tells.

    Args:
        probabilities: of every cluster, for each row.
        z: embedding of each row.
        n: how many rows of a cluster.
    """
    z, probability = z.astype(np.float64), probabilities.max(1)

    def nearest(rows: Int[np.ndarray, " m"]) -> Int[np.ndarray, " m"]:
        sure = np.argsort(-probability[rows], kind="stable")[: max(n, -(-len(rows) // 2))]
        rows = rows[np.sort(sure)]
        return rows[np.argsort(((z[rows] - z[rows].mean(0)) ** 2).sum(1), kind="stable")]

    return _some_rows(probabilities, n, nearest)


def uncertain_rows(probabilities: Float[np.ndarray, "N K"], n: int) -> Int[np.ndarray, "K n"]:
    """The ``n`` rows of every cluster whose probability of it is lowest, the lowest first; -1 where it has fewer."""
    probability = probabilities.max(1)
    return _some_rows(probabilities, n, lambda rows: rows[np.argsort(probability[rows], kind="stable")])


def random_rows(probabilities: Float[np.ndarray, "N K"], n: int) -> Int[np.ndarray, "K n"]:
    """``n`` rows of every cluster, drawn from all of its rows, the same at every call; -1 where it has fewer."""
    return _some_rows(probabilities, n, np.random.default_rng(0).permutation)


def _some_rows(
    probabilities: Float[np.ndarray, "N K"], n: int, order: Callable[[Int[np.ndarray, " m"]], Int[np.ndarray, " m"]]
) -> Int[np.ndarray, "K n"]:
    """The first ``n`` of the ordered rows of every cluster, -1 where it has fewer."""
    clusters = probabilities.argmax(1)
    found = np.full((probabilities.shape[1], n), -1)
    for k in np.unique(clusters):
        rows = order(np.flatnonzero(clusters == k))[:n]
        found[k, : len(rows)] = rows
    return found


def scores(model: ClusterEstimator, X: Any, labels: np.ndarray) -> dict[str, float]:
    """Accuracies, normalised mutual information and adjusted Rand index against labels of any kind, in per cent.

    They are of the rows whose class is known; see :func:`genclust.data.tables.with_class`.
    """
    return _scores(model.predict_proba(X), labels)


def scores_of_clusters(clusters: Int[np.ndarray, " N"], labels: np.ndarray) -> dict[str, float]:
    """The same of clusters without probabilities."""
    return _scores(np.eye(clusters.max() + 1)[clusters], labels)


def _scores(probabilities: Float[np.ndarray, "N K"], labels: np.ndarray) -> dict[str, float]:
    known = with_class(labels)
    _, classes = np.unique(labels[known], return_inverse=True)
    with np.errstate(divide="ignore"):
        all_scores = clustering_scores(classes, np.log(probabilities[known]))
    return {name: all_scores[name] for name in SCORES}


def k_means(model: ClusterEstimator, X: Any) -> Int[np.ndarray, " N"]:
    """Clusters of scikit-learn's k-means, as many as the model has and the best of ten restarts, on the same input."""
    x = np.concatenate([chunk.numpy() for chunk in model.scaling_.chunks(as_rows(values_of(X))[0])])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # where there are fewer different rows than clusters
        return KMeans(model.n_clusters_, n_init=10, random_state=0).fit_predict(x)


def mean_probability(model: ClusterEstimator) -> float:
    """Mean probability of the cluster that a fitted row was put into."""
    return float(np.nansum(model.mean_probabilities_ * model.cluster_sizes_) / model.cluster_sizes_.sum())


def summary(model: ClusterEstimator, X: Any, names: list[str]) -> pd.DataFrame:
    """A line for every cluster in use: rows, share in per cent, and mean probability.

    With it the names of its most typical row and of the one that the model is least certain of, and the class that it
    stands for if the model learned from classes.
    """
    probabilities = model.predict_proba(X)
    clusters, probability = probabilities.argmax(1), probabilities.max(1)
    medoids = typical_rows(probabilities, model.transform(X), 1)[:, 0]
    doubtful = uncertain_rows(probabilities, 1)[:, 0]
    what = "row" if model.image_shape_ is None else "image"
    used, sizes = np.unique(clusters, return_counts=True)
    return pd.DataFrame(
        {
            "cluster": used,
            **({"class": classes_of(model, used)} if class_names(model) else {}),
            "rows": sizes,
            "share (%)": (100 * sizes / len(names)).round(1),
            "probability": (np.bincount(clusters, probability)[used] / sizes).round(2),
            f"typical {what}": [names[row] for row in medoids[used]],
            f"least certain {what}": [names[row] for row in doubtful[used]],
        }
    )


def picture(model: ClusterEstimator, X: Any, columns: list[str] | None = None) -> Figure:
    """The clusters in use, the largest first; below it stands how many clusters or columns of a table are left out.

    Of images: typical ones, some at random, those that the model is least certain of, and samples if it can be drawn
    from.  Of a table: the medoid of every cluster, and the spread of its rows.
    """
    probabilities = model.predict_proba(X)
    typical = typical_rows(probabilities, model.transform(X), IMAGES)
    found = probabilities.argmax(1)
    sizes = np.bincount(found)
    clusters = [int(k) for k in np.argsort(-sizes, kind="stable")[:MOST_CLUSTERS] if sizes[k]]
    names, used = [f"{k} ({sizes[k]:,})" for k in clusters], int((sizes > 0).sum())
    rows, image = as_rows(X)
    if image is None:
        dense = model.scaling_.apply(rows).double().numpy()  # logarithms, where the model sees them
        standard = (dense - dense.mean(0)) / np.where(dense.std(0) > 0, dense.std(0), 1)
        spreads = np.stack([standard[found == k].std(0) for k in clusters])
        medoids = standard[typical[clusters, 0]]
        return cluster_table(medoids, spreads, names, columns or [f"x{i}" for i in range(dense.shape[1])], used)
    shape = (*image, 1)[:3]

    def images(which: Int[np.ndarray, "K n"]) -> Float[np.ndarray, "k n H W C"]:
        which = which[clusters]
        shown = model.scaling_.to_unit(model.scaling_.apply(rows[which.clip(0).ravel()]))
        return np.where((which >= 0)[..., None, None, None], shown.reshape(*which.shape, *shape), 1)  # else white

    drawn = {
        "typical": images(typical),
        "at random": images(random_rows(probabilities, IMAGES)),
        "least certain": images(uncertain_rows(probabilities, IMAGES)),
    }
    if isinstance(model, GenerativeClusterEstimator):
        samples = np.stack([model.sample(IMAGES, random_state=0, cluster=k) for k in clusters])
        drawn["samples"] = as_brightness(model, samples.reshape(len(clusters), IMAGES, *shape))
    return cluster_images(drawn, names, used)


def as_brightness(model: DeepEstimator, generated: Float[np.ndarray, "*n H W C"]) -> Float[np.ndarray, "*n H W C"]:
    """Generated images, in the units of X, as brightness from 0 to 1."""
    if model.scaling_.kind == "grey":  # are in [0, 1] already
        return generated
    rows = generated.reshape(-1, model.n_features_in_)
    return model.scaling_.to_unit(model.scaling_.apply(rows)).reshape(generated.shape)
