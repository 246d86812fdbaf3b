"""Metrics of a trained model for tables, and the arrays that they are computed from."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from genclust.data import DataSet
from genclust.evaluation.capabilities import SumsOverClasses
from genclust.evaluation.clustering import clustering_scores, exemplars
from genclust.evaluation.gradients import GradientNoise, gradient_noise
from genclust.evaluation.likelihood import LikelihoodModel, bound, log_likelihood, log_weights
from genclust.evaluation.neighbours import NEIGHBOURS, knn_classes
from genclust.evaluation.projection import tsne, unfit
from genclust.evaluation.results import Results, as_small_integers
from genclust.evaluation.trained import BINARISATION_SEED, snapshot_rows
from genclust.models.inference import as_float
from genclust.streams import Noise, noise_on

#: Number of test images, and numbers of samples, at which the bound is computed as a function of the latter.
BOUND_IMAGES = 200
BOUND_SAMPLES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)
BOUND_ENUMERATED = 500
#: Number of samples over which a classifier averages.
CLASSIFIER_SAMPLES = 20
#: A unit is active if the variance over the test images of its posterior mean exceeds this (Burda et al. 2016).
ACTIVE = 0.01
#: Numbers of classes summed exactly in a step, 0 for all, for which gradient noise is compared.
GRADIENT_CLASSES = (0, 2, 1)
GRADIENT_BATCHES, GRADIENT_BATCH_SIZE, GRADIENT_DRAWS = 10, 100, 50


def clustering(data: DataSet, log_posteriors: Mapping[str, np.ndarray]) -> Results:
    """Clustering scores on every labelled split and on ``all`` of them together, with the clusters themselves.

    Of a split without labels, the number of clusters used is all there is.

    Args:
        data: data set, with or without labels.
        log_posteriors: cluster log-probabilities log q(y|x) of each split, ``[N, K]``.

    Returns:
        As arrays, for every split: the cluster of each point (``clusters_test``), except for the training split its
        confidence max q(y|x) in half precision (``confidence_test``), and the most confident point of each cluster
        (``exemplars_test``, also ``exemplars_all``).
    """
    labels = {name: split.y for name, split in data.splits.items() if split.y is not None}
    parts = {name: (y, log_posteriors[name]) for name, y in labels.items()}
    if labels:
        parts["all"] = tuple(np.concatenate(arrays) for arrays in zip(*parts.values(), strict=True))  # type: ignore[assignment]
    metrics = {
        f"{name}.{metric}": value
        for name, (y, log_posterior) in parts.items()
        for metric, value in clustering_scores(y, log_posterior).items()
    }
    for name in log_posteriors.keys() - labels.keys():
        metrics[f"{name}.clusters_used"] = float(len(np.unique(log_posteriors[name].argmax(1))))
    arrays = {f"exemplars_{name}": exemplars(log_q).astype(np.int32) for name, (_, log_q) in parts.items()}
    for name, log_q in log_posteriors.items():
        arrays[f"clusters_{name}"] = as_small_integers(log_q.argmax(1))
        if name != "train":
            arrays[f"confidence_{name}"] = np.exp(log_q.max(1)).astype(np.float16)
    return Results(metrics, arrays)


def neighbours(data: DataSet, embeddings: Mapping[str, Mapping[str, np.ndarray]]) -> Results:
    """kNN error in per cent on the test split, with all other splits as neighbours (Table 2), and predicted classes.

    Args:
        data: data set; the result is empty unless every split is labelled.  Numbers of neighbours that are larger than
            the other splits together are left out, and features that are not finite, as those of a diverged seed.
        embeddings: representations by kind, such as ``x_hat``, and by split, ``[N, F]``.
    """
    labels = {name: split.y for name, split in data.splits.items() if split.y is not None}
    results = Results({}, {})
    if labels.keys() != data.splits.keys():
        return results
    test_labels = labels.pop("test")
    for name, parts in embeddings.items():
        features = np.concatenate([parts[other] for other in labels])
        ks = [k for k in NEIGHBOURS if k <= len(features)]
        if not ks or not (np.isfinite(features).all() and np.isfinite(parts["test"]).all()):
            continue
        voted = knn_classes(features, np.concatenate(list(labels.values())), parts["test"], ks)
        for k, classes in voted.items():
            results.metrics[f"test.knn_error_{name}_{k}"] = 100 * float(np.mean(classes != test_labels))
        results.arrays[f"votes_{name}"] = as_small_integers(np.stack(list(voted.values())))
    return results


def projection(snapshots: Mapping[str, Tensor], data: DataSet, seed: int) -> Results:
    """Two-dimensional t-SNE of every snapshot of the features ``[N, F]`` (Figure 5).

    Without the snapshots that have none: of too few points or features, or not finite, as those of a diverged seed.
    Empty if none is left.
    """
    found = {name: features.float().numpy() for name, features in snapshots.items()}
    suited = {name: features for name, features in found.items() if not unfit(features)}
    if not suited:
        return Results({}, {})
    labels = data.splits["test"].y
    arrays = {f"tsne_{name}": tsne(features, seed) for name, features in suited.items()}
    if labels is not None:
        arrays["tsne_labels"] = labels[snapshot_rows(data)].astype(np.int16)
    return Results({}, arrays)


def likelihood(
    model: Any, bits: Tensor, seeds: list[int], n_samples: int, precision: Any, kept: Path | None = None
) -> list[Results]:
    """Importance-weighted bound on the test bits with its standard error, and one-sample bound, in nats.

    Both are stored for every image in half precision; it rounds by 1/32 nat at 100 nats, by 0.0003 in a mean of 10,000.
    What is done is kept in the file ``kept``, from which an interrupted estimate goes on.
    """
    estimates = log_likelihood(model, bits, seeds, n_samples, precision=precision, kept=kept)
    return [
        Results(
            {
                "test.log_likelihood": float(estimates.mean()[r]),
                "test.log_likelihood_se": float(estimates.standard_error()[r]),
                "test.elbo": float(estimates.elbo[r].mean()),
                "test.log_likelihood_samples": n_samples,
                "test.binarisation_seed": BINARISATION_SEED,
            },
            {
                "log_likelihood_test": estimates.log_prob[r].half().numpy(),
                "elbo_test": estimates.elbo[r].half().numpy(),
            },
        )
        for r in range(model.replicas)
    ]


def bounds(model: LikelihoodModel, bits: Tensor, seeds: list[int], n_samples: int, precision: Any) -> list[Results]:
    """Bound as a function of the number of samples on the first test images; also with y summed out if it is drawn."""
    sizes = [S for S in BOUND_SAMPLES if n_samples >= S]
    log_w = log_weights(model, bits[:BOUND_IMAGES], seeds, n_samples, precision=precision)
    arrays = [{"bound_samples": np.array(sizes), "bound": bound(log_w[:, r], sizes)} for r in range(model.replicas)]
    if isinstance(model, SumsOverClasses):  # and so y is drawn
        enumerated = log_weights(
            model, bits[:BOUND_IMAGES], seeds, min(n_samples, BOUND_ENUMERATED), precision=precision, enumerate_y=True
        )
        few = [S for S in sizes if S <= BOUND_ENUMERATED]
        for r, replica_arrays in enumerate(arrays):
            replica_arrays["bound_enumerated"] = bound(enumerated[:, r], few)
    return [Results({}, replica_arrays) for replica_arrays in arrays]


def units(means: Mapping[str, Tensor]) -> list[Results]:
    """Number of active units in each layer, from the posterior means ``[R, N, Z]`` of the test bits.

    As arrays, the variance of each unit's posterior mean.
    """
    variances = {name.removesuffix("_mean"): mean.var(1) for name, mean in means.items()}
    replicas = len(next(iter(means.values())))
    return [
        Results(
            {f"test.active_{name}": float((variance[r] > ACTIVE).sum()) for name, variance in variances.items()},
            {f"variances_{name}": variance[r].numpy() for name, variance in variances.items()},
        )
        for r in range(replicas)
    ]


@torch.no_grad()
def classifiers(model: Any, data: DataSet, bits: Tensor, seeds: list[int], device: torch.device) -> list[Results]:
    """Test error of each classifier of a model, in per cent, and the class that it gives to every test image.

    Cluster k is taken for class k.
    """
    noise = noise_on(device, seeds, "classifier samples")
    chosen: dict[str, list[Tensor]] = {}
    for i, images in enumerate(bits.split(500)):
        batch = images.expand(model.replicas, *images.shape)
        for name, log_prob in model.classifiers(batch, CLASSIFIER_SAMPLES, noise.at(i)).items():
            chosen.setdefault(name, []).append(log_prob.argmax(-1).cpu())
    classes = {name: torch.cat(parts, 1).numpy() for name, parts in chosen.items()}
    y = data.splits["test"].y
    return [
        Results(
            {} if y is None else {f"test.error_{name}": 100 * float(np.mean(c[r] != y)) for name, c in classes.items()},
            {f"classes_{name}": as_small_integers(c[r]) for name, c in classes.items()},
        )
        for r in range(model.replicas)
    ]


def gradients(model: Any, train_x: Tensor, seeds: list[int], device: torch.device) -> list[Results]:
    """Noise of the gradient of a step without labels at the end of training, for each way to sum over classes.

    All ways use the same batches of training images.  The arrays, in the order of ``gradient_classes``, are the squared
    norm of the mean gradient and the traces of its covariance over draws and over batches.
    """
    size = min(GRADIENT_BATCH_SIZE, len(train_x) // GRADIENT_BATCHES)
    order = Noise(seeds, "batches for gradients").permutation(len(train_x)).to(device)
    batches = order[:, : GRADIENT_BATCHES * size].unflatten(1, (GRADIENT_BATCHES, size))

    def with_sum_over(classes: int) -> GradientNoise:
        step = model.with_classes(classes).train()
        parameters = list(step.parameters())
        noise = noise_on(device, seeds, f"gradients, {classes} classes")

        def gradient(batch: int, draw: int) -> Tensor:
            x = as_float(train_x[batches[:, batch]])
            objective = step.loss(x, {"warm_up": 1.0}, noise.at(batch * GRADIENT_DRAWS + draw)).objective
            return torch.cat([g.flatten(1) for g in torch.autograd.grad(objective.sum(), parameters)], 1)

        return gradient_noise(gradient, GRADIENT_BATCHES, GRADIENT_DRAWS)

    estimates = [with_sum_over(classes) for classes in GRADIENT_CLASSES]
    classes_summed = {"gradient_classes": np.array(GRADIENT_CLASSES, dtype=np.int8)}
    return [
        Results(
            {},
            classes_summed
            | {
                f"gradient_{name}": np.array([float(getattr(estimate, name)[r]) for estimate in estimates])
                for name in ("squared_norm", "of_draws", "of_batches")
            },
        )
        for r in range(model.replicas)
    ]


def without_nan(log_posterior: Tensor) -> Tensor:
    """Log-posterior with NaN of a failed replica replaced by the uniform distribution, which counts as one cluster."""
    return log_posterior.nan_to_num(nan=-math.log(log_posterior.shape[-1]))
