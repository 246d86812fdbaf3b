"""What is measured once a run has ended: metrics for tables, arrays for figures."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from genclust.data import DataSet
from genclust.evaluation.clustering import clustering_scores
from genclust.evaluation.neighbours import knn_errors
from genclust.evaluation.projection import PERPLEXITY, tsne
from genclust.models import Model
from genclust.streams import noise_on
from genclust.training.loop import in_chunks

#: Test points whose embedding is followed through training, and test images in the style grid.
SNAPSHOT_POINTS = 2000
STYLE_IMAGES = 10
SAMPLES_A_CLUSTER = 12
#: Columns of the grids of a mixture's samples (Figures 3 and 4 of GMVAE have ten).
COMPONENT_COLUMNS = 10


@dataclass(frozen=True)
class Results:
    """Of one replica."""

    metrics: dict[str, float]
    arrays: dict[str, np.ndarray]


def snapshot_rows(data: DataSet) -> np.ndarray:
    """Indices of the test points that snapshots follow: the same for every run on a data set."""
    n = len(data.splits["test"])
    return np.sort(np.random.default_rng(0).permutation(n)[:SNAPSHOT_POINTS])


def clustering(data: DataSet, log_posteriors: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Every clustering score on every split, and on ``all`` of them together.

    Args:
        data: labelled splits.
        log_posteriors: log q(y|x) for each split, ``[N, K]``.
    """
    labels = {name: split.y for name, split in data.splits.items() if split.y is not None}
    if not labels:
        return {}
    parts = {name: (y, log_posteriors[name]) for name, y in labels.items()}
    parts["all"] = tuple(np.concatenate(arrays) for arrays in zip(*parts.values(), strict=True))  # type: ignore[assignment]
    return {
        f"{name}.{metric}": value
        for name, (y, log_posterior) in parts.items()
        for metric, value in clustering_scores(y, log_posterior).items()
    }


def neighbours(data: DataSet, embeddings: Mapping[str, Mapping[str, np.ndarray]]) -> dict[str, float]:
    """kNN error on the test split, with everything that is not test as neighbours (Table 2)."""
    labels = {name: split.y for name, split in data.splits.items() if split.y is not None}
    if labels.keys() != data.splits.keys():
        return {}
    test_labels = labels.pop("test")
    metrics: dict[str, float] = {}
    for name, parts in embeddings.items():
        features = np.concatenate([parts[other] for other in labels])
        errors = knn_errors(features, np.concatenate(list(labels.values())), parts["test"], test_labels)
        metrics |= {f"test.knn_error_{name}_{k}": error for k, error in errors.items()}
    return metrics


@torch.no_grad()
def style(model: Any, data: DataSet, seeds: list[int], device: torch.device) -> list[dict[str, np.ndarray]]:
    """Images for Figure 4: test styles decoded under every cluster, and samples of each cluster."""
    n_clusters = model.settings.n_clusters
    test = data.splits["test"]
    x = torch.from_numpy(test.x[_one_of_each_class(test.y)]).to(device)
    z = in_chunks(model.embed, x, model.replicas)["z_mean"].to(device)
    noise = noise_on(device, seeds, "style samples").normal(SAMPLES_A_CLUSTER, z.shape[-1])

    def decode_all(z: Tensor) -> np.ndarray:
        """[R, N, Z] -> [R, N, K, D] mean images."""
        _, n, _ = z.shape
        c = one_hot(torch.arange(n_clusters, device=device)).float().repeat(model.replicas, n, 1)
        decoded = model.decode(z.repeat_interleave(n_clusters, 1), c)
        image = decoded.sigmoid() if model.settings.likelihood == "bernoulli" else decoded
        return as_bytes(image).reshape(model.replicas, n, n_clusters, -1)

    transfers, samples = decode_all(z), decode_all(noise)
    inputs = x.cpu().numpy() if x.dtype == torch.uint8 else as_bytes(x)
    return [
        {"style_inputs": inputs, "style_transfers": transfers[r], "cluster_samples": samples[r].swapaxes(0, 1)}
        for r in range(model.replicas)
    ]


def as_bytes(images: Tensor) -> np.ndarray:
    """Values from 0 to 1, clipped there, as grey values 0 … 255; NaN as 0."""
    return (255 * images.nan_to_num(nan=0).clamp(0, 1)).round().byte().cpu().numpy()


@torch.no_grad()
def components(model: Any, seeds: list[int], device: torch.device, walk: bool = False) -> np.ndarray:
    """A row of images for every component of a mixture, ``[R, K, n, D]``: samples, or a walk through w."""
    noise = noise_on(device, seeds, "component samples")
    return as_bytes((model.walk if walk else model.sample)(COMPONENT_COLUMNS, noise))


@torch.no_grad()
def latent(model: Any, data: DataSet, device: torch.device) -> list[dict[str, np.ndarray]]:
    """The latent map of a GMVAE (Figure 2): test points, their reconstructions, and the components at w = 0."""
    x = torch.from_numpy(data.splits["test"].x[snapshot_rows(data)]).to(device)
    clusters = in_chunks(model.cluster_posterior, x, model.replicas).argmax(-1)
    mean = in_chunks(model.embed, x, model.replicas)["x_mean"]
    decoded = model.decode(mean.to(device))[0].cpu()
    reconstruction = decoded.sigmoid() if model.settings.likelihood == "bernoulli" else decoded
    means, log_vars = (t.cpu() for t in model.p_x(torch.zeros(model.replicas, 1, model.settings.w_dim, device=device)))
    return [
        {
            "latent_x": mean[r].numpy(),
            "latent_clusters": clusters[r].to(torch.int16).numpy(),
            "latent_reconstruction": reconstruction[r].numpy(),
            "component_means": means[r, 0].numpy(),
            "component_sds": (0.5 * log_vars[r, 0]).exp().numpy(),
        }
        for r in range(model.replicas)
    ]


def _one_of_each_class(labels: np.ndarray | None) -> np.ndarray:
    """The first test point of each class, or the first points of data without labels."""
    if labels is None:
        return np.arange(STYLE_IMAGES)
    firsts = [int(np.flatnonzero(labels == c)[0]) for c in np.unique(labels)]
    return np.array(firsts[:STYLE_IMAGES])


def projection(snapshots: Mapping[str, Tensor], data: DataSet, seed: int) -> dict[str, np.ndarray]:
    """Two-dimensional t-SNE of every snapshot of the features (Figure 5); none of a handful of points."""
    if any(len(features) <= PERPLEXITY for features in snapshots.values()):
        return {}
    labels = data.splits["test"].y
    arrays = {f"tsne_{name}": tsne(features.float().numpy(), seed) for name, features in snapshots.items()}
    return arrays | ({} if labels is None else {"tsne_labels": labels[snapshot_rows(data)].astype(np.int16)})


def _without_nan(log_posterior: Tensor) -> Tensor:
    """The posterior with the uniform one where a failed replica has none: it counts as one single cluster."""
    return log_posterior.nan_to_num(nan=-math.log(log_posterior.shape[-1]))


def evaluate(
    model: Model,
    data: DataSet,
    seeds: list[int],
    snapshots: list[dict[str, Tensor]],
    evaluations: tuple[str, ...],
    device: torch.device,
) -> list[Results]:
    """Run the named evaluations on every replica of a trained model."""
    model.eval()
    parts = {name: torch.from_numpy(split.x).to(device) for name, split in data.splits.items()}
    results = [Results({}, {}) for _ in seeds]
    if "clustering" in evaluations:
        posteriors = {
            name: _without_nan(in_chunks(model.cluster_posterior, x, model.replicas)) for name, x in parts.items()
        }
        for r, result in enumerate(results):
            result.metrics.update(clustering(data, {name: p[r].numpy() for name, p in posteriors.items()}))
    if "neighbours" in evaluations:
        embeddings = {name: in_chunks(model.embed, x, model.replicas) for name, x in parts.items()}
        kinds = next(iter(embeddings.values()))
        for r, result in enumerate(results):
            result.metrics.update(
                neighbours(
                    data,
                    {k: {name: e[k][r].nan_to_num().numpy() for name, e in embeddings.items()} for k in kinds},
                )
            )
    if "style" in evaluations:
        for result, arrays in zip(results, style(model, data, seeds, device), strict=True):
            result.arrays.update(arrays)
    for name in ("samples", "walk"):
        if name in evaluations:
            for result, images in zip(results, components(model, seeds, device, name == "walk"), strict=True):
                result.arrays[f"component_{name}"] = images
    if "latent" in evaluations:
        for result, arrays in zip(results, latent(model, data, device), strict=True):
            result.arrays.update(arrays)
    if "projection" in evaluations:
        for result, kept, seed in zip(results, snapshots, seeds, strict=True):
            result.arrays.update(projection(kept, data, seed))
    return results
