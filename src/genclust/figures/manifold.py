"""Figures of a two-dimensional latent space: where the data lie, and the images decoded from a grid of points."""

from __future__ import annotations

import math

import matplotlib.pyplot as plt
import numpy as np
from jaxtyping import Float, Int, Num

from genclust.figures.images import as_pictures, grid_figure
from genclust.figures.latent import box
from genclust.figures.scatter import coloured_scatter
from genclust.figures.style import PAGE_WIDTH

#: Height, width and colours of an image; None if it is square.
Shape = tuple[int, int, int] | None


def as_grid(decoded: Num[np.ndarray, "N D"], shape: Shape = None) -> Float[np.ndarray, "n n H W C"]:
    """Decoded images of N points as a square grid, n × n of them; those beyond n² are left out."""
    n = math.isqrt(len(decoded))
    return as_pictures(decoded[: n * n].reshape(n, n, -1), shape)


def manifold(decoded: Num[np.ndarray, "N D"], title: str, shape: Shape = None) -> None:
    """Figure with the images decoded from a square grid of N latent points.

    Args:
        decoded: flattened images, 0 … 255, grey or in colours.
        title: title above the figure.
        shape: size of an image; square by default.
    """
    grid_figure({title: as_grid(decoded, shape)}, width=1)


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
    _, ax = plt.subplots(figsize=(0.7 * PAGE_WIDTH, 0.7 * PAGE_WIDTH))
    coloured_scatter(ax, z, labels)
    box(ax, grid)
    ax.set_title(title)


def class_manifolds(decoded: Num[np.ndarray, "K N D"], shape: Shape = None) -> None:
    """Figure with the images decoded from the same grid of latent points, one grid as wide as the page per class.

    Every second row of the grid is left out, so that K of them below one another are not too high.

    Args:
        decoded: flattened images, 0 … 255, grey or in colours.
        shape: size of an image; square by default.
    """
    grid_figure({f"y = {k}": as_grid(images, shape)[::2] for k, images in enumerate(decoded)}, width=1)
