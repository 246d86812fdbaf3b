"""What a fit found: typical rows of every cluster, a table, a picture, what to be wary of, and scores where labels are
known."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from matplotlib.figure import Figure
from scipy import sparse
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning

from genclust.estimators.base import DeepEstimator
from genclust.estimators.clustering import GMVAE, ClusterEstimator, GenerativeClusterEstimator
from genclust.estimators.inputs import as_rows
from genclust.evaluation.agreement import agreement
from genclust.evaluation.clustering import clustering_scores
from genclust.figures.clusters import cluster_images, cluster_table
from genclust.wording import counted

#: Clusters, and images of a kind of each, that a picture shows at most.
MOST_CLUSTERS, IMAGES = 30, 4
#: Scores against labels that are printed.
SCORES = ("acc_hungarian", "acc_many_to_one", "nmi_arithmetic", "ari")
#: Agreement below which seeds disagree, and above which they mostly agree.
DISAGREE, AGREE = 0.5, 0.8
#: Robust standard deviations from the median beyond which a value squeezes the rest of its column.
FAR = 20
#: Divergence of the style on held-out rows, in nats per row, below which the style says nothing of a row.
UNUSED = 0.05
#: Mean probability below which a cluster's rows might as well be in another.
UNSURE = 0.5
#: Rise of the held-out bound at the end of training, in nats per row, from which on training was not done.
RISING = 0.1


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


def typical_rows(model: ClusterEstimator, X: Any, n: int) -> Int[np.ndarray, "K n"]:
    """The ``n`` rows of every cluster whose embedding is nearest to the mean of the cluster's; -1 where it has fewer.

    The first is the cluster's medoid, as far as a mean tells.
    """
    z = model.transform(X).astype(np.float64)

    def nearest(rows: Int[np.ndarray, " m"]) -> Int[np.ndarray, " m"]:
        if not len(rows):
            return rows
        return rows[np.argsort(((z[rows] - z[rows].mean(0)) ** 2).sum(1), kind="stable")]

    return _some_rows(model, X, n, nearest)


def uncertain_rows(model: ClusterEstimator, X: Any, n: int) -> Int[np.ndarray, "K n"]:
    """The ``n`` rows of every cluster whose probability of it is lowest, the lowest first; -1 where it has fewer."""
    probability = model.predict_proba(X).max(1)
    return _some_rows(model, X, n, lambda rows: rows[np.argsort(probability[rows], kind="stable")])


def random_rows(model: ClusterEstimator, X: Any, n: int) -> Int[np.ndarray, "K n"]:
    """``n`` rows of every cluster, drawn from all of its rows, the same at every call; -1 where it has fewer."""
    return _some_rows(model, X, n, np.random.default_rng(0).permutation)


def _some_rows(
    model: ClusterEstimator, X: Any, n: int, order: Callable[[Int[np.ndarray, " m"]], Int[np.ndarray, " m"]]
) -> Int[np.ndarray, "K n"]:
    """The first ``n`` of the ordered rows of every cluster, -1 where it has fewer."""
    clusters = model.predict(X)
    found = np.full((model.n_clusters_, n), -1)
    for k in range(len(found)):
        rows = order(np.flatnonzero(clusters == k))[:n]
        found[k, : len(rows)] = rows
    return found


def seeds_agree(model: ClusterEstimator) -> Float[np.ndarray, " R"]:
    """Mean adjusted Rand index of each seed's clusters with those of the other seeds, from -1 to 1."""
    return agreement(model.all_labels_)


def agreement_in_words(mean: float) -> str:
    """What a mean agreement between seeds says of the clusters."""
    if mean < DISAGREE:
        return "the seeds disagree, and the clusters depend on chance"
    if mean <= AGREE:
        return "the seeds agree in part: some clusters come out again, others do not"
    return "the seeds mostly agree"


def seeds_in_words(model: ClusterEstimator) -> str:
    """What the seeds of a model say together: how far they agree, or how many of them found a single cluster."""
    if alone := seeds_of_one_cluster(model):
        n = len(model.all_labels_)
        seeds = "every seed has" if alone == n else f"{alone} of {n} seeds {'has' if alone == 1 else 'have'}"
        return f"{seeds} put all rows into one cluster, and so {'has' if alone in (1, n) else 'have'} found nothing"
    mean = seeds_agree(model).mean()
    fewer = mean > AGREE and len(np.unique(model.labels_)) < model.n_clusters_
    return agreement_in_words(mean) + (", on fewer clusters than were asked for" if fewer else "")


def seeds_of_one_cluster(model: ClusterEstimator) -> int:
    """How many seeds put all rows into one cluster; two of them agree, although neither found anything."""
    return sum(len(np.unique(labels)) == 1 for labels in model.all_labels_)


def scores(model: ClusterEstimator, X: Any, labels: np.ndarray) -> dict[str, float]:
    """Accuracies, normalised mutual information and adjusted Rand index against labels of any kind, in per cent."""
    return _scores(model.predict_proba(X), labels)


def scores_of_clusters(clusters: Int[np.ndarray, " N"], labels: np.ndarray) -> dict[str, float]:
    """The same of clusters without probabilities."""
    return _scores(np.eye(clusters.max() + 1)[clusters], labels)


def _scores(probabilities: Float[np.ndarray, "N K"], labels: np.ndarray) -> dict[str, float]:
    _, classes = np.unique(labels, return_inverse=True)
    with np.errstate(divide="ignore"):
        all_scores = clustering_scores(classes, np.log(probabilities))
    return {name: all_scores[name] for name in SCORES}


def k_means(model: ClusterEstimator, X: Any) -> Int[np.ndarray, " N"]:
    """Clusters of scikit-learn's k-means, as many as the model has and the best of ten restarts, on the same input."""
    x = np.concatenate([chunk.numpy() for chunk in model.scaling_.chunks(as_rows(_values(X))[0])])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # where there are fewer different rows than clusters
        return KMeans(model.n_clusters_, n_init=10, random_state=0).fit_predict(x)


def _values(X: Any) -> Any:
    return X.to_numpy() if isinstance(X, pd.DataFrame) else X


def mean_probability(model: ClusterEstimator) -> float:
    """Mean probability of the cluster that a fitted row was put into."""
    return float(np.nansum(model.mean_probabilities_ * model.cluster_sizes_) / model.cluster_sizes_.sum())


def interrupted(model: DeepEstimator) -> bool:
    """Whether training was ended before its last epoch was done, which is when it is measured."""
    return len(model.history_) < model.epochs


def cautions(model: DeepEstimator) -> list[str]:
    """A sentence for each thing that a fit should make its user wary of; none if all is well."""
    found = []
    knows_rows = isinstance(model, ClusterEstimator) and hasattr(model, "all_labels_")  # a published model does not
    if knows_rows and model.n_clusters_ > 1 and (alone := seeds_of_one_cluster(model)):
        advice = "give more epochs"
        if isinstance(model, GMVAE):  # whose consistency violation is smallest where one cluster has everything
            advice += ", and a lower weight of the consistency violation, such as alpha=0.1"
        seeds = counted(len(model.all_labels_), "seed")
        found.append(f"{alone} of {seeds} put all rows into one cluster, which is no clustering; {advice}.")
    probabilities = getattr(model, "mean_probabilities_", np.zeros(0))  # which models of older versions lack
    if (unsure := np.flatnonzero(probabilities < UNSURE)).size:
        found.append(
            f"The model is not sure of the rows in {counted(len(unsure), 'cluster')} ({', '.join(map(str, unsure))}), "
            f"whose mean probability is below {UNSURE:g}; give more epochs, or another number of clusters."
        )
    if model.get_params(deep=False).get("w_gaussian", 0) > 0 and model.history_[-1]["kl_z"] < UNUSED:
        found.append(
            f"The style is unused (it holds {model.history_[-1]['kl_z']:.2f} nats of a row), so samples of a cluster "
            f"will look alike; for more variety lower w_gaussian, which is {model.get_params()['w_gaussian']:g}."
        )
    if (rise := still_rising(model.history_)) > 0:
        found.append(
            f"Training was still improving at its end (the held-out bound rose by {rise:.1f} nats per row in the last "
            "epochs); give more epochs."
        )
    return found


def still_rising(history: Sequence[Mapping[str, float]]) -> float:
    """How much the held-out bound rose at the end, in nats per row; 0 unless it did clearly.

    The end is the last tenth of the epochs, and five at least.  The rise is that of a straight line, and clear if it is
    a tenth of a nat and larger than what lies beside the line.
    """
    bounds = np.array([point.get("bound", np.nan) for point in history[-max(5, -(-len(history) // 10)) :]])
    if len(bounds) < 2 or not np.isfinite(bounds).all():
        return 0.0
    at = np.arange(len(bounds))
    line = np.polynomial.Polynomial.fit(at, bounds, 1)
    rise = float(line(at[-1]) - line(0))
    return rise if rise > max(RISING, 2 * float(np.std(bounds - line(at)))) else 0.0


def columns_with_outliers(model: DeepEstimator, X: Any) -> list[str]:
    """Columns, of those that were scaled one by one, with values far beyond their quartiles; see :data:`FAR`.

    A robust standard deviation is what the quartiles of a Gaussian tell.  Columns with equal quartiles have none, and
    are left out.
    """
    rows, image = as_rows(_values(X))
    if image is not None or model.scaling_.kind not in ("minmax", "standard") or sparse.issparse(rows):
        return []
    low, middle, high = np.percentile(rows, (25, 50, 75), axis=0)
    deviation = (high - low) / 1.349  # a Gaussian's
    far = (deviation > 0) & (np.abs(rows - middle).max(0) > FAR * deviation)
    names = list(X.columns) if isinstance(X, pd.DataFrame) else [str(i) for i in range(rows.shape[1])]
    return [str(names[i]) for i in np.flatnonzero(far)]


def summary(model: ClusterEstimator, X: Any, names: list[str]) -> pd.DataFrame:
    """A line for every cluster in use: rows, share in per cent, and mean probability.

    With it the names of its most typical row and of the one that the model is least certain of, and the class that it
    stands for if the model learned from classes.
    """
    found = assignments(model, X, names)
    medoids, doubtful = typical_rows(model, X, 1)[:, 0], uncertain_rows(model, X, 1)[:, 0]
    what = "row" if model.image_shape_ is None else "image"
    sizes = np.bincount(found.cluster, minlength=len(medoids))
    used = np.flatnonzero(sizes)
    return pd.DataFrame(
        {
            "cluster": used,
            **({"class": classes_of(model, used)} if class_names(model) else {}),
            "rows": sizes[used],
            "share (%)": (100 * sizes[used] / len(found)).round(1),
            "probability": found.groupby("cluster").probability.mean()[used].round(2).to_numpy(),
            f"typical {what}": [names[row] for row in medoids[used]],
            f"least certain {what}": [names[row] for row in doubtful[used]],
        }
    )


def picture(model: ClusterEstimator, X: Any, columns: list[str] | None = None) -> Figure:
    """The clusters in use, the largest first.

    Of images: typical ones, some at random, those that the model is least certain of, and samples if it can be drawn
    from.  Of a table: the medoid of every cluster, and the spread of its rows.
    """
    found = model.predict(X)
    sizes = np.bincount(found, minlength=model.n_clusters_)
    clusters = [int(k) for k in np.argsort(-sizes, kind="stable")[:MOST_CLUSTERS] if sizes[k]]
    names = [f"{k} ({sizes[k]:,})" for k in clusters]
    rows, image = as_rows(X)
    if image is None:
        dense = model.scaling_.apply(rows).double().numpy()  # logarithms, where the model sees them
        standard = (dense - dense.mean(0)) / np.where(dense.std(0) > 0, dense.std(0), 1)
        spreads = np.stack([standard[found == k].std(0) for k in clusters])
        medoids = standard[typical_rows(model, X, 1)[clusters, 0]]
        return cluster_table(medoids, spreads, names, columns or [f"x{i}" for i in range(dense.shape[1])])
    shape = (*image, 1)[:3]

    def images(which: Int[np.ndarray, "K n"]) -> Float[np.ndarray, "k n H W C"]:
        which = which[clusters]
        shown = model.scaling_.to_unit(model.scaling_.apply(rows[which.clip(0).ravel()]))
        return np.where((which >= 0)[..., None, None, None], shown.reshape(*which.shape, *shape), 1)  # else white

    kinds = {"typical": typical_rows, "at random": random_rows, "least certain": uncertain_rows}
    drawn = {title: images(rows_of(model, X, IMAGES)) for title, rows_of in kinds.items()}
    if isinstance(model, GenerativeClusterEstimator):
        samples = np.stack([model.sample(IMAGES, random_state=0, cluster=k) for k in clusters])
        drawn["samples"] = as_brightness(model, samples.reshape(len(clusters), IMAGES, *shape))
    return cluster_images(drawn, names)


def as_brightness(model: DeepEstimator, generated: Float[np.ndarray, "*n H W C"]) -> Float[np.ndarray, "*n H W C"]:
    """Generated images, in the units of X, as brightness from 0 to 1."""
    if model.scaling_.kind == "grey":  # are in [0, 1] already
        return generated
    rows = generated.reshape(-1, model.n_features_in_)
    return model.scaling_.to_unit(model.scaling_.apply(rows)).reshape(generated.shape)
