"""What an evaluation finds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int, UInt


@dataclass(frozen=True)
class Results:
    """Metrics and arrays of one replica.

    Attributes:
        metrics: ``split.metric`` -> value; scores in per cent, likelihoods in nats.
        arrays: what the metrics are made of, and what figures show.
    """

    metrics: dict[str, float]
    arrays: dict[str, np.ndarray]


def as_small_integers(values: Int[np.ndarray, "*shape"]) -> UInt[np.ndarray, "*shape"]:
    """Non-negative whole numbers in the smallest unsigned type that holds them."""
    return values.astype(np.min_scalar_type(int(values.max(initial=0))))
