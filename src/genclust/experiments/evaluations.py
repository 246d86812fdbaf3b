"""What is measured once a run has ended: metrics for tables, arrays for figures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from genclust.data import DataSet
from genclust.evaluation.clustering import clustering_scores
from genclust.evaluation.likelihood import bound, log_likelihood, log_weights
from genclust.evaluation.neighbours import knn_errors
from genclust.evaluation.projection import PERPLEXITY, tsne
from genclust.experiments import layerwise
from genclust.experiments.images import as_bytes, one_of_each_class
from genclust.models import BernoulliModel, Model
from genclust.models.vlac import VLAC
from genclust.streams import Noise, noise_on
from genclust.training.loop import as_float, in_chunks

#: Test points whose embedding is followed through training.
SNAPSHOT_POINTS = 2000
SAMPLES_A_CLUSTER = 12
#: Columns of the grids of a mixture's samples (Figures 3 and 4 of GMVAE have ten).
COMPONENT_COLUMNS = 10
#: The bits that a likelihood is of are drawn once, from this seed.
BINARISATION_SEED = 0
#: The bound against the number of samples: of so many test images, at these numbers or fewer.
BOUND_IMAGES = 200
BOUND_SAMPLES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)
BOUND_ENUMERATED = 500
#: Samples that a classifier averages over.
CLASSIFIER_SAMPLES = 20
#: A unit is active if the variance over the test images of its posterior mean exceeds this (Burda et al. 2016).
ACTIVE = 0.01
GENERATED_IMAGES = 64
#: Images on a side of the grid that a map is decoded on, and how much of the points it spans in each direction.
MAP_SIDE = 10
MAP_SPAN = (0.05, 0.95)


@dataclass(frozen=True)
class Results:
    """Of one replica."""

    metrics: dict[str, float]
    arrays: dict[str, np.ndarray]


def snapshot_rows(data: DataSet) -> np.ndarray:
    """Indices of the test points that snapshots follow: the same for every run on a data set."""
    n = len(data.splits["test"])
    return np.sort(np.random.default_rng(0).permutation(n)[:SNAPSHOT_POINTS])


def observed(model: Model, data: DataSet, split: str) -> Tensor:
    """What q sees of a split ``[N, D]``: its rows or, for a model of bits, bits drawn from them once."""
    x = torch.from_numpy(data.splits[split].x)
    if not isinstance(model, BernoulliModel):
        return x
    noise, divisor = Noise([BINARISATION_SEED], f"bits of {split}"), model.settings.divisor
    if x.dtype == torch.uint8:
        return noise.binarise(x[None], divisor)[0] * 255
    return (noise.uniform(*x.shape)[0] < x * (255 / divisor)).float()


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
    x = torch.from_numpy(test.x[one_of_each_class(test.y)]).to(device)
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


def projection(snapshots: Mapping[str, Tensor], data: DataSet, seed: int) -> dict[str, np.ndarray]:
    """Two-dimensional t-SNE of every snapshot of the features (Figure 5); none of a handful of points."""
    if any(len(features) <= PERPLEXITY for features in snapshots.values()):
        return {}
    labels = data.splits["test"].y
    arrays = {f"tsne_{name}": tsne(features.float().numpy(), seed) for name, features in snapshots.items()}
    return arrays | ({} if labels is None else {"tsne_labels": labels[snapshot_rows(data)].astype(np.int16)})


def likelihood(model: Any, bits: Tensor, seeds: list[int], n_samples: int, precision: Any) -> list[dict[str, float]]:
    """The importance-weighted bound on the test bits with its standard error, and the one-sample bound, in nats."""
    found = log_likelihood(model, bits, seeds, n_samples, samples_at_once=100, images_at_once=100, precision=precision)
    return [
        {
            "test.log_likelihood": float(found.mean()[r]),
            "test.log_likelihood_se": float(found.standard_error()[r]),
            "test.elbo": float(found.elbo[r].mean()),
            "test.log_likelihood_samples": n_samples,
            "test.binarisation_seed": BINARISATION_SEED,
        }
        for r in range(model.replicas)
    ]


def bounds(model: Any, bits: Tensor, seeds: list[int], n_samples: int, precision: Any) -> list[dict[str, np.ndarray]]:
    """The bound against the number of samples on the first test images; with y summed out too, where y is drawn."""
    sizes = [S for S in BOUND_SAMPLES if n_samples >= S]
    log_w = log_weights(model, bits[:BOUND_IMAGES], seeds, n_samples, precision=precision)
    arrays = [{"bound_samples": np.array(sizes), "bound": bound(log_w[:, r], sizes)} for r in range(model.replicas)]
    if model.clusters:  # and so y is drawn
        enumerated = log_weights(
            model, bits[:BOUND_IMAGES], seeds, min(n_samples, BOUND_ENUMERATED), precision=precision, enumerate_y=True
        )
        few = [S for S in sizes if S <= BOUND_ENUMERATED]
        for r, kept in enumerate(arrays):
            kept["bound_enumerated"] = bound(enumerated[:, r], few)
    return arrays


def units(means: Mapping[str, Tensor]) -> list[dict[str, float]]:
    """How many units of each layer are active, from the posterior means ``[R, N, Z]`` of the test bits."""
    active = {name: (mean.var(1) > ACTIVE).sum(-1) for name, mean in means.items()}
    replicas = len(next(iter(means.values())))
    return [
        {f"test.active_{name.removesuffix('_mean')}": float(count[r]) for name, count in active.items()}
        for r in range(replicas)
    ]


@torch.no_grad()
def classifiers(
    model: Any, data: DataSet, bits: Tensor, seeds: list[int], device: torch.device
) -> list[dict[str, float]]:
    """Test error of each classifier that a model holds, in per cent; cluster k is taken for class k."""
    y = data.splits["test"].y
    if y is None:
        return [{} for _ in seeds]
    labels = torch.from_numpy(y)
    wrong: list[dict[str, float]] = [{} for _ in seeds]
    noise = noise_on(device, seeds, "classifier samples")
    for i, (images, truth) in enumerate(zip(bits.split(500), labels.split(500), strict=True)):
        batch = images.expand(model.replicas, *images.shape)
        for name, log_prob in model.classifiers(batch, CLASSIFIER_SAMPLES, noise.at(i)).items():
            missed = (log_prob.argmax(-1).cpu() != truth).sum(-1)
            for r, found in enumerate(wrong):
                key = f"test.error_{name}"
                found[key] = found.get(key, 0.0) + 100 * float(missed[r]) / len(labels)
    return wrong


@torch.no_grad()
def generation(model: Any, bits: Tensor, seeds: list[int], device: torch.device) -> list[dict[str, np.ndarray]]:
    """Test bits, their reconstructions, and samples (Figure 3 of CaGeM)."""
    shown = bits[:GENERATED_IMAGES]
    rebuilt = as_bytes(model.reconstruct(shown.expand(model.replicas, *shown.shape)))
    samples = as_bytes(model.sample(GENERATED_IMAGES, noise_on(device, seeds, "generated samples")))
    return [
        {"generated_inputs": as_bytes(shown), "generated_rebuilt": rebuilt[r], "generated_samples": samples[r]}
        for r in range(model.replicas)
    ]


@torch.no_grad()
def latent_map(
    model: Any, data: DataSet, bits: Tensor, seeds: list[int], device: torch.device
) -> list[dict[str, np.ndarray]]:
    """A two-dimensional z2 (Figure 2 of CaGeM): test points, and a grid decoded with y from p(y|z2) and class by class.

    The grid spans the middle of the points; rows go from the top of the map to its bottom.
    """
    rows = snapshot_rows(data)
    z2 = in_chunks(model.embed, bits[rows], model.replicas)["z2_mean"]
    ends = torch.quantile(z2, torch.tensor(MAP_SPAN), dim=1)  # [2, R, 2]
    steps = torch.linspace(0, 1, MAP_SIDE)
    axes = ends[0][..., None] + (ends[1] - ends[0])[..., None] * steps  # [R, 2, side]
    down, across = torch.meshgrid(torch.arange(MAP_SIDE - 1, -1, -1), torch.arange(MAP_SIDE), indexing="ij")
    grid = torch.stack([axes[:, 0][:, across.flatten()], axes[:, 1][:, down.flatten()]], -1).to(device)
    noise = noise_on(device, seeds, "map samples")
    any_y = as_bytes(model.decode(grid, None, noise))
    K = model.settings.n_clusters
    every = torch.arange(K, device=device).expand(model.replicas, K)
    of_class = as_bytes(
        model.decode(grid.repeat_interleave(K, 1), every.repeat(1, grid.shape[1]), noise.at(1))
    ).reshape(model.replicas, grid.shape[1], K, -1)
    y = data.splits["test"].y
    labels = {} if y is None else {"map_labels": y[rows].astype(np.int16)}
    return [
        {
            "map_z2": z2[r].numpy(),
            "map_grid": grid[r].cpu().numpy(),
            "map_any": any_y[r],
            "map_of_class": of_class[r].swapaxes(0, 1),
        }
        | labels
        for r in range(model.replicas)
    ]


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
    precision: str = "float32",
) -> list[Results]:
    """Run the named evaluations on every replica of a trained model, likelihoods at the precision of its training.

    What a model does not have, clusters or classifiers, is left out.
    """
    model.eval()
    parts = {name: observed(model, data, name).to(device) for name in data.splits}
    results = [Results({}, {}) for _ in seeds]
    metrics, arrays = [result.metrics for result in results], [result.arrays for result in results]
    if "clustering" in evaluations and model.clusters:
        posteriors = {
            name: _without_nan(in_chunks(model.cluster_posterior, x, model.replicas)) for name, x in parts.items()
        }
        for r, kept in enumerate(metrics):
            kept.update(clustering(data, {name: p[r].numpy() for name, p in posteriors.items()}))
    if "neighbours" in evaluations:
        embeddings = {name: in_chunks(model.embed, x, model.replicas) for name, x in parts.items()}
        kinds = next(iter(embeddings.values()))
        for r, kept in enumerate(metrics):
            features = {k: {name: e[k][r].nan_to_num().numpy() for name, e in embeddings.items()} for k in kinds}
            kept.update(neighbours(data, features))
    if "style" in evaluations:
        _add(arrays, style(model, data, seeds, device))
    for name in ("samples", "walk"):
        if name in evaluations:
            _add(arrays, [{f"component_{name}": images} for images in components(model, seeds, device, name == "walk")])
    if "latent" in evaluations:
        _add(arrays, latent(model, data, device))
    for evaluation in evaluations:
        kind, _, number = evaluation.partition("-")
        if isinstance(model, BernoulliModel):
            bits = as_float(parts["test"])
            if kind == "likelihood":
                _add(metrics, likelihood(model, bits, seeds, int(number), precision))
            elif kind == "bound":
                _add(arrays, bounds(model, bits, seeds, int(number), precision))
            elif kind == "units":
                _add(metrics, units(in_chunks(model.embed, bits, model.replicas)))
            elif kind == "classifiers" and model.learns_from_labels:
                _add(metrics, classifiers(model, data, bits, seeds, device))
            elif kind == "generation":
                _add(arrays, generation(model, bits, seeds, device))
            elif kind == "map":
                _add(arrays, latent_map(model, data, bits, seeds, device))
        elif isinstance(model, VLAC):
            if kind == "layers":
                _add(metrics, layerwise.clusters_by_layer(model, data, parts["test"]))
            elif kind == "chance":
                _add(metrics, layerwise.clusters_by_layer(model, data, parts["test"], layerwise.by_chance))
            elif kind == "kmeans":
                _add(metrics, layerwise.kmeans_by_layer(model, data, parts, seeds, int(number)))
            elif kind == "resampling":
                _add(arrays, layerwise.images_by_layer(model, data, seeds, device))
    if "projection" in evaluations:
        _add(arrays, [projection(kept, data, seed) for kept, seed in zip(snapshots, seeds, strict=True)])
    return results


def _add(kept: Sequence[dict[str, Any]], found: Sequence[Mapping[str, Any]]) -> None:
    for of_replica, new in zip(kept, found, strict=True):
        of_replica.update(new)
