"""Plots of two-dimensional latent spaces: points by cluster, and the components of a mixture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.patches import Ellipse, Rectangle

from genclust.figures.style import CLASSES, INK, PAGE_WIDTH


def points(ax: Axes, xy: Float[np.ndarray, "N 2"], clusters: Int[np.ndarray, " N"]) -> None:
    """Draw small points, one colour per cluster; beyond as many clusters as there are colours they begin again.

    Args:
        ax: axes to draw on; its ticks are removed, since a latent space has no unit.
        xy: positions.
        clusters: 0 … K-1.
    """
    order = np.random.default_rng(0).permutation(len(xy))  # else the last cluster covers the others
    colors = np.array(CLASSES)[clusters % len(CLASSES)]
    ax.scatter(xy[order, 0], xy[order, 1], c=colors[order], s=3, alpha=0.7, linewidths=0, rasterized=True)
    ax.set(xticks=[], yticks=[])
    ax.grid(False)


def contours(ax: Axes, means: Float[np.ndarray, "K 2"], sds: Float[np.ndarray, "K 2"]) -> None:
    """Draw the ellipse of each diagonal Gaussian at two standard deviations, in the colour of its cluster."""
    for k, (mean, sd) in enumerate(zip(means, sds, strict=True)):
        ax.add_patch(Ellipse(mean, *(4 * sd), fill=False, color=CLASSES[k % len(CLASSES)], linewidth=1.5))
    ax.autoscale_view()


def box(ax: Axes, corners: Float[np.ndarray, "N 2"]) -> None:
    """Draw the rectangle that encloses the points."""
    low, high = corners.min(0), corners.max(0)
    ax.add_patch(Rectangle(low, *(high - low), fill=False, color=INK, linewidth=1.5))


def latent_spaces(
    data: tuple[Float[np.ndarray, "N 2"], Int[np.ndarray, " N"]],
    reconstructed: tuple[str, Mapping[str, np.ndarray]],
    maps: Mapping[str, Mapping[str, np.ndarray]],
) -> None:
    """Figure 2 of GMVAE: the data, their reconstruction, and the latent space of every pair of weights (η, α).

    Args:
        data: points, and the arm that each belongs to.
        reconstructed: the name of a pair of weights, and the arrays of its record, of which ``latent_reconstruction``
            and ``latent_clusters`` are shown.
        maps: arrays of one record each, by title, of which ``latent_x``, ``latent_clusters``, ``component_means``
            and ``component_sds`` are shown.
    """
    rows = 1 + -(-len(maps) // 2)
    _, axes = plt.subplots(rows, 2, figsize=(PAGE_WIDTH, 3.2 * rows))
    points(axes[0, 0], *data)
    axes[0, 0].set_title("data, by arm")
    name, arrays = reconstructed
    points(axes[0, 1], arrays["latent_reconstruction"], arrays["latent_clusters"])
    axes[0, 1].set_title(f"reconstructed, {name}")
    for ax, (title, arrays) in zip(axes[1:].flat, maps.items(), strict=False):
        points(ax, arrays["latent_x"], arrays["latent_clusters"])
        contours(ax, arrays["component_means"], arrays["component_sds"])
        ax.set_title(title)
    for ax in axes.flat[2 + len(maps) :]:
        ax.axis("off")


def seed_dots(ax: Axes, values: Mapping[str, Sequence[float]], ylabel: str) -> None:
    """Draw a column of dots for each name, one dot per seed, with a line at their median.

    Args:
        ax: axes to draw on.
        values: one value per seed, by name.
        ylabel: name of the values, with their unit.
    """
    for i, numbers in enumerate(values.values()):
        spread = np.linspace(-0.18, 0.18, len(numbers)) if len(numbers) > 1 else np.zeros(1)
        ax.plot(i + spread, sorted(numbers), "o", color=CLASSES[0], alpha=0.8, markersize=5)
        ax.hlines(np.median(numbers), i - 0.28, i + 0.28, color=INK, linewidth=2)
    ax.set(ylabel=ylabel, xticks=range(len(values)), xticklabels=list(values))
    ax.grid(axis="x", visible=False)
