"""What to be wary of in a fit: seeds that disagree, clusters that are unsure, training that was too short."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float
from scipy import sparse

from genclust.estimators.base import DeepEstimator
from genclust.estimators.clustering import GMVAE, ClusterEstimator
from genclust.estimators.inputs import Scaling, as_rows
from genclust.evaluation.agreement import agreement
from genclust.models import MODELS, BernoulliModel
from genclust.wording import counted

#: Agreement below which seeds disagree, and above which they mostly agree.
DISAGREE, AGREE = 0.5, 0.8
#: Robust standard deviations from the median beyond which a value squeezes the rest of its column.
FAR = 20
#: Divergence of the style on held-out rows, in nats per row, below which the style says nothing of a row.
UNUSED = 0.05
#: Mean probability below which a cluster's rows might as well be in another.
UNSURE = 0.5
#: How near to 0 or 1 a scaled value is a bit, but for rounding.
NEAR = 1e-6
#: Rise of the held-out bound at the end of training, in nats per row, from which on training was not done.
RISING = 0.1


def seeds_agree(model: ClusterEstimator) -> Float[np.ndarray, " R"]:
    """Mean adjusted Rand index of each seed's clusters with those of the other seeds, from -1 to 1.

    Seeds whose training diverged are left out, and have NaN; so has a seed that has no other beside it.
    """
    found = np.full(len(model.bounds_), np.nan)
    found[_sound(model)] = agreement(model.all_labels_[_sound(model)])
    return found


def mean_agreement(model: ClusterEstimator) -> float:
    """Mean of :func:`seeds_agree` over the seeds that have one; NaN if none has."""
    found = seeds_agree(model)
    return float(np.mean(found[~np.isnan(found)])) if not np.isnan(found).all() else math.nan


def agreement_in_words(mean: float) -> str:
    """What a mean agreement between seeds says of the clusters."""
    if mean < DISAGREE:
        return "the seeds disagree, and the clusters depend on chance"
    if mean <= AGREE:
        return "the seeds agree in part: some clusters come out again, others do not"
    return "the seeds mostly agree"


def seeds_in_words(model: ClusterEstimator) -> str:
    """What the seeds of a model say together: how far they agree, or how many of them found a single cluster.

    Seeds whose training diverged do not count.
    """
    n = int(_sound(model).sum())
    if n == 1:
        return "one seed cannot tell"
    if alone := seeds_of_one_cluster(model):
        seeds = "every seed has" if alone == n else f"{alone} of {n} seeds {'has' if alone == 1 else 'have'}"
        return f"{seeds} put all rows into one cluster, and so {'has' if alone in (1, n) else 'have'} found nothing"
    mean = mean_agreement(model)
    fewer = mean > AGREE and len(np.unique(model.labels_)) < model.n_clusters_
    return agreement_in_words(mean) + (", on fewer clusters than were asked for" if fewer else "")


def seeds_of_one_cluster(model: ClusterEstimator) -> int:
    """How many seeds put all rows into one cluster; two of them agree, although neither found anything.

    Seeds whose training diverged do not count.
    """
    return sum(len(np.unique(labels)) == 1 for labels in model.all_labels_[_sound(model)])


def _sound(model: DeepEstimator) -> Bool[np.ndarray, " R"]:
    """Which seeds have a bound, as their training did not diverge."""
    return np.isfinite(model.bounds_)


def interrupted(model: DeepEstimator) -> bool:
    """Whether training was ended before its last epoch was done."""
    return model.n_epochs_ < model.epochs


def cautions(model: DeepEstimator) -> list[str]:
    """A sentence for each thing that a fit should make its user wary of; none if all is well."""
    found = []
    if diverged := int((~_sound(model)).sum()):
        found.append(
            f"The training of {diverged} of {counted(len(model.bounds_), 'seed')} diverged, and what they found does "
            "not count; give a smaller learning_rate, or scale the columns."
        )
    knows_rows = isinstance(model, ClusterEstimator) and hasattr(model, "all_labels_")  # a published model does not
    if knows_rows and model.n_clusters_ > 1 and (alone := seeds_of_one_cluster(model)):
        advice = "give more epochs"
        if isinstance(model, GMVAE):  # whose consistency violation is smallest where one cluster has everything
            advice += ", and a lower weight of the consistency violation, such as alpha=0.1"
        seeds = counted(int(_sound(model).sum()), "seed")
        found.append(f"{alone} of {seeds} put all rows into one cluster, which is no clustering; {advice}.")
    probabilities = getattr(model, "mean_probabilities_", np.zeros(0))  # which models of older versions lack
    if (unsure := np.flatnonzero(probabilities < UNSURE)).size:
        found.append(
            f"The model is not sure of the rows in {counted(len(unsure), 'cluster')} ({', '.join(map(str, unsure))}), "
            f"whose mean probability is below {UNSURE:g}; give more epochs, or another number of clusters."
        )
    last = model.history_[-1] if model.history_ else {}  # of a seed that diverged there is none, or it has no terms
    held, weight = last.get("kl_z", math.inf), model.get_params(deep=False).get("w_gaussian", 0)
    if weight > 0 and held < UNUSED:
        found.append(
            f"The style is unused (it holds {held:.2f} nats of a row), so samples of a cluster will look alike; for "
            f"more variety lower w_gaussian, which is {weight:g}."
        )
    if (rise := still_rising(model.history_)) > 0:
        found.append(
            f"Training was still improving at its end (the held-out bound rose by {rise:.1f} nats per row in the last "
            "epochs); give more epochs."
        )
    return found


def still_rising(history: Sequence[Mapping[str, float]]) -> float:
    """How much the held-out bound rose at the end, in nats per row; 0 unless it did clearly.

    The end is the last tenth of the epochs, and five at least.  The rise is that of a straight line, and clear if it is
    a tenth of a nat and larger than what lies beside the line.
    """
    bounds = np.array([point.get("bound", np.nan) for point in history[-max(5, -(-len(history) // 10)) :]])
    if len(bounds) < 2 or not np.isfinite(bounds).all():
        return 0.0
    at = np.arange(len(bounds))
    line = np.polynomial.Polynomial.fit(at, bounds, 1)
    rise = float(line(at[-1]) - line(0))
    return rise if rise > max(RISING, 2 * float(np.std(bounds - line(at)))) else 0.0


def columns_with_outliers(model: DeepEstimator, X: Any) -> list[str]:
    """Columns, of those that were scaled one by one, with values far beyond their quartiles; see :data:`FAR`.

    A robust standard deviation is what the quartiles of a Gaussian tell.  Columns with equal quartiles have none, and
    are left out.
    """
    rows, image = as_rows(values_of(X))
    if image is not None or model.scaling_.kind not in ("minmax", "standard") or sparse.issparse(rows):
        return []
    low, middle, high = np.percentile(rows, (25, 50, 75), axis=0)
    deviation = (high - low) / 1.349  # a Gaussian's
    far = (deviation > 0) & (np.abs(rows - middle).max(0) > FAR * deviation)
    names = list(X.columns) if isinstance(X, pd.DataFrame) else [str(i) for i in range(rows.shape[1])]
    return [str(names[i]) for i in np.flatnonzero(far)]


def columns_drawn_as_bits(model: DeepEstimator, X: Any) -> Bool[np.ndarray, " D"]:
    """Which columns hold values between 0 and 1 once scaled, of which the model would draw random bits.

    None unless the model, which need not be fitted, is one of bits.  None of images and grey levels (uint8): drawing
    their bits is usual, and leaves them recognisable.
    """
    rows, image = as_rows(values_of(X))
    none = np.zeros(rows.shape[1], bool)
    if image is not None or not issubclass(MODELS[model.model_name][0], BernoulliModel):
        return none
    scaling = Scaling.fitted(rows, "minmax" if model.scale == "minmax" else "auto", unit_interval=True, images=False)
    if scaling.kind == "grey":
        return none
    return np.any([((x > NEAR) & (x < 1 - NEAR)).numpy().any(0) for x in scaling.chunks(rows)], axis=0)


def values_of(X: Any) -> Any:
    """The values of a table, without the names of its columns; other forms of X as they are."""
    return X.to_numpy() if isinstance(X, pd.DataFrame) else X
