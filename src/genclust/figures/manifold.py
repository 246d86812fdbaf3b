"""Figures of a two-dimensional latent space: where the data lie, and the images decoded from a grid of points."""

from __future__ import annotations

import math

import matplotlib.pyplot as plt
import numpy as np
from jaxtyping import Float, Int, Num

from genclust.figures.images import as_squares, image_grid
from genclust.figures.latent import box
from genclust.figures.scatter import class_scatter
from genclust.figures.style import PAGE_WIDTH


def as_grid(decoded: Num[np.ndarray, "N D"]) -> Float[np.ndarray, "n n H W C"]:
    """Decoded images of N points as a square grid, n × n of them; those beyond n² are left out."""
    n = math.isqrt(len(decoded))
    return as_squares(decoded[: n * n].reshape(n, n, -1))


def manifold(decoded: Num[np.ndarray, "N D"], title: str) -> None:
    """Figure with the images decoded from a square grid of N latent points.

    Args:
        decoded: flattened images, 0 … 255, grey or in colours.
        title: title above the figure.
    """
    _, ax = plt.subplots(figsize=(0.6 * PAGE_WIDTH, 0.62 * PAGE_WIDTH))
    image_grid(ax, as_grid(decoded))
    ax.set_title(title)


def latent_map(
    z: Float[np.ndarray, "M 2"], labels: Int[np.ndarray, " M"] | None, grid: Float[np.ndarray, "N 2"], title: str
) -> None:
    """Figure with points in the latent space, coloured by class, and the rectangle of the decoded grid.

    Args:
        z: the points.
        labels: their classes, or None where they are unknown.
        grid: the points that are decoded.
        title: title above the figure.
    """
    _, ax = plt.subplots(figsize=(0.75 * PAGE_WIDTH, 0.7 * PAGE_WIDTH))
    if labels is None:
        ax.plot(*z.T, ".", markersize=2)
    else:
        class_scatter(ax, z, labels, [str(c) for c in range(int(labels.max()) + 1)])
    box(ax, grid)
    ax.set_title(title)


def class_manifolds(decoded: Num[np.ndarray, "K N D"], columns: int = 5) -> None:
    """Figure with the images decoded from the same grid of latent points, one panel for each of K classes.

    Args:
        decoded: flattened images, 0 … 255, grey or in colours.
        columns: number of classes side by side.
    """
    rows = -(-len(decoded) // columns)
    _, axes = plt.subplots(rows, columns, figsize=(PAGE_WIDTH, 1.6 * rows), squeeze=False)
    for k, ax in enumerate(axes.flat):
        if k < len(decoded):
            image_grid(ax, as_grid(decoded[k]))
            ax.set_title(f"y = {k}", fontsize="small")
        else:
            ax.axis("off")
