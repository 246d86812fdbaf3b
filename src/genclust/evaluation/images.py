"""Choice of the test images in figures, and conversion of images to the grey values that records store."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from genclust.data import Split

#: Largest number of test images that a figure shows.
SHOWN = 10


def as_bytes(images: Tensor) -> np.ndarray:
    """Images with values clipped to [0, 1], as uint8 grey values 0 … 255; NaN becomes 0."""
    return (255 * images.nan_to_num(nan=0).clamp(0, 1)).round().byte().cpu().numpy()


def one_of_each_class(test: Split) -> np.ndarray:
    """Indices of the first test point of each class, or of the first points of data without labels; ten at most."""
    labels = test.y
    if labels is None:
        return np.arange(min(SHOWN, len(test)))
    firsts = [int(np.flatnonzero(labels == c)[0]) for c in np.unique(labels)]
    return np.array(firsts[:SHOWN])
