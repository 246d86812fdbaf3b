"""Learning curves of many records, as arrays for figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float

from genclust.experiments.access import Runs
from genclust.experiments.store import Record

#: The values of all seeds by label, and the epochs that they belong to.
Curves = tuple[dict[str, Float[np.ndarray, "S P"]], Float[np.ndarray, " P"]]


def learning_curves(found: Mapping[str, Sequence[Record]], quantity: str) -> Curves:
    """A quantity at the epochs at which all records have it.

    Args:
        found: the records by label; those without the quantity in their last epoch are left out.
        quantity: a name in the records' curves, such as ``acc_hungarian`` or ``kl_z``.

    Returns:
        For each label an array of S seeds at P epochs, and the P epochs in increasing order.
    """
    kept = {name: runs for name, runs in found.items() if runs and all(quantity in run.curve[-1] for run in runs)}
    if not kept:
        return {}, np.array([])
    by_epoch = {
        name: [{p["epoch"]: p[quantity] for p in run.curve if quantity in p} for run in runs]
        for name, runs in kept.items()
    }
    epochs = sorted(set.intersection(*(set(curve) for curves in by_epoch.values() for curve in curves)))
    return {
        name: np.array([[curve[epoch] for epoch in epochs] for curve in curves]) for name, curves in by_epoch.items()
    }, np.array(epochs)


def until(found: Mapping[str, Runs], epoch: float) -> dict[str, Runs]:
    """The same records with their learning curves cut off after an epoch, for tables of what was trained for longer
    beside what was not."""
    return {
        name: Runs(runs.row, [replace(run, curve=[p for p in run.curve if p["epoch"] <= epoch]) for run in runs])
        for name, runs in found.items()
    }
