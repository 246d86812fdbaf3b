"""Scatter plots of points in the plane, coloured by class."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations

import matplotlib.pyplot as plt
import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb

from genclust.figures.style import CLASSES, PAGE_WIDTH

#: Width of a class's name and its circle, as a share of a panel of half the page's width.
NAME = 0.085


def coloured_scatter(ax: Axes, xy: Float[np.ndarray, "N 2"], labels: Int[np.ndarray, " N"] | None) -> None:
    """Draw points coloured by class where classes are known and few enough to be told apart, otherwise in one colour.

    The number of a class stands at the median of its points, or beside it where two would collide.

    Args:
        ax: axes to draw on; its ticks are removed, since projections have no unit.
        xy: positions.
        labels: classes 0 … T-1, or None.

    Raises:
        ValueError: for positions that are not finite or not ``[N, 2]``.
    """
    xy = np.asarray(xy)
    if xy.ndim != 2 or xy.shape[1] != 2 or len(xy) == 0 or not np.isfinite(xy).all():
        raise ValueError(f"xy must be finite positions of shape [N, 2]; its shape is {xy.shape}")
    ax.set(xticks=[], yticks=[], aspect="equal", adjustable="datalim")
    if labels is None or labels.max() >= len(CLASSES):
        ax.plot(*xy.T, ".", markersize=3, rasterized=True)
        return

    colors = np.array([to_rgb(color) for color in CLASSES])
    # in random order, else the last class covers the others
    order = np.random.default_rng(0).permutation(len(xy))
    size = float(np.clip(15_000 / len(xy), 2, 12))
    # one raster image: ten thousand vector points would make an SVG of megabytes
    x, y = xy[order].T
    ax.scatter(x, y, c=colors[labels[order]], s=size, alpha=0.75, linewidths=0, rasterized=True)
    ax.spines[:].set_visible(False)

    shown = np.unique(labels)
    medians = np.stack([np.median(xy[labels == t], axis=0) for t in shown])
    for t, place in zip(shown, _apart(medians, NAME * np.ptp(xy, axis=0).max()), strict=True):
        ax.text(
            place[0],
            place[1],
            str(t),
            ha="center",
            va="center",
            color="black" if _luminance(colors[t]) > 0.18 else "white",
            fontsize="small",
            fontweight="bold",
            bbox={"boxstyle": "circle,pad=0.25", "facecolor": colors[t], "edgecolor": "white", "linewidth": 0.8},
        )


def scatter_panels(panels: Mapping[str, Float[np.ndarray, "N 2"]], labels: Int[np.ndarray, " N"] | None) -> None:
    """Figure with several projections of the same points, two panels per row; see `coloured_scatter`.

    Args:
        panels: positions by title.
        labels: classes 0 … T-1, or None.
    """
    rows = -(-len(panels) // 2)
    _, axes = plt.subplots(rows, 2, figsize=(PAGE_WIDTH, rows * PAGE_WIDTH / 2), squeeze=False)
    for ax in axes.flat[len(panels) :]:
        ax.axis("off")
    for ax, (title, xy) in zip(axes.flat, panels.items(), strict=False):
        coloured_scatter(ax, xy, labels)
        ax.set_title(title)


def _apart(places: Float[np.ndarray, "T 2"], least: float) -> Float[np.ndarray, "T 2"]:
    """The places, of which any two that are nearer than ``least`` are moved away from each other."""
    places = places.astype(float)
    for _ in range(100):
        for i, j in combinations(range(len(places)), 2):
            between = places[j] - places[i]
            distance = float(np.hypot(*between))
            if distance < least:
                direction = between / distance if distance else np.array([1.0, 0.0])
                places[i] -= direction * (least - distance) / 2
                places[j] += direction * (least - distance) / 2
    return places


def _luminance(rgb: Float[np.ndarray, " 3"]) -> float:
    """Relative luminance (WCAG 2) of a colour; black text has the better contrast above 0.18, white below."""
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])
