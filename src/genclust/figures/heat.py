"""A number for each cell of a grid."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes


def heat_map(
    ax: Axes,
    values: Float[np.ndarray, "rows cols"],
    rows: Sequence[float] | Sequence[str],
    cols: Sequence[float] | Sequence[str],
    limits: tuple[float, float],
) -> None:
    """Cells coloured and labelled by their value, rounded to whole numbers; the first row lies at the bottom.

    Args:
        ax: where to draw.
        values: a number a cell; NaN leaves it empty.
        rows: what the rows stand for, upwards.
        cols: what the columns stand for.
        limits: the values of the darkest and the brightest colour.

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
            ax.text(j + 0.5, i + 0.5, f"{value:.0f}", ha="center", va="center", color="white" if dark else "black")
    for set_ticks, names in ((ax.set_xticks, cols), (ax.set_yticks, rows)):
        set_ticks(np.arange(len(names)) + 0.5, [name if isinstance(name, str) else f"{name:g}" for name in names])
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    ax.grid(False)
