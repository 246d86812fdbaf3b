"""Heat maps: a number for each cell of a grid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes

from genclust.figures.style import PAGE_WIDTH
from genclust.wording import signed

#: Values, and the names of rows and columns, as for `heat_map`.
Cells = tuple[Float[np.ndarray, "rows cols"], Sequence[float] | Sequence[str], Sequence[float] | Sequence[str]]


def heat_map(
    ax: Axes,
    values: Float[np.ndarray, "rows cols"],
    rows: Sequence[float] | Sequence[str],
    cols: Sequence[float] | Sequence[str],
    limits: tuple[float, float],
    decimals: int = 0,
) -> None:
    """Draw cells coloured and labelled by their value, rounded to integers; the first row lies at the bottom.

    Args:
        ax: axes to draw on.
        values: one number per cell; NaN leaves it empty.
        rows: names of the rows, upwards.
        cols: names of the columns.
        limits: the values of the darkest and the brightest colour.
        decimals: digits after the point.

    Raises:
        ValueError: if the names do not fit the values.
    """
    if values.shape != (len(rows), len(cols)):
        raise ValueError(f"{len(rows)} rows and {len(cols)} columns cannot name values of shape {values.shape}")
    colours, scale = mpl.colormaps["cividis"], mpl.colors.Normalize(*limits)
    ax.pcolormesh(values, cmap=colours, norm=scale)
    for (i, j), value in np.ndenumerate(values):
        if np.isfinite(value):
            dark = scale(value) < 0.47  # beyond, black has more contrast with this map than white
            colour = "white" if dark else "black"
            ax.text(j + 0.5, i + 0.5, signed(value, decimals), ha="center", va="center", color=colour)
    for set_ticks, names in ((ax.set_xticks, cols), (ax.set_yticks, rows)):
        set_ticks(np.arange(len(names)) + 0.5, [name if isinstance(name, str) else f"{name:g}" for name in names])
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    ax.grid(False)


def stacked_maps(maps: Mapping[str, Cells], limits: tuple[float, float]) -> None:
    """Figure with several heat maps below each other, with cells of equal height.

    Args:
        maps: values and names of each map, by its title.
        limits: the values of the darkest and the brightest colour in all of them.
    """
    heights = [len(rows) + 1.2 for _, rows, _ in maps.values()]
    size = 0.9 * PAGE_WIDTH, 0.42 * sum(heights)
    _, axes = plt.subplots(len(maps), 1, figsize=size, height_ratios=heights, squeeze=False)
    for ax, (title, (values, rows, cols)) in zip(axes.flat, maps.items(), strict=True):
        heat_map(ax, values, rows, cols, limits)
        ax.set_title(title)


def map_grid(
    columns: Mapping[str, Sequence[Cells]],
    quantities: Mapping[str, tuple[float, float]],
    xlabel: str,
    ylabel: str,
) -> None:
    """Figure with a grid of heat maps: one column per kind, one row per quantity.

    Args:
        columns: the maps of each kind, one per quantity, by the name of the kind.
        quantities: the values of the darkest and the brightest colour, by the name of the quantity.
        xlabel, ylabel: names of the axes of all maps.
    """
    _, axes = plt.subplots(len(quantities), len(columns), figsize=(PAGE_WIDTH, 3.2 * len(quantities)), squeeze=False)
    for column, (kind, maps) in zip(axes.T, columns.items(), strict=True):
        for ax, (values, rows, cols), (name, limits) in zip(column, maps, quantities.items(), strict=True):
            heat_map(ax, values, rows, cols, limits)
            ax.set_title(f"{kind}\n{name}" if ax is column[0] else name)
        column[-1].set_xlabel(xlabel)
    for ax in axes[:, 0]:
        ax.set_ylabel(ylabel)
