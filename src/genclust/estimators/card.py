"""The card of a fitted estimator, for people: what was fitted on what, how well, and what to be wary of."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any, cast

import numpy as np

from genclust import __version__
from genclust.estimators.base import DeepEstimator
from genclust.estimators.cautions import cautions, interrupted, mean_agreement, seeds_agree, seeds_in_words
from genclust.wording import counted, size

#: How columns were scaled, in words.
SCALED = {
    "none": "used as they are",
    "grey": "grey levels 0 … 255, taken as 0 … 1",
    "minmax": "brought to [0, 1]",
    "standard": "brought to mean 0 and variance 1",
    "log": "logarithm of 1 + value, brought to mean 0 and variance 1",
}


def describe(estimator: DeepEstimator, warned_of: Sequence[str] = ()) -> str:
    """A card for people, in Markdown: what was fitted on what, and how well.

    Args:
        estimator: fitted.
        warned_of: what to be wary of beside what the estimator tells.
    """
    sizes = getattr(estimator, "cluster_sizes_", None)
    image, n = estimator.image_shape_, None if sizes is None else int(sizes.sum())
    columns = f"images of {size(image)}" if image else counted(estimator.n_features_in_, "column")
    if n is not None:
        columns = f"{n:,} {columns}" if image else f"{counted(n, 'row')} of {columns}"
    epochs = counted(estimator.n_epochs_, "epoch")
    if interrupted(estimator):
        epochs += f" of {estimator.epochs:,} (interrupted)"
    lines = [
        f"# {type(estimator).__name__}",
        "",
        f"Fitted on {columns}, for {epochs}, with {counted(len(estimator.seeds_), 'seed')}; written on "
        f"{date.today():%d %B %Y} by version {__version__} of genclust.",
        "",
    ]
    if wary := [*warned_of, *cautions(estimator)]:
        lines += ["**What to be wary of**", "", *(f"- {sentence}" for sentence in wary), ""]
    lines += [
        f"- Columns{_named(estimator)}: {SCALED[estimator.scaling_.kind]}",
        f"- {estimator.bound_in_words} on held-out rows: {_in_nats(estimator.bound_)} "
        f"(seed {estimator.seeds_[estimator.best_]}); comparable only between fits of the same rows with the same "
        "likelihood and scale",
    ]
    if remark := estimator.bound_remark:
        lines.append(f"- {remark}")
    if len(estimator.seeds_) > 1:
        lines.append(f"- Bounds of all seeds: {', '.join(map(_in_nats, estimator.bounds_))}")
    if sizes is not None:
        known = clusters_of(estimator)
        if known["agreement"] is not None:
            of_seeds = ", ".join("–" if value is None else f"{value:.2f}" for value in known["agreement_of_seeds"])
            lines.append(
                f"- Agreement between seeds: {known['agreement']:.2f}, so {seeds_in_words(cast(Any, estimator))} (of "
                f"each with the others: {of_seeds}; adjusted Rand index, 1 is the same clusters, 0 is chance)"
            )
        if classes := getattr(estimator, "class_names_", None):
            lines.append(f"- Clusters from 0 on stand for the known classes: {', '.join(classes)}")
        probabilities = ("–" if p is None else f"{p:.2f}" for p in known["mean_probabilities"])
        lines.append(f"- Rows per cluster: {', '.join(map(str, sizes))}")
        lines.append(f"- Mean probability per cluster: {', '.join(probabilities)}")
    given = {k: v for k, v in estimator.get_params(deep=False).items() if k != "verbose"}
    lines += ["", "| parameter | value |", "|---|---|"]
    lines += [f"| {name} | {value} |" for name, value in given.items()]
    return "\n".join(lines) + "\n"


def _in_nats(bound: float) -> str:
    return f"{bound:.2f} nats per row" if np.isfinite(bound) else "none, since training diverged"


def _named(estimator: DeepEstimator) -> str:
    """The names of the columns in brackets, the first twenty if there are more; nothing where they have none."""
    names = [str(name) for name in getattr(estimator, "feature_names_in_", [])]
    more = f" and {len(names) - 20:,} more" if len(names) > 20 else ""
    return f" ({', '.join(names[:20])}{more})" if names else ""


def clusters_of(estimator: DeepEstimator) -> dict[str, Any]:
    """What is known of the clusters without labels, for people and other programs; unknown numbers are None.

    Returns:
        ``agreement``, the mean of ``agreement_of_seeds``, which are adjusted Rand indices with the other seeds, None
        for a seed whose training diverged; and for each cluster its ``rows`` and their mean probability,
        ``mean_probabilities``.
    """
    fitted = vars(estimator)
    known = {
        "agreement": [mean_agreement(cast(Any, estimator))],
        "agreement_of_seeds": seeds_agree(cast(Any, estimator)),
        "mean_probabilities": fitted.get("mean_probabilities_", [np.nan]),  # which older models lack
    }
    rounded = {
        name: [None if np.isnan(value) else round(float(value), 4) for value in values]
        for name, values in known.items()
    }
    return {**rounded, "agreement": rounded["agreement"][0], "rows": fitted["cluster_sizes_"]}
