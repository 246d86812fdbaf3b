"""A latent space of two dimensions: where the data lie in it, and what a grid of its points is decoded to."""

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
    """The images of N points, n to a side, in rows and columns; those that fill no square are left out."""
    n = math.isqrt(len(decoded))
    return as_squares(decoded[: n * n].reshape(n, n, -1))


def manifold(decoded: Num[np.ndarray, "N D"], title: str) -> None:
    """A figure with the images that a square grid of N points is decoded to.

    Args:
        decoded: flattened images, 0 … 255, grey or in colours.
        title: above the figure.
    """
    _, ax = plt.subplots(figsize=(0.6 * PAGE_WIDTH, 0.62 * PAGE_WIDTH))
    image_grid(ax, as_grid(decoded))
    ax.set_title(title)


def latent_map(
    z: Float[np.ndarray, "M 2"], labels: Int[np.ndarray, " M"] | None, grid: Float[np.ndarray, "N 2"], title: str
) -> None:
    """A figure with points in the latent space, coloured by class, and the rectangle of the grid that is decoded.

    Args:
        z: the points.
        labels: their classes, or None where they are unknown.
        grid: the points that are decoded.
        title: above the figure.
    """
    _, ax = plt.subplots(figsize=(0.75 * PAGE_WIDTH, 0.7 * PAGE_WIDTH))
    if labels is None:
        ax.plot(*z.T, ".", markersize=2)
    else:
        class_scatter(ax, z, labels, [str(c) for c in range(int(labels.max()) + 1)])
    box(ax, grid)
    ax.set_title(title)


def class_manifolds(decoded: Num[np.ndarray, "K N D"], columns: int = 5) -> None:
    """A figure with the images of the same grid of points for each of K classes.

    Args:
        decoded: flattened images, 0 … 255, grey or in colours.
        columns: how many classes stand side by side.
    """
    rows = -(-len(decoded) // columns)
    _, axes = plt.subplots(rows, columns, figsize=(PAGE_WIDTH, 1.6 * rows), squeeze=False)
    for k, ax in enumerate(axes.flat):
        if k < len(decoded):
            image_grid(ax, as_grid(decoded[k]))
            ax.set_title(f"y = {k}", fontsize="small")
        else:
            ax.axis("off")
