"""What can be measured, by the names that declarations use, and what a model must be able to do for it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

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
from genclust.models import BASELINES, MODELS, Model
from genclust.models.inference import in_chunks
from genclust.settings import SettingError, nearest


class Configured(Protocol):
    """The configuration of a run, as far as evaluations need it: the sections on model and data."""

    @property
    def model(self) -> Mapping[str, Any]: ...
    @property
    def data(self) -> Mapping[str, Any]: ...


@dataclass(frozen=True)
class Evaluation:
    """Something that can be measured of a trained model.

    Attributes:
        measure: of a trained model and the number that is part of some names, such as 500 in ``likelihood-500``.
        needs: what a model must be able to do, a capability.
        numbered: whether the name ends in a number.
        condition: of the configuration.
        otherwise: what is lacking where the condition does not hold, such as `` without labels``.
        revision: raised whenever the same model would get other numbers; records of another one do not count.
    """

    measure: Callable[[Trained, int], list[Results]]
    needs: type
    numbered: bool = False
    condition: Callable[[Configured], bool] = lambda config: True
    otherwise: str = ""
    revision: int = 1


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
        measures.neighbours(
            t.data, {k: {name: e[k][r].nan_to_num().numpy() for name, e in embeddings.items()} for k in kinds}
        )
        for r in range(t.model.replicas)
    ]


def _gradients(t: Trained, n: int) -> list[Results]:
    train_x = torch.from_numpy(t.data.splits["train"].x).to(t.device)
    return measures.gradients(t.model, train_x, t.seeds, t.device)


#: What can be measured, by the names that declarations use (without their numbers).
EVALUATIONS: Mapping[str, Evaluation] = {
    "clustering": Evaluation(_clustering, HasClusters),
    "neighbours": Evaluation(_neighbours, Model),
    "style": Evaluation(lambda t, n: pictures.style(t), DecodesStyle),
    "samples": Evaluation(lambda t, n: pictures.cluster_samples(t), SamplesClusters),
    "walk": Evaluation(lambda t, n: pictures.walk(t), WalksThroughClusters),
    "latent": Evaluation(lambda t, n: pictures.latent_map(t), MapsLatentSpace),
    "projection": Evaluation(
        lambda t, n: [measures.projection(s, t.data, seed) for s, seed in zip(t.snapshots, t.seeds, strict=True)],
        Model,
    ),
    "likelihood": Evaluation(
        lambda t, n: measures.likelihood(t.model, t.bits, t.seeds, n, t.precision), HasLikelihood, numbered=True
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
    "generation": Evaluation(lambda t, n: pictures.generation(t), Generates),
    "gradients": Evaluation(_gradients, SumsOverClasses),
    "map": Evaluation(
        lambda t, n: pictures.two_dimensional_map(t),
        MapsTwoDimensions,
        condition=lambda config: config.model["z2_dim"] == 2,
        otherwise=" unless z2 has two dimensions",
    ),
    "layers": Evaluation(lambda t, n: layers.clusters_by_layer(t.model, t.data, t.parts["test"]), HasLayerClusters),
    "chance": Evaluation(
        lambda t, n: layers.clusters_by_layer(t.model, t.data, t.parts["test"], layers.by_chance), HasLayerClusters
    ),
    "kmeans": Evaluation(
        lambda t, n: layers.kmeans_by_layer(t.model, t.data, t.parts, t.seeds, n), HasLayers, numbered=True
    ),
    "resampling": Evaluation(lambda t, n: pictures.layers(t), HasLayers),
}


#: The form of the number behind some names, as in likelihood-5000.
NUMBER = "[1-9][0-9]{0,8}"


def check_name(evaluation: str, asked_by: str) -> None:
    """Refuse a name that is none of an evaluation's, such as ``likelihood`` without its number of samples.

    Raises:
        SettingError: that names the nearest one.
    """
    kind = evaluation.partition("-")[0]
    known = EVALUATIONS.get(kind)
    form = f"{kind}-{NUMBER}" if known and known.numbered else kind
    if known is None or not re.fullmatch(form, evaluation):
        raise SettingError(nearest(evaluation, EVALUATIONS, f"evaluation, asked for by {asked_by},"))


def _named(evaluation: str) -> tuple[Evaluation, int]:
    """The evaluation of that name, and the number in it or 0."""
    kind, _, number = evaluation.partition("-")
    return EVALUATIONS[kind], int(number or 0)


def suits(evaluation: str, config: Configured) -> bool:
    """Whether a configured model can be measured in this way; all that baselines have is a clustering."""
    if config.model["name"] in BASELINES:
        return evaluation == "clustering"
    known, _ = _named(evaluation)
    return issubclass(MODELS[config.model["name"]][0], known.needs) and known.condition(config)


def revisions(evaluations: Sequence[str]) -> dict[str, int]:
    """Each evaluation with its present revision, as records keep it."""
    return {name: _named(name)[0].revision for name in evaluations}


def refuse_unsuited(evaluations: Sequence[str], config: Configured) -> None:
    """Refuse what cannot be measured of a configured model, before it is trained.

    Raises:
        SettingError: that names the evaluation, and those that can be made.
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
) -> list[Results]:
    """Run the named evaluations on every replica of a trained model, likelihoods at the precision of its training."""
    trained = Trained(model.eval(), data, seeds, snapshots, device, precision)
    results = [Results({}, {}) for _ in seeds]
    for name in evaluations:
        evaluation, number = _named(name)
        for of_replica, found in zip(results, evaluation.measure(trained, number), strict=True):
            of_replica.metrics.update(found.metrics)
            of_replica.arrays.update(found.arrays)
    return results
