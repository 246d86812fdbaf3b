"""Maps as numbers for their scripts: how clusters form, and the plane of η and α."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float

from genclust.book.widgets import packing
from genclust.book.widgets.training import FORMATION, PHASES, Arrays
from genclust.data import load
from genclust.experiments import Asked
from genclust.pages import phases
from genclust.paths import root


def stored(name: str) -> Arrays:
    """Arrays of one of the two files of :mod:`genclust.book.widgets.training`."""
    with np.load(root() / "results" / name) as file:
        return dict(file)


def within_square(points: Float[np.ndarray, "*maps N 2"]) -> tuple[np.ndarray, np.ndarray]:
    """Square that holds the points of each map: its centre ``[*maps, 1, 2]`` and half its width ``[*maps, 1, 1]``."""
    low, high = points.min(-2, keepdims=True), points.max(-2, keepdims=True)
    return (low + high) / 2, (high - low).max(-1, keepdims=True) / 2


def formation() -> dict[str, Any]:
    """Places and clusters of test digits by seed and epoch, each map in a square from -1 to 1, and the digits."""
    arrays = stored(FORMATION)
    data = load("digits")
    test = data.splits["test"]
    rows = arrays["rows"]
    assert test.y is not None and data.image_shape is not None
    places = arrays["map"].astype(np.float32)
    centre, half = within_square(places)
    places = (places - centre) / half
    return {
        "seeds": arrays["seeds"].tolist(),
        "epochs": arrays["epochs"].tolist(),
        "side": data.image_shape[0],
        "map": packing.quantise(places.reshape(-1, 2 * len(rows)), 2),
        "clusters": packing.encode(arrays["clusters"], 1),
        "classes": packing.encode(test.y[rows], 1),
        "digits": packing.encode(np.rint(test.x[rows] * (16 / 255)).astype(int), 1),
    }


def plane() -> dict[str, Any]:
    """Latent space of every pair of η and α, each in a square from -1 to 1, beside the median of its seeds."""
    arrays = stored(PHASES)
    runs = phases.planes(Asked("published", ""), "plain")["plain"]
    median, etas, alphas = phases.medians(runs, phases.ARI)
    points = arrays["x"].astype(np.float32)
    centre, half = within_square(points)
    means = (arrays["component_means"].astype(np.float32) - centre) / half
    sds = arrays["component_sds"].astype(np.float32) / half
    cells = len(points)
    return {
        "etas": etas,
        "alphas": alphas,
        "median": np.round(median.ravel(), 2).tolist(),
        "ari": np.round(arrays["ari"], 2).tolist(),
        "seeds": arrays["seed"].tolist(),
        "points": packing.quantise(((points - centre) / half).reshape(cells, -1), 2),
        "components": packing.quantise(np.concatenate([means, sds], -1).reshape(cells, -1), 2),
        "clusters": packing.encode(arrays["clusters"], 1),
        "arms": packing.encode(arrays["arms"], 1),
    }
