"""Registry of evaluations, by the names that declarations use, with the capability that each needs of a model."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from genclust.baselines import BASELINES
from genclust.data import DataSet
from genclust.evaluation import layers, measures, pictures
from genclust.evaluation.capabilities import (
    DecodesStyle,
    Generates,
    HasClassifiers,
    HasClusters,
    HasLayerClusters,
    HasLayers,
    HasLikelihood,
    MapsLatentSpace,
    MapsTwoDimensions,
    SamplesClusters,
    SumsOverClasses,
    WalksThroughClusters,
)
from genclust.evaluation.results import Results
from genclust.evaluation.trained import Trained
from genclust.models import MODELS, Model
from genclust.models.inference import in_chunks
from genclust.settings import SettingError, nearest


class Configured(Protocol):
    """Configuration of a run, reduced to what evaluations need: the sections on model and data."""

    @property
    def model(self) -> Mapping[str, Any]: ...
    @property
    def data(self) -> Mapping[str, Any]: ...


@dataclass(frozen=True)
class Evaluation:
    """An evaluation of a trained model, and the conditions under which it applies.

    Attributes:
        measure: function of a trained model and of the number in some names, such as 500 in ``likelihood-500``.
        needs: capability that the model must have.
        numbered: whether the name ends in a number.
        condition: further condition on the configuration.
        otherwise: reason given where the condition does not hold, such as `` without labels``.
        revision: number that is raised whenever the same model would get other results; records of other revisions do
            not count.
        pictures: how the names of its arrays begin, if it has no metrics and only draws images.
    """

    measure: Callable[[Trained, int], list[Results]]
    needs: type
    numbered: bool = False
    condition: Callable[[Configured], bool] = lambda config: True
    otherwise: str = ""
    revision: int = 1
    pictures: tuple[str, ...] = ()


def _clustering(t: Trained, n: int) -> list[Results]:
    posteriors = {
        name: measures.without_nan(log_q).numpy() for name, log_q in t.of_all(t.model.cluster_posterior).items()
    }
    return [
        measures.clustering(t.data, {name: p[r] for name, p in posteriors.items()}) for r in range(t.model.replicas)
    ]


def _neighbours(t: Trained, n: int) -> list[Results]:
    embeddings = t.of_all(t.model.embed)
    kinds = next(iter(embeddings.values()))
    return [
        measures.neighbours(t.data, {k: {name: e[k][r].numpy() for name, e in embeddings.items()} for k in kinds})
        for r in range(t.model.replicas)
    ]


def _gradients(t: Trained, n: int) -> list[Results]:
    train_x = torch.from_numpy(t.data.splits["train"].x).to(t.device)
    return measures.gradients(t.model, train_x, t.seeds, t.device)


#: All evaluations, by the names that declarations use (without their numbers).
EVALUATIONS: Mapping[str, Evaluation] = {
    "clustering": Evaluation(_clustering, HasClusters),
    "neighbours": Evaluation(_neighbours, Model),
    "style": Evaluation(
        lambda t, n: pictures.style(t), DecodesStyle, pictures=("style_inputs", "style_transfers", "cluster_samples")
    ),
    "samples": Evaluation(lambda t, n: pictures.cluster_samples(t), SamplesClusters, pictures=("component_samples",)),
    "walk": Evaluation(lambda t, n: pictures.walk(t), WalksThroughClusters, pictures=("component_walk",)),
    "latent": Evaluation(lambda t, n: pictures.latent_map(t), MapsLatentSpace),
    "projection": Evaluation(
        lambda t, n: [measures.projection(s, t.data, seed) for s, seed in zip(t.snapshots, t.seeds, strict=True)],
        Model,
    ),
    "likelihood": Evaluation(
        lambda t, n: measures.likelihood(t.model, t.bits, t.seeds, n, t.precision, t.kept(f"likelihood-{n}")),
        HasLikelihood,
        numbered=True,
    ),
    "bound": Evaluation(
        lambda t, n: measures.bounds(t.model, t.bits, t.seeds, n, t.precision), HasLikelihood, numbered=True
    ),
    "units": Evaluation(lambda t, n: measures.units(in_chunks(t.model.embed, t.bits, t.model.replicas)), HasLikelihood),
    "classifiers": Evaluation(
        lambda t, n: measures.classifiers(t.model, t.data, t.bits, t.seeds, t.device),
        HasClassifiers,
        # Without labels, cluster k is not class k, and a classifier has no error.
        condition=lambda config: "n_labels" in config.data,
        otherwise=" without labels",
    ),
    "generation": Evaluation(lambda t, n: pictures.generation(t), Generates, pictures=("generated_",)),
    "gradients": Evaluation(_gradients, SumsOverClasses),
    "map": Evaluation(
        lambda t, n: pictures.two_dimensional_map(t),
        MapsTwoDimensions,
        condition=lambda config: config.model.get("z2_dim") == 2,
        otherwise=" unless z2 has two dimensions",
    ),
    "layers": Evaluation(lambda t, n: layers.clusters_by_layer(t.model, t.data, t.parts["test"]), HasLayerClusters),
    "chance": Evaluation(
        lambda t, n: layers.clusters_by_layer(t.model, t.data, t.parts["test"], layers.by_chance), HasLayerClusters
    ),
    "kmeans": Evaluation(
        lambda t, n: layers.kmeans_by_layer(t.model, t.data, t.parts, t.seeds, n), HasLayers, numbered=True
    ),
    "resampling": Evaluation(
        lambda t, n: pictures.layers(t), HasLayers, pictures=("layer_inputs", "resampled_z", "components_y")
    ),
}


#: Regular expression for the number at the end of some names, as in likelihood-5000.
NUMBER = "[1-9][0-9]{0,8}"


def check_name(evaluation: str, asked_by: str) -> None:
    """Raise an error for an invalid evaluation name, such as ``likelihood`` without its number of samples.

    Raises:
        SettingError: with the nearest valid name.
    """
    kind = evaluation.partition("-")[0]
    known = EVALUATIONS.get(kind)
    form = f"{kind}-{NUMBER}" if known and known.numbered else kind
    if known is None or not re.fullmatch(form, evaluation):
        raise SettingError(nearest(evaluation, EVALUATIONS, f"evaluation, asked for by {asked_by},"))


def _named(evaluation: str) -> tuple[Evaluation, int]:
    """Evaluation of the given name, and the number in the name (0 if there is none)."""
    kind, _, number = evaluation.partition("-")
    return EVALUATIONS[kind], int(number or 0)


def is_known(evaluation: str) -> bool:
    """Whether the library has an evaluation of this name, which a record of an earlier version may lack."""
    return evaluation.partition("-")[0] in EVALUATIONS


def suits(evaluation: str, config: Configured) -> bool:
    """Whether an evaluation applies to a configured model; only ``clustering`` applies to baselines."""
    if config.model["name"] in BASELINES:
        return evaluation == "clustering"
    known, _ = _named(evaluation)
    return issubclass(MODELS[config.model["name"]][0], known.needs) and known.condition(config)


def revisions(evaluations: Sequence[str]) -> dict[str, int]:
    """Current revision of each evaluation by name, as records store it."""
    return {name: _named(name)[0].revision for name in evaluations}


def without_pictures(evaluations: Iterable[str]) -> list[str]:
    """Names of the evaluations that do more than draw images.

    The book shows the pictures of a row's first seed, whatever they look like; the published records of its other
    seeds have none.
    """
    return [name for name in evaluations if not (is_known(name) and _named(name)[0].pictures)]


def is_picture(array: str) -> bool:
    """Whether an array of a record, by its name, holds images of an evaluation that only draws them."""
    return any(array.startswith(known.pictures) for known in EVALUATIONS.values())


def refuse_unsuited(evaluations: Sequence[str], config: Configured) -> None:
    """Raise an error if an evaluation does not apply to a configured model, before the model is trained.

    Raises:
        SettingError: with the name of the evaluation, and of those that apply.
    """
    for evaluation in evaluations:
        if not suits(evaluation, config):
            possible = [name for name in EVALUATIONS if suits(name, config)]
            known, _ = _named(evaluation)
            raise SettingError(
                f"The evaluation {evaluation!r} cannot be made of the model {config.model['name']}{known.otherwise}; "
                f"possible are {', '.join(possible)}."
            )


def evaluate(
    model: Model,
    data: DataSet,
    seeds: list[int],
    snapshots: Sequence[Mapping[str, Tensor]],
    evaluations: Sequence[str],
    device: torch.device,
    precision: str = "float32",
    checkpoint: Path | None = None,
) -> list[Results]:
    """Run the named evaluations on every replica of a trained model; likelihoods use the precision of its training.

    What takes hours is kept beside ``checkpoint``, and goes on from there.
    """
    trained = Trained(model.eval(), data, seeds, snapshots, device, precision, checkpoint)
    results = [Results({}, {}) for _ in seeds]
    for name in evaluations:
        evaluation, number = _named(name)
        for of_replica, result in zip(results, evaluation.measure(trained, number), strict=True):
            of_replica.metrics.update(result.metrics)
            of_replica.arrays.update(result.arrays)
    return results
