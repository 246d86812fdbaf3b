"""What is known of a run without labels: sizes of its clusters, how sure it is of them, its bound on held-out data."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from jaxtyping import Int

from genclust.experiments.store import Record
from genclust.experiments.training_run import bound
from genclust.experiments.verdicts import Summary
from genclust.models import MODELS


def held_out_bound(record: Record) -> float:
    """Lower bound on log p(x) of validation data at the end of training, in nats, by the rule of `Model.elbo`.

    NaN for a seed that failed, and for a model without a bound, such as k-means or IMSAT.
    """
    if record.failed_at_step is not None or not record.curve:
        return math.nan
    return bound_of(record, record.curve[-1])


def bound_of(record: Record, point: dict[str, float]) -> float:
    """Bound at one point of the learning curve of a record, in nats."""
    module, _ = MODELS[record.config["model"]["name"]]
    return bound(module, point)


def confidence(record: Record) -> float:
    """Mean over the test points of the probability of their cluster, in per cent; NaN where it was not kept."""
    kept = record.arrays().get("confidence_test")
    return math.nan if kept is None else 100 * float(np.mean(kept, dtype=np.float64))


#: What is known of a run without labels and stands in for scores, by its heading; of points it was not trained on.
WITHOUT_LABELS: dict[str, Callable[[Record], float]] = {
    "clusters in use": lambda record: record.metric("test.clusters_used"),
    "mean confidence (%)": confidence,
    "held-out bound (nats)": held_out_bound,
}


def summary_of(name: str, records: Sequence[Record]) -> Summary | None:
    """Statistics over the records of one of ``WITHOUT_LABELS``, in the unit of its heading.

    None without records, or if one has no value: a mean without the seeds that failed would be too good.
    """
    values = [WITHOUT_LABELS[name](record) for record in records]
    return None if not values or any(map(math.isnan, values)) else Summary.of(values)


def classes_or_clusters(arrays: Mapping[str, np.ndarray]) -> Int[np.ndarray, " N"] | None:
    """What colours the points of a projection: their classes or, without labels, their clusters if all are shown.

    Args:
        arrays: arrays of a record with the evaluation ``projection``.
    """
    if "tsne_labels" in arrays:
        return arrays["tsne_labels"].astype(np.int64)
    points = next(len(array) for name, array in arrays.items() if name.startswith("tsne_"))
    clusters = arrays.get("clusters_test")
    return clusters.astype(np.int64) if clusters is not None and len(clusters) == points else None


def sizes(record: Record) -> str:
    """Numbers of test points of the clusters that hold any, the largest first, such as ``40, 31, 12``."""
    _, counts = np.unique(record.arrays().get("clusters_test", []), return_counts=True)
    return ", ".join(map(str, sorted(counts, reverse=True)))
