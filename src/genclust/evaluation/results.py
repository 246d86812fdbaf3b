"""Results of evaluations: metrics and arrays of one replica."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int, UInt


@dataclass(frozen=True)
class Results:
    """Metrics and arrays of one replica.

    Attributes:
        metrics: values by names of the form ``split.metric``; scores in per cent, likelihoods in nats.
        arrays: data from which the metrics are computed, and data for figures.
    """

    metrics: dict[str, float]
    arrays: dict[str, np.ndarray]


def as_small_integers(values: Int[np.ndarray, "*shape"]) -> UInt[np.ndarray, "*shape"]:
    """Non-negative integers converted to the smallest unsigned type that holds them."""
    return values.astype(np.min_scalar_type(int(values.max(initial=0))))
