"""Learning curves of many records, as arrays for figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float

from genclust.experiments.access import Runs
from genclust.experiments.store import Record
from genclust.experiments.unlabelled import bound_of

#: Values of S seeds at P epochs by label, and the P epochs.
Curves = tuple[dict[str, Float[np.ndarray, "S P"]], Float[np.ndarray, " P"]]


def learning_curves(found: Mapping[str, Sequence[Record]], quantity: str) -> Curves:
    """Learning curves of one quantity, by label, at the epochs at which all records have it.

    Args:
        found: the records by label; those without the quantity in their last epoch are left out.
        quantity: a name in the records' curves, such as ``acc_hungarian`` or ``kl_z``.

    Returns:
        For each label an array of S seeds at P epochs, and the P epochs in increasing order.
    """
    complete = {name: runs for name, runs in found.items() if runs and all(quantity in run.curve[-1] for run in runs)}
    if not complete:
        return {}, np.array([])
    by_epoch = {
        name: [{p["epoch"]: p[quantity] for p in run.curve if quantity in p} for run in runs]
        for name, runs in complete.items()
    }
    epochs = sorted(set.intersection(*(set(curve) for curves in by_epoch.values() for curve in curves)))
    return {
        name: np.array([[curve[epoch] for epoch in epochs] for curve in curves]) for name, curves in by_epoch.items()
    }, np.array(epochs)


def accuracies(found: Mapping[str, Sequence[Record]]) -> tuple[str, Curves]:
    """Learning curves by which seeds without labels are compared too, and what they show, with its unit.

    Of the validation accuracy, or without labels of the bound on validation data.
    """
    curves = learning_curves(found, "acc_hungarian")
    if curves[0]:
        return "Validation accuracy (Hungarian, %)", curves
    return "Bound on validation data (nats)", bounds(found)


def bounds(found: Mapping[str, Sequence[Record]]) -> Curves:
    """Learning curves of the bound on validation data, in nats; NaN for a model that has none."""
    with_bounds = {
        name: [replace(run, curve=[point | {"bound": bound_of(run, point)} for point in run.curve]) for run in runs]
        for name, runs in found.items()
    }
    return learning_curves(with_bounds, "bound")


def until(found: Mapping[str, Runs], epoch: float) -> dict[str, Runs]:
    """Records whose learning curves are cut off after an epoch, by name.

    For tables that show longer runs beside shorter ones.
    """
    return {
        name: Runs(runs.row, [replace(run, curve=[p for p in run.curve if p["epoch"] <= epoch]) for run in runs])
        for name, runs in found.items()
    }
