"""Tables of log-likelihoods, of importance-weighted bounds on them, and of the noise of gradients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from genclust.experiments.access import Runs
from genclust.experiments.store import Record
from genclust.pages.columns import Column, above, count, label, mean_sd, table
from genclust.wording import signed

LOG_LIKELIHOOD = "test.log_likelihood"
#: The two bounds on the log-likelihood that every model with a likelihood has.
BOUNDS: dict[str, Column] = {"log-likelihood": mean_sd(LOG_LIKELIHOOD), "one-sample bound": mean_sd("test.elbo")}


class Bounds(NamedTuple):
    """Importance-weighted bounds of one model on the same test images, in nats, one value per seed."""

    #: Numbers S of importance samples.
    samples: Int[np.ndarray, " n"]
    #: Bounds at these numbers, with the cluster drawn from q.
    drawn: Float[np.ndarray, "seeds n"]
    #: Bounds with the cluster summed out, at the first m numbers; None for a model without clusters.
    summed: Float[np.ndarray, "seeds m"] | None


def importance_bounds(found: Mapping[str, Sequence[Record]]) -> dict[str, Bounds]:
    """Importance-weighted bounds of each model, by label.

    Args:
        found: records with the evaluation ``bound`` by label; labels without records are left out.
    """
    bounds = {}
    for name, runs in found.items():
        if arrays := [run.arrays() for run in runs]:
            drawn, enumerated = np.stack([of_seed["bound"] for of_seed in arrays]), "bound_enumerated"
            summed = np.stack([of_seed[enumerated] for of_seed in arrays]) if enumerated in arrays[0] else None
            bounds[name] = Bounds(arrays[0]["bound_samples"], drawn, summed)
    return bounds


def _mean_at(S: int, samples: Int[np.ndarray, " n"], bounds: Float[np.ndarray, "seeds m"]) -> float | None:
    """Bound with S samples, averaged over the seeds, or None where it was not measured."""
    places = np.flatnonzero(samples[: bounds.shape[1]] == S)
    return float(np.mean(bounds[:, places[0]])) if len(places) else None


def bound_table(bounds: Mapping[str, Bounds], samples: Sequence[int]) -> pd.DataFrame:
    """Table with one line per model: its bounds (nats) at the given numbers of samples.

    Numbers of samples that no model has are left out.
    """
    sizes = [S for S in samples if any(S in of_model.samples for of_model in bounds.values())]
    lines = []
    for name, of_model in bounds.items():
        cells = {S: _mean_at(S, of_model.samples, of_model.drawn) for S in sizes}
        lines.append({"Model": name} | {f"S = {S:,}": "–" if v is None else signed(v) for S, v in cells.items()})
    return pd.DataFrame(lines)


def drawn_or_summed(bounds: Mapping[str, Bounds], samples: Sequence[int]) -> pd.DataFrame:
    """Table of bounds (nats) with the cluster drawn and with it summed out, per model with clusters and S."""
    lines = []
    for name, of_model in bounds.items():
        if of_model.summed is None:
            continue
        for S in samples:
            drawn, summed = (
                _mean_at(S, of_model.samples, of_model.drawn),
                _mean_at(S, of_model.samples, of_model.summed),
            )
            if drawn is not None and summed is not None:
                cells = {"y drawn": drawn, "y summed out": summed, "difference": summed - drawn}
                lines.append({"Model": name, "S": S} | {heading: signed(value) for heading, value in cells.items()})
    return pd.DataFrame(lines)


def protocol(runs: Runs) -> str:
    """Divisor of the grey values, and precision of the matrix products."""
    config = runs[0].config if runs else (runs.row.settings or {})
    precision = {"bf16": "bfloat16"}.get(config["training"]["precision"], config["training"]["precision"])
    return f"over {config['model']['divisor']}, {precision}"


def sums_over_classes(found: Mapping[str, Runs]) -> pd.DataFrame:
    """Table of the rows of ``cagem-table1-sums``: each sum over classes in training beside that over all."""

    def with_all(runs: Runs) -> Runs:
        return found[runs.row.name.split("-")[0] + "-all"]

    columns: dict[str, Column] = {"Trained with": label, "log-likelihood": mean_sd(LOG_LIKELIHOOD)}
    columns |= {"more than all": above(with_all, LOG_LIKELIHOOD), "one-sample bound": mean_sd("test.elbo")}
    return table(found, columns | {"seeds": count})


def label_objectives(found: Mapping[str, Runs], unlabelled: Sequence[Record]) -> pd.DataFrame:
    """Table of the rows of ``cagem-labels``: each objective with labels beside the model trained without.

    Args:
        found: the records of the rows, whose labels end in their weight.
        unlabelled: the records of the model without labels.
    """
    return table(
        found,
        {
            "Added to the loss": lambda runs: runs.row.label.rpartition(", ")[0],
            "α": lambda runs: f"{(runs.row.settings or {})['model']['alpha']:g}",
            "log-likelihood": mean_sd(LOG_LIKELIHOOD),
            "above CaGeM-0": above(unlabelled, LOG_LIKELIHOOD),
            "error of q (%)": mean_sd("test.error_q", 1),
            "error of p (%)": mean_sd("test.error_p", 1),
            "seeds": count,
        },
    )


def gradient_noise(found: Mapping[str, Sequence[Record]]) -> pd.DataFrame:
    """Table of the gradient noise of each way to sum over classes, averaged over seeds.

    From the evaluation ``gradients``: the trace of the covariance of a step's gradient over all parameters, as a
    multiple of the squared norm of its mean; that from draws also as a multiple of its value with all classes summed.
    """
    lines = []
    for name, runs in found.items():
        arrays = [run.arrays() for run in runs]
        norm, draws, batches = (
            np.mean([stored[f"gradient_{part}"] for stored in arrays], 0)
            for part in ("squared_norm", "of_draws", "of_batches")
        )
        for place, classes in enumerate(arrays[0]["gradient_classes"]):
            lines.append(
                {
                    "Network": name,
                    "Sum over": f"{classes} and one drawn" if classes else "all",
                    "from draws": f"{draws[place] / norm.mean():.1f}",
                    "against all": f"{draws[place] / draws[0]:.2f}×",
                    "from batches": f"{batches[place] / norm.mean():.1f}",
                }
            )
    return pd.DataFrame(lines)
