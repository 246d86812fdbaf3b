"""Which images of a data set are shown, and how images are kept in records."""

from __future__ import annotations

import numpy as np
from torch import Tensor

#: Where a figure shows some test images, at most so many.
SHOWN = 10


def as_bytes(images: Tensor) -> np.ndarray:
    """Values from 0 to 1, clipped there, as grey values 0 … 255; NaN as 0."""
    return (255 * images.nan_to_num(nan=0).clamp(0, 1)).round().byte().cpu().numpy()


def one_of_each_class(labels: np.ndarray | None) -> np.ndarray:
    """The first test point of each class, or the first points of data without labels."""
    if labels is None:
        return np.arange(SHOWN)
    firsts = [int(np.flatnonzero(labels == c)[0]) for c in np.unique(labels)]
    return np.array(firsts[:SHOWN])
