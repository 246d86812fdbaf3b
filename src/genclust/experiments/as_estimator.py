"""Estimators of models that an experiment trained."""

from __future__ import annotations

import numpy as np

from genclust.data import DataSet
from genclust.estimators.base import DeepEstimator, final_values
from genclust.estimators.inputs import Scaling
from genclust.estimators.saving import ESTIMATORS, without_lists
from genclust.experiments.configuration import RunConfig, training_settings
from genclust.experiments.training_run import bound, build
from genclust.models import Model
from genclust.settings import SettingError

#: Parameters that a declaration states as schedules, which an estimator's need not be able to express.
SCHEDULED = ("learning_rate", "temperature", "warm_up")


def kind_of(config: RunConfig) -> type[DeepEstimator]:
    """Class of the estimator of a configured model.

    Raises:
        SettingError: if the model has none.
    """
    kinds = [
        cls
        for cls in ESTIMATORS.values()
        if cls.model_name == config.model["name"]
        and cls.model_constants.get("objective") == config.model.get("objective")
    ]
    if not kinds:
        names = sorted({cls.model_name for cls in ESTIMATORS.values()})
        raise SettingError(
            f"Weights of the model {config.model['name']} cannot be kept, since no estimator reads them; those of "
            f"{', '.join(names)} can."
        )
    return kinds[0]


def from_trained(
    config: RunConfig, model: Model, replica: int, seed: int, data: DataSet, curve: list[dict[str, float]]
) -> DeepEstimator:
    """Estimator with the weights of one replica of a trained model.

    Args:
        config: configuration of the run.
        model: trained, of R replicas.
        replica: which of them.
        seed: its seed.
        data: data set that it was trained on.
        curve: its learning curve, with the terms of the bound on the validation split in nats.

    Raises:
        SettingError: if the model has no estimator.
    """
    cls = kind_of(config)
    parameters = cls().get_params(deep=False)
    declared = {**config.training, **config.model}
    given = {
        name: without_lists(declared[name]) for name in parameters.keys() & declared.keys() if name not in SCHEDULED
    }
    if "image_shape" in parameters:
        given["image_shape"] = data.image_shape
    if given.get("precision") == "faster":
        del given["precision"]
    estimator = cls(**given)
    x = data.splits["train"].x
    estimator.model_ = build(config, 1, x.shape[1]).eval()
    weights = {name: value[replica : replica + 1].cpu() for name, value in model.state_dict().items()}
    estimator.model_.load_state_dict(weights)
    estimator.n_features_in_ = x.shape[1]
    estimator._n_features_out = estimator.n_outputs()
    estimator.image_shape_ = _shape(data.image_shape)
    kind, scale = ("grey", 255) if x.dtype == np.uint8 else ("none", 1)
    estimator.scaling_ = Scaling(kind, np.zeros(1, np.float32), np.full(1, scale, np.float32))  # type: ignore[arg-type]
    estimator.seeds_, estimator.best_, estimator.n_epochs_ = [seed], 0, config.training["epochs"]
    schedules = training_settings(config.model["name"], config.training).schedules
    estimator.scheduled_ = final_values(schedules, model, estimator.n_epochs_)
    estimator.bound_ = bound(model, curve[-1] if curve else {})
    estimator.bounds_ = np.array([estimator.bound_])
    estimator.history_, estimator.histories_ = curve, [curve]
    return estimator


def _shape(image: tuple[int, int, int] | None) -> tuple[int, ...] | None:
    """Shape of an image in X: without an axis for a single colour."""
    return image[:2] if image is not None and image[2] == 1 else image
