"""Evaluation of models with layers of latent variables: agreement of each layer's clusters with each factor."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
from jaxtyping import Int
from torch import Tensor

from genclust.baselines import KMeansSettings
from genclust.data import DataSet, Split
from genclust.evaluation.clustering import chance_level, many_to_one_accuracy, nmi
from genclust.evaluation.results import Results, as_small_integers
from genclust.models.inference import in_chunks

#: An attribute leads a layer if the layer's clusters have more mutual information with it than with any other,
#: and at least this much, in per cent of the mean entropy.
LEADING = 10.0
KMEANS_RESTARTS = 3


def factors_of(split: Split) -> dict[str, Int[np.ndarray, " N"]]:
    """All known factors of a split's rows by name, with the class labels as ``identity``."""
    return ({} if split.y is None else {"identity": split.y}) | dict(split.factors)


def scores_by_factor(split: Split, clusters: Mapping[str, Int[np.ndarray, " N"]]) -> dict[str, float]:
    """Agreement of every layer's clusters with every factor on the test split, in per cent.

    Args:
        split: split whose rows were clustered.
        clusters: cluster of each row, by layer, such as ``y3``.

    Returns:
        ``test.acc_many_to_one_y3_ink`` and ``test.nmi_arithmetic_y3_ink`` for all layers and factors; the accuracy
        of a single cluster, ``test.floor_ink``; and ``test.leading_y`` (or ``_z``): how many different factors, of
        those with more than one value, lead some layer.
    """
    factors = factors_of(split)
    scores = {
        f"test.floor_{name}": 100 * float(np.bincount(labels).max()) / len(labels) for name, labels in factors.items()
    }
    leading = set()
    for layer, assigned in clusters.items():
        information = {name: nmi(labels, assigned, "arithmetic") for name, labels in factors.items()}
        for name, labels in factors.items():
            scores[f"test.acc_many_to_one_{layer}_{name}"] = many_to_one_accuracy(labels, assigned)
            scores[f"test.nmi_arithmetic_{layer}_{name}"] = information[name]
        scores[f"test.clusters_used_{layer}"] = float(len(np.unique(assigned)))
        telling = [name for name, labels in factors.items() if len(np.unique(labels)) > 1]
        first = max(telling, key=information.__getitem__, default=None)
        if first is not None and information[first] >= LEADING:
            leading.add(first)
    kind = next(iter(clusters))[0] if clusters else "y"
    return scores | ({f"test.leading_{kind}": float(len(leading))} if factors else {})


def by_chance(split: Split, clusters: Mapping[str, Int[np.ndarray, " N"]]) -> dict[str, float]:
    """Chance level of the scores of :func:`scores_by_factor`, from random clusters of the same sizes.

    Returns:
        ``test.chance_many_to_one_y3_ink`` and ``test.chance_nmi_y3_ink`` for all layers and factors, in per cent.
    """
    scores: dict[str, Callable[..., float]] = {
        "many_to_one": many_to_one_accuracy,
        "nmi": partial(nmi, normaliser="arithmetic"),
    }
    return {
        f"test.chance_{kind}_{layer}_{name}": chance_level(score, labels, assigned)
        for layer, assigned in clusters.items()
        for name, labels in factors_of(split).items()
        for kind, score in scores.items()
    }


def clusters_by_layer(
    model: Any, data: DataSet, x: Tensor, measure: Callable[..., dict[str, float]] = scores_by_factor
) -> list[Results]:
    """Agreement (or its chance level) of every layer's clusters with the factors, by replica; x is the test split."""
    posteriors = in_chunks(model.layer_posteriors, x, model.replicas)
    assigned = {name: log_q.nan_to_num().argmax(-1).numpy() for name, log_q in posteriors.items()}
    return [
        _of_layers(data, {name: of_layer[r] for name, of_layer in assigned.items()}, measure)
        for r in range(model.replicas)
    ]


def _of_layers(
    data: DataSet,
    clusters: Mapping[str, Int[np.ndarray, " N"]],
    measure: Callable[..., dict[str, float]] = scores_by_factor,
) -> Results:
    arrays = {f"clusters_test_{layer}": as_small_integers(assigned) for layer, assigned in clusters.items()}
    return Results(measure(data.splits["test"], clusters), arrays)


def kmeans_by_layer(
    model: Any, data: DataSet, parts: Mapping[str, Tensor], seeds: list[int], n_clusters: int
) -> list[Results]:
    """Agreement of k-means clusters of every layer's posterior means, fitted on the training split, by replica."""
    means = {name: in_chunks(model.embed, parts[name], model.replicas) for name in ("train", "test")}
    results = []
    for r, seed in enumerate(seeds):
        assigned = {}
        for name in means["train"]:
            features = {split: means[split][name][r].nan_to_num().numpy() for split in means}
            fitted = KMeansSettings(n_clusters, KMEANS_RESTARTS).fit(features["train"], seed)
            assigned[name.removesuffix("_mean")] = fitted.estimator.predict(features["test"])
        results.append(_of_layers(data, assigned))
    return results
