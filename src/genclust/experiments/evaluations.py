"""What is measured once a run has ended: metrics for tables, arrays for figures."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from genclust.data import DataSet
from genclust.evaluation.clustering import clustering_scores, exemplars
from genclust.evaluation.gradients import GradientNoise, gradient_noise
from genclust.evaluation.likelihood import bound, log_likelihood, log_weights
from genclust.evaluation.neighbours import NEIGHBOURS, knn_classes
from genclust.evaluation.projection import PERPLEXITY, tsne
from genclust.experiments import layerwise
from genclust.experiments.declaration import RunConfig
from genclust.experiments.images import as_bytes, one_of_each_class
from genclust.experiments.results import Results, as_small_integers
from genclust.models import BASELINES, MODELS, BernoulliModel, Model
from genclust.models.auxiliary import ADGM
from genclust.models.cagem import CaGeM
from genclust.models.explicit import ExplicitGMVAE
from genclust.models.gmvae import GMVAE
from genclust.models.gumbel import GumbelClustering
from genclust.models.vlac import VLAC
from genclust.settings import SettingError
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
#: Gradients are compared for sums over all classes (0), and over so many before one of the others is drawn.
GRADIENT_CLASSES = (0, 2, 1)
GRADIENT_BATCHES, GRADIENT_BATCH_SIZE, GRADIENT_DRAWS = 10, 100, 50
#: Images on a side of the grid that a map is decoded on, and how much of the points it spans in each direction.
MAP_SIDE = 10
MAP_SPAN = (0.05, 0.95)


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


def clustering(data: DataSet, log_posteriors: Mapping[str, np.ndarray]) -> Results:
    """Every clustering score on every labelled split and on ``all`` of them together, and what the scores are made of.

    Args:
        data: with or without labels.
        log_posteriors: log q(y|x) of each split, ``[N, K]``.

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
    arrays = {f"exemplars_{name}": exemplars(log_q).astype(np.int32) for name, (_, log_q) in parts.items()}
    for name, log_q in log_posteriors.items():
        arrays[f"clusters_{name}"] = as_small_integers(log_q.argmax(1))
        if name != "train":
            arrays[f"confidence_{name}"] = np.exp(log_q.max(1)).astype(np.float16)
    return Results(metrics, arrays)


def neighbours(data: DataSet, embeddings: Mapping[str, Mapping[str, np.ndarray]]) -> Results:
    """kNN error on the test split, with everything that is not test as neighbours (Table 2), and the classes voted for.

    Args:
        data: its errors are left out unless every split is labelled.
        embeddings: by kind, such as ``x_hat``, and split, ``[N, F]``.
    """
    labels = {name: split.y for name, split in data.splits.items() if split.y is not None}
    found = Results({}, {})
    if labels.keys() != data.splits.keys():
        return found
    test_labels = labels.pop("test")
    for name, parts in embeddings.items():
        features = np.concatenate([parts[other] for other in labels])
        voted = knn_classes(features, np.concatenate(list(labels.values())), parts["test"], NEIGHBOURS)
        for k, classes in voted.items():
            found.metrics[f"test.knn_error_{name}_{k}"] = 100 * float(np.mean(classes != test_labels))
        found.arrays[f"votes_{name}"] = as_small_integers(np.stack(list(voted.values())))
    return found


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


def likelihood(model: Any, bits: Tensor, seeds: list[int], n_samples: int, precision: Any) -> list[Results]:
    """The importance-weighted bound on the test bits with its standard error, and the one-sample bound, in nats.

    Both are kept for every image, in half precision: 1/32 nat of rounding at 100 nats, 0.0003 in the mean of 10,000.
    """
    found = log_likelihood(model, bits, seeds, n_samples, samples_at_once=100, images_at_once=100, precision=precision)
    return [
        Results(
            {
                "test.log_likelihood": float(found.mean()[r]),
                "test.log_likelihood_se": float(found.standard_error()[r]),
                "test.elbo": float(found.elbo[r].mean()),
                "test.log_likelihood_samples": n_samples,
                "test.binarisation_seed": BINARISATION_SEED,
            },
            {"log_likelihood_test": found.log_prob[r].half().numpy(), "elbo_test": found.elbo[r].half().numpy()},
        )
        for r in range(model.replicas)
    ]


def bounds(model: Any, bits: Tensor, seeds: list[int], n_samples: int, precision: Any) -> list[Results]:
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
    return [Results({}, kept) for kept in arrays]


def units(means: Mapping[str, Tensor]) -> list[Results]:
    """How many units of each layer are active, from the posterior means ``[R, N, Z]`` of the test bits, and each
    unit's variance."""
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
    """Test error of each classifier that a model holds, in per cent, and the class it gives to every test image;
    cluster k is taken for class k."""
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


def gradients(model: Any, train_x: Tensor, seeds: list[int], device: torch.device) -> list[dict[str, np.ndarray]]:
    """How noisy the gradient of a step without labels is at the end of training, for each way to sum over classes.

    All see the same batches of training images.  As arrays, in the order of ``gradient_classes``: the squared norm of
    the mean gradient, and the traces of its covariance over draws and over batches.
    """
    size = min(GRADIENT_BATCH_SIZE, len(train_x) // GRADIENT_BATCHES)
    order = Noise(seeds, "batches for gradients").permutation(len(train_x)).to(device)
    batches = order[:, : GRADIENT_BATCHES * size].unflatten(1, (GRADIENT_BATCHES, size))

    def with_sum_over(classes: int) -> GradientNoise:
        step = copy.deepcopy(model).train()
        step.settings = replace(step.settings, classes=classes)
        parameters = list(step.parameters())
        noise = noise_on(device, seeds, f"gradients, {classes} classes")

        def gradient(batch: int, draw: int) -> Tensor:
            x = as_float(train_x[batches[:, batch]])
            objective = step.loss(x, {"warm_up": 1.0}, noise.at(batch * GRADIENT_DRAWS + draw)).objective
            return torch.cat([g.flatten(1) for g in torch.autograd.grad(objective.sum(), parameters)], 1)

        return gradient_noise(gradient, GRADIENT_BATCHES, GRADIENT_DRAWS)

    found = [with_sum_over(classes) for classes in GRADIENT_CLASSES]
    return [
        {"gradient_classes": np.array(GRADIENT_CLASSES, dtype=np.int8)}
        | {
            f"gradient_{name}": np.array([float(getattr(one, name)[r]) for one in found])
            for name in ("squared_norm", "of_draws", "of_batches")
        }
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


@dataclass
class Trained:
    """A trained model with all that evaluations look at.

    Attributes:
        model: in evaluation mode.
        data: with its splits.
        seeds: one a replica.
        snapshots: for each replica, features of some test points at some epochs.
        device: where the model is.
        precision: of the products in likelihoods.
    """

    model: Any
    data: DataSet
    seeds: list[int]
    snapshots: Sequence[Mapping[str, Tensor]]
    device: torch.device
    precision: str

    @cached_property
    def parts(self) -> dict[str, Tensor]:
        """What q sees of every split ``[N, D]``."""
        return {name: observed(self.model, self.data, name).to(self.device) for name in self.data.splits}

    @cached_property
    def bits(self) -> Tensor:
        """The test split as a model of bits sees it."""
        return as_float(self.parts["test"])

    def of_all(self, function: Callable[[Tensor], Any]) -> dict[str, Any]:
        """``function`` of every split."""
        return {name: in_chunks(function, x, self.model.replicas) for name, x in self.parts.items()}


def _clustering(t: Trained) -> list[Results]:
    posteriors = {name: _without_nan(log_q).numpy() for name, log_q in t.of_all(t.model.cluster_posterior).items()}
    return [clustering(t.data, {name: p[r] for name, p in posteriors.items()}) for r in range(t.model.replicas)]


def _neighbours(t: Trained) -> list[Results]:
    embeddings = t.of_all(t.model.embed)
    kinds = next(iter(embeddings.values()))
    return [
        neighbours(t.data, {k: {name: e[k][r].nan_to_num().numpy() for name, e in embeddings.items()} for k in kinds})
        for r in range(t.model.replicas)
    ]


def _pictures(found: Sequence[dict[str, np.ndarray]]) -> list[Results]:
    return [Results({}, arrays) for arrays in found]


def _components(t: Trained, name: str) -> list[Results]:
    images = components(t.model, t.seeds, t.device, name == "walk")
    return _pictures([{f"component_{name}": of_replica} for of_replica in images])


def _is(kind: type) -> Callable[[type[Model], RunConfig], bool]:
    return lambda model, config: issubclass(model, kind)


def _has_clusters(model: type[Model], config: RunConfig) -> bool:
    return model.clusters


def _knows_labels(model: type[Model], config: RunConfig) -> bool:
    """Without labels, cluster k is not class k, and a classifier has no error."""
    return model.learns_from_labels and "n_labels" in config.data


def _is_any(model: type[Model], config: RunConfig) -> bool:
    return True


@dataclass(frozen=True)
class Evaluation:
    """Something that can be measured.

    Attributes:
        measure: of a trained model and the number that is part of some names, such as 500 in ``likelihood-500``.
        suits: whether it can be measured of a kind of model under a configuration.
        revision: raised whenever the same model would get other numbers; records of another one do not count.
    """

    measure: Callable[[Trained, int], list[Results]]
    suits: Callable[[type[Model], RunConfig], bool]
    revision: int = 1


#: What can be measured, by the names that declarations use (without their numbers).
EVALUATIONS: Mapping[str, Evaluation] = {
    "clustering": Evaluation(lambda t, n: _clustering(t), _has_clusters),
    "neighbours": Evaluation(lambda t, n: _neighbours(t), _is_any),
    "style": Evaluation(lambda t, n: _pictures(style(t.model, t.data, t.seeds, t.device)), _is(GumbelClustering)),
    "samples": Evaluation(
        lambda t, n: _components(t, "samples"), lambda model, config: issubclass(model, (GMVAE, ExplicitGMVAE))
    ),
    "walk": Evaluation(lambda t, n: _components(t, "walk"), _is(GMVAE)),
    "latent": Evaluation(lambda t, n: _pictures(latent(t.model, t.data, t.device)), _is(GMVAE)),
    "projection": Evaluation(
        lambda t, n: _pictures([projection(k, t.data, s) for k, s in zip(t.snapshots, t.seeds, strict=True)]), _is_any
    ),
    "likelihood": Evaluation(lambda t, n: likelihood(t.model, t.bits, t.seeds, n, t.precision), _is(BernoulliModel)),
    "bound": Evaluation(lambda t, n: bounds(t.model, t.bits, t.seeds, n, t.precision), _is(BernoulliModel)),
    "units": Evaluation(lambda t, n: units(in_chunks(t.model.embed, t.bits, t.model.replicas)), _is(BernoulliModel)),
    "classifiers": Evaluation(lambda t, n: classifiers(t.model, t.data, t.bits, t.seeds, t.device), _knows_labels),
    "generation": Evaluation(
        lambda t, n: _pictures(generation(t.model, t.bits, t.seeds, t.device)), _is(BernoulliModel)
    ),
    "gradients": Evaluation(
        lambda t, n: _pictures(
            gradients(t.model, torch.from_numpy(t.data.splits["train"].x).to(t.device), t.seeds, t.device)
        ),
        lambda model, config: issubclass(model, (CaGeM, ADGM)),
    ),
    "map": Evaluation(
        lambda t, n: _pictures(latent_map(t.model, t.data, t.bits, t.seeds, t.device)),
        lambda model, config: issubclass(model, CaGeM) and config.model["z2_dim"] == 2,
    ),
    "layers": Evaluation(
        lambda t, n: layerwise.clusters_by_layer(t.model, t.data, t.parts["test"]),
        lambda model, config: issubclass(model, VLAC) and model.clusters,
    ),
    "chance": Evaluation(
        lambda t, n: layerwise.clusters_by_layer(t.model, t.data, t.parts["test"], layerwise.by_chance),
        lambda model, config: issubclass(model, VLAC) and model.clusters,
    ),
    "kmeans": Evaluation(lambda t, n: layerwise.kmeans_by_layer(t.model, t.data, t.parts, t.seeds, n), _is(VLAC)),
    "resampling": Evaluation(
        lambda t, n: _pictures(layerwise.images_by_layer(t.model, t.data, t.seeds, t.device)), _is(VLAC)
    ),
}


def _named(evaluation: str) -> tuple[Evaluation, int]:
    """The evaluation of that name, and the number in it or 0."""
    kind, _, number = evaluation.partition("-")
    return EVALUATIONS[kind], int(number or 0)


def suits(evaluation: str, config: RunConfig) -> bool:
    """Whether the model of a configuration can be measured in this way; all that baselines have is a clustering."""
    name = config.model["name"]
    if name in BASELINES:
        return evaluation == "clustering"
    return _named(evaluation)[0].suits(MODELS[name][0], config)


def revisions(evaluations: Sequence[str]) -> dict[str, int]:
    """Each evaluation with its present revision, as records keep it."""
    return {name: _named(name)[0].revision for name in evaluations}


def refuse_unsuited(evaluations: Sequence[str], config: RunConfig) -> None:
    """Refuse what cannot be measured of a model, before it is trained.

    Raises:
        SettingError: that names the evaluation, and those that can be made.
    """
    for evaluation in evaluations:
        if not suits(evaluation, config):
            possible = [name for name in EVALUATIONS if suits(name, config)]
            raise SettingError(
                f"The evaluation {evaluation!r} cannot be made of the model {config.model['name']}"
                f"{' without labels' if evaluation == 'classifiers' else ''}; possible are {', '.join(possible)}."
            )


def evaluate(
    model: Model,
    data: DataSet,
    seeds: list[int],
    snapshots: Sequence[Mapping[str, Tensor]],
    evaluations: Sequence[str],
    device: torch.device,
    precision: str = "float32",
) -> list[Results]:
    """Run the named evaluations on every replica of a trained model, likelihoods at the precision of its training."""
    trained = Trained(model.eval(), data, seeds, snapshots, device, precision)
    results = [Results({}, {}) for _ in seeds]
    for name in evaluations:
        evaluation, number = _named(name)
        for kept, found in zip(results, evaluation.measure(trained, number), strict=True):
            kept.metrics.update(found.metrics)
            kept.arrays.update(found.arrays)
    return results
